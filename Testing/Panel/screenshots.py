"""``make screenshots``: the panel and the views at each step of docs/tutorial.md, as PNG files.

python Testing/Panel/screenshots.py [--output Resources/Screenshots] [--case lung|heart|panel]
                                    [--width 380] [--dark]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing"), str(ROOT / "DeepRegistration")]

import numpy as np  # noqa: E402
from palettes import palette  # noqa: E402
from PySide6 import QtGui, QtWidgets  # noqa: E402
from SlicerHost.arguments import unwrap  # noqa: E402
from SlicerHost.hands import choose, click, click_cell  # noqa: E402
from SlicerHost.host import Host  # noqa: E402

MODULE = ROOT / "DeepRegistration" / "DeepRegistration.py"
SIZE = (1440, 860)  # of the window, pixels
WIDTH = 560  # of the panel, pixels
PATIENCE = 900.0  # seconds


class Tour:
    """A user at the panel who takes a picture after every step.

    Args:
        host: The running host.
        folder: Where the pictures go.
        case: First word of their names.
        width: Of the panel, pixels.
    """

    def __init__(self, host: Host, folder: Path, case: str, width: int = WIDTH) -> None:
        self.host, self.folder, self.case = host, folder, case
        host.window.resize(*SIZE)
        host.window.centralWidget().setSizes([width, SIZE[0] - width])
        self.panel = host.load_module(MODULE).panel

    def section(self, name: str):
        """A section by the name of its .ui file."""
        return next(part for part in self.panel.sections if part.uiName == name)

    def open(self, *names: str) -> None:
        """Open the sections of these names, and fold all others."""
        for section in self.panel.sections:
            button = getattr(section.ui, f"{section.uiName.lower()}Button", None)
            if button is not None and section.uiName != "Run":
                button.collapsed = section.uiName not in names
        self.host.process_events(0.1)
        area = self.host.window.findChild(QtWidgets.QScrollArea)
        if names:
            area.ensureWidgetVisible(unwrap(self.section(names[0]).widget), 0, 0)
        self.host.process_events(0.1)

    def sample(self, title: str) -> None:
        """Load a sample as the Sample Data module does."""
        from SampleData import SampleDataLogic

        source = SampleDataLogic().sourceForSampleName(title)
        source.customDownloader(source)
        self.host.process_events(0.3)

    def register(self, picture: str | None = None) -> None:
        """Click on Register and wait; take a picture at about the middle where a name is given."""
        run = self.section("Run")
        click(run.ui.registerButton)
        if picture is not None:
            self.wait(lambda: not run.running or run.run.fraction > 0.4)
            self.shoot(picture)
        self.wait(lambda: not run.running)
        assert "Registered in" in run.ui.statusText.text, run.ui.statusText.text
        self.host.process_events(0.3)

    def wait(self, until: Callable[[], bool]) -> None:
        self.host.process_events(until=until, timeout=PATIENCE)

    def shoot(self, name: str, widget=None) -> None:
        """Write a picture of the window, or of a widget, in 32 shades so that it stays small."""
        self.host.process_events(0.3)
        image = QtGui.QImage.fromData(self.host.screenshot(widget), "PNG")
        image = image.convertToFormat(QtGui.QImage.Format.Format_RGB888)
        pixels = np.frombuffer(image.bits(), np.uint8)
        pixels[:] = pixels // 8 * 8 + pixels // 32  # black and white stay
        path = self.folder / f"{self.case}-{name}.png"
        image.save(str(path), "PNG", 0)
        print(f"{path.name}: {path.stat().st_size // 1000} kB", flush=True)


def lung(tour: Tour) -> None:
    """Inhale and exhale of a chest."""
    tour.sample("Thorax phantom (inhale, exhale)")
    tour.open("Inputs")
    tour.shoot("1-inputs")
    tour.register("2-running")
    tour.open("Results")
    tour.shoot("3-registered")
    tour.open("Landmarks")
    click_cell(tour.section("Landmarks").ui.pointsTable, 3, 0)
    tour.shoot("4-landmarks")
    tour.open("Inspection")
    inspection = tour.section("Inspection").ui
    click(inspection.edgesButton)
    tour.shoot("5-edges")
    click(inspection.jacobianButton)
    tour.wait(lambda: not tour.panel.runner.running)
    inspection.gridBox.checked = True
    tour.shoot("6-jacobian")
    inspection.gridBox.checked = False
    click(inspection.plainButton)
    measure(tour, "7-quality")
    bring_over(tour, "Exhale organs", "8-contours")


def correct(tour: Tour) -> None:
    """A landmark that is off, corrected by a click."""
    tour.sample("Thorax phantom (inhale, exhale)")
    tour.register()
    tour.open("Landmarks")
    landmarks = tour.section("Landmarks")
    landmarks.ui.improveBox.collapsed = False
    worst = int(landmarks.state.worst_first()[0])
    click_cell(landmarks.ui.pointsTable, worst, 0)
    click(landmarks.ui.improveButton)
    tour.wait(lambda: not landmarks.improvement.bar.running)
    area = tour.host.window.findChild(QtWidgets.QScrollArea)
    tour.host.process_events(0.2)
    area.ensureWidgetVisible(unwrap(landmarks.ui.guidedButton), 0, 10)
    tour.shoot("1-improved")
    click(landmarks.ui.drivenBox, (8, 8))
    tour.host.process_events(0.2)
    area.ensureWidgetVisible(unwrap(landmarks.ui.trustBox), 0, 10)
    tour.shoot("2-driven")


def report(tour: Tour) -> None:
    """The page to sign, and the decision about it."""
    tour.sample("Thorax phantom (inhale, exhale)")
    tour.register()
    tour.wait(lambda: tour.panel.measurement.complete)
    tour.open("Report")
    ui = tour.section("Report").ui
    ui.decisionBox.collapsed = False
    ui.choiceBox.currentIndex = 1
    ui.reviewerEdit.text = "A. Physicist"
    ui.commentEdit.text = "Lungs only; not for dose in the ribs"
    tour.host.process_events(0.2)
    click(ui.decideButton)
    tour.wait(lambda: ui.decideButton.text != "Cancel")
    area = tour.host.window.findChild(QtWidgets.QScrollArea)
    area.ensureWidgetVisible(unwrap(ui.decisionText), 0, 10)
    tour.shoot("1-decision")


def function(tour: Tour) -> None:
    """Ventilation between inhale and exhale."""
    tour.sample("Thorax phantom (inhale, exhale)")
    tour.register()
    tour.open("Function")
    ventilation = tour.section("Function")
    click(ventilation.ui.measureButton)
    tour.wait(lambda: not ventilation.running)
    tour.shoot("1-ventilation")
    click(ventilation.ui.showButton)
    choose(ventilation.ui.phasesSelector, breath().GetName())
    tour.panel.parameters.quality = "fast"
    click(ventilation.ui.measureButton)
    tour.wait(lambda: not ventilation.running)
    tour.shoot("3-breath", unwrap(ventilation.widget))


def breath():
    """A sequence of the phantom's chest in five phases of a breath."""
    import slicer

    from DeepRegistrationLib.data.phantoms import thorax
    from DeepRegistrationLib.scene.nodes.volumes import volume_node_from_image

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D-CT")
    node.SetIndexName("phase")
    node.SetIndexUnit("%")
    for k, motion in enumerate((4.0, 12.0, 20.0, 14.0, 6.0)):
        image = thorax((76, 62, 70), (4.0, 4.0, 4.0), motion=motion, seed=4).moving
        frame = volume_node_from_image(image, slicer.mrmlScene, "phase")
        node.SetDataNodeAtValue(frame, str(20 * k))
        slicer.mrmlScene.RemoveNode(frame)
    return node


