"""A network applied again to what it left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from DeepRegistrationLib.progress import Progress, part
from DeepRegistrationLib.transforms import Transform

Start = TypeVar("Start", bound=Transform | None)


def repeated(
    find: Callable[[Start | Transform, Progress], Transform],
    start: Start,
    passes: int,
    progress: Progress,
) -> Transform:
    """The transform after some passes, each of which starts from that of the one before.

    A network that was trained on known deformations finds less than the whole of a large motion,
    and what is left is a smaller one (the stages of Sokooti et al., arXiv 1908.10235, whose
    networks differ).

    Args:
        find: From a start, fixed to moving, to the transform that begins with it.
        start: Of the first pass.
        passes: One or more.
    """
    total: Start | Transform = start
    for number in range(passes):
        total = find(total, part(progress, number / passes, (number + 1) / passes))
    assert total is not None
    return total
