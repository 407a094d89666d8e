"""The engine's whole path on a GPU, on a pretended one: the CPU's results, and few reads of it.

The phantoms and networks are small, the code is all of it. In a registration the host may wait for
the GPU so often as the table says (it was 110 times for ``optimize``); in no iteration of the
deformable part at all, but for ``lcc-demons``, once in each.
"""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hearts import heart_labels, heart_picture, stack_grid
from pretend_device import PretendedGPU
from torch import nn

from DeepRegistrationLib import register
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.images.guard.payload import pack, unpack, write_arrays
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.images.plain_data import Task, Volume
from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.methods.corrnet.network import CorrelationNet
from DeepRegistrationLib.methods.eppenhof.network import EppenhofNet
from DeepRegistrationLib.methods.mlvirnet.network import MultilevelVirnet
from DeepRegistrationLib.methods.network.precision import fastest_dtype
from DeepRegistrationLib.methods.optimize.instance import deform
from DeepRegistrationLib.methods.optimize.presets import GENERAL, Level
from DeepRegistrationLib.methods.regnet.network import RegNet
from DeepRegistrationLib.methods.svfnet.network import SVFNet
from DeepRegistrationLib.methods.weights import ModelCard, save_weights
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.progress import silent
from DeepRegistrationLib.transforms import Affine
from DeepRegistrationLib.worker.child import Child

NETWORKS = {  # class, arguments, what else the card says
    "corrnet": (CorrelationNet, {"width": 2}, {"size": 32}),
    "eppenhof": (EppenhofNet, {"base": 2}, {"size": 32}),
    "mlvirnet": (MultilevelVirnet, {"levels": 2, "width": 2}, {"size": 16}),
    "regnet": (RegNet, {"variant": "single"}, {"spacing": 8.0}),
    "svfnet": (SVFNet, {"width": 2}, {}),
}
SHORT = {"iterations": 0.1}
READS = {  # most host reads of a registration; all but the first two begin at a given affine
    "affine": 40,
    "optimize": 50,
    "lcc-demons": 18,
    "corrnet": 10,
    "eppenhof": 10,
    "mlvirnet": 10,
    "regnet": 11,
    "svfnet": 18,
}


