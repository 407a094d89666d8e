"""Labels keep their numbers, names, colors and layers, and are compared where they lie."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from dicom_made import ORIGIN, STORED, write_series
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation as DicomSegmentation
from highdicom.seg import SegmentationTypeValues, SegmentDescription
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.sr.codedict import codes
from references import PROPERTY

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import from_sitk, read_image
from DeepRegistrationLib.images.label_files import read_labels
from DeepRegistrationLib.transforms import Affine, DisplacementField, warp_labels

GRID = Grid((16, 18, 14), (2, 2, 2))
INTEGERS = [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def write(path, array, origin=(0.0, 0.0, 0.0), vector=False, **entries):
    image = sitk.GetImageFromArray(array, isVector=vector)
    image.SetSpacing((2, 2, 2))
    image.SetOrigin(origin)
    for key, value in entries.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def identity(tmp_path):
    path = tmp_path / "t.tfm"
    sitk.WriteTransform(sitk.AffineTransform(3), str(path))
    return path


def run(*arguments):
    return main([str(a) for a in arguments])


@PROPERTY
@given(kind=st.sampled_from(INTEGERS), numbers=st.data(), nonlinear=st.booleans())
def test_whole_numbers_of_any_size_survive_a_warp(kind, numbers, nonlinear):
    largest = min(np.iinfo(kind).max, 2**63 - 1)
    some = numbers.draw(st.lists(st.integers(1, largest), min_size=2, max_size=4, unique=True))
    array = np.zeros(GRID.shape, kind)
    for k, number in enumerate(some):
        array[2 + 3 * k : 5 + 3 * k, 4:10, 5:11] = number
    image = sitk.GetImageFromArray(array)
    labels = from_sitk(image)
    vectors = torch.zeros(3, *GRID.shape)
    transform = DisplacementField(vectors, labels.grid) if nonlinear else Affine()
    for warped in (
        warp_labels(labels, transform, labels.grid).data,
        labels.resampled(labels.grid, interpolation="nearest").data,
    ):
        assert not warped.is_floating_point()
        np.testing.assert_array_equal(warped.numpy().astype(kind), array)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_apply_keeps_labels_above_two_to_the_24th(tmp_path, identity, suffix):
    array = np.zeros(GRID.shape, np.int64)
    array[3:9, 4:10, 5:11] = 576073732
    array[5:7, 5:7, 6:8] = 2**53 + 1
    path, out = write(tmp_path / f"l{suffix}", array), tmp_path / f"o{suffix}"
    assert run("apply", identity, path, "--labels", "--reference", path, "-o", out) == 0
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(out))), array)


def test_numbers_beyond_63_bits_are_refused(tmp_path):
    path = write(tmp_path / "l.nrrd", np.full((3, 3, 3), 2**63, np.uint64))
    with pytest.raises(RegistrationError, match=r"2\^63"):
        read_image(path)


def segmentation(path, origin=(0.0, 0.0, 0.0), names=("Left lung", "Tumor")):
    """As Slicer writes it: a tumor inside the lung, in a layer of its own."""
    array = np.zeros((*GRID.shape, 2), np.uint8)
    array[3:11, 4:14, 3:13, 0] = 1
    array[5:8, 6:9, 5:8, 1] = 1
    entries = {"Segmentation_MasterRepresentation": "Binary labelmap"}
    for k, name in enumerate(names):
        entries |= {
            f"Segment{k}_ID": f"S{k}",
            f"Segment{k}_Name": name,
            f"Segment{k}_Color": f"0.{k + 1} 0.2 0.1",
            f"Segment{k}_LabelValue": "1",
            f"Segment{k}_Layer": str(k),
            f"Segment{k}_Tags": "TerminologyEntry:Segmentation~SCT^123037004^Anatomical|",
        }
    return write(path, array, origin, True, **entries)


def test_segments_keep_names_colors_and_layers(tmp_path, identity, capsys):
    path, out = segmentation(tmp_path / "s.seg.nrrd"), tmp_path / "o.seg.nrrd"
    assert run("apply", identity, path, "--labels", "--reference", path, "-o", out) == 0
    before, after = (sitk.ReadImage(str(p)) for p in (path, out))
    np.testing.assert_array_equal(*(sitk.GetArrayFromImage(i) for i in (before, after)))
    for key in before.GetMetaDataKeys():
        if key.startswith("Segment"):
            assert after.GetMetaData(key) == before.GetMetaData(key)
    assert run("apply", identity, path, "--reference", path, "-o", out) == 2
    assert "add --labels" in capsys.readouterr().err
    flat = tmp_path / "o.nii.gz"
    assert run("apply", identity, path, "--labels", "--reference", path, "-o", flat) == 2
    assert "overlap" in capsys.readouterr().err and not flat.exists()


def test_names_that_a_format_cannot_keep_are_told(tmp_path, identity, capsys):
    path = write(tmp_path / "s.seg.nrrd", np.ones((4, 4, 4), np.uint8), Segment0_Name="Liver")
    out = tmp_path / "o.nii.gz"
    assert run("apply", identity, path, "--labels", "--reference", path, "-o", out) == 0
    assert "stores no segment names" in capsys.readouterr().out


def test_overlapping_segments_are_compared_by_name(tmp_path, identity, capsys):
    fixed = segmentation(tmp_path / "f.seg.nrrd")
    moving = segmentation(tmp_path / "m.seg.nrrd", names=("Tumor", "Left lung"))
    assert run("evaluate", identity, "--fixed-labels", fixed, "--moving-labels", fixed) == 0
    same = json.loads(capsys.readouterr().out)["overlap"]
    assert {name: v["after"]["dice"] for name, v in same.items()} == {"Left lung": 1, "Tumor": 1}
    assert run("evaluate", identity, "--fixed-labels", fixed, "--moving-labels", moving) == 0
    swapped = json.loads(capsys.readouterr().out)["overlap"]
    dice = 2 * 27 / (27 + 800)  # the tumor of one is the lung of the other
    assert swapped["Tumor"]["after"]["dice"] == pytest.approx(dice)
    assert swapped["Left lung"]["after"]["dice"] == pytest.approx(dice)


@pytest.mark.parametrize("cropped", ["fixed", "moving"])
@pytest.mark.parametrize("images", [False, True])
def test_cropped_label_maps_are_compared_where_they_are(
    tmp_path, cropped, images, identity, capsys
):
    whole = np.zeros((40, 40, 40), np.uint8)
    whole[5:25, 5:25, 5:25] = 1
    large = write(tmp_path / "large.nii.gz", whole)
    small = write(tmp_path / "small.nii.gz", np.ones((10, 10, 10), np.uint8), (20.0, 20, 20))
    sides = {"fixed": small, "moving": large} if cropped == "fixed" else {"fixed": large}
    sides.setdefault("moving", small)
    given = [x for side, path in sides.items() for x in (f"--{side}-labels", path)]
    if images:
        noise = np.random.default_rng(0).integers(0, 500, whole.shape).astype(np.int16)
        image = write(tmp_path / "image.nrrd", noise)
        given += ["--fixed", image, "--moving", image]
    assert run("evaluate", identity, *given) == 0
    overlap = json.loads(capsys.readouterr().out)["overlap"]["1"]
    assert overlap["before"]["dice"] == overlap["after"]["dice"] == pytest.approx(2 / 9)


def test_what_was_not_imaged_counts_for_neither_side(tmp_path, identity, capsys):
    whole = np.zeros((40, 40, 40), np.uint8)
    whole[5:35, 5:35, 5:35] = 1
    noise = np.random.default_rng(0).integers(0, 500, (40, 40, 40)).astype(np.int16)
    moving = write(tmp_path / "m.nrrd", whole)
    fixed = write(tmp_path / "f.nrrd", whole[:20])
    images = write(tmp_path / "fi.nrrd", noise[:20]), write(tmp_path / "mi.nrrd", noise)
    given = ["--fixed", images[0], "--moving", images[1], "--fixed-labels", fixed]
    assert run("evaluate", identity, *given, "--moving-labels", moving) == 0
    assert json.loads(capsys.readouterr().out)["overlap"]["1"]["after"]["dice"] == 1


def dicom_segmentation(folder, masks, kind="BINARY"):
    """A DICOM segmentation of a series, made by highdicom; empty frames are left out."""
    write_series(folder, 3.0 * np.arange(12))
    sources = sorted((dcmread(p) for p in folder.iterdir()), key=lambda d: d.InstanceNumber)
    for source in sources:
        for keyword in ("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
            setattr(source, keyword, "")
        source.StudyDate = source.StudyTime = None
    how = AlgorithmIdentificationSequence("test", codes.DCM.ArtificialIntelligence, "1")
    described = [
        SegmentDescription(
            k + 1, f"part {k + 1}", codes.SCT.Organ, codes.SCT.Lung, "AUTOMATIC", how
        )
        for k in range(masks.shape[-1])
    ]
    made = DicomSegmentation(
        sources, masks, SegmentationTypeValues(kind), described, "1.2.3.77", 1, "1.2.3.78", 1,
        "none", "none", "1", "1",
    )  # fmt: skip
    path = folder.parent / "seg.dcm"
    made.save_as(path)
    return path


def test_a_dicom_segmentation_is_a_label_map(tmp_path):
    masks = np.zeros((12, 10, 8, 2), np.uint8)
    masks[2:5, 3:7, 2:5, 0] = 1
    masks[7:9, 1:4, 2:8, 1] = 1
    path = dicom_segmentation(tmp_path / "ct", masks)
    image = read_image(path)
    index = np.argwhere(image.data.numpy() == 2)[:, ::-1]
    found = image.grid.to_physical(index).mean(axis=0)
    z, y, x = np.argwhere(masks[..., 1]).mean(axis=0)
    np.testing.assert_allclose(found, ORIGIN + [1.5 * x, 1.25 * y, 3 * z], atol=1e-3)
    assert int((image.data == 1).sum()) == masks[..., 0].sum()
    labels = read_labels(path)
    assert [s.name for s in labels.segments] == ["part 1", "part 2"]
    assert labels.source == read_image(tmp_path / "ct").source  # the series that it was drawn on
    assert labels.source.series and labels.source.frames


def test_overlapping_segments_of_dicom_stay_apart(tmp_path):
    masks = np.zeros((12, 10, 8, 2), np.uint8)
    masks[2:8, 3:7, 2:6, 0] = 1
    masks[4:6, 4:6, 3:5, 1] = 1
    path = dicom_segmentation(tmp_path / "ct", masks)
    labels = read_labels(path)
    assert [int((layer.data != 0).sum()) for layer in labels.layers] == [96, 8]
    with pytest.raises(RegistrationError, match="overlapping segments"):
        read_image(path)


def test_probabilities_are_no_labels(tmp_path):
    masks = np.zeros((12, 10, 8, 1), np.float32)
    masks[2:8, 3:7, 2:6] = 0.5
    path = dicom_segmentation(tmp_path / "ct", masks, "FRACTIONAL")
    with pytest.raises(RegistrationError, match="probabilities"):
        read_image(path)


def test_fractions_are_no_labels(tmp_path):
    path = write(tmp_path / "l.nrrd", STORED[:4].astype(np.float32) / 3)
    with pytest.raises(RegistrationError, match="whole numbers"):
        read_labels(path)


def test_a_ct_is_no_label_map(tmp_path):
    path = write(tmp_path / "ct.nrrd", STORED[:4].astype(np.int16) - 2000)
    with pytest.raises(RegistrationError, match="negative numbers; give a label map"):
        read_labels(path)
