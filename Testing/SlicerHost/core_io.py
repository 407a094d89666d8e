"""slicer.app.coreIOManager(): what slicer.util.loadScene, saveNode and the like use."""
# ruff: noqa: N802, N803 - Slicer's names

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore

from .semantics import implements

_TYPES = {
    ".mrml": "SceneFile",
    ".mrb": "SceneFile",
    ".nrrd": "VolumeFile",
    ".nii": "VolumeFile",
    ".nii.gz": "VolumeFile",
    ".mha": "VolumeFile",
    ".seg.nrrd": "SegmentationFile",
    ".h5": "TransformFile",
    ".tfm": "TransformFile",
    ".mrk.json": "MarkupsFile",
    ".fcsv": "MarkupsFile",
}


@implements("qSlicerIOManager")
class CoreIOManager(QtCore.QObject):
    """Reads and writes files through MRML's own storage."""

    def __init__(self, scene, logic) -> None:
        super().__init__()
        self._scene, self._logic = scene, logic

    def fileType(self, path: str) -> str:
        name = Path(path).name.lower()
        for suffix in sorted(_TYPES, key=len, reverse=True):
            if name.endswith(suffix):
                return _TYPES[suffix]
        raise NotImplementedError(f"This host does not read files like {name}")

    def loadNodes(self, filetype: str, properties: dict, loaded=None, messages=None) -> bool:
        path = str(properties["fileName"])
        if filetype == "SceneFile":
            return self.loadScene(path, properties.get("clear", True))
        node = self._read(filetype, path, properties)
        if node is None:
            return False
        if "name" in properties:
            node.SetName(properties["name"])
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def _read(self, filetype: str, path: str, properties: dict):
        name = properties.get("name", Path(path).name.split(".")[0])
        if filetype == "VolumeFile":
            label = int(properties.get("labelmap", False))
            return self._logic.GetModuleLogic("Volumes").AddArchetypeVolume(path, name, label)
        if filetype == "TransformFile":
            return self._logic.GetModuleLogic("Transforms").AddTransform(path, self._scene)
        if filetype == "MarkupsFile":
            ids = self._logic.GetModuleLogic("Markups").LoadMarkups(path, name)
            return self._scene.GetNodeByID(ids.split(",")[0]) if ids else None
        if filetype == "SegmentationFile":
            logic = self._logic.GetModuleLogic("Segmentations")
            return logic.LoadSegmentationFromFile(path, True, name)
        raise NotImplementedError(f"This host does not read files of type {filetype}")

    def loadScene(self, path: str, clear: bool = True, messages=None) -> bool:
        if path.endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(path, clear))
        self._scene.SetURL(path)
        return bool(self._scene.Connect() if clear else self._scene.Import())

    def saveNodes(self, filetype: str, properties: dict, messages=None, scene=None) -> bool:
        path = str(properties["fileName"])
        if filetype == "SceneFile":
            if path.endswith(".mrb"):
                return bool(self._scene.WriteToMRB(path))
            self._scene.SetURL(path)
            return bool(self._scene.Commit(path))
        node = self._scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        return bool(storage.WriteData(node))

    def fileWriterFileType(self, node, path: str = "") -> str:
        return self.fileType(path)
