"""What is chosen stays what it is on its way, and stands in one place."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

import numpy as np
import pytest
import trivial

from DeepRegistrationLib import register
from DeepRegistrationLib.cli import main
from DeepRegistrationLib.cli.parser import build_parser
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.guard.payload import pack, unpack
from DeepRegistrationLib.images.image import read_image
from DeepRegistrationLib.images.plain_data import Task, Volume
from DeepRegistrationLib.methods import make_method
from DeepRegistrationLib.options import Outputs, RegistrationOptions, chosen, names_of, values_in

OTHER = RegistrationOptions(
    "corrnet", "best", {"weights": "a", "count": 3}, "cuda:1", True, 7, 4.0, 2.0
)
"""Every option differs from its default."""


def test_a_task_comes_through_json_with_every_option_and_output(tmp_path):
    defaults = asdict(RegistrationOptions())
    assert all(value != defaults[name] for name, value in asdict(OTHER).items())
    volume = Volume(np.zeros((2, 3, 4), np.float32), Grid((4, 3, 2)))
    for name in names_of(Outputs):
        task = Task(volume, volume, OTHER, Outputs(**{name: True}))
        arrays: list = []
        text = json.dumps(pack(task, arrays))
        for number, array in enumerate(arrays):
            np.save(tmp_path / f"{number}.npy", array)
        again = unpack(json.loads(text), tmp_path)
        assert (again.options, again.outputs) == (task.options, task.outputs)


def test_the_command_line_has_every_option_with_the_default_of_the_dataclass():
    given = vars(build_parser().parse_args(["register", "a", "b", "-o", "c"]))
    defaults = {**asdict(RegistrationOptions()), "parameters": []}
    assert {name: given[name] for name in names_of(RegistrationOptions)} == defaults


def test_the_words_of_a_command_reach_the_method(monkeypatch, tmp_path):
    shift = trivial.install(monkeypatch)
    files = [trivial.volume(tmp_path / f"{name}.nii.gz") for name in "ab"]
    words = trivial.register(*files, tmp_path / "out", "--quality", "best", "--seed", "5", "-q")
    assert main([str(word) for word in (*words, "--set", "count=4")]) == 0
    ((_, _, context, parameters),) = shift.calls
    assert (context.quality, context.seed, parameters.count) == ("best", 5, 4)


def test_names_given_in_a_call_replace_those_of_the_options():
    options, outputs = chosen(OTHER, Outputs(warped=True), {"seed": 1, "jacobian": True})
    assert asdict(options) == {**asdict(OTHER), "seed": 1}
    assert outputs == Outputs(warped=True, jacobian=True)
    with pytest.raises(TypeError, match="sped"):
        chosen(OTHER, Outputs(), {"sped": 1})


def test_what_either_wants_is_wanted():
    names = names_of(Outputs)
    for a in names:
        for b in names:
            both = Outputs(**{a: True}) | Outputs(**{b: True})
            assert {name for name in names if getattr(both, name)} == {a, b}


def test_an_object_gives_those_that_it_has():
    class Given:
        method, seed, warped = "affine", 3, True

    assert values_in(RegistrationOptions, Given()) == {"method": "affine", "seed": 3}
    assert values_in(Outputs, Given()) == {"warped": True}


def test_every_option_is_checked():
    """A value of no use is refused in one sentence, whichever option it is."""
    for entry in fields(RegistrationOptions):
        with pytest.raises(RegistrationError, match="nonsense"):
            make_method(RegistrationOptions(**{entry.name: "nonsense"}))


# What is written


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.int16, "int16"),
        (np.float32, "int16"),  # whole numbers all the same
        (np.uint8, "uint8"),
        (None, "float32"),
    ],
)
def test_the_warped_image_is_written_in_the_voxel_type_of_the_moving_one(
    monkeypatch, tmp_path, values, kind
):
    trivial.install(monkeypatch)
    noise = np.random.default_rng(0).normal(size=(10, 12, 14))
    data = noise * 300 - 500 if values is not np.uint8 else noise * 20 + 100
    data = data.astype(np.float32) if values is None else data.round().astype(values)
    files = [trivial.volume(tmp_path / f"{name}.nii.gz", values=data) for name in "ab"]
    assert main([str(w) for w in trivial.register(*files, tmp_path / "out", "-q")]) == 0
    written = read_image(tmp_path / "out" / "warped.nii.gz").data
    assert str(written.dtype) == f"torch.{kind}"
    expected = register(*map(read_image, files), method="shift", warped=True).warped.data
    assert float((written - expected).abs().max()) <= (0 if values is None else 0.5)


def test_images_are_left_out_and_the_report_is_the_same(monkeypatch, tmp_path):
    trivial.install(monkeypatch)
    files = [trivial.volume(tmp_path / f"{name}.nii.gz") for name in "ab"]
    reports = []
    for number, words in enumerate(([], ["--no-images"], ["--displacement"])):
        out = tmp_path / str(number)
        assert main([str(w) for w in trivial.register(*files, out, "-q", *words)]) == 0
        report = json.loads((out / "report.json").read_text())
        reports.append({k: report[k] for k in ("jacobian", "similarity", "alignment", "verdict")})
        there = {path.name for path in out.iterdir()}
        images = set() if number == 1 else {"warped.nii.gz", "jacobian.nii.gz"}
        more = {"displacement.nii.gz"} if number == 2 else set()
        assert there == {"transform.h5", "report.json"} | images | more
    assert reports[0] == reports[1] == reports[2]
    length = read_image(tmp_path / "2" / "displacement.nii.gz").data
    # The file has whole numbers of 2^-10 mm: see DeepRegistrationLib/reports/result_files.py.
    assert length.numpy() == pytest.approx(np.linalg.norm(trivial.SHIFT), abs=2**-11 + 1e-6)
