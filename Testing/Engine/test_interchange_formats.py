"""The list of formats: a module each, recognized by the strongest evidence in whatever order."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import dicom_pair
import numpy as np
import pytest
import SimpleITK as sitk
from references import straight_grid, wave_field
from test_interchange_foreign import at
from test_interchange_niftyreg import niftyreg_file, plastimatch_file
from test_transform_kinds import itk_text

from DeepRegistrationLib.cli.parser import build_parser
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.files import foreign_transforms, formats
from DeepRegistrationLib.files.dicom_registration import write_registration
from DeepRegistrationLib.files.dicom_series import read_series
from DeepRegistrationLib.files.foreign_transforms import (
    format_called,
    format_names,
    read_foreign,
    readable_endings,
    recognized,
    written_format,
)
from DeepRegistrationLib.images.endings import FIELD_FILES, READABLE_FIELDS, TRANSFORM_FILES
from DeepRegistrationLib.transforms import Affine, write_transform

GRID = straight_grid((8, 7, 6))
ELASTIX = Path(__file__).parent / "elastix" / "TransformParameters.0.txt"


@pytest.fixture
def files(tmp_path):
    """A file of every kind, also under names that another format uses."""
    niftyreg_file(tmp_path / "cpp.nii", np.zeros((*GRID.shape, 3)), GRID, 1)
    shutil.copy(tmp_path / "cpp.nii", tmp_path / "1Warp.nii")
    control = np.zeros((5, 5, 5, 3))
    plastimatch_file(tmp_path / "spline.txt", GRID, (4, 4, 4), control)
    shutil.copy(tmp_path / "spline.txt", tmp_path / "spline.tfm")
    shutil.copy(ELASTIX, tmp_path / "elastix.txt")
    (tmp_path / "elastix.toml").write_text('Transform = "TranslationTransform"\n')
    (tmp_path / "itk.txt").write_text(itk_text(("TranslationTransform", [], [1, 2, 3])))
    (tmp_path / "matrix.txt").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    write_transform(Affine(), tmp_path / "t.h5")
    write_transform(Affine(), tmp_path / "0GenericAffine.mat")
    write_transform(Affine(), tmp_path / "other.mat")
    write_transform(wave_field(GRID), tmp_path / "1Warp.nii.gz")
    write_transform(wave_field(GRID), tmp_path / "u.nii.gz")
    made = [dicom_pair.series(tmp_path / side, GRID) for side in ("fixed", "moving")]
    pair = [read_series(series.folder) for series in made]
    write_registration(Affine(), tmp_path / "reg.dcm", *pair)
    shutil.copy(tmp_path / "reg.dcm", tmp_path / "no_ending.txt")
    return tmp_path


RECOGNIZED = [
    (["0GenericAffine.mat"], "ants"),
    (["1Warp.nii.gz"], "ants"),
    (["1Warp.nii.gz", "0GenericAffine.mat"], "ants"),
    (["u.nii.gz", "other.mat"], "ants"),
    (["reg.dcm", "no_ending.txt"], "ants"),
    (["reg.dcm"], "dicom"),
    (["no_ending.txt"], "dicom"),
    (["elastix.txt"], "elastix"),
    (["elastix.toml"], "elastix"),
    (["elastix.txt", "elastix.toml"], "elastix"),
    (["t.h5", "elastix.txt"], "elastix"),
    (["itk.txt"], "itk"),
    (["t.h5"], "itk"),
    (["other.mat"], "itk"),
    (["u.nii.gz"], "itk"),
    (["cpp.nii"], "niftyreg"),
    (["1Warp.nii"], "niftyreg"),
    (["spline.txt"], "plastimatch"),
    (["spline.tfm"], "plastimatch"),
]


@pytest.mark.parametrize("turned", [False, True], ids=["listed", "listed in reverse"])
@pytest.mark.parametrize(
    ("names", "expected"), RECOGNIZED, ids=[" ".join(n) for n, _ in RECOGNIZED]
)
def test_a_file_is_recognized_in_whatever_order_formats_are_listed(
    files, names, expected, turned, monkeypatch
):
    listed = format_names()[:: -1 if turned else 1]
    monkeypatch.setattr(foreign_transforms, "format_names", lambda: listed)
    assert recognized([files / name for name in names]) == expected


def test_every_format_is_among_the_recognized():
    assert {expected for _, expected in RECOGNIZED} == set(format_names())


def test_a_text_without_a_sign_of_its_program_is_refused(files):
    with pytest.raises(RegistrationError, match="matrix.txt does not say what wrote it.*--from"):
        recognized([files / "matrix.txt"])


RIVAL = """
from DeepRegistrationLib.files.format import Evidence, Format, Imported


