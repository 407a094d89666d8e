"""What a module imports anew is put back, so that the next session meets the first."""

from __future__ import annotations

import sys

import pytest
from SlicerHost.host import Host
from tiny_module import write_tiny_module


def write_tiny_library(folder):
    """A package of one module, for a module's imports; its folder."""
    library = folder / "library" / "tinylib"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("")
    (library / "part.py").write_text("class Part: pass\n")
    return library


def test_what_a_module_reloads_is_put_back(tmp_path):
    """A library that the module imports anew must not meet its old self in the next test."""
    library = write_tiny_library(tmp_path)
    (tmp_path / "helper.py").write_text("from tinylib.part import Part\n")
    path = write_tiny_module(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(library.parent))
        import tinylib.part

        with Host() as host:
            host.load_module(path)
            for name in ("tinylib", "tinylib.part"):
                del sys.modules[name]
            import helper

            assert helper.Part is not tinylib.part.Part
        assert sys.modules["tinylib.part"] is tinylib.part
        assert "helper" not in sys.modules
    for name in ("tinylib", "tinylib.part"):
        del sys.modules[name]


def test_a_part_that_was_not_there_before_is_imported_anew_after_a_reload(tmp_path):
    library = write_tiny_library(tmp_path)
    path = write_tiny_module(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(library.parent))
        import tinylib as first

        with Host() as host:
            host.load_module(path)
            import tinylib.part

            for name in ("tinylib", "tinylib.part"):
                del sys.modules[name]
        assert sys.modules["tinylib"] is first and "tinylib.part" not in sys.modules
        from tinylib import part
        from tinylib.part import Part

        assert part.Part is Part
    for name in ("tinylib", "tinylib.part"):
        del sys.modules[name]
