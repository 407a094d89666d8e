"""Fixtures of the command-line tests."""

from dataclasses import replace
from pathlib import Path

import contours_made
import numpy as np
import odd_engine
import pytest
import torch
import trivial
from test_weights import CARD, STATE

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.evaluation import write_landmarks
from DeepRegistrationLib.methods.weights import save_weights
from DeepRegistrationLib.transforms import Affine, write_transform
from DeepRegistrationLib.worker import EngineProcess


@pytest.fixture(autouse=True)
def _seeded():
    """The same random numbers in each run, whatever ran before in the same process."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture
def shift(monkeypatch):
    """The trivial method, offered as ``shift``."""
    return trivial.install(monkeypatch)


@pytest.fixture
def good(tmp_path, shift):
    """A good pair for the method ``shift``: paths of fixed and moving."""
    return trivial.volume(tmp_path / "fixed.nii.gz"), trivial.volume(tmp_path / "moving.nii.gz")


@pytest.fixture
def refuse(tmp_path, capfd, shift):
    """Run a command line, check that it is refused as promised, return the sentence.

    As promised: exit code 2, one line on stderr, none on stdout, no file made or changed.
    """

    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    def run(*arguments: object) -> str:
        before, folders = files(), set(tmp_path.rglob("*"))
        assert main([str(argument) for argument in arguments]) == 2
        captured = capfd.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1, captured.err
        assert "Traceback" not in captured.err
        assert captured.err.startswith("deepreg")
        assert files() == before
        assert set(tmp_path.rglob("*")) == folders
        return captured.err.strip()

    return run


@pytest.fixture
def pair(tmp_path):
    """Paths of a fixed and a moving image of different geometry."""
    fixed = trivial.volume(tmp_path / "fixed.nii.gz")
    moving = trivial.volume(
        tmp_path / "moving.mha",
        size=(15, 14, 12),
        spacing=(2.0, 1.8, 2.2),
        values=np.random.default_rng(1).normal(-400, 200, (12, 14, 15)).astype(np.int16),
    )
    return fixed, moving


@pytest.fixture
def written(pair, tmp_path):
    """A transform in a file, by itself."""
    path = tmp_path / "T.h5"
    write_transform(Affine(translation=(2.0, -1.0, 3.0)), path)
    return path


@pytest.fixture
def landmarks(tmp_path):
    """Two landmark files that the shift brings to within 1 mm."""
    fixed = np.array([[0.0, 12.0, 40.0], [4.0, 14.0, 38.0], [2.0, 16.0, 42.0]])
    write_landmarks(fixed, tmp_path / "fixed.csv")
    write_landmarks(fixed + trivial.SHIFT + [1.0, 0, 0], tmp_path / "moving.fcsv")
    return (
        "--fixed-landmarks",
        str(tmp_path / "fixed.csv"),
        "--moving-landmarks",
        str(tmp_path / "moving.fcsv"),
    )


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    """Each processor that this machine has."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA device")
    return torch.device(request.param)


@pytest.fixture(scope="session")
def drawn_on(tmp_path_factory):
    """The series that contours are drawn on."""
    dicom_pair = pytest.importorskip("dicom_pair")
    return dicom_pair.series(tmp_path_factory.mktemp("series") / "ct", contours_made.GRID)


@pytest.fixture
def transport():
    return odd_engine.OddTransport()


@pytest.fixture
def clock():
    return odd_engine.Clock()


@pytest.fixture
def engine(transport, tmp_path, clock):
    engine = EngineProcess(transport, root=tmp_path, clock=clock)
    yield engine
    engine.close()
    assert transport.wait(lambda: not engine.running)
    assert list(tmp_path.iterdir()) == []  # the private folder is gone, however the test went


@pytest.fixture
def ended(engine, transport):
    """Submit a request and wait for its end."""

    def submit(command, request=None, **options):
        job = engine.submit(command, request or {}, **options)
        assert transport.wait(lambda: job.finished), job.stage
        return job

    return submit


@pytest.fixture
def add_weights(tmp_path, monkeypatch):
    """Saves weights with figures; the shipped ones are not there."""
    monkeypatch.setattr("DeepRegistrationLib.methods.weights.folders", lambda: [tmp_path])

    def add(name, *figures, method="mlvirnet", preview=False):
        card = replace(CARD, name=name, method=method, preview=preview, expected=list(figures))
        return save_weights(STATE, card, tmp_path)

    return add
