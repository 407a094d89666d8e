"""What the inspection puts into the views, all of it temporary: :meth:`Viewing.close` ends it."""

import qt
import slicer
from slicer.i18n import tr as _

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.scene.landmarks.display_positions import LandmarkPlaces
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.runs.rigid_part import Deformation
from DeepRegistrationLib.scene.views import layouts
from DeepRegistrationLib.scene.views.comparison import MODES, Comparison
from DeepRegistrationLib.scene.views.crosshair import LinkedCursor, readout_at
from DeepRegistrationLib.scene.views.deformed_grid import DeformedGrid
from DeepRegistrationLib.scene.views.displacement_overlay import DisplacementOverlay
from DeepRegistrationLib.scene.views.error_readout import errors_at, errors_text
from DeepRegistrationLib.scene.views.jacobian_overlay import MapOverlay
from DeepRegistrationLib.scene.views.slice_views import Observers, ShownVolumes, unlisted
from DeepRegistrationLib.scene.views.warp_slider import WarpSlider

MAPS = ("jacobian", "displacement", "predicted")
SLIDERS = {"opacity": ("blend", *MAPS), "square": ("checkerboard",), "period": ("flicker",)}
"""Which sliders belong to which modes."""


class Viewing:
    """Shows one pair of volumes under one transform.

    Args:
        fixed, moving: Scalar volume nodes.
        transform: Transform node, or None: then the moving volume is shown where it lies.
        onCursor: Called with a :class:`~DeepRegistrationLib.scene.views.crosshair.Readout` while
            the mouse moves over a slice view, and with None when it leaves.

    Attributes:
        problem: Why the deformation cannot be applied in part, or "".
    """

    def __init__(self, fixed, moving, transform, onCursor):
        self.fixed, self.moving, self.transform = fixed, moving, transform
        self.problem = ""
        self._onCursor = onCursor
        self._warp = self._own = None
        self._shown = self._grid = self._link = self._before = self._identity = None
        self._deformation, self._rigid = None, (False, None)
        self._places = LandmarkPlaces(moving, transform)
        self._observers = Observers()
        crosshair = fixed.GetScene().GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if transform is not None and crosshair is not None:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self._observers.add(crosshair, event, self._follow, crosshair)

    @property
    def views(self):
        """The slice nodes that the layout shows, apart from those of the moving image."""
        scene = self.fixed.GetScene()
        moving = layouts.side_views(scene, "Moving")
        nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode", scene)
        return [node for node in nodes if node.IsMappedInLayout() and node not in moving]

    def maps(self):
        """The kinds of maps that there are of the transform."""
        return () if self.transform is None else ("displacement", *outputs_of(self.transform))

    def makeable(self):
        """The kinds of maps that can be made of the transform when somebody wants to see them."""
        return () if self.transform is None or "jacobian" in self.maps() else ("jacobian",)

    def compare(self, mode, opacity, square):
        """Show a mode: a key of ``MODES``, one of :meth:`maps`, or ``plain``."""
        self._closeShown()
        if mode in MODES:
            moving = self._warped()
            self._shown = Comparison(self.fixed, moving, self.views, mode, later=_later)
        elif mode == "displacement":
            looked = self._deformable()
            self._shown = DisplacementOverlay(self.fixed, looked, self.views, later=_later)
        elif mode != "plain":
            volume = outputs_of(self.transform)[mode]
            self._shown = MapOverlay(self.fixed, volume, self.views, mode)
        self._warpPoints()
        self.setOpacity(opacity)
        self.setSquare(square)

    def showPoints(self, fixed, moving):
        """Draw two point lists, each may be None, where their images are shown."""
        self._places.choose(fixed, moving)

    def setOpacity(self, opacity):
        """Of what lies over the fixed volume, 0 to 1."""
        if self._shown is not None:
            self._shown.opacity = opacity

    def setSquare(self, square):
        """Edge of the checkerboard's squares, mm."""
        if isinstance(self._shown, Comparison):
            self._shown.square = square

    def setPercent(self, percent):
        """How much of the deformation the comparison applies, 0 to 100."""
        if self._warp is None and percent < 100:
            self._warped()
        if self._warp is not None:
            self._warp.percent = percent
            self._warpPoints()

    def _warpPoints(self):
        """The moving points go with the image that the comparison shows."""
        warped = self._warp is not None and isinstance(self._shown, Comparison)
        self._places.warp(self._warp.percent if warped else None)

    def flicker(self):
        """Show the other image."""
        if isinstance(self._shown, Comparison):
            self._shown.flicker()

    def showGrid(self, spacing):
        """Draw the deformed grid with lines this far apart in mm; 0 takes it away."""
        if not spacing or self.transform is None:
            self._closeGrid()
        elif self._grid is None:
            self._grid = DeformedGrid(self._deformable(), self.fixed, self.views, spacing=spacing)
        else:
            self._grid.spacing = spacing

    def withoutRigid(self, without, mask):
        """Whether map and grid leave out the rigid part of the transform, fitted in the mask.

        Returns:
            Whether what is shown has to be shown anew.
        """
        if (without, mask) == self._rigid:
            return False
        self._rigid = (without, mask)
        shown = self._grid is not None or isinstance(self._shown, DisplacementOverlay)
        self._closeDeformation()
        return shown

    @property
    def rigidText(self):
        """What the displacement map and the grid leave out, as one sentence, or ""."""
        return "" if self._deformation is None else self._deformation.text

    def _deformable(self):
        """The transform, or what is left of it without its rigid part."""
        without, mask = self._rigid
        if without and self._deformation is None:
            self._deformation = Deformation(self.transform, self.fixed, mask)
        return self._deformation.node if without else self.transform

    @property
    def linked(self):
        """Whether the moving image is shown beside the fixed one."""
        return self._link is not None

    def link(self):
        """Show the moving image, in its own space, beside the fixed one, with linked cursors.

        Points are seen on their own image's side only. Without a transform the cursors are at one
        place of the world.
        """
        scene = self.fixed.GetScene()
        sides = [layouts.side_views(scene, side) for side in ("Fixed", "Moving")]
        self._before = ShownVolumes([*sides[0], *sides[1]])
        transform, say = self.transform, self._onCursor
        if transform is None:
            self._identity = scene.AddNode(unlisted("vtkMRMLLinearTransformNode", "Identity"))
            transform, say = self._identity, None
        self._own = WarpSlider(self.moving, transform, 0.0)
        layouts.show_sides(scene, self.fixed, self._own.volume)
        self._link = LinkedCursor(transform, *sides, say)
        self._places.apart(*sides)
        _later(self._center)

    def leadFrom(self, side):
        """Let the mouse lead from one image to the other only; None: from both."""
        if self._link is not None:
            self._link.side = side

    def unlink(self):
        """Take the moving image's side away."""
        for part in (self._link, self._own):
            if part is not None:
                part.close()
        if self._identity is not None and self._identity.GetScene() is not None:
            self._identity.GetScene().RemoveNode(self._identity)
        if self._before is not None:
            self._before.restore()
            self._places.together()
        self._link = self._own = self._before = self._identity = None
        self._warpPoints()

    def close(self):
        """Show what was shown before, and leave no node behind."""
        self._observers.clear()
        self._closeShown()
        self._closeDeformation()
        self.unlink()
        self._places.close()
        if self._warp is not None:
            self._warp.close()
            self._warp = None

    def describe(self, readout):
        """What the transform does at a place, and its error maps there, as one line."""
        errors = errors_text(errors_at(self.transform, readout.fixed))
        return "; ".join(filter(None, (readout.text(), errors)))

    def _center(self):
        """Fit both sides into their views, at corresponding places."""
        if self._link is None or self.fixed.GetScene() is None:
            return
        manager = slicer.app.layoutManager()
        for side in ("Fixed", "Moving"):
            for node in layouts.side_views(self.fixed.GetScene(), side):
                manager.sliceWidget(node.GetLayoutName()).sliceLogic().FitSliceToBackground()
        bounds = [0.0] * 6
        self.fixed.GetRASBounds(bounds)
        self._link.move_to([(bounds[2 * k] + bounds[2 * k + 1]) / 2 for k in range(3)])

    def _warped(self):
        """The moving volume as the transform shows it, wherever it lies in the scene."""
        if self.transform is None:
            return self.moving
        if self._warp is None and not self.problem:
            try:
                self._warp = WarpSlider(self.moving, self.transform)
            except RegistrationError as error:
                self.problem = str(error)
        return self.moving if self._warp is None else self._warp.volume

    def _follow(self, crosshair):
        """Read out what the transform does under the mouse, where no linked cursor does it."""
        if self._link is not None:
            return
        point = [0.0] * 3
        inside = crosshair.GetCursorPositionRAS(point)
        self._onCursor(readout_at(self.transform, point) if inside else None)

    def _closeShown(self):
        if self._shown is not None:
            self._shown.close()
            self._shown = None

    def _closeDeformation(self):
        """With the grid, and with the map if that is shown: they show it."""
        self._closeGrid()
        if isinstance(self._shown, DisplacementOverlay):
            self._closeShown()
        if self._deformation is not None:
            self._deformation.close()
            self._deformation = None

    def _closeGrid(self):
        if self._grid is not None:
            self._grid.close()
            self._grid = None


def explanations():
    """Modes, in the order of the buttons, and what is to be seen."""
    return {
        "plain": _("Choose how to compare the images."),
        "blend": _("The moving image over the fixed one."),
        "flicker": _("Fixed and moving image in turn: what jumps is not aligned."),
        "checkerboard": _("Structures should continue across the edges of the squares."),
        "difference": _("Moving minus fixed: orange is brighter, blue darker in the moving image."),
        "edges": _("Outlines of the moving image; they should lie on the fixed image's own."),
        "jacobian": _(
            "Blue: the tissue is smaller in the moving image, red: larger, yellow: folding. "
            "Changes below 10 % are not colored."
        ),
        "displacement": _("How far each point moves, up to 20 mm; below 1 mm there is no color."),
        "predicted": _(
            "Shows where to look; it is not an error bar: true errors are often several times "
            "larger, and can be large where there is no color (below 0.5 mm)."
        ),
    }


def _later(function):
    """Do something in the next turn of the event loop."""
    qt.QTimer.singleShot(0, function)
