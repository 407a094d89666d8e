"""Pages of a small pair, made by the command line."""

from __future__ import annotations

from test_html_report import Page

from DeepRegistrationLib.cli import main


def evaluate(pair, transform, page, *options: object) -> int:
    images = ("--fixed", pair[0], "--moving", pair[1])
    return main(
        [str(v) for v in ("evaluate", transform, *images, "--report", page, "-q", "-o",
                          page.with_suffix(".json"), *options)]
    )  # fmt: skip


def text_of(page) -> str:
    return Page(page.read_text(encoding="utf-8")).text
