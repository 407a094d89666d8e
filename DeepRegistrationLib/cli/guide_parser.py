"""Options of what drives a registration: landmark pairs, segments."""

from __future__ import annotations

import argparse

from DeepRegistrationLib.options import RegistrationOptions

DEFAULTS = RegistrationOptions()


def add_all_guide_options(parser: argparse.ArgumentParser) -> None:
    """All that drives a whole registration."""
    add_guide_options(parser)
    _add_leave_out_option(parser)
    _add_guide_label_options(parser)


def add_guide_options(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """Landmark pairs and their weight."""
    parser.add_argument(
        "--guide",
        nargs=2,
        metavar=("FIXED_POINTS", "MOVING_POINTS"),
        required=required,
        help="landmark pairs that drive the result, in two files as for the report; they do not "
        "count as proof of it",
    )
    parser.add_argument(
        "--landmark-weight",
        type=float,
        default=DEFAULTS.landmark_weight,
        metavar="W",
        help="of these pairs: 1 where they are trusted to 1 mm, 4 to 0.5 mm, 0.25 to 2 mm "
        "(default: %(default)g)",
    )


def _add_leave_out_option(parser: argparse.ArgumentParser) -> None:
    """Whether the pairs' errors are measured in registrations that they do not drive."""
    parser.add_argument(
        "--leave-one-out",
        nargs="?",
        type=int,
        const=5,
        metavar="FOLDS",
        help="also measure the error at each of these pairs in a whole registration that it does "
        "not drive: they are left out in FOLDS groups (default: %(const)s), each of which takes a "
        "registration",
    )


def _add_guide_label_options(parser: argparse.ArgumentParser) -> None:
    """Segmentations and their weight."""
    parser.add_argument(
        "--guide-labels",
        nargs=2,
        metavar=("FIXED_LABELS", "MOVING_LABELS"),
        help="segmentations, label maps or RTSTRUCT files of the two images: structures of the "
        "same name, or number, drive the result; they do not count as proof of it",
    )
    parser.add_argument(
        "--label-weight",
        type=float,
        default=DEFAULTS.label_weight,
        metavar="W",
        help="of these: what a voxel costs that is in a structure in one image alone, against 1 "
        "where the images do not correlate at all (default: %(default)g)",
    )
