"""Small lists of cases for the tests of the benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import trivial

from DeepRegistrationLib.evaluation import write_landmarks

ERROR = np.array([[1.0, 0, 0], [0, 2.0, 0], [0, 0, 2.5]])  # mm, left by the method "shift"
POINTS = np.array([[0.0, 12.0, 40.0], [4.0, 14.0, 38.0], [2.0, 16.0, 42.0]])
PATIENTS = ("anna", "ben")


def small_list(
    folder: Path, *, labels: bool = False, mask: bool = False, change: float = 0.0
) -> Path:
    """Two patients with two images each, landmarks that the shift leaves ``ERROR`` at.

    Args:
        labels: Also label maps; ``change`` moves them and the landmarks.
    """
    rows = ["image,mask,labels,landmarks,patient,split"]
    for number, patient in enumerate(PATIENTS):
        for name, moved in (("in", 0.0), ("out", trivial.SHIFT + ERROR)):
            stem = f"{patient}_{name}"
            noise = np.random.default_rng(number).normal(100, 30, (10, 12, 14))
            trivial.volume(folder / f"{stem}.nii.gz", values=noise.astype(np.float32))
            write_landmarks(POINTS + moved + change, folder / f"{stem}.csv")
            cells = [f"{stem}.nii.gz", "", "", f"{stem}.csv", patient, "test"]
            if mask:
                values = np.zeros((10, 12, 14), dtype=np.uint8)
                values[2:8, 2:9, 3:11] = 1
                trivial.volume(folder / f"{stem}_mask.nii.gz", values=values)
                cells[1] = f"{stem}_mask.nii.gz"
            if labels:
                values = np.zeros((10, 12, 14), dtype=np.uint8)
                first = 3 + round(change)
                values[3:7, 3:8, first : first + 5] = 2
                trivial.volume(folder / f"{stem}_labels.nii.gz", values=values)
                cells[2] = f"{stem}_labels.nii.gz"
            rows.append(",".join(cells))
    path = folder / "list.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def heart_list(folder: Path, pictures: list, labels: list) -> Path:
    """A patient an image, with labels."""
    rows = ["image,labels,patient,split"]
    for k, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        for image, name in ((picture, f"h{k}.nii.gz"), (label, f"l{k}.nii.gz")):
            written = sitk.GetImageFromArray(image.data.numpy())
            written.SetSpacing(image.grid.spacing)
            written.SetOrigin(image.grid.origin)
            written.SetDirection(image.grid.direction)
            sitk.WriteImage(written, str(folder / name))
        rows.append(f"h{k}.nii.gz,l{k}.nii.gz,heart{k},test")
    path = folder / "hearts.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def rows_of(errors, overlap=None):
    """Rows with landmark errors [n, 3] by pair and method."""
    rows = []
    for (pair, method), values_ in errors.items():
        e = np.asarray(values_, dtype=float)
        length = np.linalg.norm(e, axis=1)
        tre = {"mean": float(length.mean()), "std": float(length.std())}
        rows.append(
            {
                "pair": pair,
                "method": method,
                "name": method,
                "status": "ok",
                "errors": e.tolist(),
                "motion": (-e).tolist(),
                "tre": tre,
                "snapped": tre,
            }
        )
    return rows
