"""What is copied out of labels, without the marks that only lay out their text."""

import qt


class PlainCopy:
    """Corrects the clipboard after text was copied out of a label, by key or by menu.

    Args:
        labels: QLabels whose text can be selected.
        plain: A function that gives the plain form of a text.
    """

    def __init__(self, labels, plain):
        self._labels, self._plain = labels, plain
        self._clipboard = qt.QApplication.clipboard()

    def enable(self, enabled):
        """Follow the clipboard, which outlives the panel, or let go of it."""
        act = self._clipboard.connect if enabled else self._clipboard.disconnect
        act("dataChanged()", self._onChanged)

    def _onChanged(self):
        selected = [label.selectedText for label in self._labels if label.hasSelectedText]
        text = self._clipboard.text() if selected else ""
        if text != self._plain(text) and _seen(text) in map(_seen, selected):
            self._clipboard.setText(self._plain(text))


def _seen(text):
    """The characters that are seen: Qt separates lines and cells in its own ways."""
    return "".join(char for char in text if char.isprintable() and not char.isspace())
