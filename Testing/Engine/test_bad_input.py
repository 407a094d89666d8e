"""Bad input: exit 2, one sentence on stderr, no traceback, nothing written.

Each case runs the real command line inside this process.
"""

import re

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from trivial import assert_says, register, volume

from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.evaluation import write_landmarks
from DeepRegistrationLib.images.image import read_image
from DeepRegistrationLib.transforms import Affine, write_transform

SIZE = (14, 12, 10)


# Image files ----------------------------------------------------------------------------------


def metaimage(path, spacing="1 1 1", direction="1 0 0 0 1 0 0 0 1"):
    """A MetaImage with any header, valid or not."""
    head = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"TransformMatrix = {direction}\nElementSpacing = {spacing}\nDimSize = 8 8 8\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    voxels = np.random.default_rng(0).integers(-900, 100, 512).astype("<i2").tobytes()
    path.write_bytes(head.encode() + voxels)


def nifti_with_spacing(path, value):
    """A NIfTI file whose first pixdim is ``value``."""
    volume(path.with_name("plain.nii"))
    content = bytearray(path.with_name("plain.nii").read_bytes())
    content[80:84] = np.float32(value).tobytes()
    path.with_name("plain.nii").unlink()
    path.write_bytes(content)


def truncated(path, part):
    """A file of noise without its end."""
    volume(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])


def with_value(path, value):
    values = np.random.default_rng(0).normal(-500, 100, SIZE[::-1]).astype(np.float32)
    values[3, 4, 5] = value
    volume(path, values=values)


def color(path):
    values = np.random.default_rng(0).integers(0, 255, (*SIZE[::-1], 3)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(values, isVector=True), str(path))


def flat(value):
    return lambda path: volume(path, values=np.full(SIZE[::-1], value, dtype=np.int16))


BAD_FILES = {
    "missing": ("gone.nii.gz", lambda path: None, "does not exist"),
    "empty file": ("empty.nii.gz", lambda path: path.touch(), "cannot be read as an image"),
    "text": ("text.nrrd", lambda path: path.write_text("hello"), "cannot be read as an image"),
    "unknown format": ("notes.docx", lambda path: path.write_text("hello"), "cannot be read"),
    "no DICOM folder": ("folder", lambda path: path.mkdir(), "holds no DICOM series"),
    "cut short .nii": ("cut.nii", lambda path: truncated(path, 0.5), "cut short"),
    "cut short .nii.gz": ("cut.nii.gz", lambda path: truncated(path, 0.5), "cut short"),
    "nearly nothing left": (
        "cut.nii.gz",
        lambda path: truncated(path, 0.05),
        r"cut short.*the file holds \d+;|cannot",
    ),
    "cut short .mha": ("cut.mha", lambda path: truncated(path, 0.5), "cut short"),
    "cut short .nrrd": ("cut.nrrd", lambda path: truncated(path, 0.5), "cut short"),
    "2D": (
        "flat.nii.gz",
        lambda path: volume(path, size=(20, 20), spacing=(1.0, 1.0), origin=(0.0, 0.0)),
        r"2D.*3D volume\.",
    ),
    "4D": (
        "series.nii.gz",
        lambda path: volume(path, size=(8, 8, 8, 3), spacing=(1.0,) * 4, origin=(0.0,) * 4),
        "4D.*one frame",
    ),
    "color": ("rgb.nii.gz", color, "3 values per voxel .color"),
    "NaN": (
        "nan.mha",
        lambda path: with_value(path, np.nan),
        "holds 1 voxel that is not a finite number .nan at index 5, 4, 3.; replace it",
    ),
    "infinity": ("inf.nrrd", lambda path: with_value(path, np.inf), "inf at index 5, 4, 3"),
    "NaN in .nii.gz": ("n.nii.gz", lambda path: with_value(path, np.nan), "nan at index 5, 4, 3"),
    "infinity in .nii": ("i.nii", lambda path: with_value(path, -np.inf), "-inf at index 5, 4, 3"),
    "constant": ("constant.nii.gz", flat(12), "the value 12 in every voxel"),
    "all padding": ("padding.nii.gz", flat(-3024), "only padding"),
    "one voxel thick": (
        "thin.nii.gz",
        lambda path: volume(path, size=(14, 12, 1)),
        "one voxel thick .size 14 x 12 x 1",
    ),
    "negative spacing": ("n.mha", lambda path: metaimage(path, "-1 1 1"), "spacing of -1 x 1 x 1"),
    "zero spacing": ("z.mha", lambda path: metaimage(path, "1 0 1"), "spacing of 1 x 0 x 1"),
    "negative NIfTI spacing": (
        "n.nii",
        lambda path: nifti_with_spacing(path, -2),
        "spacing of -2 x 2 x 2.5",
    ),
    "zero NIfTI spacing": ("z.nii", lambda path: nifti_with_spacing(path, 0), "spacing of 0 x 2"),
    "spacing not a number": ("s.mha", lambda path: metaimage(path, "1 nan 1"), "1 x nan x 1"),
    "sheared axes": (
        "shear.mha",
        lambda path: metaimage(path, direction="1 0.3 0 0 1 0 0 0 1"),
        "sheared",
    ),
}


