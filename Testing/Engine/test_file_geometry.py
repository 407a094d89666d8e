"""Headers that contradict themselves, or say nothing, are told; what cannot be is refused."""

import gzip
import re
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from references import PROPERTY

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import read_image, read_sequence
from DeepRegistrationLib.transforms import DisplacementField, read_transform

VOXELS = np.random.default_rng(0).integers(-1000, 1000, (8, 12, 10)).astype("<i2")  # [z, y, x]
PIXDIM = (1.5, 1.5, 3.0)
AFFINE = np.array([[-1.5, 0, 0, 50], [0, -1.5, 0, 60], [0, 0, 3, -70.0]])
ENDS = np.array([[0, 0, 0], [9, 11, 7]])
CODES = {"<i2": (4, 16), "<f4": (16, 32), ">f4": (16, 32), "<f8": (64, 64)}


def nifti(path, voxels=VOXELS, sform=None, qoffset=None, codes=(1, 1), dims=(10, 12, 8), **more):
    """NIfTI-1, byte by byte (nifti1.h). The qform is diag(-1, -1, 1) with an offset."""
    order = voxels.dtype.str[0].replace("=", "<")
    head = bytearray(352)
    struct.pack_into(order + "i", head, 0, 348)
    struct.pack_into(order + "8h", head, 40, len(dims), *dims, *[1] * (7 - len(dims)))
    struct.pack_into(order + "2h", head, 70, *CODES[order + voxels.dtype.str[1:]])
    struct.pack_into(order + "8f", head, 76, 1, *more.get("pixdim", PIXDIM), 1, 1, 1, 1)
    struct.pack_into(order + "3f", head, 108, more.get("offset", 352), 1, 0)
    head[123] = more.get("unit", 2)
    sets = (codes[0] if qoffset is not None else 0, codes[1] if sform is not None else 0)
    struct.pack_into(order + "2h", head, 252, *sets)
    if qoffset is not None:
        struct.pack_into(order + "6f", head, 256, 0, 0, 1, *qoffset)
    if sform is not None:
        struct.pack_into(order + "12f", head, 280, *np.ravel(sform))
    head[344:348] = more.get("magic", b"n+1\0")
    content = bytes(head) + voxels.tobytes()
    path.write_bytes(gzip.compress(content) if path.name.endswith("gz") else content)
    return path


def ends_of(affine):
    """First and last voxel in LPS mm."""
    return (ENDS @ affine[:, :3].T + affine[:, 3]) * [-1, -1, 1]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_headers_that_agree_are_read_without_a_note(tmp_path, suffix):
    for n, forms in enumerate(({"sform": AFFINE}, {"qoffset": AFFINE[:, 3]})):
        image = read_image(nifti(tmp_path / f"{n}{suffix}", **forms))
        np.testing.assert_allclose(image.grid.to_physical(ENDS), ends_of(AFFINE), atol=1e-4)
        assert image.notes == ()
    both = nifti(tmp_path / f"both{suffix}", sform=AFFINE, qoffset=AFFINE[:, 3])
    assert read_image(both).notes == ()


@PROPERTY
@given(
    shift=st.tuples(*[st.floats(-80, 80)] * 3),
    codes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_the_form_that_was_taken_is_named(tmp_path_factory, shift, codes):
    moved = AFFINE.copy()
    moved[:, 3] += shift
    path = tmp_path_factory.mktemp("n") / "a.nii"
    image = read_image(nifti(path, sform=moved, qoffset=AFFINE[:, 3], codes=codes))
    place = image.grid.to_physical(ENDS)
    if np.abs(shift).max() > 0.2:
        form = "sform" if "the sform was used" in image.notes[0] else "qform"
        expected = {"sform": moved, "qform": AFFINE}[form]
        assert f"the {form} was used" in image.notes[0]
        said = float(re.search(r"up to (\S+) mm apart", image.notes[0])[1])
        assert abs(said - np.abs(shift).max()) < 0.0501  # rounded; the header holds float32
        np.testing.assert_allclose(place, ends_of(expected), atol=1e-3)


@pytest.mark.parametrize("qform", [True, False])
@pytest.mark.parametrize("where", [(1, 2), (0, 1), (2, 0)])
def test_shear_is_refused(tmp_path, qform, where):
    sheared = AFFINE.copy()
    sheared[where] += 0.3
    offset = AFFINE[:, 3] if qform else None
    with pytest.raises(RegistrationError, match="sheared axes.*orthogonal grid"):
        read_image(nifti(tmp_path / "a.nii", sform=sheared, qoffset=offset))


def test_a_turned_sform_is_no_shear(tmp_path):
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.2, -0.3, 0.5)
    affine = AFFINE.copy()
    affine[:, :3] = np.reshape(turn.GetMatrix(), (3, 3)) @ AFFINE[:, :3]
    image = read_image(nifti(tmp_path / "a.nii", sform=affine))
    np.testing.assert_allclose(image.grid.to_physical(ENDS), ends_of(affine), atol=1e-3)


