"""The command line of ``deepreg convert``; nothing here imports PyTorch."""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.cli.shared_options import add_series_option
from DeepRegistrationLib.files.foreign_transforms import (
    format_names,
    one_of,
    suggested_endings,
    titles_of_formats,
)


def add_convert(commands: Any) -> None:
    """Add the command ``convert``."""
    parser = commands.add_parser(
        "convert",
        help="convert a transform from or to other programs",
        description=f"Read a transform of {titles_of_formats()} (of DICOM, a registration object) "
        f"and write it as {one_of(suggested_endings())}. Written transforms map fixed to moving "
        "points.",
    )
    parser.add_argument(
        "transforms", metavar="TRANSFORM", nargs="+", help="one file; for ANTs, its affine and warp"
    )
    parser.add_argument("output", metavar="OUTPUT", help="file to write")
    parser.add_argument(
        "--from",
        dest="tool",
        choices=format_names(),
        help="program that wrote it (default: recognized from the file)",
    )
    parser.add_argument(
        "--reference",
        metavar="FIXED",
        help="fixed image: grid of splines and displacement images; for .dcm its DICOM folder",
    )
    parser.add_argument(
        "--moving",
        metavar="DIR",
        help="DICOM folder of the moving image: for .dcm, or to choose in an object with several",
    )
    add_series_option(parser, "once, or once each for --reference and --moving")
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors only")
    parser.set_defaults(command="convert:convert_files")
