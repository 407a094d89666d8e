"""docs/architecture.md and its picture show the floors that the layer test holds."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import architecture_picture
from test_layers import FLOOR


def test_the_table_has_every_part_on_its_floor_from_the_top_down():
    rows = architecture_picture.table()
    assert {part: floor - 1 for floor, part, _ in rows} == FLOOR
    assert [part for _, part, _ in rows] == [
        p for floor in architecture_picture.floors() for p in floor
    ]


def test_the_picture_is_that_of_these_floors():
    assert architecture_picture.PICTURE.read_text("utf-8") == architecture_picture.svg()


def test_the_picture_holds_every_part_once_inside_its_frame():
    root = ElementTree.fromstring(architecture_picture.svg())
    space = "{http://www.w3.org/2000/svg}"
    texts = [text.text for text in root.iter(f"{space}text") if text.get("font-weight")]
    assert texts == [part for floor in architecture_picture.floors() for part in floor]
    *_, width, height = map(float, root.get("viewBox").split())
    for box in root.iter(f"{space}rect"):
        place = [float(box.get(name) or 0) for name in ("x", "y", "width", "height")]
        assert place[0] + place[2] <= width and place[1] + place[3] <= height
