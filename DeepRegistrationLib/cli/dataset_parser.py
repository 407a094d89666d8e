"""The command line of ``deepreg dataset`` and ``phantom``; nothing here imports PyTorch."""

from __future__ import annotations

import argparse
from typing import Any


def add_dataset(commands: Any) -> None:
    """Add ``dataset`` to the parser of all."""
    parser = commands.add_parser(
        "dataset",
        help="make a list of cases from a public data set",
        description="Check a data set in the layout in which it is distributed and write cases.csv "
        "for 'train', with the files that it needs (landmarks in LPS mm, raw volumes "
        "in HU), to the output folder. Layouts: acdc, dirlab-4dct, dirlab-4dct-refined (its "
        "landmarks as refined by Fu et al. 2019), dirlab-copdgene, empire10, learn2reg, popi.",
    )
    parser.add_argument("layout", metavar="LAYOUT")
    parser.add_argument("folder", metavar="FOLDER", help="folder of the unpacked data set")
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    _add_list_options(parser)
    parser.set_defaults(command="dataset:open_layout")


def add_phantom(commands: Any) -> None:
    """Add ``phantom`` to the parser of all."""
    parser = commands.add_parser(
        "phantom",
        help="make phantoms with known motion, as a list of cases",
        description="Write pairs of images with labels or masks, landmarks and cases.csv for "
        "'train': heart (cine MRI, end-diastole and end-systole) or thorax (CT, inhale and "
        "exhale).",
    )
    parser.add_argument("kind", metavar="KIND", help="heart or thorax")
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    parser.add_argument(
        "--count", type=int, default=10, help="number of phantoms (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the first (default: %(default)s)"
    )
    _add_list_options(parser)
    parser.set_defaults(command="dataset:make_phantoms")


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split",
        metavar="N/N/N",
        help="shares of the patients in train, validation and test (default: the data set's own, "
        "or 70/15/15)",
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors only")
