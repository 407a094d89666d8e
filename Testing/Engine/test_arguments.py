"""Something of another type, given to a public function, gives one sentence and no traceback."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from numbers import Real

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import DeepRegistrationLib as library
from DeepRegistrationLib.arguments import PATH, points_of, require, takes
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.transforms import Affine, DisplacementField

GRID = Grid((6, 5, 4), (10.0, 10.0, 10.0))
IMAGE = Image(torch.rand(GRID.shape), GRID)
LABELS = Image((torch.rand(GRID.shape) > 0.5).to(torch.uint8), GRID)
SHIFT = Affine(translation=(1.0, 2.0, 3.0))
VECTORS = torch.zeros(3, *GRID.shape)
POINTS = np.array([[10.0, 20.0, 10.0], [20.0, 20.0, 20.0], [30.0, 10.0, 10.0]])
PAIRS = POINTS, POINTS + 1.0
RIGHT = {  # what each public function or class takes, and nothing else is wrong with it
    "Affine": (np.eye(3), (0.0, 0.0, 0.0)),
    "Composite": ([SHIFT],),
    "DisplacementField": (VECTORS, GRID),
    "Grid": ((6, 5, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "Image": (IMAGE.data, GRID),
    "VelocityField": (VECTORS, GRID),
    "cross_validated_errors": (IMAGE, IMAGE, PAIRS),
    "heart_overlap": (IMAGE, IMAGE, SHIFT),
    "improve": (IMAGE, IMAGE, SHIFT, PAIRS),
    "invert": (SHIFT, GRID),
    "jacobian": (SHIFT, GRID),
    "jacobian_statistics": (IMAGE, LABELS),
    "leave_one_out": (IMAGE, IMAGE, SHIFT, PAIRS),
    "read_image": ("image.nrrd",),
    "read_labels": ("labels.nrrd", GRID),
    "read_landmarks": ("points.csv",),
    "read_mask": ("mask.nrrd", GRID),
    "read_sequence": ("image.nrrd",),
    "read_transform": ("transform.h5",),
    "register": (IMAGE, IMAGE),
    "registered_overlap": (LABELS, LABELS, SHIFT),
    "strain": ([IMAGE, IMAGE],),
    "target_registration_error": (SHIFT, *PAIRS),
    "ventilation": (IMAGE, IMAGE, SHIFT),
    "ventilation_curves": ([IMAGE, IMAGE],),
    "warp": (IMAGE, SHIFT, GRID),
    "warp_labels": (LABELS, SHIFT, GRID),
    "write_image": (IMAGE, "image.nrrd"),
    "write_landmarks": (POINTS, "points.csv"),
    "write_transform": (SHIFT, "transform.h5"),
}
WRONG = {
    "a number": 3,
    "an array": np.zeros((4, 5, 6)),
    "a SimpleITK image": sitk.GetImageFromArray(np.zeros((4, 5, 6), np.float32)),
    "a list": [1, 2],
    "a set": {"x"},
}
PLACES = [(name, place) for name, given in RIGHT.items() for place in range(len(given))]


def test_every_public_function_is_tried():
    others = {"Cancelled", "RegistrationError", "method_names"}  # errors, and one without arguments
    results = {"Improvement", "Outputs", "Registration", "RegistrationOptions", "__version__"}
    assert set(RIGHT) == set(library.__all__) - others - results


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("name", "place"), PLACES, ids=[f"{n} {p + 1}" for n, p in PLACES])
def test_another_type_in_any_place_gives_a_sentence(name, place, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = list(RIGHT[name])
    given[place] = WRONG[wrong]
    if (name, place, wrong) == ("Affine", 0, "a list"):
        given[place] = [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(RegistrationError) as told:
        getattr(library, name)(*given)
    assert str(told.value).endswith(".") and "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    ["options", "outputs", "guide", "guide_labels", "fixed_mask", "initial", "progress", "method"],
)
def test_what_register_takes_by_name_is_checked(name):
    for wrong in (3, [1, 2], np.zeros((2, 2))):
        with pytest.raises(RegistrationError):
            library.register(IMAGE, IMAGE, **{name: wrong})
    for output in ("warped", "jacobian", "inverse", "uncertainty"):
        with pytest.raises(RegistrationError, match=f"{output} is 'x'; give True or False"):
            library.register(IMAGE, IMAGE, **{output: "x"})


@pytest.mark.parametrize("points", [None, 3, POINTS, [[1.0, 2.0, 3.0]], torch.zeros(4, 2)])
@pytest.mark.parametrize("transform", [SHIFT, DisplacementField(VECTORS, GRID)])
def test_points_of_a_transform_are_a_tensor(transform, points):
    with pytest.raises(RegistrationError, match=r"Points are a torch.Tensor \[..., 3\]"):
        transform(points)


def test_whole_numbers_are_points_too():
    field = DisplacementField(VECTORS + 0.5, GRID)
    assert field(torch.tensor([[10, 20, 10]])).tolist() == [[10.5, 20.5, 10.5]]


def test_a_size_is_whole_numbers():
    with pytest.raises(RegistrationError, match="whole numbers"):
        Grid((6, 5, 4.5))


def test_a_mask_of_the_same_size_elsewhere_is_not_taken_for_one_of_the_jacobian_map():
    there = Image(LABELS.data, Grid(GRID.size, GRID.spacing, (0.0, 0.0, 40.0)))
    with pytest.raises(RegistrationError, match="another grid"):
        library.jacobian_statistics(IMAGE, there)


def test_the_sentence_says_what_to_give():
    other = sitk.Image(2, 2, 2, sitk.sitkUInt8)
    with pytest.raises(RegistrationError, match="fixed is of type SimpleITK.Image; give an Image"):
        require(other, "fixed", Image)
    with pytest.raises(RegistrationError, match="frames holds something of type int; give a list"):
        require([IMAGE, 3], "frames", [Image])
    with pytest.raises(RegistrationError, match="file is of type int; give a path"):
        require(3, "file", PATH)
    with pytest.raises(RegistrationError, match="x: points are an array .* not of shape .2, 2."):
        points_of(np.zeros((2, 2)), "x")


@pytest.mark.parametrize("transform", [SHIFT, DisplacementField(VECTORS, GRID)])
def test_warp_repeats_the_border_where_no_value_fills(transform):
    there = Grid(GRID.size, GRID.spacing, (-500.0, 0.0, 0.0))
    assert library.warp(IMAGE, transform, there, fill=None).data.min() >= IMAGE.data.min()
    assert library.warp(IMAGE, transform, there, fill=-1.0).data.max() == -1.0
    with pytest.raises(RegistrationError, match="fill is of type str; give a number, or None"):
        library.warp(IMAGE, transform, there, fill="border")


@pytest.mark.parametrize("transform", [SHIFT, DisplacementField(VECTORS, GRID)])
def test_there_is_no_other_interpolation(transform):
    for use in (
        lambda: library.warp(IMAGE, transform, GRID, interpolation="bspline"),
        lambda: IMAGE.resampled(GRID, interpolation="bspline"),
        lambda: IMAGE.sample(torch.zeros(1, 3), interpolation="bspline"),
    ):
        with pytest.raises(RegistrationError, match="no interpolation 'bspline'; choose .*cubic"):
            use()


def test_an_image_holds_numbers_that_can_be_computed_with():
    for kind in (torch.complex64, torch.uint16):
        with pytest.raises(RegistrationError, match=f"of type {kind}; give real numbers"):
            Image(IMAGE.data.to(kind), GRID)


@pytest.mark.parametrize("kind", [torch.bool, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["i.nii.gz", "i.nrrd", "i.mha"])
def test_an_image_of_a_type_that_files_lack_is_written_in_a_larger_one(kind, name, tmp_path):
    image = Image((100 * IMAGE.data).to(kind), GRID)
    library.write_image(image, tmp_path / name)
    assert torch.equal(library.read_image(tmp_path / name).data.double(), image.data.double())


def test_half_precision_images_and_a_torch_device_are_taken():
    image = Image((100 * torch.rand(12, 12, 12)).bfloat16(), Grid((12, 12, 12), (9.0, 9.0, 9.0)))
    choices = {"method": "affine", "quality": "fast"}
    found = library.register(image, image, device=torch.device("cpu"), **choices)
    assert found.provenance["device"] == "cpu"


def test_points_that_are_no_numbers_are_neither_measured_nor_written(tmp_path):
    wrong = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    with pytest.raises(RegistrationError, match="fixed: point 2 is .1.0, nan, 3.0."):
        library.target_registration_error(SHIFT, wrong, POINTS[:2])
    with pytest.raises(RegistrationError, match="points: point 2"):
        library.write_landmarks(wrong, tmp_path / "p.csv")
    with pytest.raises(RegistrationError, match="3 points, but 2 labels; give one for each"):
        library.write_landmarks(POINTS, tmp_path / "p.csv", ["a", "b"])
    assert not list(tmp_path.iterdir())


def test_none_is_taken_where_it_is_the_default():
    @takes(first=Real, second=Callable)
    def called(first, second=None):
        return first, second

    assert called(1.0) == called(1.0, None) == (1.0, None)
    with pytest.raises(RegistrationError, match="first is of type NoneType; give a number"):
        called(None)
    with pytest.raises(TypeError, match="unexpected keyword"):
        called(1.0, third=2)


def test_a_checked_function_stays_what_it_was():
    assert pickle.loads(pickle.dumps(library.warp)) is library.warp
    assert list(inspect.signature(library.warp).parameters)[:3] == ["moving", "transform", "grid"]
    assert "interpolated once" in library.warp.__doc__
