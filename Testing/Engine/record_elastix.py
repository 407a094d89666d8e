"""Record a real result of elastix for the tests: python Testing/Engine/record_elastix.py

Importing itk takes ten seconds, so the tests compare with what this wrote to elastix/: the two
TransformParameters files of an affine and a B-spline on oblique images, and points of the fixed
image with where transformix moves them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import itk
import numpy as np
import SimpleITK as sitk
import torch
from references import blobs, oblique_grid, sitk_field, sitk_image, wave_field


def main() -> None:
    """Register a blurred noise image to its warped copy; write the files."""
    target = Path(__file__).parent / "elastix"
    target.mkdir(exist_ok=True)
    grid = oblique_grid((24, 22, 20), (2.0, 2.2, 2.6))
    moving = sitk_image(blobs(grid))
    fixed = sitk.Resample(moving, sitk_field(wave_field(grid, amplitude=2.5)))
    with tempfile.TemporaryDirectory() as folder:
        images = []
        for name, image in (("fixed", fixed), ("moving", moving)):
            sitk.WriteImage(image, f"{folder}/{name}.mha")
            images.append(itk.imread(f"{folder}/{name}.mha", itk.F))
        parameters = itk.ParameterObject.New()
        for kind in ("affine", "bspline"):
            values = parameters.GetDefaultParameterMap(kind, 1, 16.0)
            values["MaximumNumberOfIterations"] = ["20"]
            values["AutomaticTransformInitialization"] = ["false"]
            parameters.AddParameterMap(values)
        _, result = itk.elastix_registration_method(
            *images, parameter_object=parameters, output_directory=folder
        )
        for number in range(2):
            name = f"TransformParameters.{number}.txt"
            text = (Path(folder) / name).read_text()
            (target / name).write_text(text.replace(folder, "/elsewhere"))
        field = itk.transformix_deformation_field(images[1], result)
        vectors = np.asarray(itk.array_from_image(field), dtype=np.float64).reshape(-1, 3)
    points = grid.points(dtype=torch.float64).numpy().reshape(-1, 3)
    chosen = np.random.default_rng(0).choice(len(points), 300, replace=False)
    rows = np.concatenate((points, points + vectors), axis=1)[chosen]
    header = "x,y,z,moved x,moved y,moved z"
    np.savetxt(target / "points.csv", rows, "%.6f", ",", header=header, comments="")


if __name__ == "__main__":
    main()
