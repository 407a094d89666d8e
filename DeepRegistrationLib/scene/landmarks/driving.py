"""Which landmarks drive a deformation, and which did: these never count as proof of it.

Nor do segments that did, which a transform node remembers by their names.

A point list remembers which of its points shall drive; a transform node remembers which points
drove it, where they lay, and the leave-one-out error where it was measured. Both are kept as node
attributes and references, by the points' own ids: they are saved with the scene, and hold when
points are renamed, moved or reordered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

import numpy as np

from DeepRegistrationLib.scene.nodes.coordinates import parents_of

DRIVES = "DeepRegistration.Drives"
"""Attribute of a point list: ids of the points that shall drive."""

DROVE = "DeepRegistration.Drove"
"""Of a transform node, followed by a side and a number: a reference to a point list, and an
attribute with those of its points that drove the transform."""

DROVE_SEGMENTS = "DeepRegistration.DroveSegments"
"""Attribute of a transform node: names of the segments that drove it."""

UNKNOWN = "DeepRegistration.DroveUnknown"
"""Attribute of a transform node whose file is damaged where it says what drove it."""

_SIDES = ("Fixed", "Moving")


@dataclass(frozen=True)
class DrivingPoint:
    """A point that drove a transform.

    Attributes:
        id: Of the control point in its list; "" where it was deleted since.
        place: Where it lay, LPS mm in the world; of a moving point, without the transform.
        left_out: Error at the pair where it alone did not drive, mm; NaN where not measured.
    """

    id: str
    place: tuple[float, float, float]
    left_out: float = float("nan")

    @property
    def text(self) -> str:
        """As the attribute holds it; see :meth:`read`."""
        return ",".join(
            [quote(self.id, safe=""), *(f"{v:.4f}" for v in (*self.place, self.left_out))]
        )

    @classmethod
    def read(cls, text: str) -> DrivingPoint:
        """From an attribute's entry."""
        name, *numbers = text.split(",")
        x, y, z, error = (float(value) for value in numbers)
        return cls(unquote(name), (x, y, z), error)


@dataclass(frozen=True, eq=False)
class Drivers:
    """The points of one pair of lists that drove a transform, in the order of the pairs."""

    lists: tuple
    points: tuple[list[DrivingPoint], list[DrivingPoint]] = field(default_factory=lambda: ([], []))


def set_drives(lists: Sequence, pairs: Iterable[Sequence[str]], drives: bool) -> None:
    """Let pairs drive, or not.

    Args:
        lists: The fixed and the moving point list node.
        pairs: Ids of each pair's points, "" for none.
    """
    for node, names in zip(lists, zip(*pairs, strict=True), strict=True):
        if node is not None:
            ids, own = chosen_ids(node), set(names) - {""}
            _choose(node, ids | own if drives else ids - own)


def ids_of(lists: Sequence, points: Iterable[Sequence[int]]) -> list[tuple[str, ...]]:
    """Ids of pairs of control points, -1 for none, in two lists."""

    def name(node, k: int) -> str:
        return "" if k < 0 else node.GetNthControlPointID(k)

    return [tuple(name(node, k) for node, k in zip(lists, pair, strict=True)) for pair in points]


def chosen_ids(node) -> set[str]:
    """Ids of a list's points that shall drive."""
    return {unquote(name) for name in (node.GetAttribute(DRIVES) or "").split()}


def _choose(node, ids: Iterable[str]) -> None:
    text = " ".join(quote(name, safe="") for name in sorted(ids))
    if text:
        node.SetAttribute(DRIVES, text)
    elif node.GetAttribute(DRIVES) is not None:
        node.RemoveAttribute(DRIVES)


def remembered(node) -> tuple:
    """Everything that a node remembers of what drives, to be compared."""
    if node.IsA("vtkMRMLMarkupsNode"):
        return (node.GetAttribute(DRIVES),)
    return tuple((role, node.GetAttribute(role)) for role in _roles_of(node))


def drivers_of(transform) -> list[Drivers]:
    """What drove a transform node, without its parents; a list that was removed is None."""
    found: list[Drivers] = []
    while transform is not None:
        roles = [_role(side, len(found)) for side in _SIDES]
        texts = [transform.GetAttribute(role) for role in roles]
        if None in texts:
            break
        points = tuple([DrivingPoint.read(entry) for entry in text.split()] for text in texts)
        found.append(Drivers(tuple(transform.GetNodeReference(role) for role in roles), points))
    return found


def remember(
    transform, lists: Sequence, pairs: Sequence[Sequence[str]], places: np.ndarray
) -> None:
    """Let a transform node remember pairs that drove it, besides those that did before.

    Args:
        lists: The fixed and the moving point list node.
        pairs: Ids of each pair's points.
        places: Where they lay, fixed and moving, LPS mm: [n, 2, 3].
    """
    earlier = [_without_errors(drivers) for drivers in drivers_of(transform)]
    own = next((d for d in earlier if d.lists == tuple(lists)), Drivers(tuple(lists)))
    new = set(map(tuple, pairs))
    kept = [pair for pair in zip(*own.points, strict=True) if (pair[0].id, pair[1].id) not in new]
    kept += [
        tuple(DrivingPoint(name, tuple(place)) for name, place in zip(*pair, strict=True))
        for pair in zip(pairs, places, strict=True)
    ]
    points = tuple([pair[side] for pair in kept] for side in (0, 1))
    others = [drivers for drivers in earlier if drivers is not own]
    _write(transform, [*others, replace(own, points=points)])


