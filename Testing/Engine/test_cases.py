"""Lists of cases: what is read, and each mistake in one sentence."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import trivial

from DeepRegistrationLib.data.cases import Case, cases_of, pairs_of, read_cases
from DeepRegistrationLib.errors import RegistrationError


@pytest.fixture
def folder(tmp_path):
    """Four images a to d, a mask of a, and a label map of another size."""
    for name in "abcd":
        trivial.volume(tmp_path / f"{name}.nii.gz")
    trivial.volume(tmp_path / "mask.nii.gz")
    trivial.volume(
        tmp_path / "small.nii.gz", size=(7, 8, 9), values=np.zeros((9, 8, 7), dtype=np.uint8)
    )
    (tmp_path / "points.csv").write_text("x,y,z\n1,2,3\n")
    return tmp_path


def _list(folder, text, name="list.csv"):
    (folder / name).write_text(text)
    return folder / name


GOOD = """image,mask,landmarks,patient,split
a.nii.gz,mask.nii.gz,points.csv,one,train
b.nii.gz,,,one,train
c.nii.gz,,,two,validation
"""


def test_files_are_found_beside_the_list(folder):
    cases = read_cases(_list(folder, GOOD))
    assert cases[0] == Case(
        "one",
        "train",
        folder / "a.nii.gz",
        folder / "mask.nii.gz",
        None,
        folder / "points.csv",
    )
    assert [case.split for case in cases] == ["train", "train", "validation"]


def test_json_says_the_same_as_csv(folder):
    rows = [
        {"image": "a.nii.gz", "mask": "mask.nii.gz", "landmarks": "points.csv"},
        {"image": "b.nii.gz"},
        {"image": "c.nii.gz"},
    ]
    for row, patient, split in zip(
        rows, ("one", "one", "two"), ("train", "train", "validation"), strict=True
    ):
        row.update(patient=patient, split=split)
    found = read_cases(_list(folder, json.dumps(rows), "list.json"))
    assert found == read_cases(_list(folder, GOOD))


def test_cases_of_one_patient_form_pairs_both_ways(folder):
    cases = read_cases(_list(folder, GOOD))
    assert pairs_of(cases) == [(cases[0], cases[1]), (cases[1], cases[0])]


def test_an_empty_split_is_refused(folder):
    cases = read_cases(_list(folder, GOOD))
    assert cases_of(cases, "validation") == [cases[2]]
    with pytest.raises(RegistrationError, match="no cases in the split 'test'"):
        cases_of(cases, "test")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("c.nii.gz,,,two", "c.nii.gz,,,one"), "patient one is in the splits train and validation"),
        (("c.nii.gz", "a.nii.gz"), "image .*a.nii.gz is in the splits train and validation"),
        (
            ("b.nii.gz", "a.nii.gz"),
            "case 2 is the image of case 1, .*a.nii.gz; list each image once",
        ),
        (("b.nii.gz", "absent.nii.gz"), "case 2: the image .*absent.nii.gz does not exist"),
        (("mask.nii.gz", "absent.nii.gz"), "the mask .*absent.nii.gz does not exist"),
        (
            ("mask.nii.gz", "small.nii.gz"),
            "mask small.nii.gz and the image a.nii.gz differ in geometry",
        ),
        (("landmarks", "points"), r"unknown columns \(points\)"),
        (("one,train\nb", "one,\nb"), "case 1 has no split"),
        (("one,train\nb", ",train\nb"), "case 1 has no patient"),
        (("validation", "tset"), "split 'tset'"),
        (("b.nii.gz,,,one,train", "b.nii.gz,,,one,train,5"), "more cells than its header"),
        (("mask.nii.gz", "points.csv"), "points.csv cannot be read as an image"),
        ((GOOD[GOOD.index("\n") + 1 :], ""), "lists no cases"),
    ],
)
def test_each_mistake_is_one_sentence(folder, change, sentence):
    assert change[0] in GOOD
    with pytest.raises(RegistrationError, match=sentence) as caught:
        read_cases(_list(folder, GOOD.replace(*change)))
    assert "\n" not in str(caught.value)


def test_labels_of_another_geometry_are_refused(folder):
    text = "image,labels,patient,split\na.nii.gz,small.nii.gz,one,train\n"
    with pytest.raises(
        RegistrationError, match="labels small.nii.gz and the image a.nii.gz differ in geometry"
    ):
        read_cases(_list(folder, text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "is not JSON"), ('{"image": 1}', "not an array of objects"), ("[1]", "not an array")],
)
def test_wrong_json_is_refused(folder, text, sentence):
    with pytest.raises(RegistrationError, match=sentence):
        read_cases(_list(folder, text, "list.json"))


def test_a_list_that_cannot_be_a_list_is_refused(tmp_path):
    with pytest.raises(RegistrationError, match="list.csv does not exist; give a list"):
        read_cases(tmp_path / "list.csv")
    with pytest.raises(RegistrationError, match="is a folder; give a list"):
        read_cases(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(RegistrationError, match="cannot be read as text"):
        read_cases(tmp_path / "binary.csv")


def test_a_missing_column_is_named(tmp_path):
    (tmp_path / "list.csv").write_text("image,mask\none.nii.gz,\n")
    with pytest.raises(RegistrationError, match="has no column patient and no column split;"):
        read_cases(tmp_path / "list.csv")


def test_opening_a_list_prints_nothing_of_what_itk_warns_of(tmp_path, capfd):
    """NIfTI files with unequal sform and qform spacings are common; ITK warns by file name."""
    path = tmp_path / "image.nii"
    sitk.WriteImage(sitk.Image(8, 8, 8, sitk.sitkInt16), str(path))
    data = bytearray(path.read_bytes())
    data[254:256] = (1).to_bytes(2, "little")  # sform_code
    data[280:328] = np.float32([[2, 0.5, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]]).tobytes()
    path.write_bytes(data)
    sitk.ReadImage(str(path))
    assert path.name in capfd.readouterr().err  # ITK does warn
    (tmp_path / "list.csv").write_text("image,labels,patient,split\nimage.nii,image.nii,a,train\n")
    read_cases(tmp_path / "list.csv")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_list_from_a_spreadsheet_is_read(separator, encoding, tmp_path):
    trivial.volume(tmp_path / "Läsion.nii")
    rows = [("image", "patient", "split"), ("Läsion.nii", "M, J", "test")]
    cells = [[f'"{cell}"' for cell in row] for row in rows]
    text = "".join(separator.join(row) + "\r\n" for row in cells)
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    case = read_cases(tmp_path / "list.csv")[0]
    assert (case.patient, case.image.name) == ("M, J", "Läsion.nii")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('[{"image": {"a": 1}, "patient": "p", "split": "test"}]', "neither text nor a number"),
        ('[{"image": ["a"], "patient": "p", "split": "test"}]', "neither text nor a number"),
        ('[{"image": "%s", "patient": "p", "split": "test"}]' % ("n" * 300), "too long a name"),
        ('[{"image": "a\\u0000b", "patient": "p", "split": "test"}]', "not a valid path"),
        ('[{"image": "\\ud800", "patient": "p", "split": "test"}]', "not UTF-8"),
    ],
)
def test_a_list_with_entries_of_other_kinds_is_refused(text, says, tmp_path):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(RegistrationError, match=says):
        read_cases(tmp_path / "list.json")
