"""The tools of others as methods, and the project's tables made of runs."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from pretend_device import PretendedGPU

from DeepRegistrationLib.data.cases import read_cases
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.images.geometry import Grid
from DeepRegistrationLib.images.image import Image
from DeepRegistrationLib.methods import method_class, method_names
from DeepRegistrationLib.methods.context import Context
from DeepRegistrationLib.studies.benchmark import peers
from DeepRegistrationLib.studies.benchmark.peers.peer import run_program
from DeepRegistrationLib.studies.benchmark.protocol import same_patient
from DeepRegistrationLib.studies.benchmark.published import PUBLISHED
from DeepRegistrationLib.studies.benchmark.results import markdown
from DeepRegistrationLib.studies.benchmark.table_parts import Table
from DeepRegistrationLib.studies.benchmark.variants import check_available, variants_of
from DeepRegistrationLib.transforms import Affine, DisplacementField
from Testing.Benchmarks import cases, results

ANGLE = np.deg2rad(20)
DIRECTION = (np.cos(ANGLE), -np.sin(ANGLE), 0, np.sin(ANGLE), np.cos(ANGLE), 0, 0, 0, 1)
GRID = Grid((40, 36, 24), (2.0, 2.5, 3.0), (-30.0, 20.0, 5.0), DIRECTION)
SHIFT = np.array([3.0, -2.0, 1.0])  # mm, LPS, fixed to moving


def blobs(shift):
    """A picture of three soft balls, moved by ``shift`` mm."""
    points = GRID.points().numpy().astype(float)
    middle = GRID.center() + np.array([[0, 0, 0], [15, 10, 6], [-14, 8, -10]]) + shift
    far = ((points[..., None, :] - middle) ** 2).sum(-1)
    values = 200 * np.exp(-far / (2 * 9.0**2)) @ np.array([1.0, 0.8, 0.6])
    return Image(torch.from_numpy(values).float(), GRID)


@pytest.mark.filterwarnings("ignore:Default grid_sample")
@pytest.mark.parametrize(
    ("method", "given"),
    [
        (peers.ConvexAdam, True),
        (peers.SymmetricDemons, False),
        (peers.SymmetricDemons, True),
        (peers.AntsSyn, False),
        (peers.AntsSyn, True),
        (peers.Greedy, False),
        (peers.Greedy, True),
    ],
)
def test_a_known_shift_is_found_on_an_oblique_grid(method, given):
    if method.package and importlib.util.find_spec(method.package) is None:
        pytest.skip(f"{method.package} is not installed")
    start = Affine(translation=0.5 * SHIFT) if given else None
    with torch.no_grad():  # as in the engine
        found = method().register(blobs(0 * SHIFT), blobs(SHIFT), Context(initial=start))
    points = torch.from_numpy(GRID.center() + np.array([[0.0, 0, 0], [8, 4, 3], [-8, 4, -5]]))
    error = np.linalg.norm(found(points).numpy() - points.numpy() - SHIFT, axis=1)
    assert error.max() < 0.5 * np.linalg.norm(SHIFT)  # an exchanged or flipped axis leaves more


@pytest.mark.parametrize("method", [peers.Greedy, peers.AntsSyn])
def test_a_start_that_is_not_affine_is_refused_in_a_sentence(method):
    start = DisplacementField.identity(GRID)
    with pytest.raises(RegistrationError, match=f"{method.title} starts from an affine"):
        method().register(blobs(0 * SHIFT), blobs(SHIFT), Context(initial=start))


def test_the_tools_of_others_are_found_by_name_and_offered_in_no_list(monkeypatch):
    tools = [peers.ConvexAdam, peers.Greedy, peers.SymmetricDemons, peers.AntsSyn]
    names = [tool.name for tool in tools]
    assert [method_class(name) for name in names] == tools
    assert not set(names) & set(method_names())
    found = variants_of([*names, "optimize:masks=none"], ["default"], ["auto"])
    assert [each.label for each in found] == [*names, "optimize no mask"]
    check_available([found[2], found[-1]])
    monkeypatch.setattr(peers.Greedy, "package", "no_such_package")
    with pytest.raises(RegistrationError, match="pip install no_such_package"):
        check_available(found[1:2])


def test_a_wrong_name_or_setting_is_answered_with_all_that_there_are():
    for tool in ("ants", "Greedy"):
        with pytest.raises(
            RegistrationError, match=r"choose one of auto, .*affine, ants-syn, .*gre"
        ):
            variants_of([tool], ["default"], ["auto"])
    with pytest.raises(RegistrationError, match="no parameter 'smoothing'; it has none"):
        variants_of(["greedy:smoothing=2"], ["default"], ["auto"])


@pytest.mark.filterwarnings("ignore:Default grid_sample")
@pytest.mark.parametrize("method", [peers.ConvexAdam, peers.SymmetricDemons])
def test_images_on_a_gpu_are_brought_to_the_tools(method):
    if method.package and importlib.util.find_spec(method.package) is None:
        pytest.skip(f"{method.package} is not installed")
    pair = blobs(0 * SHIFT), blobs(SHIFT)
    points = torch.from_numpy(GRID.center())[None]
    with torch.no_grad():
        expected = method().register(*pair, Context())(points)
        with PretendedGPU():
            there = [image.to("cuda") for image in pair]
            found = method().register(*there, Context(device=torch.device("cuda"))).to("cpu")
            assert torch.allclose(found(points), expected, atol=1e-2)


def test_a_program_that_fails_says_why_in_its_last_line(tmp_path):
    with pytest.raises(RegistrationError, match=r"^abacus failed: ValueError: no beads$"):
        run_program("abacus", "raise ValueError('no beads')", [], tmp_path)
    with pytest.raises(RegistrationError, match=r"^abacus failed: exit code 4$"):
        run_program("abacus", "import sys; sys.exit(4)", [], tmp_path)


def test_the_lists_of_real_pairs_are_what_the_command_reads(tmp_path):
    data = tmp_path / "data"
    assert not cases.write_lung_list(data, tmp_path / "none.csv")
    folder = data / "lung_inhale_exhale"
    folder.mkdir(parents=True)
    for name in ("T00_HU.nii.gz", "T50_HU.nii.gz"):
        (folder / name).write_bytes(b"")
        (folder / f"landmarks_{name[:3]}_physical_LPS_mm.csv").write_text("1,2,3\n")
    assert cases.write_lung_list(data, tmp_path / "list.csv")
    found = read_cases(tmp_path / "list.csv")
    assert [case.image.name for case in found] == ["T00_HU.nii.gz", "T50_HU.nii.gz"]
    assert {(case.patient, case.split, case.mask) for case in found} == {
        ("lung_inhale_exhale", "test", None)
    }


def test_ten_phases_are_one_patient_whose_pairs_are_all_measured(tmp_path):
    assert not cases.write_popi_list(tmp_path, tmp_path / "none.csv")
    folder = tmp_path / "lung_4dct_popi" / "phases"
    folder.mkdir(parents=True)
    for phase in range(0, 100, 10):
        (folder / f"phase{phase:02d}_light_100x100x47.nii.gz").write_bytes(b"")
        (folder / f"landmarks_{phase:02d}_physical_LPS_mm.csv").write_text("1,2,3\n")
    assert cases.write_popi_list(tmp_path, tmp_path / "list.csv")
    found = same_patient(read_cases(tmp_path / "list.csv"))
    assert len(found) == 45
    for pair in found:
        sides = (pair.fixed, pair.moving)
        phases = [case.image.name[5:7] for case in sides]
        assert phases == [case.landmarks.name[10:12] for case in sides] and phases[0] < phases[1]


def test_runs_whose_data_are_missing_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RUNS", tmp_path / "build")
    runs = results.runs()
    assert all(results.command(name, run, tmp_path, 5) is None for name, run in runs.items())
    (tmp_path / "cardiac_acdc").mkdir()
    call = results.command("hearts", runs["hearts"], tmp_path, 5)
    assert call[:2] == ["benchmark", f"acdc:{tmp_path / 'cardiac_acdc'}"]
    assert call[call.index("--limit") + 1] == "5" and "--resume" in call
    assert "--limit" not in results.command("motion", runs["motion"], tmp_path, 5)


def test_the_tables_of_all_runs_are_one_page_with_their_failures(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RUNS", tmp_path / "build")
    folder = tmp_path / "build" / "motion"
    folder.mkdir(parents=True)
    table = Table("t", "Labels", ["method", "|x|"], [["a|b", "1.0"]], "A note.")
    about = {"pairs": 3, "machine": "abacus", "torch": "2", "deepregistration": "1", "command": "c"}
    failure = {"pair": "p", "method": "m", "error": "It failed."}
    result = {"about": about, "tables": [table.__dict__], "failures": [failure]}
    (folder / "results.json").write_text(json.dumps(result))
    (folder / "results.csv").write_text("pair\np\n")
    results.write(tmp_path, "On a busy machine.")
    page = (tmp_path / "RESULTS.md").read_text()
    assert "Hearts, cine MRI" in page and "Machine: abacus" in page and "busy machine" in page
    assert "- failed: p, m: It failed." in page and "Lungs" not in page
    assert (tmp_path / "rows" / "motion.csv").read_text() == "pair\np\n"
    assert markdown(table) in page

    (folder / "results.json").unlink()  # its part of the page stays
    other = tmp_path / "build" / "lungs"
    other.mkdir()
    about["machine"] = "slide rule"
    (other / "results.json").write_text(json.dumps(result))
    (other / "results.csv").write_text("pair\nq\n")
    results.write(tmp_path, "On a busy machine.")
    longer = (tmp_path / "RESULTS.md").read_text()
    assert page.split("\n## ")[1] in longer and "slide rule" in longer
    assert longer.index("## Lungs") < longer.index("## Hearts")

    former = longer.replace("## Hearts, cine MRI", "## Hearts, as they were called")
    (tmp_path / "RESULTS.md").write_text(former)  # a run's part stays under another title, too
    results.write(tmp_path, "On a busy machine.")
    assert (tmp_path / "RESULTS.md").read_text() == longer


def test_without_a_run_the_page_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RUNS", tmp_path / "build")
    (tmp_path / "RESULTS.md").write_text("Of a run elsewhere.")
    with pytest.raises(SystemExit, match="holds no run"):
        results.write(tmp_path, "")
    assert (tmp_path / "RESULTS.md").read_text() == "Of a run elsewhere."


def test_the_page_quotes_papers_as_the_published_figures_do():
    known = {(row.method, row.source): row for rows in PUBLISHED.values() for row in rows}
    sources = {source for _, source in known}
    lines = (results.HERE / "RESULTS.md").read_text("utf-8").splitlines()
    cells = [[c.strip() for c in line.strip("| ").split(" | ")] for line in lines if "|" in line]
    quoted = [row for row in cells if row[-1] in sources]
    assert len(quoted) > 20
    for method, *figures, source in quoted:
        row = known[method, source]
        assert {figure for figure in figures if figure != "–"} <= set(row.values.values()), method


def test_a_table_as_markdown_keeps_its_columns():
    table = Table("t", "Title", ["method", "|x|"], [["a|b", "1.0"]], "A note.")
    lines = markdown(table).splitlines()
    assert lines[2:5] == ["| method | \\|x\\| |", "| --- | --- |", "| a\\|b | 1.0 |"]