class RivalFormat(Format):
    title = "Rival"
    endings = (".rival", ".txt")

    def evidence(self, files):
        return Evidence.CONTENT if b"Transform" in files[0].read_bytes() else Evidence.NONE

    def read(self, files, grid, source):
        raise NotImplementedError
"""


@pytest.fixture
def rival(tmp_path, monkeypatch):
    """A format in a further folder, as if that were part of the package."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "rival.py").write_text(RIVAL)
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path / "more")])
    format_names.cache_clear()
    yield
    monkeypatch.undo()
    sys.modules.pop(f"{formats.__name__}.rival", None)
    format_names.cache_clear()
    format_called.cache_clear()


def test_a_module_more_is_a_format_more(rival):
    assert "rival" in format_names() and ".rival" in readable_endings()
    assert parsed("t.rival", "t.h5", "--from", "rival").tool == "rival"


def test_a_file_that_two_formats_claim_is_refused_with_both_names(rival, files):
    with pytest.raises(RegistrationError, match=r"elastix.txt may be of elastix or Rival.*--from"):
        recognized([files / "elastix.txt"])
    assert recognized([files / "spline.txt"]) == "plastimatch"


def parsed(*words):
    return build_parser().parse_args(["convert", *words])


def test_the_command_line_offers_what_can_be_read(capsys):
    for name in format_names():
        assert parsed("t", "t.h5", "--from", name).tool == name
    with pytest.raises(SystemExit):
        parsed("t", "t.h5", "--from", "rival")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "of ANTs, DICOM, elastix, ITK, NiftyReg or Plastimatch" in shown
    assert "write it as .h5, .tfm, .nii.gz or .dcm" in shown


def test_unknown_formats_and_endings_are_refused_with_those_that_there_are(files):
    with pytest.raises(RegistrationError, match="rival is not known; choose one of ants, dicom"):
        read_foreign([files / "t.h5"], "rival")
    with pytest.raises(RegistrationError, match=r"as \.h5, \.tfm, \.nii\.gz or \.dcm; choose one"):
        written_format(Path("t.png"))


@pytest.mark.parametrize("name", format_names())
def test_the_endings_that_are_written_are_among_those_that_are_read(name):
    each = format_called(name)
    assert each.title and each.endings
    assert set(each.suggested) <= set(each.written) <= set(each.endings)
    for ending in each.written:
        assert written_format(Path(f"t{ending.upper()}")) is each


@pytest.mark.parametrize("ending", [*READABLE_FIELDS, *TRANSFORM_FILES])
def test_what_itk_writes_under_an_offered_ending_is_read(ending, tmp_path):
    assert ending in readable_endings()
    path = tmp_path / f"t{ending}"
    if ending in READABLE_FIELDS:
        vectors = np.full((4, 4, 4, 3), 2.0, np.float32)
        sitk.WriteImage(sitk.GetImageFromArray(vectors, isVector=True), str(path))
    else:
        sitk.WriteTransform(sitk.TranslationTransform(3, (2.0, 2.0, 2.0)), str(path))
    read = read_foreign([path]).transform
    np.testing.assert_allclose(at(read, np.ones((1, 3))), 3.0, atol=1e-6)


def test_fields_are_written_under_every_ending_that_says_so(tmp_path):
    for ending in FIELD_FILES:
        written_format(Path(f"u{ending}")).write(wave_field(GRID), tmp_path / f"u{ending}")
        assert recognized([tmp_path / f"u{ending}"]) == "itk"


def test_formats_are_listed_without_loading_what_reads_them():
    code = (
        "from DeepRegistrationLib.files.foreign_transforms import readable_endings\n"
        "import sys; readable_endings()\n"
        "print([m for m in ('torch', 'SimpleITK', 'pydicom', 'scipy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
