"""Where landmarks are drawn: the moving ones wherever a view shows the moving image."""

from __future__ import annotations

import slicer

from DeepRegistrationLib.scene.landmarks.pairs import taken_as_identity
from DeepRegistrationLib.scene.nodes.coordinates import between, parents_of, set_map_from_parent
from DeepRegistrationLib.scene.nodes.placement import PASSING, place_under
from DeepRegistrationLib.scene.views.layouts import keep_to_side
from DeepRegistrationLib.scene.views.slice_views import Observers, unlisted
from DeepRegistrationLib.scene.views.warp_slider import scaled_transform


def keep_with_volume(points, volume, transform=None) -> None:
    """Put moving landmarks under the registration above their volume, or take them out.

    Their own coordinates, and with them every error, stay what they are; but they are drawn on the
    image that they belong to, and points that are placed or dragged on the registered image are
    right, too.

    Args:
        points: Point list of the moving image.
        volume: The moving volume.
        transform: The transform node that is looked at, or None.
    """
    wanted, present = (taken_as_identity(node, transform) for node in (volume, points))
    if wanted is present or (present is not None and present.GetAttribute(PASSING)):
        return
    if wanted is not None:
        place_under(points, wanted, replacing=present)
        return
    _take_out(points, present)


def _take_out(points, transform) -> None:
    """Take a list, with the parents of its own, out of a transform that it lies under."""
    below = parents_of(points)[: parents_of(points).index(transform)]
    (below[-1] if below else points).SetAndObserveTransformNodeID(None)


class LandmarkPlaces:
    """Keeps two point lists where the views of one pair of volumes need them, until :meth:`close`.

    What is changed on the lists, a parent transform and the views that show them, is taken back at
    the end. A scene that is saved meanwhile is right, too: the points' own coordinates do not
    change, and the hidden transforms are not in it.

    Args:
        volume: The moving volume.
        transform: The transform node that is looked at, or None.
    """

    def __init__(self, volume, transform) -> None:
        self._volume, self._transform = volume, transform
        self._fixed = self._moving = None
        self._sides: tuple[list, list] | None = None
        self._percent: float | None = None
        self._resettled: _Resettled | None = None
        self._restricted: list[tuple] = []
        self._observers = Observers()
        self._observers.add(volume.GetScene(), slicer.vtkMRMLScene.StartCloseEvent, self._forget)

    def choose(self, fixed, moving) -> None:
        """The point lists, each may be None."""
        if (fixed, moving) != (self._fixed, self._moving):
            self._restore()
            self._fixed, self._moving = fixed, moving
            # A list that was the moving one before is not under the registration any more.
            above = taken_as_identity(self._volume, self._transform)
            if fixed is not None and above is not None and above in parents_of(fixed):
                _take_out(fixed, above)
            self._arrange()

    def apart(self, fixed_views, moving_views) -> None:
        """Each list in its image's views only, the moving one in the moving image's own space."""
        self._sides = (list(fixed_views), list(moving_views))
        self._arrange()

    def together(self) -> None:
        """Both in all views, the moving one as the moving volume is shown there."""
        self._sides = None
        self._arrange()

    def warp(self, percent: float | None) -> None:
        """How much of the transform the views apply that show both; None: as the scene has it."""
        self._percent = percent
        if self._sides is None:
            self._arrange()

    def close(self) -> None:
        """Leave the lists as the scene has them."""
        self._observers.clear()
        self._restore()
        self._fixed = self._moving = None

    def _forget(self) -> None:
        """The scene takes its nodes away itself."""
        self._observers.clear()
        self._fixed = self._moving = self._resettled = None
        self._restricted = []

    def _arrange(self) -> None:
        percent = self._percent if self._sides is None else 0.0
        if self._resettled is not None and percent is not None:
            self._resettled.percent = percent
        else:
            self._settle(percent)
        self._restrict()

    def _settle(self, percent: float | None) -> None:
        if self._resettled is not None:
            self._resettled.close()
            self._resettled = None
        if self._moving is None:
            return
        keep_with_volume(self._moving, self._volume, self._transform)
        own = taken_as_identity(self._moving, self._transform) is None
        if percent is not None and not (own and percent == 0):
            self._resettled = _Resettled(self._moving, self._transform, percent)

    def _restrict(self) -> None:
        self._unrestrict()
        if self._sides is None:
            return
        pairs = ((self._fixed, self._sides), (self._moving, self._sides[::-1]))
        for node, (own, other) in pairs:
            display = None if node is None else node.GetDisplayNode()
            if display is not None:
                ids = [display.GetNthViewNodeID(k) for k in range(display.GetNumberOfViewNodeIDs())]
                self._restricted.append((display, ids))
                keep_to_side(display, own, other)

    def _unrestrict(self) -> None:
        for display, ids in self._restricted:
            display.SetViewNodeIDs(ids)
        self._restricted = []

    def _restore(self) -> None:
        self._settle(None)
        self._unrestrict()


class _Resettled:
    """A point list under a share of a transform, whatever it lies under in the scene.

    Two hidden transform nodes take its parents' place: its own place without the registration,
    and above it the share, which is marked as a registration, so that errors are measured without
    it, see :func:`~DeepRegistrationLib.scene.landmarks.pairs.taken_as_identity`.
    """

    def __init__(self, points, transform, percent: float) -> None:
        self._points, self._transform = points, transform
        self._before = points.GetTransformNodeID()
        above = taken_as_identity(points, transform)
        own = between(above, points.GetParentTransformNode())
        scene = points.GetScene()
        self._share, self._own = (
            scene.AddNode(unlisted("vtkMRMLTransformNode", f"{points.GetName()}, as shown"))
            for _ in range(2)
        )
        self._share.SetAttribute(PASSING, points.GetID())
        set_map_from_parent(self._own, own)
        self._own.SetAndObserveTransformNodeID(self._share.GetID())
        self.percent = percent
        points.SetAndObserveTransformNodeID(self._own.GetID())

    @property
    def percent(self) -> float:
        return self._percent

    @percent.setter
    def percent(self, percent: float) -> None:
        self._percent = percent
        whole = between(None, self._transform)
        set_map_from_parent(self._share, scaled_transform(whole, percent / 100))

    def close(self) -> None:
        scene = self._points.GetScene()
        if scene is not None and self._points.GetParentTransformNode() is self._own:
            there = self._before and scene.GetNodeByID(self._before)
            self._points.SetAndObserveTransformNodeID(self._before if there else None)
        for node in (self._own, self._share):
            if node.GetScene() is not None:
                node.GetScene().RemoveNode(node)