@pytest.fixture(scope="module")
def chest():
    """A chest's two scans, in which the lungs are found."""
    return thorax((40, 32, 36), (8.0, 8.0, 8.0))


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Small networks that answer something, as weights."""
    empty = {"data": [], "recipe": {}, "metrics": {}, "held_out": []}
    words = dict.fromkeys(("title", "licence", "citation", "commit", "command", "sha256"), "")
    monkeypatch.setenv("DEEPREG_WEIGHTS", str(tmp_path))

    def save(method):
        kind, arguments, extra = NETWORKS[method]
        torch.manual_seed(1)
        network = kind(**arguments)
        for values in network.parameters():
            if not values.any() and values.dim() > 1:  # heads that begin with no answer
                nn.init.normal_(values, std=0.01)
        if method == "mlvirnet":
            network.activate(2)
        card = ModelCard(
            name="toy",
            method=method,
            architecture=arguments | extra,
            preview=True,
            **empty,
            **words,
        )
        save_weights(network.state_dict(), card, tmp_path)
        return {"weights": "toy", "precision": "float32"}

    return save


def on_both(fixed, moving, **options):
    """The same registration on the CPU and on the pretended GPU, and the GPU."""
    maps = Outputs(warped=True, jacobian=True, displacement=True)
    expected = register(fixed, moving, None, maps, device="cpu", **options)
    with PretendedGPU() as gpu:
        found = register(fixed, moving, None, maps, device="cuda", **options)
    assert gpu.operations > 0
    assert found.provenance["device"] == "cuda"
    same(expected, found)
    return found, gpu


def same(expected, found):
    """To a ten thousandth of a millimeter (tiles and chunks differ), and back on the CPU."""
    points = expected.warped.grid.points()
    with torch.no_grad():
        assert type(found.transform(points)) is torch.Tensor
        assert torch.allclose(found.transform(points), expected.transform(points), atol=1e-4)
    for name in ("warped", "jacobian", "displacement", "fixed_mask"):
        there, here = getattr(found, name), getattr(expected, name)
        assert (there is None) == (here is None)
        if there is not None:
            assert type(there.data) is torch.Tensor
            assert torch.allclose(there.data.float(), here.data.float(), rtol=1e-4, atol=2e-2)
    if expected.inverse is not None:
        fields = [r.inverse.field.vectors for r in (found, expected)]
        assert torch.allclose(*fields, atol=1e-3)
        assert found.inverse.residual_mean == pytest.approx(
            expected.inverse.residual_mean, rel=1e-2, abs=1e-5
        )
    if expected.uncertainty is not None:
        maps = [r.uncertainty.maps() for r in (found, expected)]
        assert maps[0].keys() == maps[1].keys()
        for name in maps[0]:
            assert torch.allclose(maps[0][name].data, maps[1][name].data, atol=1e-3)
    assert found.notes == expected.notes


# Methods


@pytest.mark.parametrize("method", [m for m in READS if m != "svfnet"])
def test_every_method_for_chests_finds_what_the_cpu_finds_with_few_reads(chest, toys, method):
    options = {"initial": Affine(translation=(0.0, 2.0, 3.0))}  # the affine is tested by itself
    if method in NETWORKS:
        options["parameters"] = toys(method)
    elif method == "lcc-demons":
        options["parameters"] = {"iterations": "4x2"}
    else:
        options = {"parameters": SHORT if method == "optimize" else {}}
    found, gpu = on_both(chest.fixed, chest.moving, method=method, **options)
    assert found.fixed_mask is not None
    assert gpu.read("lungs/", "masks.py") == 0  # they are found on the CPU, where the images are
    assert gpu.read() <= READS[method], gpu.reads


@pytest.mark.parametrize("method", ["svfnet", "optimize"])
def test_hearts_are_looked_for_and_registered_as_on_the_cpu(toys, method):
    labels = [heart_labels(stack_grid(), size=(s, s, 1.0)) for s in (1.0, 0.9)]
    pair = [heart_picture(label, seed) for seed, label in enumerate(labels)]
    parameters = toys(method) if method in NETWORKS else SHORT
    _, gpu = on_both(*pair, method=method, parameters=parameters)
    assert gpu.read() <= READS[method], gpu.reads


@pytest.mark.parametrize("quality", ["fast", "best"])
def test_other_qualities_too(chest, quality):
    options = {"parameters": SHORT, "initial": Affine()}
    _, gpu = on_both(chest.fixed, chest.moving, quality=quality, **options)
    inverting = gpu.read("inversion.py")  # the backward one of best: at most one an iteration
    assert inverting <= (12 if quality == "best" else 0), gpu.reads
    assert gpu.read() - inverting <= (20 if quality == "best" else 10), gpu.reads


def test_best_of_a_network_sees_other_voxels(chest, toys):
    for method in ("corrnet", "regnet"):
        options = {"parameters": toys(method), "initial": Affine()}
        on_both(chest.fixed, chest.moving, method=method, quality="best", **options)


def test_refinement_and_uncertainty_of_a_network(chest, toys):
    """The latter registers backward, and with the images mirrored, shifted and brightened."""
    options = {"method": "mlvirnet", "parameters": toys("mlvirnet"), "initial": Affine()}
    pair = chest.fixed, chest.moving
    _, gpu = on_both(*pair, refine=True, quality="fast", **options)
    assert gpu.read() <= 20, gpu.reads
    _, gpu = on_both(*pair, uncertainty=True, **options)
    assert gpu.read() <= 36, gpu.reads


def test_lungs_that_slide_on_the_body_cost_few_reads_however_long_the_fit_is():
    """Their join is computed on the CPU, from one copy of each image and field."""
    pair = thorax((50, 40, 48), (6.0,) * 3, motion=16.0, sliding=True, seed=7)
    counts = []
    for factor in (0.1, 0.1, 0.4):  # the first one fills the caches of the axes' matrices
        options = {"parameters": {"iterations": factor}, "initial": Affine()}
        found, gpu = on_both(pair.fixed, pair.moving, **options)
        assert "slide along the chest wall" in " ".join(found.notes)
        counts.append((gpu.read("optimize/"), gpu.read()))
    assert counts[1] == counts[2]
    assert gpu.read("sliding.py", "joining.py", "unfolding.py", "motion_mask.py") <= 6, gpu.reads
    assert counts[2][1] <= READS["optimize"], gpu.reads


def test_inverse_and_uncertainty_of_the_optimization(chest):
    options = {"parameters": SHORT, "quality": "fast", "initial": Affine()}
    found, gpu = on_both(chest.fixed, chest.moving, inverse=True, uncertainty=True, **options)
    assert found.inverse.residual_max < 0.05
    assert gpu.read("inversion.py") <= 10, gpu.reads  # at most one an iteration
    assert gpu.read() <= 30, gpu.reads


def test_no_iteration_of_the_optimization_waits_for_the_gpu():
    """Neither to read nor to bring something up."""
    counts = []
    grid = stack_grid(pixels=24)
    with PretendedGPU() as gpu:
        pair = [Image(torch.rand(grid.shape).to("cuda"), grid) for _ in range(2)]
        for iterations in (2, 2, 7):  # the first one fills the caches of the axes' matrices
            gpu.reads.clear(), gpu.uploads.clear()
            levels = (Level(12, 24, iterations, 12), Level(6, 16, iterations, 8))
            deform(*pair, None, Affine(device="cuda"), GENERAL, levels, silent)
            counts.append((gpu.read(), gpu.uploads.total()))
    assert counts[1] == counts[2]
    assert counts[2][0] <= 6


def test_the_affine_alignment_waits_at_every_fourth_step_alone(chest):
    steps = []
    with PretendedGPU() as gpu:
        method = method_class("affine")
        register(
            chest.fixed,
            chest.moving,
            method=method.name,
            device="cuda",
            progress=lambda fraction, stage: steps.append(stage),
        )
    searches = 3 + 6  # of the shift from each start, of rigid and affine poses at three levels
    assert gpu.read("(search)") <= steps.count("Aligning (affine)") / 4 + searches
    assert gpu.read("affine.py", "extents.py") - gpu.read("(search)") <= 8


def test_networks_multiply_in_what_the_gpu_is_fastest_in(chest, toys, monkeypatch):
    """On the CPU they do so where it has instructions for it; then the results are the same."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    with PretendedGPU(bfloat16=False):
        assert fastest_dtype(torch.device("cuda")) == torch.float16
    with PretendedGPU():
        assert fastest_dtype(torch.device("cuda")) == torch.bfloat16
    toys("corrnet")
    options = {"method": "corrnet", "parameters": {"weights": "toy"}, "initial": Affine()}
    on_both(chest.fixed, chest.moving, **options)


