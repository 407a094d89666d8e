"""Resources/architecture.svg, from the floors of the layer test and the table of the document."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from test_layers import FLOORS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "Resources" / "architecture.svg"

WIDTH, MARGIN, ROW, GAP = 1100, 20, 44, 6
LEFT, RIGHT = 150, 1080  # of the boxes
GROUPS = {  # by the lowest part of each group: what is written beside it, and its color
    "DeepRegistration": ("Qt", "#f6d5d0"),
    "scene": ("MRML, VTK", "#f8e6c1"),
    "worker": ("entry points", "#dfe9d2"),
    "registration": ("whole tasks", "#d3e6ea"),
    "files": ("building blocks", "#d9def2"),
    "DeepRegistrationLib": ("foundation", "#e6e6e6"),
}


def floors() -> list[list[str]]:
    """The parts of each floor, the highest first."""
    return [line.split() for line in reversed(FLOORS.strip().splitlines())]


def table() -> list[tuple[int, str, str]]:
    """Floor, part and description of each row of the document's table."""
    rows = re.findall(r"(?m)^\| (\d+) \| `(\w+)` \| (.+) \|$", PAGE.read_text("utf-8"))
    return [(int(floor), part, text) for floor, part, text in rows]


def svg() -> str:
    """The picture: a row a floor, a box a part, in the colors of their groups."""
    described = {part: re.sub("`", "", text) for _, part, text in table()}
    rows = floors()
    height = 2 * MARGIN + len(rows) * (ROW + GAP) + 24
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    y, begin, groups = MARGIN, MARGIN, iter(GROUPS.items())
    lowest, (label, color) = next(groups)
    for number, parts in enumerate(rows):
        drawn += [_box(part, described[part], color, k, parts, y) for k, part in enumerate(parts)]
        y += ROW + GAP
        if lowest in parts:
            drawn += _group(label, color, begin, y - GAP)
            begin = y
            if number + 1 < len(rows):
                lowest, (label, color) = next(groups)
    text = "An import goes down, to any lower floor; parts of one floor do not know each other."
    drawn += [f'<text x="{LEFT}" y="{y + 16}" fill="#333333">{text}</text>', "</svg>"]
    return "\n".join(drawn) + "\n"


def _box(part: str, text: str, color: str, place: int, parts: list[str], y: int) -> str:
    """One part: its name above its description."""
    width = (RIGHT - LEFT - GAP * (len(parts) - 1)) / len(parts)
    x = LEFT + place * (width + GAP)
    return (
        f'<rect x="{x:.0f}" y="{y}" width="{width:.0f}" height="{ROW}" rx="4" fill="{color}" '
        'stroke="#666666"/>'
        f'<text x="{x + 10:.0f}" y="{y + 18}" font-weight="bold" fill="#111111">{part}</text>'
        f'<text x="{x + 10:.0f}" y="{y + 35}" font-size="12" fill="#333333">{escape(text)}</text>'
    )


def _group(label: str, color: str, begin: int, end: int) -> list[str]:
    """What the parts beside it have in common."""
    middle = (begin + end) // 2 + 4
    return [
        f'<rect x="{MARGIN}" y="{begin}" width="6" height="{end - begin}" fill="{color}" '
        'stroke="#666666"/>',
        f'<text x="{MARGIN + 12}" y="{middle}" fill="#333333">{label}</text>',
    ]


if __name__ == "__main__":
    PICTURE.write_text(svg(), encoding="utf-8")
