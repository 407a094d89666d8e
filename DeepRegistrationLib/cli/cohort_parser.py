"""The options of ``deepreg cohort``."""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.cli.shared_options import add_method_options, add_strict_option


def add_cohort(commands: Any) -> None:
    """Add the command; its method, quality, device ... are those of ``deepreg register``."""
    parser = commands.add_parser(
        "cohort",
        help="register the pairs of a list on many workers",
        description="Register pairs of the cases in LIST (CSV or JSON with the columns image, "
        "patient, split and, optionally, mask, labels, landmarks) on the workers of a "
        "Dask cluster. Writes cohort.parquet, one row per pair, and one folder per "
        "pair with transform.h5 and report.json. Landmarks and labels only measure the "
        "results.",
    )
    parser.add_argument("list", metavar="LIST", help="list of cases, .csv or .json")
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--pairs",
        metavar="WHICH",
        default="same-patient",
        help="same-patient (default), all, or a CSV file with columns fixed and moving that name "
        "images as LIST does",
    )
    which.add_argument(
        "--reference",
        metavar="FRAME",
        help="first, or a number from 0: register all other frames of each patient to this one",
    )
    parser.add_argument(
        "--with-self", action="store_true", help="with --pairs all, also each case with itself"
    )
    parser.add_argument(
        "--split", choices=("train", "validation", "test"), help="only the cases of this split"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="processes on this machine (default: one per GPU, or one per core with 4 GB)",
    )
    parser.add_argument(
        "--memory",
        metavar="GB",
        type=float,
        help="memory limit of each worker (default: an equal share)",
    )
    parser.add_argument(
        "--retries",
        metavar="N",
        type=int,
        default=2,
        help="retries of a pair whose worker died (default: %(default)s)",
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a running Dask cluster, or its scheduler file"
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue the cohort in DIR and retry failed pairs"
    )
    parser.add_argument(
        "--images", action="store_true", help="also write warped images and Jacobian maps"
    )
    add_strict_option(parser, "where a pair failed or the verdict finds fault with its result")
    add_method_options(parser)
    parser.set_defaults(command="cohort:run_list")
