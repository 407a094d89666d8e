"""The command line of ``deepreg``; nothing here imports PyTorch."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from DeepRegistrationLib import __version__
from DeepRegistrationLib.cli.benchmark_parser import add_benchmark
from DeepRegistrationLib.cli.cohort_parser import add_cohort
from DeepRegistrationLib.cli.dataset_parser import add_dataset, add_phantom
from DeepRegistrationLib.cli.function_parser import add_strain, add_ventilation
from DeepRegistrationLib.cli.guide_parser import add_all_guide_options, add_guide_options
from DeepRegistrationLib.cli.interchange_parser import add_convert
from DeepRegistrationLib.cli.page_parser import add_evaluate_page, add_register_page
from DeepRegistrationLib.cli.shared_options import (
    LABELS,
    MASK,
    add_device_option,
    add_landmark_options,
    add_method_options,
    add_series_options,
    add_set_option,
    add_strict_option,
)
from DeepRegistrationLib.cli.weights_parser import add_export, add_weights
from DeepRegistrationLib.errors import printable

PROGRAM = "deepreg"


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        message = printable(" ".join(message.split()))
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets ``command`` to its module and function."""
    parser = _Parser(
        prog=PROGRAM,
        description="Deformable registration of 3D medical images (CT, cine MR). Not a medical "
        "device.",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", dest="name", required=True)
    _add_register(commands)
    _add_improve(commands)
    _add_evaluate(commands)
    _add_apply(commands)
    add_convert(commands)
    _add_lungs(commands)
    add_ventilation(commands)
    add_strain(commands)
    _add_demo(commands)
    _add_atlas(commands)
    add_cohort(commands)
    _add_train(commands)
    add_export(commands)
    add_dataset(commands)
    add_phantom(commands)
    add_benchmark(commands)
    add_weights(commands)
    methods = commands.add_parser("methods", help="list the registration methods")
    methods.add_argument("--json", action="store_true", help="all fields, as JSON")
    methods.set_defaults(command="information:list_methods")
    info = commands.add_parser("info", help="devices, memory and versions")
    info.add_argument("--json", action="store_true", help="as JSON")
    info.set_defaults(command="information:show_info")
    return parser


def _add_register(commands: Any) -> None:
    parser = commands.add_parser(
        "register",
        help="register a moving to a fixed image",
        description="Register MOVING to FIXED. Writes transform.h5 (maps fixed points to moving "
        "points, LPS mm; Slicer and ITK read it), warped.nii.gz, jacobian.nii.gz and "
        "report.json to the output folder; with --inverse also inverse.h5, with "
        "--displacement displacement.nii.gz, with --uncertainty uncertainty.nii.gz, "
        "consistency.nii.gz and, as far as there are such, spread.nii.gz and misalignment.nii.gz.",
    )
    parser.add_argument("fixed", metavar="FIXED", help="image file or folder of a DICOM series")
    parser.add_argument("moving", metavar="MOVING", help="image file or folder of a DICOM series")
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    add_method_options(parser)
    parser.add_argument(
        "--no-images",
        action="store_true",
        help="write neither the warped image nor the Jacobian map",
    )
    parser.add_argument(
        "--uncertainty",
        action="store_true",
        help="also estimate the error in mm, from a backward registration, from blocks of the "
        "images that still lie apart and, for networks, from changed inputs; takes about twice as "
        "long, with networks up to five times as long",
    )
    parser.add_argument(
        "--fixed-mask", metavar="FILE", help=f"{MASK} of FIXED; only voxels inside count"
    )
    parser.add_argument(
        "--moving-mask", metavar="FILE", help=f"{MASK} of MOVING; only voxels inside count"
    )
    parser.add_argument(
        "--initial",
        metavar="FILE",
        help="transform from fixed to moving points to start from (.h5, .tfm)",
    )
    add_all_guide_options(parser)
    add_landmark_options(parser)
    add_register_page(parser)
    add_strict_option(parser)
    add_series_options(parser)
    parser.set_defaults(command="register:register_files")


def _add_improve(commands: Any) -> None:
    parser = commands.add_parser(
        "improve",
        help="improve a transform around landmark pairs",
        description="Optimize TRANSFORM anew around the driving landmark pairs; farther away "
        "nothing changes. Writes the same files as 'register'.",
    )
    parser.add_argument("fixed", metavar="FIXED", help="image file or folder of a DICOM series")
    parser.add_argument("moving", metavar="MOVING", help="image file or folder of a DICOM series")
    parser.add_argument("transform", metavar="TRANSFORM", help="fixed to moving: .h5, .tfm ...")
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    add_guide_options(parser, required=True)
    parser.add_argument(
        "--radius",
        type=float,
        default=30.0,
        metavar="MM",
        help="how far around them the transform may change, up to 200 mm (default: %(default)g mm)",
    )
    parser.add_argument(
        "--leave-one-out",
        action="store_true",
        help="also measure the error at each pair when the others drive",
    )
    parser.add_argument(
        "--fixed-mask", metavar="FILE", help=f"{MASK} of FIXED; only voxels inside count"
    )
    add_device_option(parser)
    add_landmark_options(parser)
    add_strict_option(parser)
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors and warnings only")
    add_series_options(parser)
    parser.set_defaults(command="improve:improve_files")


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a transform",
        description="Measure a transform (fixed to moving) with landmarks, masks and labels, and "
        "give the same report as 'register'.",
    )
    parser.add_argument("transform", metavar="TRANSFORM", help=".h5, .tfm or displacement image")
    parser.add_argument("--fixed", metavar="FILE", help="fixed image")
    parser.add_argument("--moving", metavar="FILE", help="moving image")
    add_landmark_options(parser)
    parser.add_argument("--fixed-mask", metavar="FILE", help=f"measure inside this {MASK}")
    parser.add_argument("--moving-mask", metavar="FILE", help=f"{MASK}, for the overlap of both")
    for side in ("fixed", "moving"):
        what = f"{LABELS} of the {side} image"
        parser.add_argument(f"--{side}-labels", metavar="FILE", help=what)
    parser.add_argument(
        "--segment-hearts",
        action="store_true",
        help="short-axis cine MRI without labels: overlap of the ventricles as HeartSegNet, a "
        "network, segments them in both images",
    )
    parser.add_argument("--output", "-o", metavar="FILE", help="report; stdout when omitted")
    add_evaluate_page(parser)
    add_strict_option(parser)
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors and warnings only")
    add_series_options(parser)
    parser.set_defaults(command="evaluate:evaluate_files")


