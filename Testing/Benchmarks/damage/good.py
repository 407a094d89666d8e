"""Good files of every kind that is read, small, written by other libraries where there are any."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SIZE = (10, 9, 8)
SPACING = (4.0, 4.0, 5.0)


def write_good(folder: Path) -> dict[str, Path]:
    """Write one of each kind; returns the files by name."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for number, name in enumerate(
        ("a.nii", "b.nii", "a.nii.gz", "a.nrrd", "z.nrrd", "a.mha", "z.mha", "a.gipl", "a.vtk")
    ):
        files[name] = folder / name
        kind = np.float32 if name == "b.nii" else np.int16
        sitk.WriteImage(image(number, kind), str(files[name]), name[0] == "z")
    for name in ("f.nii", "f.nii.gz", "f.nrrd", "f.mha"):
        files[name] = folder / name
        sitk.WriteImage(field(), str(files[name]), name != "f.nii")
    _transforms(folder, files)
    _texts(folder, files)
    return files


def image(seed: int = 0, kind: type = np.int16) -> sitk.Image:
    """A chest-like image of noise."""
    values = np.random.default_rng(seed).normal(-400, 300, SIZE[::-1]).astype(kind)
    return _placed(sitk.GetImageFromArray(values))


def field() -> sitk.Image:
    """A smooth displacement field in mm."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SIZE[::-1]), indexing="ij")
    vectors = np.stack([np.sin(x / 3), np.cos(y / 4), np.sin(z / 5)], -1).astype(np.float32)
    return _placed(sitk.GetImageFromArray(vectors, isVector=True))


def _placed(made: sitk.Image) -> sitk.Image:
    made.SetSpacing(SPACING)
    made.SetOrigin((-10.0, 5.0, 30.0))
    return made


def _transforms(folder: Path, files: dict[str, Path]) -> None:
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((1.1, 0.05, 0, -0.04, 0.95, 0.02, 0, 0.01, 1.02))
    moved = sitk.DisplacementFieldTransform(sitk.Cast(field(), sitk.sitkVectorFloat64))
    for name in ("affine.tfm", "affine.h5", "affine.mat"):
        sitk.WriteTransform(affine, str(folder / name))
        files[name] = folder / name
    sitk.WriteTransform(moved, str(folder / "field.h5"))
    spline = sitk.BSplineTransformInitializer(image(), (2, 2, 2), 3)
    sitk.WriteTransform(spline, str(folder / "spline.tfm"))
    sitk.WriteTransform(sitk.CompositeTransform([affine, spline]), str(folder / "chain.h5"))
    files |= {name: folder / name for name in ("field.h5", "spline.tfm", "chain.h5")}


def _texts(folder: Path, files: dict[str, Path]) -> None:
    points = [[0.0, 12.0, 40.0], [4.0, 14.0, 38.0], [8.5, 20.25, 44.0]]
    numbered = list(enumerate(points))
    rows = "".join(f"F-{k},{x},{y},{z}\n" for k, (x, y, z) in numbered)
    control = [{"label": f"F-{k}", "position": p} for k, p in enumerate(points)]
    markups = {"markups": [{"type": "Fiducial", "controlPoints": control}]}
    grid = "(Size 10 9 8)\n(Spacing 4 4 5)\n(Origin -10 5 30)\n(Direction 1 0 0 0 1 0 0 0 1)\n"
    elastix = (
        '(Transform "BSplineTransform")\n(NumberOfParameters 375)\n(TransformParameters '
        + " ".join(f"{np.sin(k):.3f}" for k in range(375))
        + ")\n(GridSize 5 5 5)\n(GridSpacing 20 20 20)\n(GridOrigin -30 -15 10)\n"
        "(GridDirection 1 0 0 0 1 0 0 0 1)\n(BSplineTransformSplineOrder 3)\n" + grid
    )
    plastimatch = (
        "MGH_GPUIT_BSP <experimental>\nimg_origin = -10 5 30\nimg_spacing = 4 4 5\n"
        "img_dim = 10 9 8\nroi_offset = 0 0 0\nroi_dim = 10 9 8\nvox_per_rgn = 5 5 5\n"
        + "".join(f"{np.sin(k):.3f}\n" for k in range(3 * 5 * 5 * 5))
    )
    card = {
        "name": "card", "method": "corrnet", "title": "t", "architecture": {}, "data": ["d"],
        "licence": "l", "citation": "c", "recipe": {"name": "r", "values": {}, "step": 1},
        "commit": "c", "metrics": {"validation": {}, "held_out": []}, "held_out": [],
        "command": "c", "preview": True, "sha256": "0" * 64,
    }  # fmt: skip
    texts = {
        "p.csv": "label,x,y,z\n" + rows,
        "p.fcsv": "# Markups fiducial file version = 5.6\n# CoordinateSystem = LPS\n"
        + "".join(f"{k},{x},{y},{z},0,0,0,1,1,1,0,F-{k},,,2,0\n" for k, (x, y, z) in numbered),
        "p.mrk.json": json.dumps(markups, indent=1),
        "elastix.txt": elastix,
        "spline.txt": plastimatch,
        "aladin.txt": "1 0 0 3\n0 1 0 4\n0 0 1 5\n0 0 0 1\n",
        "card.json": json.dumps(card, indent=1),
        "list.csv": "image,patient,split,mask\na.nii,p,test,\na.nrrd,p,test,\n",
        "list.json": json.dumps([{"image": "a.nii", "patient": "p", "split": "test"}]),
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)
        files[name] = folder / name
