"""SampleData: Slicer's list of sample data sets. Nothing is downloaded here."""
# ruff: noqa: N802, N803, N806 - Slicer's names

from __future__ import annotations

import types
from collections.abc import Sequence
from pathlib import Path

import slicer


class SampleDataSource:
    """One data set; every file has a URL, a name, a node's name, and a checksum or None."""

    def __init__(
        self,
        sampleName=None,
        sampleDescription=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        checksums=None,
        loadFiles=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFileProperties=None,
    ) -> None:
        if isinstance(uris, str):
            uris, fileNames, nodeNames = [uris], [fileNames], [nodeNames]
            loadFiles, loadFileTypes, checksums = [loadFiles], [loadFileTypes], [checksums]
        count = len(uris)  # Slicer fails without URLs; a custom downloader may have an empty list
        if isinstance(loadFileTypes, str) or loadFileTypes is None:
            loadFileTypes = [loadFileTypes] * count
        columns = {
            "uris": uris,
            "fileNames": fileNames,
            "nodeNames": nodeNames or [None] * count,
            "checksums": checksums or [None] * count,
            "loadFiles": loadFiles or [None] * count,
            "loadFileTypes": loadFileTypes,
        }
        for name, column in columns.items():
            if isinstance(column, str) or not isinstance(column, Sequence) or len(column) != count:
                raise ValueError(f"{name}: {column!r} has not {count} entries")
            setattr(self, name, column)
        for uri, checksum in zip(self.uris, self.checksums, strict=True):
            if not uri.startswith("https://") or not (checksum or "").startswith("SHA256:"):
                raise ValueError(f"{uri} with {checksum}: use https and SHA-256")
        if thumbnailFileName is not None and not Path(thumbnailFileName).is_file():
            raise ValueError(f"there is no thumbnail {thumbnailFileName}")
        self.sampleName = sampleName
        self.sampleDescription = sampleDescription or sampleName
        self.customDownloader = customDownloader
        self.thumbnailFileName = thumbnailFileName
        self.loadFileProperties = loadFileProperties or {}


class SampleDataLogic:
    """Where modules list their samples."""

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties=None,
        checksums=None,
    ) -> None:
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes,
            loadFiles=loadFiles,
            loadFileProperties=loadFileProperties,
            checksums=checksums,
            customDownloader=customDownloader,
        )
        slicer.modules.sampleDataSources.setdefault(category, []).append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category=None):
        sources = slicer.modules.sampleDataSources
        return sources if category is None else sources.get(category, [])

    def sourceForSampleName(self, sampleName):
        """The data set of this name, or None."""
        for sources in slicer.modules.sampleDataSources.values():
            for source in sources:
                if source.sampleName == sampleName:
                    return source
        return None


def make_sample_data_module() -> types.ModuleType:
    """The module ``SampleData``, with no data set listed."""
    module = types.ModuleType("SampleData")
    module.SampleDataLogic, module.SampleDataSource = SampleDataLogic, SampleDataSource
    return module
