"""Placing landmarks in turn: Slicer's place mode, led from the fixed list to the moving one."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from DeepRegistrationLib.scene.landmarks.pairs import is_placed, labels_of, points_in
from DeepRegistrationLib.scene.landmarks.point_cache import rows
from DeepRegistrationLib.scene.views.slice_views import Observers

COLORS = {"fixed": (0.1, 0.8, 0.1), "moving": (0.9, 0.1, 0.9)}
"""Of the landmarks of each image, as in the pictures of both: what is of one image only."""


class Placing:
    """Follows Slicer's place mode while it places one of two lists, whoever switched it on.

    After each point the other list is the active one, so that the next click places the
    counterpart; both points get the same label, 1 to n. Where one list is missing, all go into the
    other one. Other nodes' placing is left alone.

    Args:
        changed: Called after :attr:`side` or :attr:`label` may have changed.

    Attributes:
        side: ``fixed`` or ``moving``, whichever list the next click goes into; None while nobody
            is placing one of the lists.
        label: Of the next point.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._observers = Observers()
        self._lists: dict[str, object] = {}
        self._counts: list[int] = []
        self._interaction = self._selection = None
        self._persistent = 0
        self.side: str | None = None
        self.label = ""

    def choose(self, fixed, moving) -> None:
        """Follow these point lists; a placing that is under way goes on in them, or ends.

        Args:
            fixed, moving: vtkMRMLMarkupsFiducialNode, or None.
        """
        lists = {side: node for side, node in (("fixed", fixed), ("moving", moving)) if node}
        if fixed is moving:
            lists = {}
        if lists == self._lists:
            return
        side = self.side
        if side is not None and side not in lists:
            self.stop()
        self._observers.clear()
        self._lists = lists
        if lists:
            self._observe(next(iter(lists.values())).GetScene())
        if self.side is not None:
            self._activate(self.side)
        self._follow()

    def start(self) -> None:
        """Switch place mode on, for the list that lacks a counterpart, or for the fixed one."""
        for node in self._lists.values():
            _show(node)
        colors = [node.GetDisplayNode().GetSelectedColor() for node in self._lists.values()]
        if len(set(colors)) < len(colors):
            for side, node in self._lists.items():
                _paint(node, side)
        self._activate(self._next()[0])
        self._interaction.SetCurrentInteractionMode(self._interaction.Place)

    def stop(self) -> None:
        """Switch place mode off, if it is one of the lists that is being placed."""
        if self.side is not None:
            self._interaction.SetCurrentInteractionMode(self._interaction.ViewTransform)
            self._follow()

    def close(self) -> None:
        """Stop, and follow nothing any more."""
        self.stop()
        self._observers.clear()
        self._lists = {}

    def _observe(self, scene) -> None:
        self._interaction = scene.GetSingletonNode("Singleton", "vtkMRMLInteractionNode")
        self._selection = scene.GetSingletonNode("Singleton", "vtkMRMLSelectionNode")
        add = self._observers.add
        add(self._interaction, self._interaction.InteractionModeChangedEvent, self._follow)
        add(self._selection, self._selection.ActivePlaceNodeIDChangedEvent, self._follow)
        markups = slicer.vtkMRMLMarkupsNode
        for side, node in self._lists.items():
            add(node, markups.PointAddedEvent, self._on_added, side)
            add(node, markups.PointPositionDefinedEvent, self._on_defined, side)
            add(node, markups.PointRemovedEvent, self._on_removed)

    def _placed(self) -> str | None:
        """The side whose list Slicer places at present."""
        mode = self._interaction
        if not self._lists or mode.GetCurrentInteractionMode() != mode.Place:
            return None
        node = self._selection.GetScene().GetNodeByID(self._selection.GetActivePlaceNodeID() or "")
        if node is not None and node.GetHideFromEditors():
            return self.side  # a cursor that is being added; it stays the active one for no time
        return next((side for side, other in self._lists.items() if other is node), None)

    def _follow(self) -> None:
        """The mode, or what is placed, may be another."""
        side = self._placed()
        if side == self.side:
            return
        began, ended = self.side is None, side is None
        self.side = side
        if began:
            self._persistent = self._interaction.GetPlaceModePersistence()
            self._interaction.SetPlaceModePersistence(1)
        if ended:
            self._interaction.SetPlaceModePersistence(self._persistent)
        self._say()

    def _say(self) -> None:
        self._counts = self._numbers()
        if self.side is not None:
            side, label = self._next()
            self.label = label if side == self.side else self._new_label()
        self._changed()

    def _activate(self, side: str) -> None:
        """As vtkSlicerMarkupsLogic::SetActiveList."""
        node = self._lists[side]
        self._selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
        self._selection.SetReferenceActivePlaceNodeID(node.GetID())

    def _on_added(self, side: str) -> None:
        """Also the point that Slicer shows under the mouse."""
        if side == self.side:
            node = self._lists[side]
            node.SetNthControlPointLabel(node.GetNumberOfControlPoints() - 1, self.label)

    def _on_defined(self, side: str) -> None:
        if side == self.side:
            self._go_on()

    def _on_removed(self) -> None:
        if self.side is not None and self._numbers() != self._counts:
            self._go_on()

    def _go_on(self) -> None:
        side = self._next()[0]
        if side == self.side:
            self._say()
        else:
            self._activate(side)

    def _numbers(self) -> list[int]:
        return [len(points_in(node)) for node in self._lists.values()]

    def _next(self) -> tuple[str, str]:
        """Which side the next point belongs to, and its label."""
        side, label = self._waiting() or (next(iter(self._lists)), self._new_label())
        return side, _label_to_come(self._lists[side], label)

    def _waiting(self) -> tuple[str, str] | None:
        """The side that lacks the counterpart of a point, and that point's label."""
        if len(self._lists) < 2:
            return None
        fixed, moving = (_placed_labels(node) for node in self._lists.values())
        for first, second in rows(fixed, moving).indices.tolist():
            if second < 0:
                return "moving", fixed[first]
            if first < 0:
                return "fixed", moving[second]
        return None

    def _new_label(self) -> str:
        """The next number that no point has."""
        used = {label for node in self._lists.values() for label in labels_of(node)}
        number = 1 + max(len(_placed_labels(node)) for node in self._lists.values())
        while str(number) in used:
            number += 1
        return str(number)


def new_point_list(scene, side: str, name: str):
    """Add an empty point list in the color of a side, ``fixed`` or ``moving``, to the scene."""
    node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", scene.GenerateUniqueName(name))
    node.SetControlPointLabelFormat("%d")
    _show(node)
    _paint(node, side)
    return node


def _placed_labels(node) -> list[str]:
    return [node.GetNthControlPointLabel(k) for k in points_in(node) if is_placed(node, k)]


def _label_to_come(node, label: str) -> str:
    """Slicer first gives a position to a point that a list already has without one."""
    undefined = slicer.vtkMRMLMarkupsNode.PositionUndefined
    waiting = (k for k in points_in(node) if node.GetNthControlPointPositionStatus(k) == undefined)
    return next((node.GetNthControlPointLabel(k) for k in waiting), label)


def _show(node) -> None:
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetVisibility(True)
    node.GetDisplayNode().SetPointLabelsVisibility(True)


def _paint(node, side: str) -> None:
    node.GetDisplayNode().SetSelectedColor(*COLORS[side])
