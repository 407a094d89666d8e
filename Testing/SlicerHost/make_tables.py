"""Reduce the full tables of Slicer's and PythonQt's API to what a scripted panel may need.

Usage, in Testing/: ``python -m SlicerHost.make_tables FOLDER``. FOLDER holds slicer_qt_api.json
(Slicer and CTK, from their headers), pythonqt_qt_api.json (Qt as PythonQt exposes it) and
slicer_qt_api_since.json (in which release a member came). What came after OLDEST is left out, so
that a module that runs in the host runs in OLDEST too.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from PySide6 import QtCore, QtGui, QtWidgets

from .tables import split

OLDEST = (5, 10)
HERE = Path(__file__).parent / "tables"

QT = """
QAbstractButton QAbstractItemDelegate QAbstractItemModel QAbstractItemView QAbstractProxyModel
QAbstractScrollArea QAbstractSlider QAbstractSpinBox QAbstractTableModel QAction QActionEvent
QActionGroup QApplication QBoxLayout QBrush QButtonGroup QByteArray QCheckBox QClipboard
QCloseEvent QColor QComboBox QCompleter QCoreApplication QCursor QDateTime QDesktopServices
QDialog QDialogButtonBox QDir QDockWidget QDoubleSpinBox QDoubleValidator QElapsedTimer QEvent
QFile QFileDevice QFileDialog QFileInfo QFocusEvent QFont QFontMetrics QFormLayout QFrame
QGridLayout QGroupBox QGuiApplication QHBoxLayout QHeaderView QHideEvent QIODevice QIcon QImage
QInputDialog QInputEvent QIntValidator QItemSelection QItemSelectionModel QKeyEvent QKeySequence
QLCDNumber QLabel QLayout QLayoutItem QLineEdit QListView QListWidget QListWidgetItem QLocale
QMainWindow QMargins QMenu QMenuBar QMessageBox QMimeData QModelIndex QMouseEvent QObject
QPaintEvent QPainter QPalette QPen QPixmap QPlainTextEdit QPoint QPointF QProcess
QProcessEnvironment QProgressBar QProgressDialog QPushButton QRadioButton QRect QRectF
QRegularExpression QRegularExpressionValidator QResizeEvent QScreen QScrollArea QScrollBar
QSettings QShortcut QShowEvent QSignalBlocker QSize QSizeF QSizePolicy QSlider
QSortFilterProxyModel QSpacerItem QSpinBox QSplitter QStackedLayout QStackedWidget QStandardItem
QStandardItemModel QStandardPaths QStatusBar QStyle QStyleOptionViewItem QStyledItemDelegate
QSyntaxHighlighter QSysInfo QTabBar QTabWidget QTableView QTableWidget QTableWidgetItem
QTemporaryDir QTemporaryFile QTextBrowser QTextCursor QTextDocument QTextEdit QThread QTimer
QToolBar QToolButton QToolTip QTreeView QTreeWidget QTreeWidgetItem QUiLoader QUrl QVBoxLayout
QValidator
QWheelEvent QWidget QWidgetAction QWidgetItem Qt
""".split()

SLICER = """
ctkBasePopupWidget ctkButtonGroup ctkCheckBox ctkCheckableComboBox ctkCheckablePushButton
ctkCollapsibleButton ctkCollapsibleGroupBox ctkColorPickerButton ctkComboBox ctkCoordinatesWidget
ctkDirectoryButton ctkDoubleRangeSlider ctkDoubleSlider ctkDoubleSpinBox ctkExpandButton
ctkExpandableWidget ctkFileDialog ctkFittedTextBrowser ctkFlowLayout ctkMatrixWidget ctkMenuButton
ctkMenuComboBox ctkMessageBox ctkPathLineEdit ctkPathListWidget ctkPopupWidget ctkPushButton
ctkRangeSlider ctkRangeWidget ctkSearchBox ctkSliderWidget ctkTreeComboBox ctkVTKAbstractView
ctkVTKRenderView ctkVTKSliceView
qMRMLCheckableNodeComboBox qMRMLCollapsibleButton qMRMLColorTableComboBox qMRMLLayoutManager
qMRMLListWidget qMRMLNodeComboBox qMRMLPlotView qMRMLPlotViewControllerWidget qMRMLPlotWidget
qMRMLRangeWidget qMRMLSegmentSelectorWidget qMRMLSegmentsTableView qMRMLSliceControllerWidget
qMRMLSliceView qMRMLSliceWidget qMRMLSliderWidget qMRMLSpinBox qMRMLSubjectHierarchyComboBox
qMRMLTableView qMRMLTableWidget qMRMLThreeDView qMRMLThreeDViewControllerWidget qMRMLThreeDWidget
qMRMLTransformSliders qMRMLViewControllerBar qMRMLVolumeThresholdWidget qMRMLWidget
qMRMLWindowLevelWidget
qSlicerApplication qSlicerCoreApplication qSlicerCoreIOManager qSlicerIOManager
qMRMLTableViewControllerWidget qSlicerLayoutManager qSlicerLoadableModule qSlicerMainWindow
qSlicerMarkupsPlaceWidget qSlicerModuleFactoryManager qSlicerModuleManager
qSlicerScriptedLoadableModule qSlicerScriptedLoadableModuleWidget
qSlicerModulePanel qSlicerModuleSelectorToolBar qSlicerSimpleMarkupsWidget qSlicerWebWidget
qSlicerWidget
""".split()


def types(arguments: str) -> str:
    """'const QString& text, int n=0' becomes 'QString,int='; the defaults' values do not matter."""
    result = []
    arguments = re.sub(
        r"PythonQt\w+<(?:const )?([\w:*]+|\w+<.*?>) *>", r"\1", arguments
    )  # who owns it afterwards
    for argument in split(arguments):
        name, _, default = argument.partition("=")
        name = re.sub(r"\s+(?=[^<]*>)", "", name)  # the blanks in a template
        words = re.sub(r"\bconst\b|&", " ", name).replace("*", "* ").replace("* >", "*>").split()
        if not words:
            continue
        unsigned = words[0] in ("unsigned", "signed") and len(words) > 1
        kept = " ".join(words[:2]) if unsigned else words[0]
        stars = "" if "*" in kept else "*" * sum(word == "*" for word in words)
        result.append(kept + stars + ("=" if default else ""))
    return ",".join(result)


