"""Steps of every training recipe on a pretended GPU: the losses and weights of the CPU."""

import pytest
import test_recipe_eppenhof
import test_recipe_heartnet
import test_recipe_heartsegnet
import test_recipe_regnet
import test_recipe_svfnet
import test_recipe_virnet
import torch
from pretend_device import PretendedGPU
from test_recipe_svfnet import quick  # noqa: F401 - a fixture

from DeepRegistrationLib.images.sampling import bspline_coefficients
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.training.loop import train
from DeepRegistrationLib.training.recipes import make_recipe
from DeepRegistrationLib.training.recipes.lung_volumes import LungVolumes
from DeepRegistrationLib.training.recipes.regnet import LungScans

STEPS = 2


def steps(recipe, prepared, device):
    """The losses of some steps, and the gradient of the first."""
    torch.manual_seed(0)
    network = recipe.build().to(device).train()
    optimizer, losses, gradients = recipe.optimizer(network), [], []
    for step in range(STEPS):
        batch = recipe.batch(prepared, step, torch.Generator().manual_seed(step))
        loss, _ = recipe.loss(network, batch)
        optimizer.zero_grad()
        loss.backward()
        found = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        gradients.append(torch.cat(found).cpu())
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, gradients[0]


def compare(recipe, prepare, most):
    """Losses and gradients on both devices; ``most`` host reads of the library in all steps."""
    losses, gradient = steps(recipe, prepare("cpu"), "cpu")
    with PretendedGPU() as gpu:
        prepared = prepare("cuda")
        gpu.reads.clear()
        found, there = steps(recipe, prepared, "cuda")
    assert found == pytest.approx(losses, rel=1e-5)
    assert float(gradient.norm()) > 0
    assert float((there - gradient).norm()) < 1e-5 * float(gradient.norm())
    assert gpu.reads.total() - gpu.read("outside the library") <= most, gpu.reads


def volumes(device):
    blobs = [test_recipe_eppenhof.blobs(seed)[None] for seed in range(2)]
    ones = [torch.ones(32, 32, 32, device=device)] * 2
    return LungVolumes([bspline_coefficients(b).to(device) for b in blobs], ones, [])


@pytest.mark.parametrize(
    ("name", "values", "most"),
    [
        ("corrnet", {"width": 4, "size": 32}, 8),
        ("eppenhof", {"base": 2, "size": 32}, 0),
    ],
)
def test_networks_for_whole_lungs_train(name, values, most):
    compare(make_recipe(name, {"precision": "float32"} | values), volumes, most)


def test_regnet_trains():
    def scans(device):
        images = [test_recipe_regnet.blobs(seed).to(device) for seed in range(2)]
        return LungScans(images, [torch.ones_like(i, dtype=torch.bool) for i in images], [])

    toy = test_recipe_regnet.TOY | {"variant": "single", "precision": "float32"}
    compare(make_recipe("regnet", toy), scans, 40)


def test_svfnet_trains(tmp_path, quick):  # noqa: F811
    sizes = [(0.9, 0.9, 1), (1.1, 1.1, 1)]
    cases = test_recipe_svfnet.write_cases(tmp_path / "data", sizes, "train")
    recipe = test_recipe_svfnet.recipe(tmp_path, overlap=1.0)  # references are kept for the second
    compare(recipe, lambda device: recipe.prepare(cases, torch.device(device), silent), 8)


def test_heartnet_and_heartsegnet_train(tmp_path):
    """Both meet all that disguises a slice: cuts, random shapes, hearts upside down."""
    for module, values in (
        (test_recipe_heartnet, {"random_shapes": 0.5, "cropped": 0.5}),
        (test_recipe_heartsegnet, {"random_shapes": 0.5, "cropped": 0.5, "upside_down": 0.5}),
    ):
        recipe = module.recipe(precision="float32", **values)
        cases = module.cases(tmp_path / recipe.name, "train")

        def prepare(device, recipe=recipe, cases=cases):
            return recipe.prepare(cases, torch.device(device), silent)

        compare(recipe, prepare, 8)


def test_a_whole_training_of_mlvirnet_ends_where_the_cpus_does(tmp_path):
    """Cases read, prepared, trained on, validated, saved as checkpoint and as weights."""
    cases = [
        *test_recipe_virnet._cases(tmp_path, 1, "train"),
        *test_recipe_virnet._cases(tmp_path, 3, "validation"),
    ]
    values = {"iterations": STEPS, "validate_every": STEPS, "precision": "float32"}
    recipe = make_recipe("mlvirnet-preview", test_recipe_virnet.SMALL | values)
    expected = train(recipe, cases, tmp_path / "cpu", device="cpu")
    with PretendedGPU() as gpu:
        found = train(recipe, cases, tmp_path / "cuda", device="cuda")
    assert found.stopped == expected.stopped == "finished"
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-3)
    assert (tmp_path / "cuda" / "weights.safetensors").exists()
    checkpoint = torch.load(tmp_path / "cuda" / "checkpoint.pt", weights_only=True)
    assert {type(v) for v in checkpoint["network"].values()} == {torch.Tensor}
    assert gpu.read("trainer.py") <= 2 * STEPS  # the loss, and whether gradients are finite