def test_two_sizes_of_a_voxel_are_told_or_refused(tmp_path):
    ones = np.column_stack([np.diag([-1.0, -1, 1]), AFFINE[:, 3]])  # as in the ACDC data
    image = read_image(nifti(tmp_path / "a.nii", sform=ones))
    assert image.grid.spacing == PIXDIM and "the pixdim was used" in image.notes[0]
    image = read_image(nifti(tmp_path / "b.nii", sform=AFFINE, pixdim=(1, 1, 1)))
    assert image.grid.spacing == PIXDIM and "the sform was used" in image.notes[0]
    with pytest.raises(RegistrationError, match="contradicts itself: a voxel is 2 x 2 x 2"):
        read_image(nifti(tmp_path / "c.nii", sform=AFFINE, pixdim=(2, 2, 2)))


@pytest.mark.parametrize("magic", [b"n+1\0", b"\0\0\0\0"])
def test_an_unknown_orientation_is_told_by_the_command_line(tmp_path, magic, capsys):
    if magic == b"n+1\0":
        path = nifti(tmp_path / "a.nii")
    else:  # Analyze
        path = nifti(tmp_path / "a.hdr", VOXELS[:0], magic=magic, offset=0)
        path.with_suffix(".img").write_bytes(VOXELS.tobytes())
    sitk.WriteTransform(sitk.AffineTransform(3), str(tmp_path / "t.tfm"))
    out = tmp_path / "o.nii.gz"
    given = ["apply", tmp_path / "t.tfm", path, "--reference", path, "-o", out]
    assert main([str(a) for a in given]) == 0
    assert "does not say how it is oriented" in capsys.readouterr().out


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8"])
@pytest.mark.parametrize("layout", [".nii", ".nii.gz", ".img", "4D"])
def test_nan_is_found_in_every_layout(tmp_path, value, kind, layout):
    voxels = VOXELS.astype(kind)
    voxels[3, 4, 5] = value
    if layout == ".img":
        path = nifti(tmp_path / "a.hdr", voxels[:0], sform=AFFINE, magic=b"ni1\0", offset=0)
        path.with_suffix(".img").write_bytes(voxels.tobytes())
    elif layout == "4D":
        path = nifti(tmp_path / "a.nii.gz", voxels, sform=AFFINE, dims=(10, 12, 8, 1))
    else:
        path = nifti(tmp_path / f"a{layout}", voxels, sform=AFFINE)
    with pytest.raises(RegistrationError, match="at index 5, 4, 3"):
        read_image(path)


def test_files_whose_names_hide_what_they_are_are_called_by_it(tmp_path):
    packed = nifti(tmp_path / "a.nii.gz", sform=AFFINE)
    (tmp_path / "b.nii").write_bytes(packed.read_bytes())
    with pytest.raises(RegistrationError, match=r"rename it to b\.nii\.gz"):
        read_image(tmp_path / "b.nii")
    (tmp_path / "c.nii.gz").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(RegistrationError, match=r"compressed \(zip\)"):
        read_image(tmp_path / "c.nii.gz")
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "d.nii.gz").write_bytes(content)
    with pytest.raises(RegistrationError, match="damaged"):
        read_image(tmp_path / "d.nii.gz")


@pytest.mark.parametrize("offset", [-1.7e15, -352, 0, 348, np.nan, np.inf])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_voxels_cannot_begin_before_the_end_of_the_header(tmp_path, suffix, offset):
    """ITK takes what lies behind 348 bytes then."""
    path = nifti(tmp_path / f"a{suffix}", np.float32(VOXELS), sform=AFFINE, offset=offset)
    with pytest.raises(RegistrationError, match="does not say where its voxels begin"):
        read_image(path)


@pytest.mark.parametrize("number", ["1e308", "-inf", "nan", "1e12"])
@pytest.mark.parametrize("entry", ["TransformMatrix", "Offset"])
def test_a_place_that_no_image_has_is_refused(tmp_path, entry, number):
    """ITK computes without end at a direction of 1e308, and takes an origin of inf for 0."""
    places = {"TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0", "ElementSpacing": "1 1 2"}
    places[entry] = number + places[entry][1:]
    lines = {"ObjectType": "Image", "NDims": 3, "BinaryData": True, **places}
    lines |= {"DimSize": "10 12 8", "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL"}
    header = "".join(f"{key} = {value}\n" for key, value in lines.items())
    (tmp_path / "a.mha").write_bytes(header.encode() + VOXELS.tobytes())
    with pytest.raises(RegistrationError, match="does not say where it lies"):
        read_image(tmp_path / "a.mha")


@pytest.mark.parametrize("number", [np.inf, np.nan, 3e38])
@pytest.mark.parametrize("form", ["qform", "sform"])
def test_an_origin_that_no_image_has_is_refused(tmp_path, form, number):
    moved = AFFINE.copy()
    moved[1, 3] = number
    place = {"qoffset": moved[:, 3]} if form == "qform" else {"sform": moved}
    with pytest.raises(RegistrationError, match=r"does not say where it lies|singular sform"):
        read_image(nifti(tmp_path / "a.nii", **place))


