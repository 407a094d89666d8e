"""The pretended GPU does what a GPU does where it matters: it refuses, counts and runs out."""

import io

import pytest
import torch
from pretend_device import GPUTensor, PretendedGPU
from torch import nn

from DeepRegistrationLib.methods.affine.fit import matrix_exponential


@pytest.fixture
def gpu():
    with PretendedGPU() as made:
        yield made


def test_tensors_say_where_they_are_and_keep_their_numbers(gpu):
    values = torch.arange(6.0).reshape(2, 3)
    there = values.to("cuda")
    assert isinstance(there, GPUTensor)
    assert there.device == torch.device("cuda", 0)
    assert there.is_cuda
    assert type(there.cpu()) is torch.Tensor
    assert torch.equal((there @ there.T).cpu(), values @ values.T)
    for made in (
        torch.zeros(2, device="cuda:0"),
        torch.tensor([1, 2], device=there.device),
        there.new_tensor([1.0]),
        torch.full_like(there, 3.0),
    ):
        assert made.device.type == "cuda"


def test_tensors_of_the_cpu_are_refused_but_for_single_numbers_in_arithmetic(gpu):
    there = torch.zeros(3, device="cuda")
    for meeting in (
        lambda: there + torch.ones(3),
        lambda: torch.stack([there.sum(), torch.tensor(1.0)]),
        lambda: there[torch.tensor([0])],
        lambda: torch.ones(3)[there > 0],
        lambda: torch.randn(3, device="cuda", generator=torch.Generator()),
        lambda: torch.randn(3, generator=torch.Generator("cuda")),
    ):
        with pytest.raises(RuntimeError, match=r"the CPU meets|of another device"):
            meeting()
    assert (there + torch.tensor(1.0)).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises((RuntimeError, TypeError), match="numpy"):
        there.numpy()


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("value", lambda t: t.sum().item()),
        ("value", lambda t: float(t[0])),
        ("value", lambda t: bool(t.any())),
        ("value", lambda t: torch.equal(t, t)),
        ("copy", lambda t: t.tolist()),
        ("copy", lambda t: t.cpu()),
        ("copy", lambda t: t.to("cpu", torch.float64)),
        ("copy", lambda t: torch.empty(3).copy_(t)),
        ("copy", lambda t: torch.save(t, io.BytesIO())),
        ("size", lambda t: t.nonzero()),
        ("size", lambda t: t[t > 0]),
    ],
)
def test_every_way_to_the_host_is_counted_once(gpu, kind, read):
    there = torch.arange(3.0).to("cuda")
    before = gpu.read()
    read(there)
    assert gpu.read() - before == gpu.read(kind) == 1
    assert "outside the library" in next(iter(gpu.reads))


def test_what_stays_on_the_gpu_is_not_counted(gpu):
    there = torch.arange(3.0).to("cuda")
    torch.where(there > 1, there, there.mean()).to("cuda").to(torch.float64)
    there[there > 1] = 0.0
    there[1:].add_(there[:-1].clone())
    assert gpu.read() == 0
    assert gpu.uploads.total() == 1


def test_gradients_and_networks_are_those_of_the_cpu(gpu):
    """Also where the values come from the CPU, and through an optimizer's step."""
    found = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Conv3d(2, 1, 1))
        network.to(device)
        assert all(isinstance(p, nn.Parameter) for p in network.parameters())
        given = torch.randn(2, 1, 5, 5, 5, requires_grad=True)
        optimizer = torch.optim.Adam(network.parameters())
        network(given.to(device)).square().sum().backward()
        optimizer.step()
        found.append([given.grad, *(v.cpu() for v in network.state_dict().values())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_autocast_multiplies_in_the_lower_precision_and_stores_what_it_is_told(gpu):
    layer = nn.Conv3d(1, 1, 1).to("cuda")
    given = torch.ones(1, 1, 2, 2, 2, device="cuda")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert layer(given).dtype == torch.bfloat16
        with torch.autocast("cuda", enabled=False):
            assert layer(given).dtype == torch.float32
    assert layer(given).dtype == torch.float32
    layer(given).sum().backward()
    assert layer.weight.grad.dtype == torch.float32


def test_memory_is_counted_once_for_all_views_and_runs_out():
    with PretendedGPU(memory=1000) as gpu:
        first = torch.zeros(100, device="cuda")
        views = first[:50], first.reshape(10, 10)
        assert gpu.used == 400
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.zeros(200, device="cuda")
        del first, views
        assert gpu.used == 0
        assert torch.zeros(200, device="cuda").numel() == 200
        assert torch.cuda.max_memory_allocated() == 800


def test_after_it_pytorch_has_no_gpu_again():
    available = torch.cuda.is_available()
    with PretendedGPU():
        assert torch.cuda.is_available()
        left = torch.zeros(1, device="cuda")
    assert torch.cuda.is_available() == available
    with pytest.raises(RuntimeError, match="outlived"):
        left + 1
    given = torch.ones(2, requires_grad=True)
    (given * 2).sum().backward()
    assert given.grad.tolist() == [2.0, 2.0]


def test_the_exponential_of_a_matrix_is_scipys():
    from scipy.linalg import expm

    for scale in (0.0, 1e-3, 0.3, 2.0):
        matrix = scale * torch.randn(3, 3, dtype=torch.float64)
        expected = torch.from_numpy(expm(matrix.numpy()))
        assert torch.allclose(matrix_exponential(matrix), expected, rtol=1e-12, atol=1e-14)