def from_pythonqt(entry: dict) -> dict:
    """A class of Qt."""

    def callables(group: dict) -> dict:
        return {
            name: sorted({types(form[form.index("(") + 1 : form.rindex(")")]) for form in forms})
            for name, forms in group.items()
            if not name.startswith(("_", "py_")) and name not in ("readFrom", "writeTo")
        }

    return {
        "constructors": [types(form.strip()[1:-1]) for form in entry["constructors"]],
        "methods": callables(entry["methods"]) | by_name(entry["invokables"]),
        "statics": callables(entry["statics"]),
        "virtuals": entry["protected_virtuals"],
        "enums": {name: values for name, values in entry["enums"].items() if name != "enum_1"},
        "designer": True,
    }


def from_slicer(entry: dict) -> dict:
    """A class of Slicer or CTK."""
    constructor = entry["python_constructor"]
    decorators: dict = {}
    for decorator in entry.get("decorators", []):
        own = decorator["decl"].rpartition("(")[2].rpartition(")")[0]
        if decorator["kind"] == "method":  # the object itself is the first argument
            own = own.partition(",")[2]
        decorators.setdefault(decorator["kind"], {}).setdefault(decorator["name"], []).append(
            types(own)
        )
    return {
        "constructors": [types(constructor.strip()[1:-1])] if constructor else [],
        "methods": by_name(entry["invokables"]) | decorators.get("method", {}),
        "statics": decorators.get("static", {}),
        "enums": {
            name: values_of(enum["values"])
            for name, enum in entry["enums"].items()
            if enum["values"]
        },
        "designer": entry["designer_plugin"],
    }


def by_name(signatures: list[str]) -> dict:
    """['f(int)', 'f()'] becomes {'f': ['int', '']}."""
    result: dict = {}
    for signature in signatures:
        name, _, arguments = signature[:-1].partition("(")
        result.setdefault(name, []).append(types(arguments))
    return result


