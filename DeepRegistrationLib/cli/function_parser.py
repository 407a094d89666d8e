"""The options of ``deepreg ventilation`` and ``deepreg strain``."""

from __future__ import annotations

from argparse import SUPPRESS
from typing import Any

from DeepRegistrationLib.cli.shared_options import (
    MASK,
    add_registration_options,
    add_series_options,
)


def add_ventilation(commands: Any) -> None:
    """Add the command; its method, quality, device ... are those of ``deepreg register``."""
    parser = commands.add_parser(
        "ventilation",
        help="lung ventilation between two chest CTs, or over a 4D-CT",
        description="Two images, FIXED and MOVING: maps of the ventilation between exhale and "
        "inhale (volume by the Jacobian, gas by Jacobian and density, density alone, mass, "
        "reliability), regions.csv and report.html. One 4D image, or three and more: the volume "
        "of each region in every phase, curves.csv and report.html.",
    )
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="FIXED MOVING, a 4D image, or its phases"
    )
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    parser.add_argument(
        "--transform",
        metavar="FILE",
        help="of two images, fixed to moving points; without it they are registered",
    )
    parser.add_argument(
        "--lungs",
        metavar="FILE",
        help=f"{MASK} of the lungs in FIXED; of an RTSTRUCT, structures called lung are taken",
    )
    parser.add_argument(
        "--regions", metavar="FILE", help="label map or segmentation of FIXED, instead of thirds"
    )
    parser.add_argument(
        "--fixed-phase",
        choices=("auto", "exhale", "inhale"),
        default="auto",
        help="what FIXED is (default: by the lungs' volume)",
    )
    parser.add_argument(
        "--resolution",
        metavar="MM",
        type=float,
        help="of the maps (default: 20, more where a helical scan left bands)",
    )
    add_registration_options(parser)
    add_series_options(parser)
    parser.set_defaults(command="function:write_ventilation")


def add_strain(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "strain",
        help="strain of the left ventricle over a cine series",
        description="Radial and circumferential Green-Lagrange strain of a short-axis cine series "
        "(a 4D image, or a file a frame in order; two frames will do): maps at end-systole, "
        "segments.csv, curves.csv, bull's eyes (.svg) and report.html; longitudinal strain where "
        "the slices are thin enough.",
    )
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a 4D image, or its frames")
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    parser.add_argument(
        "--end-diastole",
        metavar="N",
        type=int,
        help="the end-diastolic frame, from 1 (default: that with the largest cavity)",
    )
    parser.add_argument("--reference", type=int, help=SUPPRESS)  # counted from 0: refused
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="segmentation of the end-diastolic frame: segments called right ventricle, "
        "myocardium and left ventricle, or else labels 1, 2 and 3 (default: by a network)",
    )
    parser.add_argument(
        "--tracking",
        choices=("frames", "reference"),
        default="reference",
        help="register all frames to end-diastole (default), or each to the one before (frames)",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        help="the series is no whole beat: its end does not lead back to its beginning",
    )
    add_registration_options(parser)
    add_series_options(parser)
    parser.set_defaults(command="function:write_strain")
