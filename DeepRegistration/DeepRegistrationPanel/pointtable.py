"""The table of landmarks: a row a pair, changed in place while a point is dragged."""

import numpy as np
import qt
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.nodes.colors import ERROR_RANGE, error_rgb

_AFTER = 2  # the column that is colored by its value
_SHADES = 64
_ROW_HEIGHT = 22  # pixels


class PointTable:
    """Shows a :class:`~DeepRegistrationLib.scene.landmarks.state.LandmarkState`.

    Args:
        table: QTableWidget.
        goTo: Called with the row that the user chose.
        include: Called with a row and whether its check mark is set.
    """

    def __init__(self, table, goTo, include):
        self._table, self._goTo, self._include = table, goTo, include
        self._texts = []  # of each row's cells, as they are shown
        self._colors = []  # of each row, as a number of a shade
        self._shades = _brushes()
        self._none = qt.QBrush()
        self._black = qt.QBrush(qt.QColor(0, 0, 0))
        table.setColumnCount(6)
        table.setHorizontalHeaderLabels(
            [_("Label"), _("Before"), _("After"), _("dx (L)"), _("dy (P)"), _("dz (S)")]
        )
        for column, tip in enumerate(_tips()):
            table.horizontalHeaderItem(column).setToolTip(tip)
        table.verticalHeader().visible = False
        table.verticalHeader().setSectionResizeMode(qt.QHeaderView.Fixed)
        table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.connect("cellClicked(int,int)", self._onClick)
        table.connect("currentCellChanged(int,int,int,int)", self._onCurrent)
        table.connect("itemChanged(QTableWidgetItem*)", self._onItem)

    def show(self, state):
        """Show a state; only rows that are new or gone, and cells that differ, are touched."""
        blocked = self._table.blockSignals(True)
        try:
            if state.changed is None or len(self._texts) != len(state.labels):
                self._replaceRows(state.labels)
                rows = range(len(state.labels))
            else:
                rows = state.changed.tolist()
            self._fill(state, rows)
        finally:
            self._table.blockSignals(blocked)

    def choose(self, row):
        """Select a row, as a click on it does."""
        blocked = self._table.blockSignals(True)
        self._table.setCurrentCell(row, 0)
        self._table.blockSignals(blocked)
        self._goTo(row)

    def _replaceRows(self, labels):
        """Take out the rows between the first and the last that stay, and put the new ones there.

        A list is changed at one place, and most often at its end. Anew, each row is costly.
        """
        old = [texts[0] for texts in self._texts]
        first = _common(old, labels)
        last = _common(old[first:][::-1], labels[first:][::-1])
        for row in reversed(range(first, len(old) - last)):
            self._table.removeRow(row)
        del self._texts[first : len(old) - last], self._colors[first : len(old) - last]
        for row in range(first, len(labels) - last):
            self._insertRow(row, labels[row])

    def _insertRow(self, row, label):
        """A row that is empty but for its label."""
        columns = self._table.columnCount
        self._table.insertRow(row)
        fixed = qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable
        item = qt.QTableWidgetItem(label)
        item.setFlags(fixed | qt.Qt.ItemIsUserCheckable)
        item.setCheckState(qt.Qt.Unchecked)  # a check box appears with its first state
        self._table.setItem(row, 0, item)
        for column in range(1, columns):
            item = qt.QTableWidgetItem("")
            item.setFlags(fixed)
            item.setData(qt.Qt.TextAlignmentRole, qt.Qt.AlignRight | qt.Qt.AlignVCenter)
            self._table.setItem(row, column, item)
        self._texts.insert(row, [label, *[""] * (columns - 1)])
        self._colors.insert(row, None)

    def _fill(self, state, rows):
        after = state.after
        values = np.column_stack([state.before, after, state.residual])
        values = values.round(2) + 0.0  # no "-0.00"
        signs = ("", "", "+", "+", "+")
        shades = np.nan_to_num(after / ERROR_RANGE[1] * (_SHADES - 1)).clip(0, _SHADES - 1)
        for row in rows:
            checked = qt.Qt.Checked if state.included[row] else qt.Qt.Unchecked
            first = self._table.item(row, 0)
            if first.checkState() != checked:
                first.setCheckState(checked)
            for column, (value, sign) in enumerate(zip(values[row], signs, strict=True), start=1):
                text = f"{value:{sign}.2f}" if np.isfinite(value) else "-"
                if text != self._texts[row][column]:
                    self._texts[row][column] = text
                    self._table.item(row, column).setText(text)
            self._color(row, int(shades[row]) if np.isfinite(after[row]) else None)

    def _color(self, row, shade):
        if shade == self._colors[row]:
            return
        self._colors[row] = shade
        item = self._table.item(row, _AFTER)
        item.setBackground(self._none if shade is None else self._shades[shade])
        item.setForeground(self._none if shade is None else self._black)

    def _onClick(self, row, _column):
        self._goTo(row)

    def _onCurrent(self, row, _column, previous, _previousColumn):
        if row >= 0 and row != previous:
            self._goTo(row)

    def _onItem(self, item):
        if item.column() == 0:
            self._include(item.row(), item.checkState() == qt.Qt.Checked)


def _common(first, second):
    """How many entries two sequences have in common at their start."""
    pairs = zip(first, second, strict=False)
    return next((k for k, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _brushes():
    """Background colors from no error to the end of the scale."""
    errors = np.linspace(*ERROR_RANGE, _SHADES)
    colors = (255 * error_rgb(errors)).round().astype(int).tolist()
    return [qt.QBrush(qt.QColor(*color)) for color in colors]


def _tips():
    return (
        _(
            "Checked landmarks count in the statistics. Click a row to show its landmark in all "
            "views."
        ),
        _("Distance of the two points without registration, mm"),
        _("Target registration error |T(fixed) - moving|, mm"),
        _("Remaining error towards the patient's left, mm"),
        _("Remaining error towards the patient's back, mm"),
        _("Remaining error towards the patient's head, mm"),
    )
