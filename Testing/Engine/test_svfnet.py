"""SVF-Net: layers, the heart's frame, and the method on simple hearts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hearts import heart_labels, heart_picture, stack_grid
from references import inner_points, rotation

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods.heart.preparation import (
    frame_map,
    frame_of_labels,
    framed,
    rigid_between,
    standard_frame,
)
from DeepRegistrationLib.methods.svfnet.network import SVFNet
from DeepRegistrationLib.methods.weights import ModelCard, save_weights
from DeepRegistrationLib.registration.engine import register
from DeepRegistrationLib.transforms import Affine

ROOT = Path(__file__).resolve().parents[2]


def test_the_network_has_the_layers_of_its_table():
    network = SVFNet()
    assert sum(p.numel() for p in network.parameters()) == 5_155_203
    shapes = []
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d):
            module.register_forward_hook(lambda m, i, o: shapes.append(tuple(o.shape[1:])))
    with torch.no_grad():
        velocity = network.eval()(torch.rand(1, 2, 16, 64, 64))
    assert velocity.shape == (1, 3, 16, 64, 64)
    levels = [(32, 16, 64, 64), (64, 16, 32, 32), (128, 16, 16, 16), (256, 8, 8, 8)]
    expected = [level for level in (*levels, *levels[2::-1]) for _ in range(2)]
    assert shapes == [*expected, (3, 16, 64, 64)]


def test_the_first_levels_look_along_the_slices_only():
    """A change in one slice reaches other slices only through levels 3 and 4."""
    kernels = [m.weight.shape[2:] for m in SVFNet().modules() if type(m) is torch.nn.Conv3d]
    flat, full = torch.Size([1, 3, 3]), torch.Size([3, 3, 3])
    assert kernels == [flat] * 4 + [full] * 4 + [flat] * 4 + [full] * 2 + [flat]


def test_weights_that_bring_along_a_mean_heart_are_read():
    network = SVFNet(width=4)
    state = {**network.state_dict(), "mean_heart": torch.zeros(16, 64, 64)}
    assert SVFNet(width=4).load_state_dict(state).unexpected_keys == []


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_frame_turns_and_moves_with_the_heart(mirrored):
    """Also when the slices are stored from apex to base."""
    base = frame_of_labels(heart_labels(stack_grid()))
    grid = stack_grid(20.0, (40.0, 30.0, -8.0), pixels=88)
    if mirrored:
        matrix = np.reshape(grid.direction, (3, 3)) @ np.diag([1, 1, -1])
        top = grid.to_physical([0, 0, grid.size[2] - 1])
        grid = Grid(grid.size, grid.spacing, tuple(top), tuple(matrix.ravel()))
    shift = np.array([45.0, 25.0, -5.0])
    found = frame_of_labels(heart_labels(grid, turn=50.0, shift=shift))
    moved = Affine(rotation(0, 0, 50.0), shift)
    expected = base.corners() @ moved.matrix.T + moved.translation
    assert np.abs(found.corners() - expected).max() < 3.0  # thick slices and pixels of 2.5 mm
    assert np.linalg.det(np.reshape(found.direction, (3, 3))) == pytest.approx(1)


def test_a_mask_without_labels_gives_nearly_the_same_frame():
    labels = heart_labels(stack_grid(), turn=20.0)
    mask = Image((labels.data > 0).to(torch.uint8), labels.grid)
    angle = frame_of_labels(mask).direction[0] * frame_of_labels(labels).direction[0]
    angle += frame_of_labels(mask).direction[3] * frame_of_labels(labels).direction[3]
    assert np.degrees(np.arccos(min(angle, 1.0))) < 10
    np.testing.assert_allclose(frame_of_labels(mask).center(), frame_of_labels(labels).center())


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_right_ventricle_tells_base_from_apex_where_the_outline_does_not(mirrored):
    """Slices of the base that are marked in part make the heart thin out on the wrong side."""
    data = np.zeros((10, 72, 72), np.uint8)
    rights, walls = [1, 3, 5, 5, 5, 5, 2, 0, 0, 0], [1, 5, 15, 26, 26, 26, 26, 26, 26, 26]
    for plane, right, wall in zip(data, rights, walls, strict=True):
        plane[20 : 20 + wall, 30:50] = 2
        plane[20 : 20 + right, 10:30] = 1
    along = np.repeat(np.arange(10.0), (data != 0).sum((1, 2)))
    assert ((along - along.mean()) ** 3).mean() < 0  # the outline alone misleads
    if mirrored:
        data = data[::-1].copy()
    frame = frame_of_labels(Image(torch.from_numpy(data), stack_grid()))
    assert np.reshape(frame.direction, (3, 3))[2, 2] == pytest.approx(-1 if mirrored else 1)


def test_a_mask_of_one_voxel_has_a_frame():
    data = torch.zeros(10, 72, 72, dtype=torch.uint8)
    data[4, 30, 20] = 1
    grid = stack_grid()
    frame = frame_of_labels(Image(data, grid))
    np.testing.assert_allclose(frame.center(), grid.to_physical([20, 30, 4]), atol=1e-6)


def test_the_rigid_map_joins_the_same_voxels_of_two_frames():
    first = frame_of_labels(heart_labels(stack_grid()))
    second = frame_of_labels(heart_labels(stack_grid(10.0), turn=40.0, shift=(9.0, 4.0, 3.0)))
    index = np.random.default_rng(0).uniform(0, 15, (20, 3))
    mapped = rigid_between(first, second)(torch.from_numpy(first.to_physical(index)))
    np.testing.assert_allclose(mapped, second.to_physical(index), atol=1e-9)
    standard = frame_map(second)(torch.from_numpy(standard_frame().to_physical(index)))
    np.testing.assert_allclose(standard, second.to_physical(index), atol=1e-9)


def test_framed_images_do_not_depend_on_where_the_heart_lies():
    first, second = (
        heart_labels(stack_grid(pixels=96)),
        heart_labels(
            stack_grid(25.0, (30.0, 0.0, 4.0), pixels=96), turn=25.0, shift=(30.0, 0.0, 4.0)
        ),
    )
    one, other = (framed(heart_picture(x, 1), frame_of_labels(x)) for x in (first, second))
    assert float((one - other).abs().mean()) < 0.05
    assert 0 <= float(one.min()) < 0.05
    assert float(one.max()) <= 1.5


def test_an_image_outside_the_frame_is_refused():
    far = heart_picture(heart_labels(stack_grid(shift=(900.0, 0, 0)), shift=(900.0, 0, 0)))
    with pytest.raises(RegistrationError, match="outside"):
        framed(far, frame_of_labels(heart_labels(stack_grid())))


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Untrained weights with a lively output, as a user would have trained ones.

    Their name is the first of the method's.
    """
    torch.manual_seed(0)
    network = SVFNet(width=4)
    with torch.no_grad():
        network.output.weight.normal_(std=3.0)
    card = ModelCard(
        "a-toy", "svfnet", "toy", {"width": 4}, [], "none", "", {}, "", {}, [], "", False, ""
    )
    save_weights(network.state_dict(), card, tmp_path / "weights")
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path / "weights"))