def values_of(pairs: list) -> dict:
    """Numbers of an enum as its header writes them: hexadecimal, counted on, or joined by '|'."""
    known = {"EXIT_SUCCESS": 0, "EXIT_FAILURE": 1}
    following = 0
    for name, text in pairs:
        if text is not None:
            value = 0
            for word in re.split(r"\s*\|\s*", text):
                value |= known[word] if word in known else int(word, 0)
            following = value
        known[name] = following
        following += 1
    return {name: known[name] for name, _ in pairs}


def drop_newer(name: str, entry: dict, since: dict) -> dict:
    """Without the members that OLDEST does not have."""
    newer = {
        member
        for member, release in since.get(name, {}).items()
        if tuple(int(part) for part in release.split(".")[:2]) > OLDEST
    }
    assert "__class__" not in newer, f"{name} is newer than {OLDEST}"
    result = dict(entry)
    for key, kind in (("signals", "signal"), ("slots", "slot"), ("invokables", "invokable")):
        result[key] = [item for item in entry[key] if f"{kind} {item}" not in newer]
    result["properties"] = [
        item for item in entry["properties"] if f"property {item['name']}" not in newer
    ]
    return result


def reduced(entry: dict, specific: dict, module: str) -> dict:
    """The table's entry of one class; empty groups are left out."""
    properties = entry["properties"]
    result = {
        "base": entry["base"],
        "module": module,
        **specific,
        "properties": {p["name"]: p["type"] for p in properties if p["write"]},
        "read_only": {p["name"]: p["type"] for p in properties if not p["write"]},
        "signals": entry["signals"],
        "slots": entry["slots"],
    }
    return {key: value for key, value in result.items() if value or key == "base"}


def text_of(classes: dict) -> str:
    """JSON with one line for a class's group of members: short, and readable in a diff."""
    lines = []
    for name in sorted(classes):
        groups = classes[name]
        inner = ",\n".join(
            f'  "{key}": {json.dumps(groups[key], sort_keys=key != "enums")}' for key in groups
        )
        lines.append(f'"{name}": {{\n{inner}\n}}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(folder: Path) -> None:
    qt = json.loads((folder / "pythonqt_qt_api.json").read_text())
    slicer = json.loads((folder / "slicer_qt_api.json").read_text())
    qt = {name: with_bases(name, entry, qt) for name, entry in qt.items()}
    since = json.loads((folder / "slicer_qt_api_since.json").read_text())["since"]
    tables: dict = {"qt": {}, "slicer": {}}
    for name in sorted(closed(QT, qt)):
        entry = drop_newer(name, qt[name], {})
        tables["qt"][name] = reduced(entry, from_pythonqt(entry), "qt")
    for name in sorted(closed(SLICER, slicer)):
        entry = drop_newer(name, slicer[name], since)
        module = entry["python_module"]
        while entry["base"] and entry["base"] not in (slicer.keys() | tables["qt"].keys()):
            entry["base"] = qt[entry["base"]]["base"]  # a class that scripts do not meet
        tables["slicer"][name] = reduced(entry, from_slicer(entry), module)
    HERE.mkdir(exist_ok=True)
    for name, classes in tables.items():
        (HERE / f"{name}.json").write_text(text_of(classes))


def with_bases(name: str, entry: dict, table: dict) -> dict:
    """With the base class where the table lacks it, and a second base's methods.

    The table has bases of QObjects only (a QMouseEvent is a QInputEvent, too), PySide6 has all.
    """
    result = dict(entry)
    mro = getattr(qt_class(name), "__mro__", ())[1:]
    if not entry["base"]:
        result["base"] = next((c.__name__ for c in mro if c.__name__ in table), None)
    for other in entry.get("other_bases", []):
        result["methods"] = table[other]["methods"] | result["methods"]
    return result


def qt_class(name: str):
    return next((getattr(m, name) for m in (QtCore, QtGui, QtWidgets) if hasattr(m, name)), None)


def closed(names: list[str], table: dict) -> set[str]:
    """The names with all their base classes in the same table."""
    result = set()
    for name in names:
        current: str | None = name
        while current in table:
            result.add(current)
            current = table[current]["base"]
    return result


if __name__ == "__main__":
    main(Path(sys.argv[1]))
