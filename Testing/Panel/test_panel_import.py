"""Transforms of other programs, imported from their files with the mouse."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from foreign_transforms import (
    MATRIX,
    SHIFT,
    affine,
    as_itk,
    by_itk,
    by_node,
    deformable_registration,
    fixed_image,
    inner_points,
    spatial_registration,
    wave_field,
)
from pairs import add_pair, phantom
from SlicerHost.hands import click

from DeepRegistrationLib.evaluation.driving_record import Drove
from DeepRegistrationLib.evaluation.landmark_pairs import LandmarkPairs
from DeepRegistrationLib.files.foreign_transforms import format_called, format_names
from DeepRegistrationLib.scene.landmarks.driving import drivers_of, segments_that_drove
from DeepRegistrationLib.scene.nodes.transforms import transform_node_from
from DeepRegistrationLib.scene.runs.results import result_above
from DeepRegistrationLib.transforms import Affine, write_transform

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "Testing" / "Engine" / "elastix"  # files and points of elastix and transformix


@pytest.fixture
def results(slicer_host, panel):
    from DeepRegistrationPanel.results import ResultsSection

    found = panel.section(ResultsSection)
    found.ui.resultsButton.collapsed = False
    slicer_host.process_events(0.05)
    return found


@pytest.fixture
def read(slicer_host, run, results):
    """Press Import, choose these files, and wait; what is said then."""

    def read(*files) -> str:
        slicer_host.dialogs.expect("", tuple(str(file) for file in files))
        click(results.ui.importButton)
        slicer_host.process_events(until=lambda: not run.running)
        return run.ui.statusText.text

    return read


def state_of_scene() -> dict:
    """The nodes, and what each lies under."""
    nodes = [slicer.mrmlScene.GetNthNode(k) for k in range(slicer.mrmlScene.GetNumberOfNodes())]
    return {
        node.GetID(): node.GetTransformNodeID() if node.IsA("vtkMRMLTransformableNode") else None
        for node in nodes
    }


def test_an_imported_affine_is_chosen_placed_on_a_click_and_undone_on_another(
    panel, results, read, tmp_path
):
    fixed, moving = add_pair(panel.parameters)
    sitk.WriteTransform(affine(), str(tmp_path / "by_itk.tfm"))
    before = state_of_scene()
    said = read(tmp_path / "by_itk.tfm")
    node = panel.parameters.transform
    assert node.GetName() == "by_itk" and node.IsA("vtkMRMLLinearTransformNode")
    assert "Imported by_itk. ITK stores fixed to moving points" in said
    assert "ITK stores fixed to moving points" in results.ui.transformText.text
    assert node.GetNodeReference(node.GetFixedNodeReferenceRole()) is fixed
    assert node.GetNodeReference(node.GetMovingNodeReferenceRole()) is moving
    points = inner_points()
    np.testing.assert_allclose(by_node(node, points), by_itk(affine(), points), atol=1e-6)
    assert moving.GetParentTransformNode() is None
    click(results.ui.placeButton)
    assert moving.GetParentTransformNode() is node and not results.ui.placeButton.enabled
    assert result_above(fixed, moving) is node  # a registration starts from the scan as it was
    click(results.ui.undoImportButton)
    assert state_of_scene() == before and panel.parameters.transform is None
    assert not results.ui.undoImportButton.enabled and not results.ui.placeButton.enabled


def test_a_field_maps_as_in_itk(panel, read, tmp_path):
    add_pair(panel.parameters)
    transform = sitk.DisplacementFieldTransform(sitk.Cast(wave_field(), sitk.sitkVectorFloat64))
    sitk.WriteTransform(transform, str(tmp_path / "field.h5"))
    said = read(tmp_path / "field.h5")
    node, points = panel.parameters.transform, inner_points()
    assert node.IsA("vtkMRMLGridTransformNode") and "covers" not in said
    np.testing.assert_allclose(by_node(node, points), by_itk(transform, points), atol=1e-3)


def test_an_elastix_chain_maps_as_its_own_transformix(panel, read):
    said = read(RECORDED / "TransformParameters.1.txt")  # before any volume was chosen
    assert "Elastix stores fixed to moving points" in said
    table = np.loadtxt(RECORDED / "points.csv", delimiter=",", skiprows=1)
    moved = by_node(panel.parameters.transform, table[:, :3])
    np.testing.assert_allclose(moved, table[:, 3:], atol=1e-3)


def test_ants_files_are_a_chain_in_whatever_order_they_are_chosen(panel, read, tmp_path):
    add_pair(panel.parameters)
    sitk.WriteTransform(affine(), str(tmp_path / "out0GenericAffine.mat"))
    warp = sitk.Cast(wave_field(), sitk.sitkVectorFloat32)
    sitk.WriteImage(warp, str(tmp_path / "out1Warp.nii.gz"))
    said = read(tmp_path / "out0GenericAffine.mat", tmp_path / "out1Warp.nii.gz")
    assert "the warp before the affine" in said
    points = inner_points()
    field = sitk.DisplacementFieldTransform(wave_field())
    expected = by_itk(affine(), by_itk(field, points))
    np.testing.assert_allclose(by_node(panel.parameters.transform, points), expected, atol=1e-3)
    assert "this is the warp alone" in read(tmp_path / "out1Warp.nii.gz")


def test_an_inverse_warp_is_said_to_be_of_the_exchanged_pair(panel, read, tmp_path):
    fixed, moving = add_pair(panel.parameters)
    warp = sitk.Cast(wave_field(), sitk.sitkVectorFloat32)
    sitk.WriteImage(warp, str(tmp_path / "out1InverseWarp.nii.gz"))
    said = read(tmp_path / "out1InverseWarp.nii.gz")
    assert "maps moving to fixed points" in said and "Swap the fixed and the moving" in said
    node = panel.parameters.transform
    assert node.GetNodeReference(node.GetFixedNodeReferenceRole()) is moving


def test_dicom_registrations_are_read_in_the_direction_of_the_standard(panel, read, tmp_path):
    add_pair(panel.parameters)
    fixed_from_moving = np.eye(4)
    fixed_from_moving[:3, :3] = np.linalg.inv(MATRIX)
    fixed_from_moving[:3, 3] = -np.linalg.inv(MATRIX) @ SHIFT
    said = read(spatial_registration(tmp_path / "spatial.dcm", fixed_from_moving))
    assert "source to registered points: inverted" in said
    points = inner_points()
    moved = by_node(panel.parameters.transform, points)
    np.testing.assert_allclose(moved, by_itk(affine(), points), atol=1e-5)
    said = read(deformable_registration(tmp_path / "deformable.dcm"))
    assert "registered to source points: unchanged" in said
    moved = by_node(panel.parameters.transform, points)
    expected = by_itk(sitk.DisplacementFieldTransform(wave_field()), points)
    np.testing.assert_allclose(moved, expected, atol=1e-3)


def test_a_damaged_file_is_one_sentence_and_changes_nothing(panel, results, read, tmp_path):
    add_pair(panel.parameters)
    transform = sitk.DisplacementFieldTransform(wave_field())
    sitk.WriteTransform(transform, str(tmp_path / "cut.h5"))
    whole = (tmp_path / "cut.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "notes.txt").write_text("not a transform\n")
    cut = (RECORDED / "TransformParameters.1.txt").read_text()
    (tmp_path / "TransformParameters.1.txt").write_text(cut[: len(cut) // 2])
    shutil.copy(RECORDED / "TransformParameters.0.txt", tmp_path)
    before = state_of_scene()
    for name in ("cut.h5", "notes.txt", "TransformParameters.1.txt", "gone.tfm"):
        said = read(tmp_path / name)
        assert name in said and "\n" not in said and "Traceback" not in said, said
        assert state_of_scene() == before and panel.parameters.transform is None
        assert not results.ui.undoImportButton.enabled
    said = read(tmp_path / "TransformParameters.0.txt", tmp_path / "TransformParameters.1.txt")
    assert "give the last file" in said and state_of_scene() == before


def test_a_spline_needs_the_fixed_volume_and_maps_as_in_itk_with_it(panel, read, tmp_path):
    spline = sitk.BSplineTransformInitializer(fixed_image(), [4, 4, 4])
    random = np.random.default_rng(0)
    spline.SetParameters(random.uniform(-8, 8, len(spline.GetParameters())).tolist())
    sitk.WriteTransform(spline, str(tmp_path / "spline.tfm"))
    assert "give the fixed image" in read(tmp_path / "spline.tfm")
    assert panel.parameters.transform is None
    add_pair(panel.parameters)
    read(tmp_path / "spline.tfm")
    points = inner_points()
    moved = by_node(panel.parameters.transform, points)
    np.testing.assert_allclose(moved, by_itk(spline, points), atol=1e-3)


def test_the_dialog_offers_the_files_of_every_format(results, monkeypatch):
    from DeepRegistrationPanel import imports

    asked = []
    monkeypatch.setattr(imports, "askForFiles", lambda title, kinds: asked.append(kinds) or ())
    click(results.ui.importButton)
    offered = re.findall(r"\*(\.[\w.]+)", asked[0].split(";;")[0])
    assert set(offered) == {e for name in format_names() for e in format_called(name).endings}
    assert {".h5", ".toml", ".mat", ".nii.gz", ".nhdr", ".mha", ".dcm"} < set(offered)
    shown = results.ui.importButton.toolTip
    assert [t for t in (format_called(n).title for n in format_names()) if t not in shown] == []


def test_no_file_chosen_starts_nothing(slicer_host, panel, results, run):
    slicer_host.dialogs.expect("", ())
    click(results.ui.importButton)
    assert run.run is None


def test_maps_and_quality_of_an_imported_transform(
    slicer_host, panel, results, run, read, tmp_path
):
    _, moving = add_pair(panel.parameters)
    sitk.WriteTransform(affine(), str(tmp_path / "affine.tfm"))
    read(tmp_path / "affine.tfm")
    # The moving volume lies under another registration of the pair: that must not count.
    other = transform_node_from(Affine(np.eye(3), (30.0, 0, 0)), slicer.mrmlScene, "other")
    other.SetAttribute("DeepRegistration.Method", "optimize")
    moving.SetAndObserveTransformNodeID(other.GetID())
    made = {}
    for kind in ("jacobian", "displacement", "warped"):
        click(getattr(results.ui, f"{kind}Button"))
        slicer_host.process_events(until=lambda: not run.running)
        node = slicer.util.getNode(f"{kind.capitalize()}, affine")
        made[kind] = slicer.util.arrayFromVolume(node)
    assert np.abs(made["jacobian"] - np.linalg.det(MATRIX)).max() < 1e-4
    fixed = fixed_image()
    grid = phantom().fixed.grid.points().numpy().astype(float).reshape(-1, 3)
    lengths = np.linalg.norm(by_itk(affine(), grid) - grid, axis=1)
    np.testing.assert_allclose(made["displacement"].ravel(), lengths, atol=1e-3)
    image = sitk.Cast(as_itk(phantom().moving), sitk.sitkFloat32)
    warped = sitk.GetArrayFromImage(
        sitk.Resample(image, fixed, affine(), sitk.sitkLinear, -1000.0, sitk.sitkFloat32)
    )
    inside = (slice(6, -6),) * 3
    np.testing.assert_allclose(made["warped"][inside], warped[inside], atol=1.0)

    from DeepRegistrationPanel.quality import QualitySection

    quality = panel.section(QualitySection)
    quality.ui.qualityButton.collapsed = False
    slicer_host.process_events(0.05)
    measured = []
    for parent in (other, None):
        moving.SetAndObserveTransformNodeID(parent and parent.GetID())
        click(quality.ui.measureButton)
        slicer_host.process_events(until=lambda: not quality.running)
        measured.append(panel.measurement.measures)
    assert measured[0]["similarity"] == measured[1]["similarity"]
    assert measured[0]["jacobian"]["mean"] == pytest.approx(np.linalg.det(MATRIX), abs=1e-4)


def test_a_second_import_takes_the_place_of_the_first(panel, results, read, tmp_path):
    _, moving = add_pair(panel.parameters)
    for name in ("first", "second"):
        sitk.WriteTransform(affine(), str(tmp_path / f"{name}.tfm"))
        read(tmp_path / f"{name}.tfm")
        click(results.ui.placeButton)
        assert moving.GetParentTransformNode().GetName() == name
        assert panel.parameters.transform.GetParentTransformNode() is None
    click(results.ui.undoImportButton)
    assert moving.GetParentTransformNode().GetName() == "first"
    assert panel.parameters.transform.GetName() == "first"


def test_a_transform_of_other_images_is_doubted(panel, read, tmp_path):
    add_pair(panel.parameters)
    far = sitk.TranslationTransform(3, (5000.0, 0, 0))
    sitk.WriteTransform(far, str(tmp_path / "far.tfm"))
    assert "probably not a transform of these two volumes" in read(tmp_path / "far.tfm")
    half = wave_field()[:20]  # columns, of 40
    sitk.WriteImage(half, str(tmp_path / "half.nii.gz"))
    said = read(tmp_path / "half.nii.gz")
    share = float(re.search(r"covers (\d+) % of the fixed volume", said)[1])
    assert share == pytest.approx(50, abs=4)


def test_an_imported_file_keeps_what_drove_it(read, tmp_path):
    drove = Drove(LandmarkPairs(["1"], np.ones((1, 3)), np.ones((1, 3)) * 2), ("liver",))
    write_transform(Affine(translation=(1.0, 1.0, 1.0)), tmp_path / "driven.tfm", drove.text())
    read(tmp_path / "driven.tfm")
    node = slicer.mrmlScene.GetFirstNodeByName("driven")
    (drivers,) = drivers_of(node)
    assert [point.place for point in drivers.points[0]] == [(1.0, 1.0, 1.0)]
    assert segments_that_drove(node) == ["liver"]
