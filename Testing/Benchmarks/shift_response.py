"""What RegNet's weights recover of uniform shifts: one CT and itself, moved along x, y or z.

    python -m Testing.Benchmarks.shift_response --data FOLDER [--weights NAME] [--take]

Both images of a patch get noise of 5 HU; 64 patches in the lungs of each CT, half of them moved
back. ``--take`` puts what was measured into ``figures.json``; then run ``make figures``.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from pathlib import Path

import torch

from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.methods.network.loading import network_of
from DeepRegistrationLib.methods.regnet.network import RegNet
from DeepRegistrationLib.methods.weights import find_weights
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.training.recipes import make_recipe
from DeepRegistrationLib.training.recipes.shift_response import response_metrics, responses
from Testing.Benchmarks.cases import write_lung_list
from Testing.Benchmarks.figure_blocks import DEFORMED
from Testing.Benchmarks.figure_file import FILE, Content, dump, find, load

_PATCHES = 64  # an image and shift


def measured(data: Path, weights: str) -> dict[str, float]:
    """The response curve and the capture range, mm, over the four lung CTs of a data folder.

    Raises:
        RegistrationError: No such weights.
    """
    network, rest = network_of(find_weights("regnet", weights), RegNet)
    spacing = float(rest.get("spacing", 1.0))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lungs.csv"
        write_lung_list(data, file)
        recipe = make_recipe("regnet", {"spacing": spacing})
        scans = recipe.prepare(read_cases(file), torch.device("cpu"), silent)
    with torch.no_grad():
        found = responses(network.eval(), scans.images, scans.lungs, _PATCHES)
    return response_metrics(found, spacing)


def title(name: str) -> str:
    """The metric of the file of figures for one of :func:`response_metrics`."""
    kind, axis, unit = name.split("_")
    shift = unit.partition("/")[2]
    if kind == "capture":
        return f"capture range along {axis}"
    return f"recovered of a shift of {shift} mm along {axis}"


def take(content: Content, weights: str, values: dict[str, float]) -> None:
    """Put what was measured into the content of the file of figures, behind the weights' others."""
    figures = content["figures"]
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    for name, value in values.items():
        about = {"method": "regnet", "weights": weights, "data": DEFORMED, "metric": title(name)}
        figure = find(content, **about)
        if figure is None:
            figure = {**about, "unit": "mm", "chosen": "deformed, half"}
            own = [k for k, f in enumerate(figures) if f.get("weights") == weights]
            figures.insert(own[-1] + 1 if own else len(figures), figure)
        figure |= {"value": round(value, 1), "measured": date}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--weights", default="regnet-preview")
    parser.add_argument("--take", action="store_true", help="put the values into figures.json")
    options = parser.parse_args()
    values = measured(options.data, options.weights)
    for name, value in values.items():
        print(f"{title(name)}: {value:.2f} mm", flush=True)
    if options.take:
        content = load()
        take(content, options.weights, values)
        FILE.write_text(dump(content), encoding="utf-8")


if __name__ == "__main__":
    main()