@pytest.mark.parametrize("origin", ["(1e308,0,0)", "(nan,0,0)", "(0,0,-1e12)"])
def test_a_place_in_nrrd_that_no_image_has_is_refused(tmp_path, origin):
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 10 12 8\n"
        "space directions: (1,0,0) (0,1,0) (0,0,2)\nendian: little\nencoding: raw\n"
        f"space origin: {origin}\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + VOXELS.tobytes())
    with pytest.raises(RegistrationError, match="does not say where it lies"):
        read_image(tmp_path / "a.nrrd")


def test_nifti_2_is_called_by_its_name(tmp_path):
    head = bytearray(544)
    struct.pack_into("<i", head, 0, 540)
    head[4:12] = b"n+2\0\r\n\x1a\n"
    struct.pack_into("<2h", head, 12, 4, 16)
    struct.pack_into("<8q", head, 16, 3, 10, 12, 8, 1, 1, 1, 1)
    struct.pack_into("<8d", head, 104, 1, *PIXDIM, 1, 1, 1, 1)
    struct.pack_into("<q", head, 168, 544)
    (tmp_path / "a.nii").write_bytes(bytes(head) + VOXELS.tobytes())
    with pytest.raises(RegistrationError, match="NIfTI-2"):
        read_image(tmp_path / "a.nii")


def test_time_points_of_a_4d_file_are_a_sequence(tmp_path):
    series = np.concatenate([VOXELS, VOXELS + 1, VOXELS + 2])
    path = nifti(tmp_path / "a.nii", series, sform=AFFINE, dims=(10, 12, 8, 3))
    with pytest.raises(RegistrationError, match="--frame"):
        read_image(path)
    for k, image in enumerate(read_sequence(path)):
        np.testing.assert_array_equal(image.data, VOXELS + k)
    np.testing.assert_array_equal(read_image(path, frame=2).data, VOXELS + 1)


def nrrd(path, fields, voxels=VOXELS):
    kind = {"<i2": "short", "<f4": "float"}[voxels.dtype.str]
    sizes = " ".join(str(n) for n in voxels.shape[::-1])
    head = f"NRRD0005\ntype: {kind}\ndimension: {voxels.ndim}\nsizes: {sizes}\nencoding: raw\n"
    path.write_bytes(f"{head}endian: little\n{fields}\n\n".encode() + voxels.tobytes())
    return path


LPS = "space: left-posterior-superior\nspace directions: (2,0,0) (0,2,0) (0,0,3)\n"


def test_what_a_nrrd_file_says_of_its_place_is_taken_or_told(tmp_path):
    plain = read_image(nrrd(tmp_path / "a.nrrd", LPS + "space origin: (1,2,3)"))
    assert plain.grid == Grid((10, 12, 8), (2, 2, 3), (1, 2, 3)) and plain.notes == ()
    unknown = read_image(nrrd(tmp_path / "b.nrrd", "spacings: 2 2 3"))
    assert "does not say how it is oriented" in unknown.notes[0]
    units = 'space units: "um" "um" "um"'
    small = read_image(nrrd(tmp_path / "c.nrrd", f"{LPS}space origin: (1000,0,0)\n{units}"))
    np.testing.assert_allclose(small.grid.spacing, (0.002, 0.002, 0.003))
    assert small.grid.origin[0] == 1 and "is in um" in small.notes[0]
    with pytest.raises(RegistrationError, match="unit 'furlong'"):
        read_image(nrrd(tmp_path / "d.nrrd", LPS + 'space units: "furlong" "furlong" "furlong"'))
    with pytest.raises(RegistrationError, match="axis mins and maxs"):
        read_image(nrrd(tmp_path / "e.nrrd", "axis mins: 0 0 0\naxis maxs: 8 10 18"))
    cells = "spacings: 2 2 3\naxis mins: 0 0 0\ncenterings: cell cell cell"
    assert read_image(nrrd(tmp_path / "f.nrrd", cells)).grid.origin == (1, 1, 1.5)


@pytest.mark.parametrize(("kind", "to"), [("modeling", -12), ("resampling", 12), (None, 12)])
def test_a_field_is_taken_in_the_direction_that_it_names(tmp_path, kind, to):
    vectors = np.zeros((20, 20, 20, 3), "<f4")
    vectors[..., 0] = 12
    fields = LPS.replace("directions: ", "directions: none ") + "kinds: vector domain domain domain"
    fields += f"\ndisplacement field type:={kind}" if kind else ""
    field = read_transform(nrrd(tmp_path / "u.nrrd", fields, vectors))
    assert isinstance(field, DisplacementField)
    np.testing.assert_allclose(field.vectors[0], to, atol=1e-3)


def test_a_modeling_field_that_folds_is_refused(tmp_path):
    vectors = np.random.default_rng(0).normal(0, 30, (8, 8, 8, 3)).astype("<f4")
    fields = LPS.replace("directions: ", "directions: none ") + "kinds: vector domain domain domain"
    path = nrrd(tmp_path / "u.nrrd", fields + "\ndisplacement field type:=modeling", vectors)
    with pytest.raises(RegistrationError, match="folds"):
        read_transform(path)
