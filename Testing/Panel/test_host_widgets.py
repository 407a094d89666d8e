"""The host's widgets follow the scene, the mouse and the keys."""

from __future__ import annotations

import pytest
from PySide6 import QtCore, QtTest
from SlicerHost.hands import choose, click, click_cell, press_keys, type_text
from SlicerHost.modal import modal

from DeepRegistrationLib.scene.nodes.application import Application

LEFT = QtCore.Qt.MouseButton.LeftButton
VOLUME = "vtkMRMLScalarVolumeNode"


@pytest.fixture
def scene():
    return Application().scene


def add(scene, name="ct", kind=VOLUME):
    return scene.AddNewNodeByClass(kind, name)


def texts(combo) -> list[str]:
    return [combo.itemText(index) for index in range(combo.count()) if combo.itemText(index)]


# --- segments, points, tables


def test_a_segment_is_picked(widgets, scene):
    selector, got = widgets["qMRMLSegmentSelectorWidget"](), []
    selector.setMRMLScene(scene)
    node = add(scene, "lungs", "vtkMRMLSegmentationNode")
    left = node.GetSegmentation().AddEmptySegment("left", "Left lung")
    right = node.GetSegmentation().AddEmptySegment("right", "Right lung")
    selector.connect("currentSegmentChanged(QString)", got.append)
    assert selector.currentNode() is node
    assert selector.segmentIDs() == (left, right)
    choose(selector._qt.segments, "Right lung")
    assert (selector.currentSegmentID(), got) == ("right", ["right"])
    node.GetSegmentation().RemoveSegment("right")
    assert selector.currentSegmentID() == "left"


def test_the_place_button_switches_the_scene_to_placing(qt, widgets, scene):
    place, got = widgets["qSlicerMarkupsPlaceWidget"](), []
    place.setMRMLScene(scene)
    button = place.placeButton()
    assert isinstance(button, qt.QToolButton)
    assert not button.enabled
    node = add(scene, "F", "vtkMRMLMarkupsFiducialNode")
    place.setCurrentNode(node)
    place.connect("activeMarkupsPlaceModeChanged(bool)", got.append)
    place.show()
    click(button)
    interaction, selection = place.interactionNode(), place.selectionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    assert selection.GetActivePlaceNodeID() == node.GetID()
    assert place.placeModeEnabled
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)  # Escape in a view
    assert (button.checked, got) == (False, [True, False])


# qSlicerMarkupsPlaceWidget.cxx: setCurrentNode only connects to another node.
def test_another_current_node_leaves_the_place_mode_as_it_is(widgets, scene):
    place = widgets["qSlicerMarkupsPlaceWidget"]()
    place.setMRMLScene(scene)
    first, second = (add(scene, name, "vtkMRMLMarkupsFiducialNode") for name in "FG")
    place.setCurrentNode(first)
    place.setPlaceModeEnabled(True)
    place.setCurrentNode(second)
    interaction = place.interactionNode()
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    assert place.selectionNode().GetActivePlaceNodeID() == first.GetID()
    assert not place.placeModeEnabled and not place.placeButton().checked


# qSlicerMarkupsPlaceWidget.cxx: setPlaceModeEnabled(false) asks only whether there is a node.
def test_switching_place_mode_off_ends_the_placing_of_any_node(widgets, scene):
    place = widgets["qSlicerMarkupsPlaceWidget"]()
    place.setMRMLScene(scene)
    foreign = add(scene, "foreign", "vtkMRMLMarkupsLineNode")
    interaction, selection = place.interactionNode(), place.selectionNode()
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsLineNode")
    selection.SetReferenceActivePlaceNodeID(foreign.GetID())
    interaction.SetCurrentInteractionMode(interaction.Place)
    place.setPlaceModeEnabled(False)
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    place.setCurrentNode(add(scene, "F", "vtkMRMLMarkupsFiducialNode"))
    place.setPlaceModeEnabled(False)
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform


