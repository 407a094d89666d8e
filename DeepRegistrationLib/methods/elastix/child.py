"""The process in which elastix runs: reads a folder's request, leaves the result there.

elastix cannot be interrupted from Python, so whoever wants to stop it ends this process, which
also ends itself when its stdin is closed. Loads itk and numpy, not PyTorch.

``itk.ElastixRegistrationMethod`` would load a thousand modules of itk first, for ten seconds. The
classes' own modules, from which itk takes them too, load in one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    """Run the stages of ``request.json``; write ``result.json`` and, sampled, ``field.npy``."""
    request = json.loads((folder / "request.json").read_text())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        result = _register(folder, request)
    except RuntimeError as error:  # elastix's own exceptions
        result = {"error": _logged_error(folder) or str(error)}
    (folder / "result.json").write_text(json.dumps(result))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _logged_error(folder: Path) -> str:
    """What elastix wrote into its log; its exception only points there."""
    for log in sorted(folder.glob("stage*/elastix.log"), reverse=True):
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        found = [line for line in lines if line.startswith(("Description:", "ERROR:"))]
        if found:
            return found[0].partition(":")[2].strip()
    return ""


def _register(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    helpers: Any = import_module("itk.support.helpers")
    helpers._HAVE_TORCH = False  # or itk imports it
    import itk

    itk.MultiThreaderBase.SetGlobalDefaultNumberOfThreads(request["threads"])
    images = {name: _image(folder, name, entry) for name, entry in request["images"].items()}
    begin = time.perf_counter()
    runs: list[Any] = []  # all kept: each owns a part of the whole transform
    for number, stage in enumerate(request["stages"]):
        runs.append(_run(images, stage, folder / f"stage{number}", runs[-1] if runs else None))
    seconds = time.perf_counter() - begin
    first = runs[0].GetTransformParameterObject().GetParameterMap(0)
    result: dict[str, Any] = {"seconds": seconds}
    if first["Transform"][0] == "AffineTransform":
        result["affine"] = [float(v) for v in first["TransformParameters"]]
        result["center"] = [float(v) for v in first["CenterOfRotationPoint"]]
    if request["field"] is not None:
        np.save(
            folder / "field.npy", _sampled(runs[-1].GetCombinationTransform(), request["field"])
        )
    return result


def _new(module: str, name: str) -> Any:
    """A new object of one of itk's classes."""
    return getattr(import_module(f"itk.{module}Python"), name).New()


def _image(folder: Path, name: str, grid: dict[str, Any]) -> Any:
    import itk

    image = itk.image_from_array(np.load(folder / f"{name}.npy"))
    _place(image, grid)
    return image


def _place(image: Any, grid: dict[str, Any]) -> None:
    image.SetOrigin(grid["origin"])
    image.SetSpacing(grid["spacing"])
    image.SetDirection(np.array(grid["direction"]).reshape(3, 3))


def _run(images: dict[str, Any], stage: dict[str, Any], log: Path, after: Any) -> Any:
    """One stage, on top of the result of ``after``."""
    log.mkdir()
    parameters = _new("elxParameterObject", "elastixParameterObject")
    parameters.AddParameterMap(stage["parameters"])
    # The default number of threads is set instead of this object's: with a number of its own,
    # stages of several metrics crash (ITKElastix issue 160).
    method = _new("itkElastixRegistrationMethod", "itkElastixRegistrationMethodIF3IF3")
    method.SetFixedImage(images["fixed"])
    method.SetMovingImage(images["moving"])
    method.SetParameterObject(parameters)
    method.SetLogToConsole(False)
    method.SetOutputDirectory(str(log))  # elastix counts its iterations there
    method.SetLogFileName("elastix.log")
    method.SetLogToFile(True)
    if "fixed" in stage["masks"]:
        method.SetFixedMask(images["fixed_mask"])
    if "moving" in stage["masks"]:
        method.SetMovingMask(images["moving_mask"])
    if after is not None:
        method.SetInitialTransformParameterObject(after.GetTransformParameterObject())
    method.Update()
    return method


def _sampled(transform: Any, grid: dict[str, Any]) -> np.ndarray:
    """T(x) - x on a grid: float32 [3, z, y, x]."""
    import itk

    name = "itkTransformToDisplacementFieldFilter"
    sampler = _new(name, f"{name}IVF33D")  # to vectors of float32, from a transform of float64
    sampler.SetSize(grid["size"])
    sampler.SetOutputOrigin(grid["origin"])
    sampler.SetOutputSpacing(grid["spacing"])
    sampler.SetOutputDirection(itk.matrix_from_array(np.array(grid["direction"]).reshape(3, 3)))
    sampler.SetTransform(transform)
    sampler.Update()
    return np.moveaxis(itk.array_view_from_image(sampler.GetOutput()), -1, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)  # not through itk's destructors