@pytest.mark.parametrize("side", ["fixed", "moving"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_image_is_refused(case, side, good, refuse, tmp_path):
    name, make, says = BAD_FILES[case]
    bad = tmp_path / name
    make(bad)
    pair = (bad, good[1]) if side == "fixed" else (good[0], bad)
    assert_says(refuse(*register(*pair, tmp_path / "out")), says)


@pytest.mark.parametrize("side", ["--fixed-mask", "--moving-mask"])
@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ({"size": (14, 12, 11)}, "size 14 x 12 x 11.*14 x 12 x 10"),
        ({"origin": (0.0, 5.0, 30.0)}, "lies 10 mm away"),
        ({"values": np.zeros(SIZE[::-1], np.uint8)}, "is empty"),
    ],
)
def test_a_bad_mask_is_refused(side, mask, says, good, refuse, tmp_path):
    path = volume(tmp_path / "mask.nii.gz", **mask)
    assert_says(refuse(*register(*good, tmp_path / "out", side, path)), says)


def test_a_mask_beside_the_content_is_refused(refuse, tmp_path):
    values = np.full(SIZE[::-1], -1000.0, dtype=np.float32)
    values[:5] += np.random.default_rng(0).normal(600, 100, values[:5].shape)
    mask = np.zeros(SIZE[::-1], dtype=np.uint8)
    mask[6:] = 1
    image = volume(tmp_path / "half.nii.gz", values=values)
    path = volume(tmp_path / "mask.nii.gz", values=mask)
    sentence = refuse(*register(image, image, tmp_path / "out", "--fixed-mask", path))
    assert_says(sentence, "covers only background")


# Landmarks ------------------------------------------------------------------------------------

INSIDE = np.array([[0.0, 12.0, 40.0], [4.0, 14.0, 38.0]])


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (INSIDE[:1], "2 fixed but 1 moving"),
        (INSIDE + [0, 0, 100], "2 of 2 moving landmarks lie outside"),
        (np.zeros((0, 3)), "holds no landmarks"),
    ],
)
def test_bad_landmarks_are_refused_before_the_method_runs(
    points, says, good, refuse, shift, tmp_path
):
    write_landmarks(INSIDE, tmp_path / "f.csv")
    write_landmarks(points, tmp_path / "m.csv")
    options = ("--fixed-landmarks", tmp_path / "f.csv", "--moving-landmarks", tmp_path / "m.csv")
    assert_says(refuse(*register(*good, tmp_path / "out", *options)), says)
    assert shift.calls == []


