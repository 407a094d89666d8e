"""The command lines of ``deepreg export`` and ``deepreg weights``."""

from __future__ import annotations

from typing import Any

from DeepRegistrationLib.cli.shared_options import add_landmark_options


def add_weights(commands: Any) -> None:
    """``deepreg weights``."""
    weights = commands.add_parser("weights", help="list the trained weights")
    weights.add_argument("--json", action="store_true", help="whole model cards, as JSON")
    weights.add_argument(
        "--readme", metavar="FOLDER", help="write the README.md of a folder of weights instead"
    )
    weights.add_argument(
        "--picture",
        metavar="NAME",
        help="draw a pair before and after registration with the weights NAME, as NAME.case.png "
        "beside them",
    )
    weights.add_argument(
        "--pair",
        metavar=("FIXED", "MOVING"),
        nargs=2,
        help="images that may be shown to others; a phantom when omitted (only with --picture)",
    )
    add_landmark_options(weights)
    weights.set_defaults(command="weights:list_weights")


def add_export(commands: Any) -> None:
    """``deepreg export``."""
    parser = commands.add_parser(
        "export",
        help="export the weights of a training run",
        description="Write NAME.safetensors and its model card NAME.json from the best weights of "
        "a run.",
    )
    parser.add_argument("run", metavar="RUN", help="folder of the run")
    parser.add_argument("--name", required=True, help="of the weights")
    parser.add_argument(
        "--output", "-o", metavar="DIR", default="weights", help="default: %(default)s"
    )
    parser.add_argument(
        "--data", metavar="TEXT", action="append", required=True, help="a data set; may be repeated"
    )
    parser.add_argument(
        "--licence", required=True, help="terms of use of the weights, including those of the data"
    )
    parser.add_argument(
        "--held-out", metavar="TEXT", action="append", default=[], help="more held-out patients"
    )
    parser.add_argument(
        "--metric",
        metavar="NAME=NUMBER",
        dest="metrics",
        action="append",
        default=[],
        help="measured on held-out data; may be repeated",
    )
    parser.add_argument(
        "--expected",
        metavar="ANATOMY:MEASURE:VALUE:DATA[:refined]",
        action="append",
        default=[],
        help="accuracy on held-out data by which --method auto chooses, for example 'lung_ct:TRE "
        "mm:1.85:4D-CT T00/T50'; may be repeated",
    )
    parser.add_argument(
        "--failure",
        metavar="TEXT",
        dest="failures",
        action="append",
        default=[],
        help="where the network is known to fail; may be repeated",
    )
    parser.add_argument("--preview", action="store_true", help="mark as trained only briefly")
    parser.set_defaults(command="train:export_run")
