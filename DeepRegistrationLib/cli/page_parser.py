"""The options of the HTML report, of ``deepreg register`` and ``deepreg evaluate``."""

from __future__ import annotations

import argparse

_NAMES = "let the page show names: of files, and patient and study of DICOM images"


def add_register_page(parser: argparse.ArgumentParser) -> None:
    """The page beside the other results."""
    parser.add_argument(
        "--report", action="store_true", help="also write report.html, a page to print and sign"
    )
    _add_page(parser)


def _add_page(parser: argparse.ArgumentParser) -> None:
    """What the page has besides, whoever writes it."""
    parser.add_argument("--patient-data", action="store_true", help=_NAMES)
    parser.add_argument(
        "--ventilation",
        action="store_true",
        help="let the page also show the lungs' ventilation by the transform",
    )
    parser.add_argument(
        "--strain",
        action="store_true",
        help="let the page also show the strain of the left ventricle by the transform, from "
        "end-diastole (fixed) to another frame (moving)",
    )


def add_evaluate_page(parser: argparse.ArgumentParser) -> None:
    """The page as a file, and what was decided."""
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="also write an HTML page to print and sign; a decision in a page that is replaced is "
        "kept, and the new page says whether it still holds",
    )
    _add_page(parser)
    parser.add_argument(
        "--compare",
        metavar="TRANSFORM",
        help="another transform of the same images; the page shows both side by side, and "
        "--strict is about both",
    )
    parser.add_argument(
        "--decision",
        metavar="WHAT",
        help="accept, limits (accept with limits) or reject; goes into the page",
    )
    parser.add_argument("--reviewer", metavar="NAME", help="who decides")
    parser.add_argument("--comment", metavar="TEXT", help="why, and which limits hold")
