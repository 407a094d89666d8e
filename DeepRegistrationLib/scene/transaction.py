"""Taking nodes out of the scene again: after an error, or when they were there only for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undone_on_error(scene) -> Iterator[None]:
    """Remove the nodes that were added inside this block if it fails."""
    before = _ids(scene)
    try:
        yield
    except BaseException:
        _remove_all_but(scene, before)
        raise


@contextmanager
def visiting(scene) -> Iterator[None]:
    """Remove the nodes that were added inside this block, in any case.

    Views, displays and their logics add nodes of their own accord, too many kinds to name.
    """
    before = _ids(scene)
    try:
        yield
    finally:
        _remove_all_but(scene, before)


def _nodes(scene) -> list:
    return [scene.GetNthNode(k) for k in range(scene.GetNumberOfNodes())]


def _ids(scene) -> set[str]:
    return {node.GetID() for node in _nodes(scene)}


def _remove_all_but(scene, ids: set[str]) -> None:
    for node in reversed([node for node in _nodes(scene) if node.GetID() not in ids]):
        scene.RemoveNode(node)