def test_one_landmark_file_alone_is_refused(good, refuse, tmp_path):
    write_landmarks(INSIDE, tmp_path / "f.csv")
    options = ("--fixed-landmarks", tmp_path / "f.csv")
    assert_says(refuse(*register(*good, tmp_path / "out", *options)), "Only one landmark file")


# Options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--method", "magic"), "no method called 'magic'.*shift"),
        (("--set", "size=3"), "no parameter 'size'.*scale"),
        (("--set", "scale"), "not NAME=VALUE"),
        (("--set", "scale=big"), "not of type float"),
        (("--set", "scale=9"), "outside 0.0 to 5.0"),
        (("--device", "abacus"), "Unknown device 'abacus'"),
        (("--initial", "nowhere.h5"), "nowhere.h5 does not exist"),
        (("--quality", "perfect"), "invalid choice: 'perfect'"),
    ],
)
def test_a_bad_option_is_refused(options, says, good, refuse, tmp_path):
    assert_says(refuse(*register(*good, tmp_path / "out", *options)).replace(" register", ""), says)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_where_there_is_none_is_refused(good, refuse, tmp_path):
    sentence = refuse(*register(*good, tmp_path / "out", "--device", "cuda"))
    assert_says(sentence, "cuda was requested.*--device cpu")


@pytest.mark.parametrize("name", ["bad.h5", "bad.tfm", "bad.nii.gz"])
def test_a_file_that_is_no_transform_is_refused(name, good, refuse, tmp_path):
    (tmp_path / name).write_text("hello")
    sentence = refuse(*register(*good, tmp_path / "out", "--initial", tmp_path / name))
    assert_says(sentence, "cannot be read as a transform")


def test_an_image_given_as_transform_is_refused(good, refuse, tmp_path):
    sentence = refuse(*register(*good, tmp_path / "out", "--initial", good[0]))
    assert_says(sentence, "not a displacement field")


@pytest.mark.parametrize("name", ["n.mha", "n.mhd", "n.nrrd", "n.nii.gz"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_with_a_voxel_that_is_no_number_is_not_read_from_any_format(name, value, tmp_path):
    with_value(tmp_path / name, value)
    with pytest.raises(RegistrationError, match="holds 1 voxel .* at index 5, 4, 3"):
        read_image(tmp_path / name)


def test_how_much_of_a_compressed_file_is_left_is_told(tmp_path):
    path = tmp_path / "cut.nii.gz"
    volume(path, values=np.random.default_rng(0).integers(-999, 99, SIZE[::-1], dtype=np.int16))
    truncated(path, 0.5)
    with pytest.raises(RegistrationError, match="cut short") as told:
        read_image(path)
    promised, present = (int(n) for n in re.findall(r"(\d+)(?: bytes|;)", str(told.value)))
    assert 0.3 * promised < present < 0.7 * promised


def test_apply_and_evaluate_refuse_what_does_not_fit(good, refuse, tmp_path):
    transform = tmp_path / "t.tfm"
    write_transform(Affine(translation=(1, 2, 3)), transform)
    write_landmarks(INSIDE, tmp_path / "p.csv")
    out = tmp_path / "out.nii.gz"
    assert_says(refuse("apply", transform, good[0], "-o", out), "--reference")
    assert_says(refuse("apply", transform, tmp_path / "p.csv", "-o", out), "of different kinds")
    other = ("apply", transform, good[0], "--reference", good[0], "-o", tmp_path / "a.png")
    assert_says(refuse(*other), "images are written as")
    assert_says(refuse("evaluate", transform, "--fixed-labels", good[0]), "Only one label map")
    gone = refuse("evaluate", tmp_path / "gone.h5", "--fixed", good[0])
    assert_says(gone, "does not exist")
    assert_says(refuse("evaluate", transform), "nothing to measure with; give --fixed")
    (tmp_path / "reg.dcm").write_text("hello")
    foreign = refuse("evaluate", tmp_path / "reg.dcm", "--fixed", good[0])
    assert_says(foreign, "reg.dcm cannot be read as a transform; give .* `deepreg convert` makes")
