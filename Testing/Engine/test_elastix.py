"""elastix as a method: known motions, masks, cancel, and what is said where it is missing."""

import signal
import subprocess
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch
from references import blobs, inner_points, oblique_grid, rotation

from DeepRegistrationLib import RegistrationError
from DeepRegistrationLib.data.phantoms import thorax
from DeepRegistrationLib.errors import Cancelled
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.methods import method_class
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.methods.elastix import process
from DeepRegistrationLib.methods.elastix.parameter_sets import RECIPES, ElastixStage
from DeepRegistrationLib.transforms import Affine, warp


@pytest.fixture
def installed():
    try:
        process.require_elastix()
    except RegistrationError:
        pytest.skip("itk-elastix is not installed")


@pytest.fixture
def quick(monkeypatch):
    """All recipes with a few iterations a level."""
    for name, stages in RECIPES.items():
        monkeypatch.setitem(RECIPES, name, tuple(shortened(stage) for stage in stages))


def shortened(stage: ElastixStage) -> ElastixStage:
    count = 60 if stage.affine else 40
    return replace(
        stage, parameters=stage.parameters | {"MaximumNumberOfIterations": (str(count),)}
    )


def elastix(fixed, moving, recipe, **context):
    method = method_class("elastix")
    return method(method.Parameters(recipe)).register(fixed, moving, Context(**context))


def mean_error(transform, fixed_points, moving_points):
    found = transform(torch.from_numpy(fixed_points).float()).numpy()
    return float(np.linalg.norm(found - moving_points, axis=1).mean())


@pytest.fixture(scope="module")
def chest():
    return thorax((40, 32, 36), (7.0, 7.0, 7.0), motion=15.0)


def chest_error(transform, chest):
    return mean_error(transform, chest.fixed_landmarks, chest.moving_landmarks)


# Without elastix


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch, chest):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(process, "version", missing)
    with pytest.raises(RegistrationError, match="pip install itk-elastix.*optimize"):
        elastix(chest.fixed, chest.moving, "affine")


def test_the_recipe_with_a_mask_asks_for_one(chest):
    with pytest.raises(RegistrationError, match="mask of the fixed image"):
        elastix(chest.fixed, chest.moving, "par0011-mask")


@pytest.mark.parametrize(
    ("recipe", "resolutions", "iterations", "grid"),
    [("bspline-1r2000", "1", "2000", "10"), ("bspline-3r500", "3", "500", "10"),
     ("par0011", "5", "2000", "5"), ("par0011-mask", "5", "2000", "5")],
)  # fmt: skip
def test_the_last_stage_has_the_papers_iterations_and_grid(recipe, resolutions, iterations, grid):
    values = RECIPES[recipe][-1].parameters
    assert values["NumberOfResolutions"] == (resolutions,)
    assert values["MaximumNumberOfIterations"] == (iterations,)
    assert values["FinalGridSpacingInPhysicalUnits"] == (grid,) * 3
    levels = int(resolutions)
    assert len(values["ImagePyramidSchedule"]) == 3 * levels
    assert len(values["GridSpacingSchedule"]) == levels


# With it


def test_a_known_affine_between_oblique_images_is_found(installed, quick):
    grid = oblique_grid((30, 29, 27), (4.0, 4.0, 4.4))
    box = Grid((53, 53, 53), (4.0, 4.0, 4.0), tuple(grid.center() - 104.0))
    moving = blobs(box)
    center = grid.center()
    matrix = rotation(4, -3, 5) @ np.diag([1.03, 0.98, 1.0])
    truth = Affine(matrix, center - matrix @ center + (4.0, -3.0, 5.0))
    fixed = warp(moving, truth, grid)
    found = elastix(fixed, moving, "affine")
    assert isinstance(found, Affine)
    points = inner_points(grid)
    there = points @ truth.matrix.T + truth.translation
    assert mean_error(Affine(), points, there) > 6
    assert mean_error(found, points, there) < 0.5


def test_breathing_is_followed_and_progress_rises_to_the_end(installed, quick, chest):
    fractions = []
    found = elastix(
        chest.fixed, chest.moving, "bspline-3r500", fixed_mask=chest.fixed_lungs,
        moving_mask=chest.moving_lungs, progress=lambda fraction, _: fractions.append(fraction),
    )  # fmt: skip
    assert chest_error(found, chest) < 0.6 * chest_error(Affine(), chest)
    assert fractions == sorted(fractions)
    assert max(fractions) > 0.5


def test_a_cancel_ends_the_process_of_elastix(installed, chest, monkeypatch):
    processes = []

    class Watched(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            processes.append(self)

    def progress(fraction, message):
        assert processes[0].poll() is None
        raise Cancelled

    monkeypatch.setattr(subprocess, "Popen", Watched)
    with pytest.raises(Cancelled):
        elastix(chest.fixed, chest.moving, "par0011", progress=progress)
    assert len(processes) == 1
    assert processes[0].returncode == -signal.SIGKILL