def pair():
    fixed = heart_labels(stack_grid())
    moving = heart_labels(
        stack_grid(15.0, (20.0, 5.0, 0.0)), turn=30.0, shift=(25.0, 5.0, 2.0), size=(0.9, 1, 0.9)
    )
    return fixed, moving


def test_the_result_is_a_flow_and_then_the_rigid_alignment(weights):
    fixed, moving = pair()
    result = register(
        heart_picture(fixed), heart_picture(moving, 1), method="svfnet",
        fixed_mask=fixed, moving_mask=moving, device="cpu", parameters={"both_ways": False},
        jacobian=True,
    )  # fmt: skip
    flow, rigid = result.transform.members
    expected = rigid_between(frame_of_labels(fixed), frame_of_labels(moving))
    np.testing.assert_allclose(rigid.matrix, expected.matrix, atol=1e-9)
    np.testing.assert_allclose(rigid.translation, expected.translation, atol=1e-6)
    points = torch.from_numpy(inner_points(flow.grid, margin=0.25)).float()
    moved = result.transform(points)
    assert float((flow(points) - points).norm(dim=1).max()) > 1.0  # mm: the network said something
    assert float((result.transform.inverse()(moved) - points).norm(dim=1).max()) < 0.3
    assert float(result.jacobian.data.min()) > 0


@pytest.mark.parametrize("both_ways", [True, False])
def test_both_ways_make_the_exchanged_images_give_the_inverse_map(weights, both_ways):
    fixed, moving = pair()
    images = heart_picture(fixed), heart_picture(moving, 1)
    options = {
        "method": "svfnet",
        "device": "cpu",
        "parameters": {"both_ways": both_ways, "precision": "float32"},
    }
    there = register(*images, fixed_mask=fixed, moving_mask=moving, **options).transform
    back = register(*images[::-1], fixed_mask=moving, moving_mask=fixed, **options).transform
    points = torch.from_numpy(inner_points(there.members[0].grid, margin=0.25)).float()
    error = float((back(there(points)) - points).norm(dim=1).mean())
    assert (error < 0.2) == both_ways


def test_an_initial_transform_replaces_the_rigid_alignment(weights):
    fixed, moving = pair()
    start = Affine(np.eye(3), (20.0, 4.0, 1.0))
    result = register(
        heart_picture(fixed), heart_picture(moving, 1), method="svfnet",
        fixed_mask=fixed, initial=start, device="cpu",
    )  # fmt: skip
    np.testing.assert_allclose(result.transform.members[1].translation, (20.0, 4.0, 1.0))


def test_without_weights_the_training_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("DeepRegistrationLib.methods.weights.folders", lambda: [tmp_path])
    fixed, moving = pair()
    with pytest.raises(RegistrationError, match="deepreg train"):
        register(heart_picture(fixed), heart_picture(moving), method="svfnet")


def test_the_method_is_described_without_torch():
    code = (
        "import sys; from DeepRegistrationLib.methods import method_class; "
        "method_class('svfnet').card; print('torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
