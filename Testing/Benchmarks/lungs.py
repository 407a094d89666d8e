"""The lungs of real chest CTs in all variants of ``scan_variants``: do they stay the same ones?

Each variant's mask is compared with that of the scan itself, and that with the given mask where
there is one. Writes a table, and with ``--pictures`` slices of every mask to look at.

Where the voxels of a variant are other ones, a mask of whole voxels cannot be carried over exactly,
and no finder reaches a Dice of 1. The *ceiling* says what can be reached: a finder that knows the
lungs, and for voxels at their surface goes by the variant's own values. A variant whose ceiling
lies below ``ENOUGH`` is counted among those that lose or gain lung, and named as one in which no
finder could do better.

    python -m Testing.Benchmarks.lungs --data FOLDER [--pictures FOLDER]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from DeepRegistrationLib.images.hounsfield import hounsfield_offset
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.images.lungs import FoundLungs, look_for_lungs
from DeepRegistrationLib.reports.overlays import png
from Testing.Benchmarks.scan_variants import VARIANTS, dice

ENOUGH = 0.98  # Dice
NEAR = 0.005  # Dice below the ceiling, at most

_POPI = "lung_4dct_popi"
SCANS = {  # in the data folder, with the given mask
    "lung_inhale_exhale/T00_HU.nii.gz": "",
    "lung_inhale_exhale/T50_HU.nii.gz": "",
    "lung_inhale_exhale/T90_HU.nii.gz": "",
    "lung_followup/3DCT_lung_baseline.mha": "lung_followup/3DCT_lung_baseline_mask.mha",
    "lung_followup/3DCT_lung_followup.mha": "lung_followup/3DCT_lung_followup_mask.mha",
    "thorax_single/cip_ct-64.nrrd": "thorax_single/cip_lm-64.nrrd",
    "thorax_single/totalseg_aorta_ct_cropped.nii.gz": "",
    "thorax_single/totalseg_pulmonary_ct_cropped.nii.gz": "",
    "chest_ct_dicom/A0001_kernel_B": "",
    "chest_ct_dicom/A0001_kernel_L": "",
    f"{_POPI}/phase00_full_512x512x141.nii.gz": "",
    **{f"{_POPI}/phases/phase{k}0_light_100x100x47.nii.gz": "" for k in range(10)},
}
_HEIGHT = 120  # pixels of a slice


def given_mask(path: Path) -> Image:
    """A lung mask; of label maps with regions in the low byte, these."""
    mask = read_image(path)
    return Image(((mask.data & 255) != 0).to(torch.uint8), mask.grid, mask.name)


def picture(image: Image, found: FoundLungs) -> np.ndarray:
    """Four axial slices and two of each other direction, mask edges in red: uint8 [h, w, 3]."""
    data = image.data.numpy()
    mask = np.zeros(data.shape, bool) if found.mask is None else found.mask.data.numpy() != 0
    step, offset = image.grid.spacing[::-1], _offset(image)
    rows = []
    for axis, places in ((0, (0.15, 0.35, 0.55, 0.75)), (1, (0.4, 0.6)), (2, (0.3, 0.7))):
        for place in places:
            k = int(place * (data.shape[axis] - 1))
            plane, inside = data.take(k, axis), mask.take(k, axis)
            gray = np.clip((plane.astype(float) + offset + 1100) / 1500, 0, 1) * 255
            edge = inside & ~ndimage.binary_erosion(inside)
            color = np.where(edge[..., None], [255, 40, 40], gray[..., None]).astype(np.uint8)
            height, width = (n * s for n, s in zip(plane.shape, np.delete(step, axis), strict=True))
            shape = _HEIGHT, int(_HEIGHT * width / height)
            lines, columns = (
                np.linspace(0, n - 1, k).round().astype(int)
                for n, k in zip(plane.shape, shape, strict=True)
            )
            rows.append(color[lines[:, None], columns])
    return np.concatenate(rows, axis=1)


def ceiling(image: Image, truth: Image, level: float) -> float:
    """Dice of the lungs that are known but for their surface, which the image's values decide.

    Args:
        level: HU, lung below it.
    """
    inside = truth.data.numpy() == 1
    surface = ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside, border_value=1)
    best = np.where(surface, image.data.numpy() + _offset(image) < level, inside)
    return dice(truth, Image(torch.from_numpy(best.astype(np.uint8)), image.grid))


def _offset(image: Image) -> float:
    return hounsfield_offset(image.data.numpy()) or 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pictures", type=Path, help="folder for slices of every mask")
    parser.add_argument("--scans", nargs="+", default=list(SCANS), help="only these")
    arguments = parser.parse_args()
    lost, count, slowest, reached = 0, 0, 0.0, 0
    for name in arguments.scans:
        image = read_image(arguments.data / name)
        begin = time.process_time()
        found = look_for_lungs(image)
        seconds = time.process_time() - begin
        slowest = max(slowest, seconds)
        line = f"{name}: {found.evidence.text}, {seconds:.2f} processor seconds"
        if SCANS[name] and found.mask is not None:
            given = given_mask(arguments.data / SCANS[name])
            line += f", Dice with the given mask {dice(given, found.mask):.3f}"
        print(line, *found.evidence.failed_checks, sep="\n  failed: ", flush=True)
        show(arguments.pictures, name, "unchanged", image, found)
        if found.mask is None:
            lost, count = lost + len(VARIANTS), count + len(VARIANTS)
            continue
        assert found.level is not None
        values = {}
        for title, variant in VARIANTS.items():
            other, truth = variant(image, found.mask)
            again = look_for_lungs(other)
            value = values[title] = dice(truth, again.mask)
            show(arguments.pictures, name, title, other, again)
            count += 1
            if value < ENOUGH or not again.evidence.sure:
                lost += 1
                most = ceiling(other, truth, found.level)
                reached += again.evidence.sure and most < ENOUGH and value > most - NEAR
                print(
                    f"  {title}: Dice {value:.4f}, ceiling {most:.4f}",
                    *again.evidence.failed_checks,
                    sep="; ",
                    flush=True,
                )
        worst = min(values, key=lambda title: values[title])
        print(f"  lowest Dice {values[worst]:.4f}: {worst}", flush=True)
    print(f"{lost} of {count} variants lose or gain lung (Dice below {ENOUGH}, or uncertain).")
    print(f"In {reached} of them the ceiling is below {ENOUGH}, too, and no more than {NEAR} away.")
    print(f"At most {slowest:.2f} processor seconds for a scan.")


def show(folder: Path | None, name: str, title: str, image: Image, found: FoundLungs) -> None:
    """Write the picture, where pictures are wanted."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    flat = f"{name} {title}".replace("/", "_").replace(" ", "_").replace(",", "")
    (folder / f"{flat}.png").write_bytes(png(picture(image, found)))


if __name__ == "__main__":
    main()