def remember_left_out(transform, fixed_list, errors: dict[str, float]) -> None:
    """Keep leave-one-out errors.

    Args:
        errors: In mm, by the ids of the fixed points.
    """

    def measured(drivers: Drivers) -> Drivers:
        if drivers.lists[0] is not fixed_list:
            return drivers
        first, second = drivers.points
        known = [replace(p, left_out=errors.get(p.id, p.left_out)) for p in first]
        return replace(drivers, points=(known, second))

    _write(transform, [measured(drivers) for drivers in drivers_of(transform)])


def remember_segments(transform, names: Iterable[str]) -> None:
    """Let a transform node remember segments that drove it, besides those that did before."""
    known = dict.fromkeys([*_segments_of(transform), *names])
    if known:
        transform.SetAttribute(DROVE_SEGMENTS, " ".join(quote(name, safe="") for name in known))


def segments_that_drove(transform) -> list[str]:
    """Names of the segments that drove a transform node, or its parents."""
    above = (transform, *parents_of(transform))
    return list(dict.fromkeys(name for node in above for name in _segments_of(node)))


def _segments_of(transform) -> list[str]:
    return [unquote(name) for name in (transform.GetAttribute(DROVE_SEGMENTS) or "").split()]


def add(transform, drivers: Drivers) -> None:
    """Let a transform node remember more points that drove it."""
    _write(transform, [*drivers_of(transform), drivers])


def forget(transform) -> None:
    """The transform was made anew, and nothing drove it."""
    _write(transform, [])
    transform.RemoveAttribute(DROVE_SEGMENTS)
    transform.RemoveAttribute(UNKNOWN)


def remember_unknown(transform) -> None:
    """Let a transform node remember that what drove it is not known any more."""
    transform.SetAttribute(UNKNOWN, "1")


def is_unknown(transform) -> bool:
    """Whether it is not known any more what drove a transform node, or its parents."""
    above = (transform, *parents_of(transform))
    return any(node.GetAttribute(UNKNOWN) is not None for node in above)


def inherit(transform, source, *, swapped: bool = False) -> None:
    """What drove a transform, or its parents, also drove what was made of it.

    Args:
        source: Transform node.
        swapped: The new one is an inverse: its fixed points are the moving ones of the source.
    """
    found = [drivers for node in (source, *parents_of(source)) for drivers in drivers_of(node)]
    if swapped:
        found = [Drivers(d.lists[::-1], d.points[::-1]) for d in found]
    segments, unknown = segments_that_drove(source), is_unknown(source)
    forget(transform)
    _write(transform, found)
    remember_segments(transform, segments)
    if unknown:
        remember_unknown(transform)


def forget_removed(node) -> None:
    """Points left a list: Slicer may give their ids to others."""
    present = {node.GetNthControlPointID(k) for k in range(node.GetNumberOfControlPoints())}
    chosen = chosen_ids(node)
    if chosen - present:
        _choose(node, chosen & present)
    scene = node.GetScene()
    if scene is None:
        return
    for k in range(scene.GetNumberOfNodesByClass("vtkMRMLTransformNode")):
        transform = scene.GetNthNodeByClass(k, "vtkMRMLTransformNode")
        if transform.GetAttribute(_role(_SIDES[0], 0)) is not None:
            _forget_ids(transform, node, present)


def _forget_ids(transform, node, present: set[str]) -> None:
    """Only places are left of the points that are not there."""

    def remaining(drivers: Drivers) -> Drivers:
        sides = [
            [p if of is not node or p.id in present else replace(p, id="") for p in points]
            for of, points in zip(drivers.lists, drivers.points, strict=True)
        ]
        return replace(drivers, points=tuple(sides))

    before = drivers_of(transform)
    after = [remaining(drivers) for drivers in before]
    if [d.points for d in after] != [d.points for d in before]:
        _write(transform, after)


def _without_errors(drivers: Drivers) -> Drivers:
    """Errors that were measured with another transform hold no more."""
    sides = [[replace(p, left_out=float("nan")) for p in side] for side in drivers.points]
    return replace(drivers, points=tuple(sides))


def _write(transform, everything: list[Drivers]) -> None:
    """Replace what a transform node remembers, as one change of it."""
    before = transform.StartModify()
    for role in list(_roles_of(transform)):
        transform.RemoveAttribute(role)
        transform.RemoveNodeReferenceIDs(role)
    for number, drivers in enumerate(everything):
        for side, node, points in zip(_SIDES, drivers.lists, drivers.points, strict=True):
            role = _role(side, number)
            transform.SetAttribute(role, " ".join(point.text for point in points))
            if node is not None and node.GetScene() is not None:
                transform.SetNodeReferenceID(role, node.GetID())
    transform.EndModify(before)


def _roles_of(transform) -> Iterator[str]:
    for name in transform.GetAttributeNames():
        if name.startswith(DROVE + "."):
            yield name


def _role(side: str, number: int) -> str:
    return f"{DROVE}.{side}.{number}"