# qSlicerMarkupsPlaceWidget.cxx: setCurrentNodeActive(false), vtkSlicerMarkupsLogic::SetActiveList.
def test_a_node_that_is_no_longer_active_is_no_longer_placed(widgets, scene):
    place = widgets["qSlicerMarkupsPlaceWidget"]()
    place.setMRMLScene(scene)
    place.setCurrentNode(add(scene, "F", "vtkMRMLMarkupsFiducialNode"))
    place.placeMultipleMarkups = place.ForcePlaceMultipleMarkups
    place.setPlaceModeEnabled(True)
    interaction = place.interactionNode()
    assert place.placeModePersistency and interaction.GetPlaceModePersistence()
    place.setCurrentNodeActive(False)
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    assert place.selectionNode().GetActivePlaceNodeID() is None


def test_points_are_listed_and_edited(widgets, scene):
    points = widgets["qSlicerSimpleMarkupsWidget"]()
    points.setMRMLScene(scene)
    node = add(scene, "F", "vtkMRMLMarkupsFiducialNode")
    points.setCurrentNode(node)
    node.AddControlPoint(1.5, 2.0, 3.0)
    table, got = points.tableWidget(), []
    assert [table.item(0, column).text() for column in range(1, 4)] == ["1.500", "2.000", "3.000"]
    table.item(0, 1).setText("-4")
    assert node.GetNthControlPointPosition(0) == (-4.0, 2.0, 3.0)
    points.connect("currentMarkupsControlPointSelectionChanged(int)", got.append)
    points.show()
    click_cell(table, 0, 0)
    assert got == [0]


def test_a_table_view_shows_a_table_node(widgets, scene):
    view, table = widgets["qMRMLTableView"](), add(scene, "TRE", "vtkMRMLTableNode")
    column = table.AddColumn()
    column.SetName("after")
    column.InsertNextValue("1.2")
    view.setMRMLTableNode(table)
    assert view.model().rowCount() == 1
    assert view.model().index(0, 0).data() == "1.2"
    table.SetCellText(0, 0, "0.9")
    table.Modified()
    assert view.model().index(0, 0).data() == "0.9"


# --- ctk


def test_a_collapsible_button_hides_what_is_under_it(qt, ctk):
    button, got = ctk.ctkCollapsibleButton(), []
    layout = qt.QVBoxLayout(button)
    shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden")
    for label in (shown, hidden):
        layout.addWidget(label)
    hidden.hide()
    button.connect("contentsCollapsed(bool)", got.append)
    button.text = "Advanced"
    button.show()
    click(button, at=(20, 8))
    assert (button.collapsed, shown.visible, got) == (True, False, [True])
    click(button, at=(20, 8))
    assert (shown.visible, hidden.visible, got) == (True, False, [True, False])


def test_a_collapsible_button_asks_for_the_place_of_its_bar_and_its_contents(qt, ctk):
    button = ctk.ctkCollapsibleButton()
    qt.QVBoxLayout(button).addWidget(qt.QLabel("shown"))
    inside = button.layout().sizeHint().height()
    opened = button.sizeHint.height()
    button.collapsed = True
    assert opened == inside + button.sizeHint.height()


def test_numbers_are_typed_into_a_slider_widget(ctk):
    slider, got = ctk.ctkSliderWidget(), []
    slider.minimum, slider.maximum, slider.singleStep = -10.0, 10.0, 0.5
    slider.suffix = " mm"
    slider.connect("valueChanged(double)", got.append)
    slider.show()
    type_text(slider, "3.5")
    assert (slider.value, got) == (3.5, [3.5])
    QtTest.QTest.keyClick(slider._qt.slider, QtCore.Qt.Key.Key_Right)
    assert (slider.value, got) == (4.0, [3.5, 4.0])
    slider.value = 99.0
    assert slider.value == 10.0
    slider.setSpinBoxVisible(False)
    assert (slider.spinBoxVisible, slider._qt.spin.isVisible()) == (False, False)


def test_without_tracking_a_drag_ends_in_one_change(ctk):
    slider, changing, changed = ctk.ctkSliderWidget(), [], []
    slider.tracking = False
    slider.connect("valueIsChanging(double)", changing.append)
    slider.connect("valueChanged(double)", changed.append)
    native = slider._qt.slider
    native.setSliderDown(True)
    for position in (10, 20):
        native.setSliderPosition(position)
    assert (changing, changed) == ([10.0, 20.0], [])
    native.setSliderDown(False)
    assert changed == [20.0]


