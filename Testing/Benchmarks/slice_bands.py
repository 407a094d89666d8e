"""Where the bands across the slices in J of a pair of helical scans come from.

Each line rules out, or shows, one cause: another place of the control points, another method, more
smoothness, the phase against the moving image's slices, the distance from the scanner's axis (x = y
= 0 in LPS) and the direction from it. Prints the table of ``docs/function.md``.

    python -m Testing.Benchmarks.slice_bands FIXED FIXED_MASK MOVING MOVING_MASK
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from scipy import ndimage

from DeepRegistrationLib import Image, read_image, register
from DeepRegistrationLib.function.slice_bands import find_slice_bands, without_surface

_DEPTH = 8.0  # mm of the surface that is left out
_SHIFTED = 1  # slices cut off, so that the control points lie elsewhere


def profile(jacobian: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Mean J in each slice, NaN where there is little: [z]."""
    counts = inside.sum(axis=(1, 2))
    sums = np.where(inside, jacobian, 0).sum(axis=(1, 2))
    return np.where(counts > 300, sums / np.maximum(counts, 1), np.nan)


def rest(values: np.ndarray, thick: float) -> np.ndarray:
    """What is left of a profile after its trend over 15 mm."""
    known = np.flatnonzero(np.isfinite(values))
    whole = np.interp(np.arange(len(values)), known, values[known])
    return (whole - ndimage.gaussian_filter1d(whole, 15 / 2.355 / thick))[known[0] : known[-1] + 1]


def wave(levels: np.ndarray, values: np.ndarray, period: float) -> complex:
    """Amplitude and phase of one period in a profile, beside a quadratic trend."""
    known = np.isfinite(values)
    z, v = levels[known], values[known]
    phase = 2 * np.pi * z / period
    c = (z - z.mean()) / np.ptp(z)
    basis = np.stack([np.ones_like(c), c, c * c, np.cos(phase), np.sin(phase)], axis=1)
    found, *_ = np.linalg.lstsq(basis, v, rcond=None)
    return complex(found[3], found[4])


def cut(image: Image) -> Image:
    """The image without its first slices."""
    grid = image.grid.cropped((0, 0, _SHIFTED), image.grid.size)
    return replace(image, data=image.data[_SHIFTED:].contiguous(), grid=grid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs=4, metavar="FILE")
    fixed, mask, moving, moving_mask = (read_image(path) for path in parser.parse_args().files)
    inside = without_surface(mask.data.numpy() != 0, fixed.grid, _DEPTH)
    thick = fixed.grid.spacing[2]

    def found(f: Image, m: Image, **options: object) -> np.ndarray:
        result = register(
            f, moving, fixed_mask=m, moving_mask=moving_mask, jacobian=True, **options
        )
        assert result.jacobian is not None
        return result.jacobian.data.numpy()

    first = found(fixed, mask)
    bands = find_slice_bands(first, inside, fixed.grid)
    print(f"default: {bands}")
    own = profile(first, inside)
    variants = {
        "control points shifted": np.pad(
            found(cut(fixed), cut(mask)), ((_SHIFTED, 0), (0, 0), (0, 0)), mode="edge"
        ),
        "smoothness 8": found(fixed, mask, parameters={"smoothness": 8.0}),
        "corrnet": found(fixed, mask, method="corrnet"),
    }
    for name, jacobian in variants.items():
        other = rest(profile(jacobian, inside), thick)
        a = rest(own, thick)
        n = min(len(a), len(other)) - 5
        r = np.corrcoef(a[5:n], other[5:n])[0, 1]
        print(f"{name}: standard deviation {100 * other.std():.2f} %, correlation {r:.3f}")
    assert bands is not None
    points = fixed.grid.points().numpy()
    radius = np.hypot(points[..., 0], points[..., 1])
    angle = np.degrees(np.arctan2(points[..., 1], -points[..., 0]))
    levels = np.arange(len(own)) * thick
    for low in range(20, 140, 25):
        one = wave(
            levels, profile(first, inside & (radius >= low) & (radius < low + 25)), bands.period
        )
        print(f"{low} to {low + 25} mm from the axis: amplitude {abs(one):.3f}")
    for low in range(-70, 50, 20):
        one = wave(
            levels, profile(first, inside & (angle >= low) & (angle < low + 20)), bands.period
        )
        print(f"at {low} to {low + 20} degrees: phase {np.degrees(np.angle(one)):.0f} degrees")


if __name__ == "__main__":
    main()