def errors(tour: Tour) -> None:
    """The error estimate of the chest."""
    tour.sample("Thorax phantom (inhale, exhale)")
    tour.panel.parameters.method, tour.panel.parameters.quality = "optimize", "fast"
    click(tour.section("Run").ui.estimateBox, (8, 8))
    tour.register()
    tour.open("Inspection")
    click(tour.section("Inspection").ui.predictedButton)
    tour.shoot("1-estimate")


def dark_lung(tour: Tour) -> None:
    """Some of the same steps, for the dark colors."""
    tour.sample("Thorax phantom (inhale, exhale)")
    tour.register()
    tour.open("Landmarks")
    tour.section("Landmarks").ui.showErrorsBox.checked = True
    tour.shoot("landmarks")
    tour.section("Landmarks").ui.showErrorsBox.checked = False


def heart(tour: Tour) -> None:
    """End-diastole and end-systole of a heart."""
    tour.sample("Heart phantom (diastole, systole)")
    tour.open("Inputs")
    tour.shoot("1-inputs")
    tour.register()
    tour.open("Results")
    tour.shoot("2-registered")
    tour.open("Inspection")
    inspection = tour.section("Inspection").ui
    click(inspection.cardiacButton)
    click(inspection.linkedButton)
    tour.shoot("3-side-by-side")
    click(inspection.fourUpButton)
    click(inspection.checkerboardButton)
    tour.shoot("4-checkerboard")
    click(inspection.plainButton)
    measure(tour, "5-quality")
    measure_strain(tour, "6-strain")


