"""Misuses that a real Slicer punishes are refused by the host."""

from __future__ import annotations

import pytest
from PySide6 import QtCore, QtTest, QtWidgets
from SlicerHost.arguments import CLASSES
from SlicerHost.modal import modal


@pytest.fixture
def button(qt):
    return qt.QPushButton("Register")


def test_properties_are_read_and_written_without_parentheses(button):
    button.text = "Cancel"
    button.checkable = True
    assert (button.text, button.checkable, button.enabled) == ("Cancel", True, True)
    assert button._qt.text() == "Cancel"


def test_a_property_cannot_be_called(button):
    with pytest.raises(TypeError, match="not callable"):
        button.text()


@pytest.mark.parametrize("name", ["caption", "setCaption", "clickked", "fromString"])
def test_an_attribute_that_slicer_lacks_does_not_exist(button, name):
    assert not hasattr(button, name)
    with pytest.raises(AttributeError, match=name):
        setattr(button, name, 1)


def test_what_only_qt_6_has_does_not_exist(qt):
    assert hasattr(QtWidgets.QWidget, "setScreen")
    assert not hasattr(qt.QWidget(), "setScreen")
    assert hasattr(QtWidgets.QCheckBox, "checkStateChanged")
    assert not hasattr(qt.QCheckBox(), "checkStateChanged")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("ctkSliderWidget", "setRange"),
        ("ctkSliderWidget", "setMinimum"),
        ("qMRMLNodeComboBox", "setNodeTypes"),
        ("qMRMLNodeComboBox", "setNoneEnabled"),
        ("qMRMLNodeComboBox", "nodeAddedByUserAction"),  # 5.12
        ("qMRMLSegmentSelectorWidget", "currentSegmentIDChanged"),
    ],
)
def test_what_slicer_hides_from_python_does_not_exist(owner, name):
    assert not hasattr(CLASSES[owner](), name)


def test_the_surprises_of_ctk_are_there(qt, ctk, widgets):
    ranged = ctk.ctkRangeWidget()
    ranged.setRange(1.0, 5.0)
    assert (ranged.minimum, ranged.maximum) == (1.0, 5.0)
    assert widgets["qMRMLNodeComboBox"]().currentNodeID == ""
    assert widgets["qMRMLSegmentSelectorWidget"]().currentNodeID() == ""
    assert not hasattr(ctk, "ctkErrorDialog")


def test_constructors_and_methods_take_no_keywords(qt, button):
    with pytest.raises(TypeError):
        qt.QPushButton(text="Register")
    with pytest.raises(TypeError):
        button.setText(text="Register")


@pytest.mark.parametrize("value", [5, None, b"text", ["text"]])
def test_a_property_refuses_a_value_of_another_type(button, value):
    with pytest.raises(AttributeError, match="does not accept"):
        button.text = value


def test_a_read_only_property_cannot_be_written(qt):
    with pytest.raises(AttributeError):
        qt.QLineEdit().acceptableInput = True


def test_a_call_that_no_overload_takes_is_refused(qt, button):
    for arguments in [(), (1,), ("a", "b"), (None,)]:
        with pytest.raises(ValueError, match="wrong arguments"):
            button.setText(*arguments)
    with pytest.raises(ValueError, match="wrong arguments"):
        qt.QVBoxLayout().addWidget(qt.QTimer())


def test_a_class_without_a_python_constructor_cannot_be_created(qt, widgets):
    with pytest.raises(TypeError, match="cannot be created"):
        qt.QGuiApplication()
    with pytest.raises(TypeError, match="cannot be created"):
        widgets["qSlicerAbstractModuleWidget"]()


def test_what_slicer_has_and_the_host_has_not_says_so(qt, widgets):
    with pytest.raises(NotImplementedError, match="qMRMLTransformSliders"):
        widgets["qMRMLTransformSliders"]()
    with pytest.raises(NotImplementedError, match="setTabStopWidth"):
        qt.QTextEdit().setTabStopWidth(4)
    with pytest.raises(NotImplementedError, match="autoCompletion"):
        _ = qt.QComboBox().autoCompletion


# --- values


def test_enums_are_numbers(qt):
    assert qt.Qt.AlignLeft | qt.Qt.AlignTop == 0x21
    label = qt.QLabel()
    label.setAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    assert label.alignment == 0x82
    label.alignment = qt.Qt.AlignLeft
    assert type(label.alignment) is int
    assert qt.QProcess().state() == qt.QProcess.NotRunning == 0


def test_lists_come_back_as_tuples(qt, widgets):
    process = qt.QProcess()
    process.setArguments(["a", "b"])
    assert process.arguments() == ("a", "b")
    selector = widgets["qMRMLNodeComboBox"]()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    assert selector.nodeTypes == ("vtkMRMLScalarVolumeNode",)


