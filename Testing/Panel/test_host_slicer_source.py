"""Where Slicer's own Python layer is found, and that the tests say which layer they run on."""

from __future__ import annotations

import pytest
from SlicerHost import slicer_source

PLACES = ("Base/Python/slicer", "bin/Python/slicer", "Contents/bin/Python/slicer")


@pytest.mark.parametrize("place", PLACES)
def test_a_checkout_and_an_installation_are_both_found(tmp_path, monkeypatch, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "ScriptedLoadableModule.py").touch()
    monkeypatch.setenv("SLICER_SOURCE", str(tmp_path))
    assert slicer_source.folder() == tmp_path / place


def test_a_folder_without_slicer_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SLICER_SOURCE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        slicer_source.folder()


def test_without_the_variable_the_stand_in_has_its_own_layer(monkeypatch):
    monkeypatch.delenv("SLICER_SOURCE", raising=False)
    assert slicer_source.folder() is None


@pytest.mark.skipif(slicer_source.folder() is None, reason="SLICER_SOURCE names no Slicer")
def test_the_layer_comes_from_the_folder(slicer_host):
    import slicer.parameterNodeWrapper
    import slicer.ScriptedLoadableModule

    package = str(slicer_source.folder())
    for module in (slicer.util, slicer.ScriptedLoadableModule, slicer.parameterNodeWrapper):
        assert module.__file__.startswith(package)