def whole_panel(tour: Tour) -> None:
    """Every section open, in one long picture."""
    tour.open(*(section.uiName for section in tour.panel.sections))
    tour.section("Inputs").ui.optionalBox.collapsed = False
    area = tour.host.window.findChild(QtWidgets.QScrollArea)
    area.widget().resize(area.widget().width(), area.widget().sizeHint().height())
    tour.shoot("all", area.widget())


def measure(tour: Tour, picture: str) -> None:
    """The quality section's figures and verdict."""
    tour.open("Quality")
    tour.wait(lambda: tour.panel.measurement.complete)
    tour.shoot(picture)


def measure_strain(tour: Tour, picture: str) -> None:
    """Strain by the transform, with its bull's eyes in sight."""
    tour.open("Strain")
    strain = tour.section("Strain")
    click(strain.ui.measureButton)
    tour.wait(lambda: not strain.running)
    area = tour.host.window.findChild(QtWidgets.QScrollArea)
    tour.host.process_events(0.2)
    area.ensureWidgetVisible(unwrap(strain.ui.undoButton), 0, 10)
    tour.shoot(picture)


def bring_over(tour: Tour, name: str, picture: str) -> None:
    """A contour from the moving to the fixed image."""
    tour.open("Propagation")
    propagation = tour.section("Propagation").ui
    choose(propagation.nodeSelector, name)
    click(propagation.copyButton)
    tour.shoot(picture)


CASES = {
    "lung": (lung, False),
    "heart": (heart, False),
    "errors": (errors, False),
    "report": (report, False),
    "correct": (correct, False),
    "function": (function, False),
    "dark": (dark_lung, True),
    "panel": (whole_panel, False),
    "dark-panel": (whole_panel, True),
}
"""What is done, and whether in a dark palette, by the first word of the pictures' names."""

TO_LOOK_AT = ("panel", "dark-panel")
"""Cases that no page shows: made only where they are named."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--width", type=int, default=WIDTH, help="of the panel, pixels")
    parser.add_argument("--dark", action="store_true", help="all cases in dark colors")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.case or [name for name in CASES if name not in TO_LOOK_AT]:
        steps, dark = CASES[name]
        with palette(dark or arguments.dark), Host() as host:
            if host.rendering_problem:
                sys.exit(f"No screenshots: {host.rendering_problem}")
            steps(Tour(host, arguments.output, name, arguments.width))


if __name__ == "__main__":
    main()