def test_a_spin_box_tells_number_and_text(ctk):
    box, got = ctk.ctkDoubleSpinBox(), []
    box.maximum, box.decimals, box.suffix = 10.0, 1, " mm"
    box.connect("valueChanged(double)", got.append)
    box.connect("valueChanged(QString)", got.append)
    box.value = 2.5
    assert sorted(got, key=str) == [2.5, "2.5 mm"]


def test_a_range_stays_in_order(ctk):
    ranged, got = ctk.ctkRangeWidget(), []
    ranged.setRange(-1000, 3000)
    ranged.setValues(-500, 500)
    ranged.connect("valuesChanged(double,double)", lambda low, high: got.append((low, high)))
    ranged.minimumValue = 800
    assert (ranged.minimumValue, ranged.maximumValue) == (800, 800)
    assert got[-1] == (800, 800)


def test_a_path_is_typed_or_picked(ctk, tmp_path):
    edit, got = ctk.ctkPathLineEdit(), []
    edit.filters = ctk.ctkPathLineEdit.Files
    edit.connect("currentPathChanged(QString)", got.append)
    edit.connect("validInputChanged(bool)", got.append)
    modal.answers.append(str(tmp_path))
    edit.show()
    click(edit._qt.browse_button)
    assert edit.currentPath == str(tmp_path)
    assert got == [str(tmp_path), True]
    edit.comboBox().lineEdit().selectAll()
    QtTest.QTest.keyClicks(edit._qt.comboBox(), "/x")
    assert edit.currentPath == "/x"


def test_a_menu_button_opens_its_menu_only_at_its_edge(qt, ctk):
    button, clicks = ctk.ctkMenuButton(), []
    button.text = "Register"
    menu = qt.QMenu(button)
    menu.addAction("Again")
    button.setMenu(menu)
    button.clicked.connect(lambda: clicks.append(1))
    button.resize(120, 24)
    button.show()
    click(button, at=(30, 12))
    assert (clicks, menu.visible) == ([1], False)
    QtTest.QTest.mousePress(button._qt, LEFT, pos=QtCore.QPoint(115, 12))
    assert (clicks, menu.visible) == ([1], True)
    menu.hide()


def test_a_combo_box_shows_its_default_text(qt, ctk):
    box = ctk.ctkComboBox()
    box.addItems(["one", "two"])
    box.defaultText = "Choose"
    box.currentIndex = -1
    assert box._qt.placeholderText() == "Choose"
    assert box.currentText == ""


def test_a_color_is_picked(qt, ctk):
    button, got = ctk.ctkColorPickerButton(), []
    button.connect("colorChanged(QColor)", got.append)
    button.color = qt.QColor("#ff8000")
    assert got == [qt.QColor(255, 128, 0)]
    assert button.colorName == button.color.name() == button.text == "#ff8000"
    button.setDisplayColorName(False)
    assert (button.displayColorName, button.text) == (False, "")


# --- qt


def test_a_shortcut_works_from_the_keyboard(qt):
    window, got = qt.QWidget(), []
    shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+R"), window)
    shortcut.connect("activated()", lambda: got.append(1))
    press_keys(window, "Ctrl+R")
    assert got == [1]


def test_a_row_of_a_table_is_clicked_and_a_box_is_checked(qt):
    table, rows, changed = qt.QTableWidget(3, 2), [], []
    table.setHorizontalHeaderLabels(["Label", "Use"])
    for row in range(3):
        item = qt.QTableWidgetItem(f"L{row}")
        item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable | qt.Qt.ItemIsSelectable)
        item.setCheckState(qt.Qt.Checked)
        table.setItem(row, 0, item)
    table.connect("cellClicked(int,int)", lambda row, column: rows.append((row, column)))
    table.connect("itemChanged(QTableWidgetItem*)", changed.append)
    table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.ResizeToContents)
    table.show()
    click_cell(table, 1, 0)
    assert rows == [(1, 0)]
    table._qt.setCurrentCell(2, 0)
    QtTest.QTest.keyClick(table._qt, QtCore.Qt.Key.Key_Space)
    assert table.item(2, 0).checkState() == qt.Qt.Unchecked
    assert changed == [table.item(2, 0)]
