"""Write everything that states measured figures from ``figures.json``: ``make figures``.

That is the blocks between ``<!-- figures: NAME -->`` and ``<!-- /figures -->`` in README.md and
docs/, the model cards of the shipped weights, and weights/README.md; the library reads the file
itself. Figures that name a method of the benchmarks' rows are first taken from these.

    python -m Testing.Benchmarks.figures [--check] [--take RUN ...]
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from DeepRegistrationLib.cli.weights import readme
from DeepRegistrationLib.methods.expected_accuracy import expected_of
from DeepRegistrationLib.methods.model_card import read_card
from DeepRegistrationLib.methods.shipped_weights import SHIPPED
from DeepRegistrationLib.training.export import rounded
from Testing.Benchmarks import figure_blocks
from Testing.Benchmarks.figure_file import (
    FILE,
    ROOT,
    Content,
    Figure,
    dump,
    fill_from_rows,
    load,
    of_weights,
    take_rows,
)
from Testing.Benchmarks.paper_blocks import PAPER_BLOCKS

BLOCKS = {**figure_blocks.BLOCKS, **PAPER_BLOCKS}
_BLOCK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- /figures -->)", re.DOTALL)
_CARD_FIELDS = ("metric", "value", "unit", "data", "quality", "refine", "spread", "chosen")


def pages() -> list[Path]:
    """The Markdown files that may hold blocks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def with_blocks(text: str, content: Content) -> str:
    """A page with its blocks written anew.

    Raises:
        ValueError: A block that is not known.
    """

    def block(match: re.Match[str]) -> str:
        if match[2] not in BLOCKS:
            raise ValueError(f"there is no block {match[2]}; there are {', '.join(BLOCKS)}")
        return f"{match[1]}\n{BLOCKS[match[2]](content)}\n\n{match[3]}"

    return _BLOCK.sub(block, text)


def card_text(name: str, content: Content) -> str:
    """The model card of shipped weights with the figures of the file."""
    card = read_card(ROOT / "weights" / f"{name}.json")
    own = list(of_weights(content, name))
    expected = [each for each in map(expected_of, own) if each is not None]
    others = [measurement(f, content) for f in own if expected_of(f) is None and "machine" not in f]
    metrics = {"validation": rounded(card.metrics["validation"]), "held_out": others}
    return replace(card, metrics=metrics, expected=expected).to_json()


def measurement(figure: Figure, content: Content) -> dict[str, Any]:
    """A figure as a model card holds it."""
    found = {name: figure[name] for name in _CARD_FIELDS if name in figure}
    if "chosen" in found:
        found["chosen"] = content["chosen"][found["chosen"]]
    return found


def outputs(content: Content) -> Iterable[tuple[Path, str]]:
    """Every file that states figures, with the text that it should have."""
    yield FILE, dump(content)
    for page in pages():
        yield page, with_blocks(page.read_text(encoding="utf-8"), content)
    for name in SHIPPED:
        yield ROOT / "weights" / f"{name}.json", card_text(name, content)


def weights_readme() -> tuple[Path, str]:
    """weights/README.md, from the cards as they stand."""
    folder = ROOT / "weights"
    return folder / "README.md", readme([read_card(path) for path in sorted(folder.glob("*.json"))])


def stale(content: Content) -> list[Path]:
    """Files that do not say what the file of figures says."""
    found = [path for path, text in outputs(content) if path.read_text(encoding="utf-8") != text]
    path, text = weights_readme()
    return [*found, *([path] if path.read_text(encoding="utf-8") != text else [])]


def main() -> None:
    """Write, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail where needed")
    parser.add_argument(
        "--take",
        nargs="+",
        default=[],
        metavar="RUN",
        help="let the rows of these benchmark runs replace figures that were measured besides them",
    )
    options = parser.parse_args()
    content = load()
    take_rows(content, options.take)
    for left in fill_from_rows(content):
        print(left)
    if options.check:
        names = [str(path.relative_to(ROOT)) for path in stale(content)]
        sys.exit(f"run make figures: {', '.join(names)}" if names else 0)
    FILE.write_text(dump(content), encoding="utf-8")
    for path, text in (*outputs(content),):
        path.write_text(text, encoding="utf-8")
    path, text = weights_readme()
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
