"""Maps of the predicted error in the scene: nodes, colors, read-out, and that they go in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
import torch
from scenery import centered_grid, registration_of

from DeepRegistrationLib.evaluation.uncertainty_maps import Uncertainty
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.registration.numpy_interface import outcome_of
from DeepRegistrationLib.scene.nodes import colors
from DeepRegistrationLib.scene.nodes.application import Application
from DeepRegistrationLib.scene.nodes.coordinates import flipped
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.volumes import (
    exhausted,
    image_from_node,
    volume_node_from_image,
)
from DeepRegistrationLib.scene.report import pictures, private_scene
from DeepRegistrationLib.scene.report.page import write_report
from DeepRegistrationLib.scene.runs import results
from DeepRegistrationLib.scene.runs.quality import quality_request
from DeepRegistrationLib.scene.runs.request import RegistrationRequest
from DeepRegistrationLib.scene.views import offscreen_views
from DeepRegistrationLib.scene.views.error_readout import errors_at, errors_text
from DeepRegistrationLib.scene.views.jacobian_overlay import MapOverlay
from DeepRegistrationLib.scene.views.offscreen_views import SliceView
from DeepRegistrationLib.transforms import Affine

PROBLEM = offscreen_views.rendering_problem()
rendering = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))
KEYS = {"predicted", "consistency", "spread"}


@pytest.fixture
def volumes(scene, fixed_image, moving_image):
    return volume_node_from_image(fixed_image, scene), volume_node_from_image(moving_image, scene)


@pytest.fixture
def run(scene, volumes, fixed_image, moving_image):
    """Put a registration with error maps of a ramp of mm along x into the scene, or one without."""

    def commit(scale: float | None = 1.0, spread: bool = True):
        request = RegistrationRequest(scene, *volumes, RegistrationOptions("given"))
        found = registration_of(Affine(translation=(1.0, 2.0, 3.0)), fixed_image, moving_image)
        if scale is not None:
            ramp = torch.linspace(0, 4, fixed_image.grid.size[0]).expand(fixed_image.grid.shape)
            images = [Image(k * scale * ramp, fixed_image.grid) for k in (1.0, 2.0, 0.5)]
            found = replace(found, uncertainty=Uncertainty(*images[: 3 if spread else 2]))
        outcome = outcome_of(replace(found, warped=None))
        return request.commit(results.prepare(outcome), outcome)

    return commit


def error_nodes(transform) -> dict:
    return {k: v for k, v in outputs_of(transform).items() if k in KEYS}


def test_each_map_is_a_volume_on_the_fixed_image_in_mm_with_a_legend(run, fixed_image):
    made = run()
    assert made.nodes.errors.keys() == KEYS
    for key, node in made.nodes.errors.items():
        image = image_from_node(node)
        assert image.grid.same_as(fixed_image.grid, 1e-5)
        last = {"predicted": 4.0, "consistency": 8.0, "spread": 2.0}[key]
        assert image.data[3, 4].numpy() == pytest.approx(np.linspace(0, last, 28), abs=1e-5)
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node)
        assert legend.GetTitleText().endswith(", mm")
        assert legend.GetNumberOfLabels() == 4  # 0, 1, 2 and 3 mm
        display = node.GetDisplayNode()
        assert display.GetColorNode().GetName() == colors.ESTIMATE
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 3)


def test_the_colors_get_lighter_with_the_error_and_the_last_one_says_that_it_is_open(scene):
    node = colors.estimate_color_node(scene)
    table = [node.GetLookupTable().GetTableValue(k)[:3] for k in range(node.GetNumberOfColors())]
    lightness = np.array(table) @ (0.2126, 0.7152, 0.0722)
    assert (np.diff(lightness) > 0).all()
    assert node.GetColorName(255) == "3.0 mm or more"


def test_a_second_run_updates_the_maps_of_the_first(scene, run):
    first = run()
    count = scene.GetNumberOfNodes()
    again = run(0.5)
    assert all(again.nodes.errors[k] is node for k, node in first.nodes.errors.items())
    assert scene.GetNumberOfNodes() == count
    assert float(image_from_node(again.nodes.errors["predicted"]).data.max()) == pytest.approx(2.0)
    again.record.undo()
    assert float(image_from_node(again.nodes.errors["predicted"]).data.max()) == pytest.approx(4.0)


def test_maps_that_a_new_run_did_not_make_leave_the_scene_and_undo_brings_them_back(scene, run):
    first = run()
    count = scene.GetNumberOfNodes()
    again = run(None)
    assert error_nodes(again.nodes.transform) == {}
    assert scene.GetNodesByName(first.nodes.errors["spread"].GetName()).GetNumberOfItems() == 0
    again.record.undo()
    assert error_nodes(again.nodes.transform) == first.nodes.errors
    assert scene.GetNumberOfNodes() == count
    for node in first.nodes.errors.values():
        assert scene.IsNodePresent(node.GetDisplayNode())
        assert scene.IsNodePresent(slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node))


def test_a_run_of_one_estimate_takes_the_outdated_spread_away_alone(run):
    run()
    again = run(1.0, spread=False)
    assert error_nodes(again.nodes.transform).keys() == {"predicted", "consistency"}


def test_undo_of_the_first_run_takes_its_maps_away(scene, run):
    before = scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    made = run()
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == before + 5
    made.record.undo()
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == before


def test_undo_after_the_scene_was_closed_brings_nothing_back(scene, run):
    run()
    again = run(None)
    scene.Clear(False)
    again.record.undo()
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0


def test_the_maps_are_saved_with_the_scene(scene, run, tmp_path):
    made = run()
    path = tmp_path / "scene.mrb"
    assert scene.WriteToMRB(str(path))
    application = Application()
    assert application.scene.ReadFromMRB(str(path))
    transform = application.scene.GetFirstNodeByName(made.nodes.transform.GetName())
    again = error_nodes(transform)
    assert again.keys() == KEYS
    for key, node in again.items():
        expected = image_from_node(made.nodes.errors[key]).data
        assert torch.allclose(image_from_node(node).data, expected, atol=1e-5)
        assert node.GetDisplayNode().GetColorNode().GetName() == colors.ESTIMATE
        assert node.GetDisplayNode().GetWindowLevelMax() == 3


def test_the_read_out_is_that_of_the_voxel_at_the_place(run, fixed_image):
    transform = run().nodes.transform
    center = fixed_image.grid.to_physical(np.array([20, 5, 7]))
    found = errors_at(transform, flipped(center + 0.4))
    step = 4 / 27
    assert found == pytest.approx(
        {"predicted": 20 * step, "consistency": 40 * step, "spread": 10 * step}, abs=1e-5
    )
    assert errors_text(found) == "error estimate 3.0 mm (inverse consistency 5.9, spread 1.5)"


def test_outside_the_map_and_without_one_nothing_is_read_out(run, fixed_image):
    beyond = flipped(fixed_image.grid.to_physical(np.array([28, 5, 7])))
    assert errors_at(run().nodes.transform, beyond) == {}
    inside = flipped(fixed_image.grid.to_physical(np.array([20, 5, 7])))
    assert errors_at(run(None).nodes.transform, inside) == {}
    assert errors_text({}) == ""


def test_a_measurement_gets_the_maps_of_the_transform(run, volumes):
    made = run()
    request = quality_request(
        *volumes, made.nodes.transform, error_maps=error_nodes(made.nodes.transform)
    )
    assert request["error_maps"].keys() == KEYS
    assert request["error_maps"]["spread"].data.max() == pytest.approx(2.0)
    assert request["error_maps"]["spread"].grid.same_as(request["fixed"].grid, 1e-4)


def test_the_summary_of_a_run_says_what_the_estimate_is_worth(run):
    text = "\n".join(run().summary())
    assert "above 3 mm" in text and "not an error bar" in text
    assert "3 mm" not in "\n".join(run(None).summary())


@rendering
def test_anatomy_is_seen_where_the_error_is_below_half_a_millimeter(application, scene):
    grid = centered_grid((80, 40, 20), (1.0, 1.0, 1.0), (0, 0, 0))
    x = grid.points()[..., 0]
    steps = torch.bucketize(x, torch.tensor([-20.0, 0.0, 20.0]))
    errors = Image(torch.tensor([9.0, 3.0, 1.5, 0.4])[steps], grid, "errors")
    fixed = volume_node_from_image(Image(torch.full(grid.shape, 50.0), grid, "fixed"), scene)
    fixed.GetDisplayNode().AutoWindowLevelOff()
    fixed.GetDisplayNode().SetWindowLevelMinMax(0, 100)
    view = SliceView(application, "V", "Axial", (400, 400))
    view.look_at((0, 0, 0), 200)
    overlay = MapOverlay(
        fixed, volume_node_from_image(errors, scene), [view.node], "predicted", opacity=1.0
    )
    picture = view.pixels()
    strips = [picture[196:204, column].mean(0) / 255 for column in (140, 180, 220, 260)]
    table = colors.estimate_color_node(scene).GetLookupTable()
    expected = [table.GetTableValue(k)[:3] for k in (255, 255, 128)]
    for found, wanted in zip(strips, [*expected, (0.5, 0.5, 0.5)], strict=True):
        assert np.allclose(found, wanted, atol=0.03)
    overlay.close()
    view.close()


@rendering
def test_the_reports_picture_shows_anatomy_where_the_error_is_small_and_color_where_not(scene):
    grid = centered_grid((80, 40, 20), (1.0, 1.0, 1.0), (0, 0, 0))
    x = grid.points()[..., 0]
    errors = Image(torch.where(x > 0, 3.0, 0.4), grid, "errors")
    fixed = volume_node_from_image(Image(torch.full(grid.shape, 50.0), grid, "fixed"), scene)
    fixed.GetDisplayNode().AutoWindowLevelOff()
    node = volume_node_from_image(errors, scene)
    picture = exhausted(
        pictures.error_map(fixed, node, "Errors", private_scene.view_position_of(fixed))
    )
    row = picture.shape[0] - private_scene.PANEL // 2
    left, right = (picture[row, column].astype(int) for column in (130, 390))  # -20 and 20 mm
    assert np.ptp(left) <= 2
    assert right[:2].min() > right[2] + 60  # yellow


@rendering
def test_the_report_has_the_picture_where_there_is_a_map(run, volumes, monkeypatch, tmp_path):
    monkeypatch.setattr(private_scene, "PANEL", 160)
    for scale, wanted in ((1.0, True), (None, False)):
        made = run(scale)
        path = tmp_path / "report.html"
        write_report(path, *volumes, made.nodes.transform)
        text = path.read_text(encoding="utf-8")
        assert ('alt="Error estimate: where to look"' in text) is wanted
        assert ("Not an error bar" in text) is wanted
