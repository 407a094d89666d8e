"""``make demo``: two volumes through the logic that Slicer calls, as a scene, report and pictures.

python -m DeepRegistrationLib.scene.runs.demo [--data DIR | --fixed F --moving M] [--output demo]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import slicer

from DeepRegistrationLib.errors import Cancelled, RegistrationError
from DeepRegistrationLib.images.atomic_output import atomic_folder
from DeepRegistrationLib.methods import method_names
from DeepRegistrationLib.progress import shown_progress
from DeepRegistrationLib.reports.plain_report import write_report
from DeepRegistrationLib.reports.report import build_report
from DeepRegistrationLib.reports.summary import summary
from DeepRegistrationLib.scene.landmarks.pairs import point_list_from
from DeepRegistrationLib.scene.logic import RegistrationLogic, RegistrationResult
from DeepRegistrationLib.scene.nodes.application import Application
from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image
from DeepRegistrationLib.scene.report import pictures
from DeepRegistrationLib.scene.runs.demo_data import DemoPair, files_pair, folder_pair, phantom_pair
from DeepRegistrationLib.scene.views.offscreen_views import rendering_problem

FILES = ("scene.mrb", "report.json", "before.png", "after.png", "jacobian.png", "grid.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code: 0 done, 2 the user's mistake."""
    arguments = _parser().parse_args(argv)
    try:
        _run(arguments)
    except RegistrationError as error:
        print(error, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Cancelled):
        print("Interrupted; nothing was written.", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="Register two volumes in Slicer's scene; without data, a chest phantom whose "
        "true motion is known.",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a folder with two images (and landmark files), or two image files",
    )
    for side in ("fixed", "moving"):
        parser.add_argument(f"--{side}", type=Path, metavar="FILE", help=f"the {side} image")
        parser.add_argument(
            f"--{side}-landmarks",
            type=Path,
            metavar="FILE",
            help="LPS x,y,z per row, .fcsv or .json",
        )
    parser.add_argument("--output", type=Path, default=Path("demo"), metavar="DIR")
    parser.add_argument("--method", default="optimize", choices=method_names())
    parser.add_argument("--quality", default="default", choices=("fast", "default", "best"))
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    parser.add_argument("--spacing", type=float, default=2.0, help="of the phantom, mm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _pair(arguments: argparse.Namespace) -> DemoPair:
    """What to register, as the command line says."""
    named = (arguments.fixed, arguments.moving)
    landmarks = (arguments.fixed_landmarks, arguments.moving_landmarks)
    if arguments.data is not None and any(named):
        raise RegistrationError("Give either --data or --fixed and --moving.")
    if arguments.data is not None and len(arguments.data) == 1:
        return folder_pair(arguments.data[0])
    if arguments.data is not None and len(arguments.data) == 2:
        return files_pair(arguments.data[0], arguments.data[1], *landmarks)
    if arguments.data is not None:
        raise RegistrationError("--data takes one folder or two image files.")
    if all(named):
        return files_pair(*named, *landmarks)
    if any(named) or any(landmarks):
        raise RegistrationError("Give both images: --fixed and --moving.")
    return phantom_pair(arguments.spacing, arguments.seed)


def _run(arguments: argparse.Namespace) -> None:
    with (
        atomic_folder(arguments.output, owned=FILES) as folder,
        shown_progress(arguments.quiet) as progress,
    ):
        progress(0.0, "Preparing the volumes")
        pair = _pair(arguments)
        application = Application()
        result, nodes = _register(application, pair, arguments, progress)
        progress(1.0, "Measuring, rendering and saving")
        report = build_report(
            result.registration,
            pair.fixed,
            pair.moving,
            fixed_landmarks=pair.fixed_landmarks,
            moving_landmarks=pair.moving_landmarks,
        )
        write_report(report, folder / "report.json")
        problem = rendering_problem()
        if problem is None:
            pictures.write_pictures(
                result.nodes,
                nodes[0],
                nodes[1],
                folder,
                slices=_slices_of(pair),
                captions=_captions(report),
            )
        _arrange(application.scene, result, *nodes)
        _save(application.scene, folder / "scene.mrb")
    _tell(arguments.output, report, problem)


def _register(
    application: Application, pair: DemoPair, arguments: argparse.Namespace, progress
) -> tuple[RegistrationResult, tuple]:
    """Register by the logic class that Slicer's panel uses; also return the two volume nodes."""
    scene = application.scene
    fixed = volume_node_from_image(pair.fixed, scene)
    moving = volume_node_from_image(pair.moving, scene)
    masks = {}
    if (
        pair.fixed_mask and pair.moving_mask
    ):  # of real data; the phantom's lungs are for the report only
        masks["fixedMaskNode"] = volume_node_from_image(
            pair.fixed_mask, scene, f"{pair.fixed.name} mask", label_map=True
        )
        masks["movingMaskNode"] = volume_node_from_image(
            pair.moving_mask, scene, f"{pair.moving.name} mask", label_map=True
        )
    points = {}
    if pair.fixed_landmarks is not None and pair.moving_landmarks is not None:
        points["fixedLandmarks"] = point_list_from(
            pair.fixed_landmarks, scene, f"{pair.fixed.name} landmarks", (0.1, 0.9, 0.1)
        )
        points["movingLandmarks"] = point_list_from(
            pair.moving_landmarks, scene, f"{pair.moving.name} landmarks", (0.95, 0.1, 0.95)
        )
        for node in points.values():
            node.GetDisplayNode().SetVisibility(False)  # they would hide the anatomy
    result = RegistrationLogic(scene).register(
        fixed,
        moving,
        method=arguments.method,
        quality=arguments.quality,
        device=arguments.device,
        seed=arguments.seed,
        warped=True,
        jacobian=True,
        progress=progress,
        **masks,
        **points,
    )
    return result, (fixed, moving)


def _slices_of(pair: DemoPair) -> np.ndarray | None:
    """A RAS point where the slices show much: amid the landmarks of the patient's left half."""
    points = pair.fixed_landmarks
    if points is None:
        return None
    left = points[points[:, 0] >= np.median(points[:, 0])]
    return left.mean(axis=0) * (-1, -1, 1)


def _captions(report: dict) -> dict[str, str]:
    """What the pictures' titles add: the error at the landmarks, and folding."""
    jacobian = report["jacobian"]
    captions = {
        "jacobian": f"{jacobian['min']:.2f} to {jacobian['max']:.2f}, folding in "
        f"{jacobian['percent_nonpositive']:.3f} %"
    }
    if tre := report["tre"]:
        for when in ("before", "after"):
            captions[when] = f"{tre[when]['mean']:.2f} mm mean error at {tre['n']} landmarks"
    return captions


def _arrange(scene, result: RegistrationResult, fixed, moving) -> None:
    """Let Slicer open the scene as the picture "after" shows it: fixed green, moving magenta."""
    limits = pictures.display_window(fixed)
    for node, color in ((fixed, "Green"), (moving, "Magenta"), (result.nodes.warped, "Grey")):
        assert node is not None  # the demo asks for the warped volume
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID(f"vtkMRMLColorTableNode{color}")
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(*limits)
    for name in ("Red", "Yellow", "Green"):
        composite = slicer.vtkMRMLSliceCompositeNode()
        composite.SetLayoutName(name)
        composite.SetName(name)
        composite.SetSingletonTag(name)
        composite = scene.AddNode(composite)
        composite.SetBackgroundVolumeID(fixed.GetID())
        composite.SetForegroundVolumeID(moving.GetID())
        composite.SetForegroundOpacity(1.0)
        composite.SetCompositing(composite.Add)


def _save(scene, path: Path) -> None:
    if not scene.WriteToMRB(str(path)):
        raise RegistrationError(
            f"{path.name} cannot be written; check the folder's permissions and the free disk "
            "space."
        )


def _tell(folder: Path, report: dict, problem: str | None) -> None:
    for line in summary(report):
        print(line)
    print()
    if problem is None:
        print(f"Look at {folder / 'before.png'} and {folder / 'after.png'}: fixed green, moving")
        print(f"magenta; {folder / 'jacobian.png'} and {folder / 'grid.png'} show the deformation.")
    else:
        print(problem)
    print(f"Open {folder / 'scene.mrb'} in 3D Slicer; {folder / 'report.json'} has all numbers.")


if __name__ == "__main__":
    sys.exit(main())
