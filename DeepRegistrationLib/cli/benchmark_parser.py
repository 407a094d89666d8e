"""The command line of ``deepreg benchmark``; nothing here imports PyTorch."""

from __future__ import annotations

from typing import Any


def add_benchmark(commands: Any) -> None:
    """Add the command to the parser of all."""
    parser = commands.add_parser(
        "benchmark",
        help="register many pairs by several methods and fill the papers' tables",
        description="Register the pairs of DATA with each method and measure the results: one row "
        "per pair and method goes to DIR/rows.jsonl as it finishes; at the end "
        "results.json, results.csv, tables.md and report.html are written. Landmarks "
        "and labels are read only after a method has finished. The methods are "
        "compared with the first one.",
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        help="list of cases (.csv, .json), or LAYOUT:FOLDER of a public data set (see 'deepreg "
        "dataset --help')",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        required=True,
        help="NAME or NAME:SETTING=VALUE,...; a setting is a parameter ('deepreg methods'), or "
        "quality, masks or refine=true; also other groups' tools: ants-syn, "
        "convexadam, greedy, symmetric-demons",
    )
    parser.add_argument(
        "--protocol",
        default="lung",
        help="lung: pairs of a patient, landmarks; synthetic: known deformations of each case; "
        "heart: all ordered pairs of different patients; motion: pairs of a patient, labels "
        "(default: %(default)s)",
    )
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    parser.add_argument("--resume", action="store_true", help="continue the benchmark in DIR")
    parser.add_argument(
        "--quality",
        nargs="+",
        default=["default"],
        metavar="QUALITY",
        help="for methods that set none: fast, default, best (default: default)",
    )
    parser.add_argument(
        "--masks",
        nargs="+",
        default=["auto"],
        metavar="WHICH",
        help="auto: the list's masks, or lungs found in CT; none: every voxel counts; or both",
    )
    parser.add_argument(
        "--alignment",
        metavar="HOW",
        help="the same for all methods: none; hearts, found in the images; segmentations, by the "
        "labels as SVF-Net's paper does (default: hearts for the protocol heart, else none)",
    )
    parser.add_argument(
        "--spacing",
        metavar="MM",
        type=float,
        help="resample the images to voxels of MM mm for all methods (default: as they are); "
        "snapped errors are in these voxels",
    )
    parser.add_argument(
        "--split",
        help="train, validation, test or all (default: test, which no training reads; with "
        "--patients: all)",
    )
    parser.add_argument(
        "--patients",
        nargs="+",
        metavar="NAME",
        help="only these patients; FIRST..LAST means all from FIRST to LAST, a pattern like "
        "'case1*' all that match",
    )
    parser.add_argument("--limit", metavar="N", type=int, help="draw N of all pairs")
    parser.add_argument(
        "--pictures", metavar="N", type=int, default=3, help="overlays of N pairs (default: 3)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of every method (default: 0)")
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors only")
    parser.set_defaults(command="benchmark:benchmark_list")
