"""Maps of the predicted error on their way from the engine's process to its parent."""

from __future__ import annotations

import numpy as np
import pytest
import trivial

from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation.quality import measure_quality
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.plain_data import AffineMap, Task, Volume
from DeepRegistrationLib.options import Outputs, RegistrationOptions
from DeepRegistrationLib.registration.numpy_interface import outcome_of, run
from DeepRegistrationLib.transforms.tensors import volume_of
from DeepRegistrationLib.worker import EngineProcess, PipeTransport, State

SHIFT, MAPS = RegistrationOptions("shift"), Outputs(uncertainty=True)


@pytest.fixture
def shift(monkeypatch):
    return trivial.install(monkeypatch)


@pytest.fixture(scope="module")
def pair():
    """A chest of voxels of 12 mm, as plain data: fixed, moving, lungs."""
    chest = thorax((26, 22, 24), (12.0, 12.0, 12.0), landmarks=0)
    return [volume_of(image) for image in (chest.fixed, chest.moving, chest.fixed_lungs)]


def test_an_outcome_holds_the_maps_and_their_statistics_in_the_mask(shift, pair):
    fixed, moving, lungs = pair
    outcome = outcome_of(run(Task(fixed, moving, SHIFT, MAPS, lungs)))
    length = np.linalg.norm(trivial.SHIFT)
    assert outcome.error_maps.keys() == {"predicted", "consistency"}
    assert np.allclose(outcome.error_maps["consistency"].data, 2 * length, rtol=1e-4)
    assert np.allclose(outcome.error_maps["predicted"].data, np.sqrt(2) * length, rtol=1e-4)
    assert outcome.error_maps["predicted"].grid.same_as(fixed.grid)
    assert outcome.error_statistics["n"] == np.count_nonzero(lungs.data)
    assert outcome.error_statistics["limit"] == 5.0  # of voxels of 12 mm
    assert outcome.error_statistics["percent_above"] == 100  # 5.3 mm everywhere


def test_several_estimates_add_the_map_of_their_spread(shift, pair, monkeypatch):
    monkeypatch.setattr(shift, "augmentations", ("mirror",))  # finds (2, -1, 3) in the mirror too
    outcome = outcome_of(run(Task(*pair[:2], SHIFT, MAPS)))
    assert np.allclose(outcome.error_maps["spread"].data, abs(trivial.SHIFT[0]), rtol=1e-4)


def test_without_the_option_there_is_one_registration_and_no_map(shift, pair):
    outcome = outcome_of(run(Task(*pair[:2], SHIFT)))
    assert (outcome.error_maps, outcome.error_statistics) == ({}, {})
    assert len(shift.calls) == 1


def test_the_maps_come_out_of_the_engines_process_as_mapped_files(pair, tmp_path):
    transport = PipeTransport()
    engine = EngineProcess(transport, root=tmp_path)
    task = Task(*pair[:2], RegistrationOptions("affine", "fast"), MAPS)
    job = engine.submit("register", {"task": task})
    assert transport.wait(lambda: job.finished), job.stage
    assert job.state is State.DONE, job.message
    maps = job.result.error_maps
    assert maps.keys() == {"predicted", "consistency"}
    for volume in maps.values():
        assert isinstance(volume.data.base, np.memmap)
        assert volume.data.dtype == np.float32 and volume.data.shape == pair[0].data.shape
    consistency, predicted = (maps[k].data for k in ("consistency", "predicted"))
    assert np.allclose(predicted, consistency / np.sqrt(2), rtol=1e-5)
    assert 0 < consistency.mean() < 30
    largest = job.result.error_statistics["max"]
    assert largest <= predicted.max() + 1e-6  # in the lungs, where those are found
    engine.close()
    assert transport.wait(lambda: not engine.running)


def test_a_measurement_takes_the_maps_into_account_in_the_mask(pair):
    fixed, moving, lungs = pair
    values = np.where(lungs.data != 0, 6.0, 0.5).astype(np.float32)
    maps = {
        "predicted": Volume(values, fixed.grid),
        "consistency": Volume(2 * values, fixed.grid),
    }
    nothing = AffineMap(np.eye(3), np.zeros(3))
    found = measure_quality(nothing, fixed, moving, fixed_mask=lungs, error_maps=maps)
    assert found["uncertainty"]["median"] == found["uncertainty"]["p95"] == 6.0
    assert found["uncertainty"]["consistency"]["p95"] == 12.0
    assert found["uncertainty"]["percent_above"] == 100
    assert found["uncertainty"]["limit"] == 5.0  # of voxels of 12 mm
    assert measure_quality(nothing, fixed, moving)["uncertainty"] is None


def test_maps_of_another_image_are_refused(pair):
    fixed, moving, lungs = pair
    grid = Grid((4, 4, 4), (12.0, 12.0, 12.0))
    other = Volume(np.ones((4, 4, 4), np.float32), grid)
    nothing = AffineMap(np.eye(3), np.zeros(3))
    with pytest.raises(RegistrationError, match="fixed image's grid"):
        measure_quality(
            nothing,
            fixed,
            moving,
            fixed_mask=lungs,
            error_maps={"predicted": other, "consistency": other},
        )
