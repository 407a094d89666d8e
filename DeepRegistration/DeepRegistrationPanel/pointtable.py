"""The table of landmarks: a row a pair, changed in place while a point is dragged."""

import numpy as np
import qt
from slicer.i18n import tr as _

from DeepRegistrationLib.scene.nodes.colors import ERROR_RANGE, error_rgb

_AFTER = 2  # the column that is colored by its value
_DRIVES = 6  # the column of what drives
_SHADES = 64
_ROW_HEIGHT = 22  # pixels


class PointTable:
    """Shows a :class:`~DeepRegistrationLib.scene.landmarks.state.LandmarkState`.

    Args:
        table: QTableWidget.
        goTo: Called with the row that the user chose.
        include, drive: Called with a row and whether its check mark is set: the one that lets it
            count, and the one that lets it drive the deformation.
    """

    def __init__(self, table, goTo, include, drive):
        self._table, self._goTo = table, goTo
        self._onChecked = {0: include, _DRIVES: drive}
        self._texts = []  # of each row's cells, as they are shown
        self._colors = []  # of each row, as a number of a shade
        self._shades = _brushes()
        self._none = qt.QBrush()
        self._black = qt.QBrush(qt.QColor(0, 0, 0))
        titles = (_("Label"), _("Before"), _("After"), _("dx (L)"), _("dy (P)"), _("dz (S)"))
        table.setColumnCount(7)
        table.setHorizontalHeaderLabels([*titles, _("Drives")])
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

    @property
    def row(self):
        """The selected row; -1 for none."""
        return self._table.currentRow()

    def select(self, row):
        """Select a row without going there."""
        blocked = self._table.blockSignals(True)
        self._table.setCurrentCell(row, 0)
        self._table.blockSignals(blocked)

    def choose(self, row):
        """Select a row, as a click on it does."""
        self.select(row)
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
        for column in range(columns):
            item = qt.QTableWidgetItem("" if column else label)
            item.setFlags(fixed)
            if column in self._onChecked:
                item.setFlags(fixed | qt.Qt.ItemIsUserCheckable)
                item.setCheckState(qt.Qt.Unchecked)  # a check box appears with its first state
            else:
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
        marks = state.marks
        for row in rows:
            self._check(row, 0, state.included[row])
            self._check(row, _DRIVES, marks.drives[row])
            for column, (value, sign) in enumerate(zip(values[row], signs, strict=True), start=1):
                text = f"{value:{sign}.2f}" if np.isfinite(value) else "-"
                fit = marks.drove[row] and column == _AFTER
                self._write(row, column, f"({text})" if fit else text)
            self._explain(row, marks.drove[row], marks.left_out[row])
            counts = np.isfinite(after[row]) and not marks.drove[row]
            self._color(row, int(shades[row]) if counts else None)

    def _check(self, row, column, checked):
        state = qt.Qt.Checked if checked else qt.Qt.Unchecked
        item = self._table.item(row, column)
        if item.checkState() != state:
            item.setCheckState(state)

    def _write(self, row, column, text):
        if text != self._texts[row][column]:
            self._texts[row][column] = text
            self._table.item(row, column).setText(text)

    def _explain(self, row, drove, leftOut):
        """Why a value stands in parentheses, as a tip: a narrow panel has no room for more."""
        tip = ""
        if drove:
            tip = _("Drives the deformation: no proof.")
            if np.isfinite(leftOut):
                tip += " " + _("Left out, it is off by {error:.2f} mm.").format(error=leftOut)
        if tip != self._texts[row][_DRIVES]:
            self._texts[row][_DRIVES] = tip
            for column in (_AFTER, _DRIVES):
                self._table.item(row, column).setToolTip(tip)

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
        if item.column() in self._onChecked:
            self._onChecked[item.column()](item.row(), item.checkState() == qt.Qt.Checked)


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
        _(
            "Target registration error |T(fixed) - moving|, mm. In parentheses: the landmark drove "
            "the deformation, so this is no proof and does not count."
        ),
        _("Remaining error towards the patient's left, mm"),
        _("Remaining error towards the patient's back, mm"),
        _("Remaining error towards the patient's head, mm"),
        _(
            "Checked landmarks drive the deformation when you press Improve here. Hold the mouse "
            "over the mark of one that did to see the error when it is left out, if measured."
        ),
    )
