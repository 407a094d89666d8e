"""Options that several commands of ``deepreg`` have."""

from __future__ import annotations

import argparse

from DeepRegistrationLib.options import QUALITIES, RegistrationOptions

_DEFAULTS = RegistrationOptions()

MASK = "mask (or RTSTRUCT, as in rs.dcm:Lung_L,Lung_R)"
"""What an option takes as a mask, for its help."""

LABELS = "label map, segmentation or RTSTRUCT (or structures of one, as in rs.dcm:Heart,Lung_L)"
"""What an option takes as labels, for its help."""


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """How to register, and what to write besides the transform."""
    add_registration_options(parser)
    parser.add_argument("--inverse", action="store_true", help="also write the inverse transform")
    parser.add_argument(
        "--displacement",
        action="store_true",
        help="also write a map of how far each point moves, in mm",
    )


def add_registration_options(parser: argparse.ArgumentParser) -> None:
    """How to register."""
    parser.add_argument(
        "--method", default=_DEFAULTS.method, help="see 'deepreg methods' (default: %(default)s)"
    )
    parser.add_argument(
        "--quality",
        choices=QUALITIES,
        default=_DEFAULTS.quality,
        help="trades time for accuracy (default: %(default)s)",
    )
    add_set_option(parser, "parameter of the method")
    add_device_option(parser)
    parser.add_argument(
        "--refine",
        action="store_true",
        help="improve the method's result by instance optimization on this pair",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=_DEFAULTS.seed,
        help="same seed, same result (default: %(default)s)",
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors and warnings only")


def add_set_option(parser: argparse.ArgumentParser, what: str) -> None:
    """``--set``, which changes one of ``what``."""
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        dest="parameters",
        action="append",
        default=[],
        help=f"change a {what}; may be repeated",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """``--device``."""
    parser.add_argument(
        "--device", default=_DEFAULTS.device, help="auto, cpu or cuda (default: %(default)s)"
    )


def add_series_options(parser: argparse.ArgumentParser) -> None:
    """Which image of a DICOM folder, or of a 4D file, is meant."""
    add_series_option(parser, "may be given once for each image, in their order")
    parser.add_argument(
        "--frame",
        metavar="N",
        action="append",
        type=int,
        default=[],
        help="time point of an image that has several, from 1; may be given once for each image",
    )


def add_series_option(parser: argparse.ArgumentParser, often: str) -> None:
    """``--series``, and how often it may be given."""
    parser.add_argument(
        "--series",
        metavar="ID",
        action="append",
        default=[],
        help="DICOM series in a folder that holds several: its number in the list that the error "
        f"message shows, or its UID; {often}",
    )


def add_landmark_options(parser: argparse.ArgumentParser) -> None:
    """Landmarks that measure a result."""
    for side in ("fixed", "moving"):
        parser.add_argument(
            f"--{side}-landmarks",
            metavar="FILE",
            help=f"points in the {side} image, for the report only (never seen by the method): CSV "
            "of LPS x,y,z in mm, or Slicer's .fcsv or .mrk.json",
        )


def add_strict_option(
    parser: argparse.ArgumentParser,
    where: str = "where the verdict finds fault with the result (it is written)",
) -> None:
    """``--strict``."""
    parser.add_argument("--strict", action="store_true", help=f"end with exit code 3 {where}")
