"""The hearts of ACDC's scans, as they are and changed as archives change them: are they found?

The place that is found is compared with the segmentation: the distance of the centers, the turn in
the slice, the share of the ventricles inside the region. What is farther than 15 mm in the slice is
lost; said is what the finder was not sure of. The segmentation of the ventricles is compared, too,
where there is one that is relied on. With ``--pictures`` the middle slice of each.

    python -m Testing.Benchmarks.hearts --data FOLDER [--patients FIRST LAST] [--variants NAME ...]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage

from DeepRegistrationLib.evaluation.overlap import label_overlap
from DeepRegistrationLib.images.image import Image, read_image
from DeepRegistrationLib.methods.heart.heartnet import FoundHeart, find_heart
from DeepRegistrationLib.methods.heart.preparation import LABEL_NAMES, frame_of_labels, slice_axis
from DeepRegistrationLib.methods.heart.segmentation import segment_ventricles
from DeepRegistrationLib.reports.overlays import png
from Testing.Benchmarks.scan_variants import (
    Variant,
    after,
    cropped,
    flipped,
    padded,
    sagittal,
    sampled,
    turned,
    values,
)

FAR = 15.0  # mm in the slice
_ENDS = (0.0, 1.0)


def slices(*places: float) -> Variant:
    """Some slices alone, side by side, by their places between the first (0) and the last (1)."""

    def apply(image: Image, labels: Image) -> tuple[Image, Image]:
        kept = [round(place * (image.grid.size[2] - 1)) for place in places]
        low, high = (0, 0, min(kept)), (*image.grid.size[:2], max(kept) + 1)
        grid = image.grid.cropped(low, high)
        part = slice(low[2], high[2])
        return (
            Image(image.data[part].contiguous(), grid, image.name),
            Image(labels.data[part].contiguous(), grid, labels.name),
        )

    return apply


def _noisy(share: float) -> Variant:
    """Rician noise, its deviation a share of the 98th percentile."""
    rng = np.random.default_rng(0)

    def change(data: np.ndarray) -> np.ndarray:
        deviation = share * np.quantile(data, 0.98)
        real, imaginary = rng.normal(0, deviation, (2, *data.shape))
        return np.hypot(data + real, imaginary)

    return values(change)


def _coil(data: np.ndarray) -> np.ndarray:
    """Ten times as bright at one border of the slices as at the other."""
    return data * np.linspace(1.0, 10.0, data.shape[2])


VARIANTS: dict[str, Variant] = {
    "unchanged": lambda image, labels: (image, labels),
    "padded with 0": padded(0),
    "padded with -1024": padded(-1024),
    "padded with 5000": padded(5000),
    "cut in plane": cropped((0.15, 0.85), (0.15, 0.85), _ENDS),
    "cut on one side": cropped((0.0, 0.75), (0.0, 0.8), _ENDS),
    "cut at one side, padded": after(cropped((0.25, 1.0), (0.1, 1.0), _ENDS), padded(0)),
    "pixels of 1 mm": sampled((1.0, 1.0, 0.0), 0),
    "pixels of 3 mm": sampled((3.0, 3.0, 0.0), 0),
    "slices of 3 mm": sampled((0.0, 0.0, 3.0), 0),
    "slices of 20 mm": sampled((0.0, 0.0, 20.0), 0),
    "voxels of 2 mm": sampled((2.0, 2.0, 2.0), 0),
    "slices stored the other way": flipped(2),
    "columns stored the other way": flipped(0),
    "mirrored arrays": flipped(0, 2),
    "axes in another order": sagittal,
    **{f"turned by {angle} degrees": turned(2, angle, 0) for angle in (-30, -15, 15, 30, 90)},
    "small values": values(lambda data: 0.01 * data + 7),
    "large values": values(lambda data: 30 * data - 1000),
    "bright at one side": values(_coil),
    "noise of 5 %": _noisy(0.05),
    "noise of 10 %": _noisy(0.10),
    "one slice": slices(0.45),
    "two slices": slices(0.4, 0.5),
    "basal half": slices(0.0, 0.5),
    "apical half": slices(0.5, 1.0),
}


class Result(NamedTuple):
    """How a find compares with the segmentation."""

    across: float  # mm in the slice
    along: float  # mm
    turn: float  # degrees
    upright: bool  # base and apex are not exchanged
    inside: float  # share of the ventricles in the region
    size: float  # of the region, in volumes of the ventricles
    dice: dict[int, float] | None  # of the segmentation, by label; None without one
    found: FoundHeart


def changed(variant: Variant, image: Image, labels: Image) -> tuple[Image, Image]:
    """A variant of an image and its label map."""
    other, truth = image, torch.empty(0)
    for label in LABEL_NAMES:
        other, one = variant(image, Image((labels.data == label).to(torch.uint8), labels.grid))
        truth = (one.data != 0) * label if label == 1 else truth.where(one.data == 0, label)
    return other, Image(truth.to(torch.uint8), other.grid, labels.name)


def compared(image: Image, labels: Image) -> Result:
    """Look for the heart, and compare it with the segmentation."""
    found = find_heart(image)
    true = frame_of_labels(labels)
    axes, other = (np.reshape(grid.direction, (3, 3)) for grid in (true, found.frame))
    x, y, z = axes.T @ (found.frame.center() - true.center())
    turn = np.degrees(np.arctan2(other[:, 0] @ axes[:, 1], other[:, 0] @ axes[:, 0]))
    heart = labels.data != 0
    region = found.region.data != 0
    return Result(
        across=float(np.hypot(x, y)),
        along=abs(float(z)),
        turn=abs(float(turn)),
        upright=float(axes[:, 2] @ other[:, 2]) > 0,
        inside=float((region & heart).sum() / heart.sum()),
        size=float(region.sum() / heart.sum()),
        dice=segmentation_dice(image, labels),
        found=found,
    )


def segmentation_dice(image: Image, labels: Image) -> dict[int, float] | None:
    """Dice of each structure that is there; None where the segmentation is not relied on."""
    shares = [share.data for share in segment_ventricles(image).shares]
    if not shares:
        return None
    classes = torch.stack([1 - sum(shares), *shares])
    found = Image(classes.argmax(0).to(torch.uint8), image.grid, "segmentation")
    overlap = label_overlap(labels, found)
    return {k: overlap[k]["dice"] for k in LABEL_NAMES if k in overlap}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/cardiac_acdc"))
    parser.add_argument("--patients", type=int, nargs=2, default=(1, 80), metavar=("FIRST", "LAST"))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), help="only these")
    parser.add_argument("--pictures", type=Path, help="folder for the slices of every find")
    arguments = parser.parse_args()
    first, last = arguments.patients
    paths = [
        path
        for number in range(first, last + 1)
        for path in sorted((arguments.data / f"patient{number:03d}").glob("*frame??.nii.gz"))
    ]
    pairs = [
        (read_image(p), read_image(p.with_name(p.name.replace(".nii", "_gt.nii")))) for p in paths
    ]
    for title in arguments.variants:
        begin = time.process_time()
        rows = []
        for path, pair in zip(paths, pairs, strict=True):
            image, labels = changed(VARIANTS[title], *pair)
            if int((labels.data != 0).sum()) < 50:
                continue
            row = compared(image, labels)
            rows.append(row)
            lost = row.across > FAR
            if lost or not row.found.sure:
                print(
                    f"  {path.name[:-7]}: {'LOST, ' if lost else ''}"
                    f"{row.across:.0f} mm, {row.turn:.0f} degrees, score {row.found.score:.2f}"
                    f"{'' if row.found.sure else ', not sure'}",
                    flush=True,
                )
            show(arguments.pictures, f"{path.name[:-7]} {title}", image, row.found)
        summarize(title, rows, time.process_time() - begin)


def summarize(title: str, rows: list[Result], seconds: float) -> None:
    """A line about a variant."""
    across = np.array([row.across for row in rows])
    lost, sure = across > FAR, np.array([row.found.sure for row in rows])
    print(
        f"{title}: {len(rows)} scans, {lost.sum()} lost, of which {(lost & sure).sum()} unsaid; "
        f"{(~sure & ~lost).sum()} found but not sure; center off by {np.median(across):.1f} mm in "
        f"the slice (95 %: {np.quantile(across, 0.95):.1f}) and "
        f"{np.median([row.along for row in rows]):.1f} along it, turn "
        f"{np.median([row.turn for row in rows]):.0f} (95 %: "
        f"{np.quantile([row.turn for row in rows], 0.95):.0f}) degrees, "
        f"{sum(not row.upright for row in rows)} upside down; in the region "
        f"{np.mean([row.inside for row in rows]):.3f} of the ventricles (least "
        f"{min(row.inside for row in rows):.2f}), it is "
        f"{np.median([row.size for row in rows]):.1f} times as large; "
        f"{segmented(rows)}; "
        f"{seconds / max(len(rows), 1):.2f} processor seconds each",
        flush=True,
    )


def segmented(rows: list[Result]) -> str:
    """In how many images the ventricles were segmented, and how well."""
    found = [row.dice for row in rows if row.dice]
    if not found:
        return "ventricles segmented in none"
    means = [np.mean(list(dice.values())) for dice in found]
    each = (
        f"{name} {np.mean([dice[k] for dice in found if k in dice]):.3f}"
        for k, name in LABEL_NAMES.items()
        if any(k in dice for dice in found)
    )
    return (
        f"ventricles segmented in {len(found)} (Dice {np.mean(means):.3f}, least "
        f"{min(means):.3f}; {', '.join(each)})"
    )


def show(folder: Path | None, name: str, image: Image, found: FoundHeart) -> None:
    """Write the middle slice with the region's edge in red, where pictures are wanted."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    axis = 2 - slice_axis(image.grid)
    middle = image.data.shape[axis] // 2
    plane = image.data.select(axis, middle).float().numpy()
    inside = found.region.data.select(axis, middle).numpy() != 0
    low, high = np.quantile(plane, [0.02, 0.98])
    gray = np.clip((plane - low) / max(high - low, 1e-6), 0, 1) * 255
    edge = inside & ~ndimage.binary_erosion(inside)
    color = np.where(edge[..., None], [255, 40, 40], gray[..., None]).astype(np.uint8)
    (folder / f"{name.replace(' ', '_').replace('%', 'percent')}.png").write_bytes(png(color))


if __name__ == "__main__":
    main()
