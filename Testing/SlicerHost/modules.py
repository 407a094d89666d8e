"""slicer.modules: the modules that Slicer brings, by their logics, and scripted modules by file."""
# ruff: noqa: N802, N815 - Slicer's names

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import slicer
from PySide6 import QtCore, QtWidgets

from .arguments import wrap
from .semantics import implements

_LOGICS = {
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Data": "vtkSlicerDataModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Reformat": "vtkSlicerReformatLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Units": "vtkSlicerUnitsLogic",
    "ViewControllers": "vtkSlicerViewControllersLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Volumes": "vtkSlicerVolumesLogic",
}


@implements("qSlicerLoadableModule")
class LoadableModule(QtCore.QObject):
    """One of Slicer's own modules: only its logic is here."""

    def __init__(self, name: str, logic) -> None:
        super().__init__()
        self._name, self._logic = name, logic

    @property
    def name(self) -> str:
        return self._name

    title = name

    def logic(self):
        return self._logic


@implements("qSlicerScriptedLoadableModule")
class ScriptedModule(QtCore.QObject):
    """A module made from a Python file; what the module class gets as ``parent``."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = Path(path)
        self._widget = None
        self._values: dict = {"hidden": False, "associatedNodeTypes": [], "index": -1}

    @property
    def path(self) -> str:
        return str(self._path)

    @property
    def name(self) -> str:
        return self._path.stem

    def widgetRepresentation(self):
        """The module's panel; made when it is first asked for."""
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self):
        return ScriptedModuleWidget(self.name)


def _stored(name: str) -> property:
    def read(module):
        return module._values[name]

    def write(module, value) -> None:
        module._values[name] = value

    return property(read, write)


for _name in (
    "title categories contributors associatedNodeTypes helpText acknowledgementText "
    "icon hidden dependencies index"
).split():
    setattr(ScriptedModule, _name, _stored(_name))


@implements("qSlicerScriptedLoadableModuleWidget")
class ScriptedModuleWidget(QtWidgets.QWidget):
    """The widget that a module's panel fills; ``widget.parent`` in the module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name, self._entered, self._python = name, False, None
        self.setLayout(QtWidgets.QVBoxLayout())
        self.reload()

    @property
    def moduleName(self) -> str:
        return self._name

    @property
    def isEntered(self) -> bool:
        return self._entered

    def reload(self) -> None:
        """Make the panel anew from the class that is in the file now."""
        kind = getattr(sys.modules[self._name], self._name + "Widget")
        self._python = kind(wrap(self))
        setattr(slicer.modules, self._name + "Widget", self._python)
        self._python.setup()

    def self(self):
        return self._python

    def enter(self) -> None:
        self._entered = True
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self) -> None:
        self._entered = False
        if hasattr(self._python, "exit"):
            self._python.exit()


@implements("qSlicerModuleManager")
class ModuleManager(QtCore.QObject):
    """slicer.app.moduleManager(): the modules by name."""

    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict = {}
        self._folders: list[Path] = []

    def module(self, name: str):
        return self._modules.get(name)

    def modulesNames(self) -> tuple:
        return tuple(self._modules)

    def factoryManager(self):
        return FactoryManager(self._modules)

    def add_logics(self, application_logic) -> None:
        """Slicer's own modules; logics that the application has already are kept."""
        for name, class_name in _LOGICS.items():
            logic = application_logic.GetModuleLogic(name)
            if logic is None:
                logic = getattr(slicer, class_name)()
                logic.SetMRMLApplicationLogic(application_logic)
                logic.SetMRMLScene(application_logic.GetMRMLScene())
                application_logic.SetModuleLogic(name, logic)
            self._add(name, LoadableModule(name, logic))

    def _add(self, name: str, module) -> None:
        self._modules[name] = module
        setattr(slicer.modules, name.lower(), wrap(module))
        self.moduleLoaded.emit(name)

    def load(self, path: Path):
        """Import a scripted module's file as Slicer does; return the module object."""
        path = Path(path).resolve()
        name = path.stem
        self._folders.append(path.parent)
        sys.path.append(str(path.parent))
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
        module = ScriptedModule(path)
        instance = getattr(sys.modules[name], name)(wrap(module))
        setattr(slicer.modules, name + "Instance", instance)
        self._add(name, module)
        return module

    def folders(self) -> list[Path]:
        """Where scripted modules were loaded from."""
        return self._folders

    def unload(self) -> None:
        """Leave and clean up the scripted modules."""
        for name, module in list(self._modules.items()):
            if isinstance(module, ScriptedModule):
                if module._widget is not None and module._widget.isEntered:
                    module._widget.exit()
                self.moduleAboutToBeUnloaded.emit(name)


@implements("qSlicerModuleFactoryManager")
class FactoryManager(QtCore.QObject):
    """What knows the loaded modules."""

    def __init__(self, modules: dict) -> None:
        super().__init__()
        self._modules = modules

    def loadedModuleNames(self) -> tuple:
        return tuple(self._modules)

    def isLoaded(self, name: str) -> bool:
        return name in self._modules

    def loadedModule(self, name: str):
        return self._modules.get(name)


def make_modules_module() -> types.ModuleType:
    """The module ``slicer.modules``, empty."""
    return types.ModuleType("slicer.modules")
