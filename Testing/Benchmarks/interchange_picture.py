"""The picture of docs/interchange.md: python -m Testing.Benchmarks.interchange_picture FILE.png

Lungs of the thorax phantom, contoured on the exhale scan, and a dose planned there, brought to the
inhale scan by the phantom's own motion and by no command but those of the page.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pydicom

from DeepRegistrationLib.cli import main as deepreg
from DeepRegistrationLib.data.phantoms.thorax import thorax
from DeepRegistrationLib.files.isolines import isolines
from DeepRegistrationLib.transforms import DisplacementField, write_transform

sys.path.insert(0, str(Path(__file__).parents[1] / "Engine"))
import dicom_pair  # noqa: E402

SPOT = np.array([-55.0, 15.0])  # x, y of the dose's middle, mm from the moving image's


def main(path: str) -> None:
    """Write the picture."""
    pair = thorax((110, 88, 96), (3.0, 3.0, 3.0))
    grid = pair.moving.grid
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fixed = dicom_pair.series(folder / "fixed", pair.fixed.grid)
        moving = dicom_pair.series(folder / "moving", grid)
        lungs = pair.moving_lungs.data.numpy() > 0
        contours = [
            grid.to_physical(np.column_stack((line, np.full(len(line), k))))
            for k in range(grid.size[2])
            for line in isolines(0.5 - lungs[k])
            if len(line) > 8
        ]
        dicom_pair.structures(folder / "rs.dcm", moving, {"lungs": contours})
        points = grid.positions(slice(None)) - grid.center() - [*SPOT, 0]
        gray = 60 * np.exp(-np.sum((points / [30, 30, 40]) ** 2, axis=-1))
        dicom_pair.dose(folder / "rd.dcm", moving, grid, gray)
        write_transform(DisplacementField.of(pair.transform, pair.fixed.grid), folder / "t.h5")
        for what in ("rs", "rd"):
            target = ("--output", f"{folder}/{what}-fixed.dcm", "--reference", str(fixed.folder))
            assert deepreg(["apply", f"{folder}/t.h5", f"{folder}/{what}.dcm", *target, "-q"]) == 0
        _draw(pair, folder, gray, path)


def _draw(pair, folder: Path, gray: np.ndarray, path: str) -> None:
    moved = pydicom.dcmread(folder / "rd-fixed.dcm")
    doses = (gray, moved.pixel_array * float(moved.DoseGridScaling))
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.9), layout="constrained")
    titles = (
        "moving image: drawn and planned here",
        "fixed image: the same contours, not moved",
        "fixed image: brought over",
    )
    shown = ((0, "rs", 0), (1, "rs", 0), (1, "rs-fixed", 1))
    for axis, title, (side, structures, which) in zip(axes, titles, shown, strict=True):
        image = (pair.moving, pair.fixed)[side]
        k = image.grid.size[2] * 2 // 5
        axis.imshow(image.data[k], cmap="gray", vmin=-1000, vmax=300)
        axis.contour(doses[which][k], [20, 40, 55], colors=["#2a9df4", "#f4d02a", "#f4512a"])
        _draw_contours(axis, folder / f"{structures}.dcm", image.grid, k)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    figure.savefig(path, dpi=90)


def _draw_contours(axis, file: Path, grid, k: int) -> None:
    for contour in pydicom.dcmread(file).ROIContourSequence[0].ContourSequence:
        index = grid.to_index(np.array(contour.ContourData, float).reshape(-1, 3))
        if abs(index[0, 2] - k) < 0.5:
            closed = np.vstack((index, index[:1]))
            axis.plot(closed[:, 0], closed[:, 1], color="#35d07f", linewidth=1.5)


if __name__ == "__main__":
    main(sys.argv[1])