# The worker, and memory


def test_the_worker_answers_with_the_cpus_transform(chest, tmp_path):
    """The child's own code, in this process."""
    outcomes = []
    volumes = [Volume(i.data.numpy(), i.grid, i.name) for i in (chest.fixed, chest.moving)]
    for number, device in enumerate(("cpu", "cuda")):
        arrays: list = []
        options = RegistrationOptions(quality="fast", parameters=SHORT, device=device)
        task = Task(*volumes, options, Outputs(inverse=True))
        request = pack({"task": task}, arrays)
        for name in ("in", "out"):
            (tmp_path / str(number) / name).mkdir(parents=True)
        list(write_arrays(arrays, tmp_path / str(number) / "in"))
        message = {"job": number, "folder": str(number), "command": "register", "request": request}
        with PretendedGPU() as gpu:
            answer = Child(tmp_path, io.BytesIO())._result(message)
        outcomes.append(unpack(answer, Path(tmp_path / str(number) / "out")))
    assert gpu.operations > 0
    assert outcomes[1].provenance["device"] == "cuda"
    np.testing.assert_allclose(
        outcomes[0].transform.vectors, outcomes[1].transform.vectors, atol=1e-4
    )
    np.testing.assert_allclose(outcomes[0].inverse.vectors, outcomes[1].inverse.vectors, atol=1e-3)


def test_with_less_memory_images_get_coarser_and_with_none_the_cpu_computes(chest):
    options = {"parameters": SHORT, "quality": "fast", "initial": Affine(), "warped": True}
    pair = chest.fixed, chest.moving
    with PretendedGPU() as gpu:
        register(*pair, device="cuda", **options)
    with PretendedGPU(memory=int(0.6 * gpu.peak)) as small:
        found = register(*pair, device="cuda", **options)
    assert "coarser voxels were used" in " ".join(found.notes)
    assert found.provenance["device"] == "cuda"
    assert small.peak <= small.memory
    with PretendedGPU(memory=1000) as none:
        found = register(*pair, device="cuda", **options)
    assert "the CPU computed it" in " ".join(found.notes)
    assert found.provenance["device"] == "cpu"
    assert none.peak <= 1000
    expected = register(*pair, device="cpu", **options)
    assert torch.equal(found.warped.data, expected.warped.data)