def _add_apply(commands: Any) -> None:
    parser = commands.add_parser(
        "apply",
        help="transform an image, a label map, points, structures or dose",
        description="Map an image, label map, DICOM structures or dose from the moving to the "
        "fixed image, on the reference's grid, or points (.csv, .fcsv, .mrk.json) from "
        "the fixed to the moving image. --inverse reverses both.",
    )
    parser.add_argument("transform", metavar="TRANSFORM", help="fixed to moving: .h5, .tfm ...")
    parser.add_argument(
        "input",
        metavar="INPUT",
        help="image, label map, landmark file, RTSTRUCT (or rs.dcm:Heart,Lung_L) or RTDOSE",
    )
    parser.add_argument("--output", "-o", metavar="FILE", required=True, help="file to write")
    parser.add_argument(
        "--reference", metavar="FILE", help="image that gives the output grid (not for points)"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--labels", action="store_true", help="INPUT is a label map: labels are never interpolated"
    )
    kind.add_argument(
        "--interpolation",
        choices=("linear", "cubic", "nearest"),
        default="linear",
        help="of the image (default: %(default)s)",
    )
    parser.add_argument("--inverse", action="store_true", help="use the inverse transform")
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors only")
    add_series_options(parser)
    parser.set_defaults(command="apply:apply_files")


def _add_lungs(commands: Any) -> None:
    parser = commands.add_parser(
        "lungs",
        help="find the lungs in a chest CT",
        description="Write a mask of the lungs in a chest CT, and report any sign that it is "
        "wrong.",
    )
    parser.add_argument("image", metavar="IMAGE", help="image file or folder of a DICOM series")
    parser.add_argument("--output", "-o", metavar="FILE", required=True, help="the mask")
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors only")
    add_series_options(parser)
    parser.set_defaults(command="lungs:write_lungs")


def _add_demo(commands: Any) -> None:
    parser = commands.add_parser(
        "demo",
        help="register a phantom with known motion",
        description="Make a chest CT phantom that breathes, register exhale to inhale, and write "
        "images, landmarks and results.",
    )
    parser.add_argument(
        "--output", "-o", metavar="DIR", default="deepreg-demo", help="default: %(default)s"
    )
    parser.add_argument(
        "--spacing", type=float, default=2.0, help="voxel size in mm, 1 to 8 (default: 2)"
    )
    add_method_options(parser)
    parser.set_defaults(command="register:run_demo")


def _add_atlas(commands: Any) -> None:
    parser = commands.add_parser(
        "atlas",
        help="segment a heart from the segmentations of other hearts",
        description="Register the cases of the list's split 'train' to IMAGE and fuse their "
        "labels (RV 1, myocardium 2, LV 3). Writes labels.nii.gz, and a surface of each wall (.vtk "
        "for Slicer) with the spread of the atlases in mm.",
    )
    parser.add_argument("image", metavar="IMAGE", help="image file or folder of a DICOM series")
    parser.add_argument("--atlases", metavar="LIST", required=True, help="list of cases")
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="output folder")
    parser.add_argument("--mask", metavar="FILE", help=f"{MASK} of the heart in IMAGE")
    parser.add_argument("--method", metavar="NAME", default="svfnet", help="default: %(default)s")
    add_device_option(parser)
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors only")
    add_series_options(parser)
    parser.set_defaults(command="atlas:segment_image")


def _add_train(commands: Any) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network",
        description="Train RECIPE on a list of cases: CSV or JSON with the columns image, patient, "
        "split (train, validation or test) and, optionally, mask, labels, landmarks. "
        "Ctrl-C stops with a checkpoint. Several GPUs: torchrun --nproc-per-node N -m "
        "DeepRegistrationLib train ...",
    )
    parser.add_argument(
        "recipe", metavar="RECIPE", help="name of a recipe; an unknown one lists all"
    )
    parser.add_argument(
        "--data", metavar="LIST", required=True, help="list of cases, .csv or .json"
    )
    parser.add_argument("--output", "-o", metavar="DIR", required=True, help="folder of the run")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--resume", action="store_true", help="continue the run in DIR")
    begin.add_argument(
        "--start",
        metavar="WEIGHTS",
        help="start from these weights, named as 'deepreg weights' lists them",
    )
    parser.add_argument(
        "--time-limit", metavar="MIN", type=float, help="stop after this many minutes"
    )
    parser.add_argument("--iterations", metavar="N", type=int, help="instead of the recipe's")
    add_set_option(parser, "value of the recipe")
    add_device_option(parser)
    parser.add_argument("--quiet", "-q", action="store_true", help="print errors only")
    parser.set_defaults(command="train:train_recipe")
