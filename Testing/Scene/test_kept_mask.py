"""The mask that a registration used stays with its transform, and its measures are taken in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.evaluation.quality import measure_quality
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.reports.report import build_report
from DeepRegistrationLib.scene.logic import RegistrationLogic
from DeepRegistrationLib.scene.nodes.outputs import outputs_of
from DeepRegistrationLib.scene.nodes.volumes import image_from_node, volume_node_from_image
from DeepRegistrationLib.scene.runs.quality import quality_request


@pytest.fixture(scope="module")
def chest():
    return thorax((40, 32, 36), (8.0, 8.0, 8.0))


@pytest.fixture
def volumes(scene, chest):
    return volume_node_from_image(chest.fixed, scene), volume_node_from_image(chest.moving, scene)


def registered(scene, volumes, **masks):
    return RegistrationLogic(scene).register(
        *volumes, method="affine", device="cpu", quality="fast", jacobian=True, **masks
    )


def test_the_panel_measures_in_the_lungs_that_the_registration_found(scene, volumes, chest):
    result = registered(scene, volumes)
    mask = outputs_of(result.nodes.transform)["mask"]
    assert mask is result.nodes.mask and mask.IsA("vtkMRMLLabelMapVolumeNode")
    used = result.registration.fixed_mask.data != 0
    assert torch.equal(image_from_node(mask).data != 0, used)
    request = quality_request(*volumes, result.nodes.transform)
    assert request["kept_source"] == "lungs"
    found = measure_quality(**request)
    report = build_report(result.registration, chest.fixed, chest.moving)
    assert found["region"] == report["region"]
    for key in ("mean", "min", "percent_nonpositive"):
        wanted = report["jacobian"]["in_mask"][key]
        assert found["jacobian"]["in_mask"][key] == pytest.approx(wanted, abs=1e-4)
    after = report["similarity"]["after"]["local_ncc"]
    assert found["similarity"]["after"]["local_ncc"] == pytest.approx(after, abs=1e-3)
    assert "in the lungs" in " ".join(result.summary()) or result.folding["lungs"] == 0


def test_what_the_registration_found_of_the_lungs_stays_with_its_transform(scene, chest):
    filled = {
        side: replace(
            getattr(chest, side),
            data=getattr(chest, side).data.masked_fill(
                (lungs.data != 0) & (lungs.grid.points()[..., 0] > 0), 40.0
            ),
        )
        for side, lungs in (("fixed", chest.fixed_lungs), ("moving", chest.moving_lungs))
    }
    nodes = tuple(volume_node_from_image(image, scene) for image in filled.values())
    result = registered(scene, nodes)
    request = quality_request(*nodes, result.nodes.transform)
    report = build_report(result.registration, *filled.values())
    assert set(request["kept_lungs"]["missing"]) == {"fixed", "moving"}
    assert measure_quality(**request)["region"] == report["region"]


def test_a_mask_chosen_later_takes_its_place(scene, volumes, chest):
    result = registered(scene, volumes)
    whole = Image(torch.ones(chest.fixed.grid.shape, dtype=torch.uint8), chest.fixed.grid)
    node = volume_node_from_image(whole, scene, "everything", label_map=True)
    request = quality_request(*volumes, result.nodes.transform, fixed_mask=node)
    assert measure_quality(**request)["region"]["source"] == "mask"


def test_undo_and_a_run_without_a_mask_take_it_away(scene, volumes, chest):
    first = registered(scene, volumes)
    solid = chest.fixed.data.masked_fill(chest.fixed_lungs.data != 0, 40.0)  # no lungs any more
    smooth = Image(solid, chest.fixed.grid)
    second = volume_node_from_image(smooth, scene)
    assert registered(scene, (second, volumes[1])).nodes.mask is None
    transform = first.nodes.transform
    volumes[0].SetAndObserveImageData(second.GetImageData())
    again = registered(scene, volumes)
    assert again.nodes.transform is transform and "mask" not in outputs_of(transform)
    again.record.undo()
    assert np.count_nonzero(image_from_node(outputs_of(transform)["mask"]).data.numpy()) > 0
    first.record.undo()
    assert not scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode")