def test_bytes_of_a_process_are_decoded_from_its_data(qt):
    process = qt.QProcess()
    process.start("/bin/echo", ["hello"])
    assert process.waitForFinished(600_000)
    assert process.readAllStandardOutput().data().decode() == "hello\n"
    with pytest.raises(ValueError, match="wrong arguments"):
        process.write("text")  # bytes only


# --- objects


def test_what_methods_return_has_the_same_manners(qt, button):
    box = qt.QWidget()
    layout = qt.QVBoxLayout(box)
    layout.addWidget(button)
    assert box.layout() is layout
    for found in (layout.itemAt(0).widget(), box.findChild(qt.QPushButton), box.children()[1]):
        assert found is button
    assert button.parent() is box
    table = qt.QTableWidget()
    with pytest.raises(AttributeError, match="unknown"):
        table.horizontalHeader().unknown = 1


def test_children_are_found_by_class_and_by_name(qt, ctk):
    box = qt.QWidget()
    named, other = ctk.ctkSliderWidget(box), qt.QLabel(box)
    named.objectName = "opacity"
    assert box.opacity is named
    assert box.findChild("ctkSliderWidget") is named
    assert box.findChild(qt.QWidget, "opacity") is named
    assert box.findChildren("QLabel") == (other,)
    assert box.findChild("QTableWidget") is None
    assert (named.name, named.className()) == ("opacity", "ctkSliderWidget")


def test_a_python_subclass_has_attributes_and_overrides(qt, button):
    class Presses(qt.QObject):
        def __init__(self, parent=None):
            super().__init__(parent)
            self.seen = []

        def eventFilter(self, watched, event):  # noqa: N802
            if event.type() == qt.QEvent.MouseButtonPress:
                self.seen.append((watched is button, event.button()))
            return False

    presses, clicks = Presses(), []
    button.installEventFilter(presses)
    button.clicked.connect(lambda: clicks.append(1))
    QtTest.QTest.mouseClick(button._qt, QtCore.Qt.MouseButton.LeftButton)
    assert presses.seen == [(True, qt.Qt.LeftButton)]
    assert clicks == [1]


def test_an_override_can_call_its_base(qt):
    class Wide(qt.QLabel):
        def sizeHint(self):  # noqa: N802
            base = super().sizeHint  # a property there
            return qt.QSize(base.width() + 100, base.height())

    plain, wide = qt.QLabel("text"), Wide("text")
    assert wide._qt.sizeHint().width() == plain.sizeHint.width() + 100


def test_items_keep_their_identity(qt):
    table = qt.QTableWidget(1, 1)
    item = qt.QTableWidgetItem("3.2")
    table.setItem(0, 0, item)
    assert table.item(0, 0) is item
    item.setBackground(qt.QColor("red"))  # a color serves as a brush
    assert item.background().color() == qt.QColor(255, 0, 0)


def test_a_dynamic_property_is_set_and_read(qt, button):
    button.setProperty("SlicerParameterName", "method")
    assert button.property("SlicerParameterName") == "method"
    assert button.SlicerParameterName == "method"


def test_a_dialog_without_an_answer_fails_instead_of_waiting(qt):
    with pytest.raises(AssertionError, match="would wait"):
        qt.QMessageBox().exec_()


def test_a_single_shot_calls_any_callable(qt):
    got = []
    qt.QTimer.singleShot(0, lambda: got.append(1))
    QtWidgets.QApplication.processEvents()
    assert got == [1]


def test_an_enum_of_another_kind_is_refused(qt):
    with pytest.raises(ValueError, match="wrong arguments"):
        qt.QLabel().setAlignment(qt.QSizePolicy.Expanding)
    assert qt.QKeySequence(qt.Qt.Key_F5).toString() == "F5"
    assert qt.QKeySequence(qt.QKeySequence.Copy).toString() == "Ctrl+C"


def test_urls_and_menus_wait_for_nobody(qt):
    qt.QDesktopServices.openUrl(qt.QUrl("https://slicer.org"))
    assert modal.opened == ["https://slicer.org"]
    menu, got = qt.QMenu(), []
    menu.addAction("Again").connect("triggered()", lambda: got.append(1))
    modal.answers.append("Again")
    assert menu.exec_().text == "Again"
    assert got == [1]


def test_three_hundred_rows_are_kept(qt):
    table = qt.QTableWidget(300, 1)
    for row in range(300):
        table.setItem(row, 0, qt.QTableWidgetItem(str(row)))
    assert [table.item(row, 0).text() for row in (0, 299)] == ["0", "299"]


def test_a_property_of_an_enum_of_its_class_takes_numbers(qt):
    box = qt.QComboBox()
    box.sizeAdjustPolicy = qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
    assert box.sizeAdjustPolicy == qt.QComboBox.AdjustToMinimumContentsLengthWithIcon
