"""Which pairs a cohort has, how a machine is divided, and what is refused before any work."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trivial

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.data.cases import Case
from DeepRegistrationLib.errors import RegistrationError
from DeepRegistrationLib.options import RegistrationOptions
from DeepRegistrationLib.studies.cohort.pairs import choose_pairs
from DeepRegistrationLib.studies.cohort.store import Store

GB = 1_000_000_000


def case(patient, frame, folder=Path("/data")):
    return Case(patient, "test", folder / f"{patient}_{frame}.nii.gz")


def names(pairs):
    return [(p.fixed.image.name[:2], p.moving.image.name[:2]) for p in pairs]


@pytest.fixture
def five():
    """Two patients: a with the frames 0, 1, 2 and b with 0, 1; files a0 ... b1."""
    listed = [("a", 0), ("a", 1), ("b", 0), ("a", 2), ("b", 1)]
    return [Case(p, "test", Path(f"/data/{p}{k}.nii.gz")) for p, k in listed]


# Pairs ----------------------------------------------------------------------------------------


def test_all_pairs_of_37_patients_with_themselves_are_the_1369_of_svfnet():
    hearts = [case(f"patient{k:03d}", "ED") for k in range(37)]
    pairs = choose_pairs(hearts, "all", with_self=True)
    assert len(pairs) == 1369
    assert len({pair.name for pair in pairs}) == 1369
    assert len(choose_pairs(hearts, "all")) == 37 * 36


def test_pairs_of_a_patient_go_both_ways_in_the_order_of_the_list(five):
    assert names(choose_pairs(five)) == [
        ("a0", "a1"),
        ("a0", "a2"),
        ("a1", "a0"),
        ("a1", "a2"),
        ("b0", "b1"),
        ("a2", "a0"),
        ("a2", "a1"),
        ("b1", "b0"),
    ]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("first", [("a0", "a1"), ("a0", "a2"), ("b0", "b1")]),
        ("1", [("a1", "a0"), ("a1", "a2"), ("b1", "b0")]),
    ],
)
def test_frames_of_a_sequence_go_to_the_reference_of_their_patient(five, reference, expected):
    assert names(choose_pairs(five, reference=reference)) == expected


def test_given_pairs_keep_their_order(five, tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("fixed, moving\nb0.nii.gz, a1.nii.gz\na0.nii.gz, a0.nii.gz\n")
    pairs = choose_pairs(five, str(file), root=Path("/data"))
    assert names(pairs) == [("b0", "a1"), ("a0", "a0")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fixed,moving\na0.nii.gz,c0.nii.gz\n", r"pair 1: c0.nii.gz is not an image in the list"),
        ("fixed,other\na0.nii.gz,a1.nii.gz\n", r"pair 1: an empty cell .* columns fixed and movi"),
        ("fixed,moving\n", "gives no pairs"),
        ("fixed,moving\n" + "a0.nii.gz,a1.nii.gz\n" * 2, "pair 1: .* twice"),
    ],
)
def test_a_bad_file_of_pairs_is_refused(five, tmp_path, text, says):
    file = tmp_path / "pairs.csv"
    file.write_text(text)
    with pytest.raises(RegistrationError, match=says):
        choose_pairs(five, str(file), root=Path("/data"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pairs": "absent.csv"}, "neither all, same-patient nor a readable CSV"),
        ({"reference": "2"}, "b has 2 frames and none of number 2"),
        ({"reference": "-1"}, "is not a frame"),
        ({"with_self": True}, "needs --pairs all"),
    ],
)
def test_impossible_choices_are_refused(five, options, says):
    with pytest.raises(RegistrationError, match=says):
        choose_pairs(five, **options)


def test_labels_given_as_a_mask_would_reach_the_method_and_are_refused(tmp_path):
    labels = tmp_path / "labels.nii.gz"
    cases = [Case("p", "test", tmp_path / f"{k}.nii", mask=labels, labels=labels) for k in "ab"]
    with pytest.raises(RegistrationError, match="must not reach a method"):
        choose_pairs(cases)


# The folder -----------------------------------------------------------------------------------


def test_a_pair_keeps_its_folder_when_the_list_grows_and_no_two_share_one(five, tmp_path):
    store = Store(tmp_path / "out", Path("/data"), {}, resume=False)
    before = {names([p])[0]: store.folder_of(p) for p in choose_pairs(five[:3], "all")}
    after = {names([p])[0]: store.folder_of(p) for p in choose_pairs(five, "all")}
    assert len(set(after.values())) == 20
    more = Case("a", "test", Path("/data/sub/a0.nii.gz"))  # the same name in another folder
    assert store.folder_of(choose_pairs([five[0], more])[0]) not in after.values()
    assert {key: after[key] for key in before} == before


def test_other_settings_and_a_second_start_are_refused(tmp_path):
    Store(tmp_path / "out", tmp_path, {"method": "affine"}, resume=False)
    with pytest.raises(RegistrationError, match="add --resume"):
        Store(tmp_path / "out", tmp_path, {"method": "affine"}, resume=False)
    with pytest.raises(RegistrationError, match="made with method affine, not optimize"):
        Store(tmp_path / "out", tmp_path, {"method": "optimize"}, resume=True)
    Store(tmp_path / "out", tmp_path, {"method": "affine"}, resume=True)


# The machine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "gpus", "cores", "memory", "expected"),
    [
        (None, [], 16, 64 * GB, (16, 1, 4 * GB)),
        (None, [], 16, 12 * GB, (3, 5, 4 * GB)),
        (None, [], 1, 1 * GB, (1, 1, 1 * GB)),
        (2, [], 7, 64 * GB, (2, 3, 32 * GB)),
        (None, ["0", "1", "2", "3"], 16, 64 * GB, (4, 4, 16 * GB)),
    ],
)
def test_workers_share_cores_and_memory_without_taking_more(wanted, gpus, cores, memory, expected):
    cluster = pytest.importorskip(
        "DeepRegistrationLib.studies.cohort.cluster", exc_type=ImportError
    )
    plan = cluster.plan_workers(wanted, None, gpus, cores, memory)
    assert (len(plan.gpus), plan.threads, plan.memory) == expected
    assert len(plan.gpus) * plan.threads <= cores


def test_each_worker_sees_one_gpu_and_gpus_are_shared_in_turn():
    cluster = pytest.importorskip(
        "DeepRegistrationLib.studies.cohort.cluster", exc_type=ImportError
    )
    assert cluster.plan_workers(None, None, ["2", "5"], 8, 64 * GB).gpus == ("2", "5")
    assert cluster.plan_workers(3, None, ["2", "5"], 8, 64 * GB).gpus == ("2", "5", "2")
    assert cluster.plan_workers(2, None, [], 8, 64 * GB).gpus == (None, None)


@pytest.mark.parametrize(
    ("given", "device", "expected"),
    [
        (None, "auto", ["0", "1", "2"]),
        (None, "cpu", []),
        (None, "cuda:1", ["1"]),
        ("4,6,7", "cuda", ["4", "6", "7"]),
        ("4,6,7", "cuda:2", ["7"]),
    ],
)
def test_gpus_are_named_as_the_environment_names_them(monkeypatch, given, device, expected):
    cluster = pytest.importorskip(
        "DeepRegistrationLib.studies.cohort.cluster", exc_type=ImportError
    )
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert cluster.visible_gpus(device) == expected


def test_a_broken_gpu_ends_the_worker_so_that_a_new_one_takes_the_pair(monkeypatch, tmp_path):
    work = pytest.importorskip("DeepRegistrationLib.studies.cohort.pair_task", exc_type=ImportError)
    pair = choose_pairs([case("a", 0), case("a", 1)])[0]
    job = work.PairTask(pair, tmp_path / "pair", {"pair": pair.name}, RegistrationOptions("affine"))

    def ended(code):
        raise SystemExit(code)

    monkeypatch.setattr("os._exit", ended)
    for error, ends in (
        (RuntimeError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False),
        (RuntimeError("shapes differ"), False),
    ):

        def fail(job, error=error):
            raise error

        monkeypatch.setattr(work, "_registered", fail)
        if ends:
            with pytest.raises(SystemExit):
                work.register_pair(job)
        else:
            row = work.register_pair(job)
            assert row["status"] == "failed"
            assert "memory" in row["error"] or "shapes differ" in row["error"]


# The command ----------------------------------------------------------------------------------


@pytest.fixture
def listed(tmp_path, shift):
    """A list of two good images of a patient."""
    for name in ("a", "b"):
        trivial.volume(tmp_path / f"{name}.nii.gz")
    path = tmp_path / "list.csv"
    path.write_text("image,patient,split\na.nii.gz,p,test\nb.nii.gz,p,test\n")
    return path


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--method", "absent"), "absent"),
        (("--pairs", "none.csv"), "none.csv"),
        (("--reference", "7"), "none of number 7"),
        (("--workers", "0"), "--workers 0"),
        (("--memory", "0.1"), "--memory 0.1"),
        (("--retries", "-1"), "--retries -1"),
        (("--split", "train"), "no cases in the split 'train'"),
        (("--scheduler", "tcp://127.0.0.1:1", "--workers", "2"), "where the cluster"),
    ],
)
def test_a_wrong_command_is_refused_in_one_sentence(refuse, listed, tmp_path, options, says):
    pytest.importorskip("distributed")
    sentence = refuse("cohort", listed, "-o", tmp_path / "out", "--device", "cpu", *options)
    assert re.search(says, sentence), sentence


def test_a_scheduler_that_does_not_answer_leaves_no_folder(refuse, listed, tmp_path, monkeypatch):
    cluster = pytest.importorskip("DeepRegistrationLib.studies.cohort.cluster")
    monkeypatch.setattr(cluster, "_CONNECT", 0.5)
    address, out = "tcp://127.0.0.1:1", tmp_path / "out"
    sentence = refuse("cohort", listed, "-o", out, "--device", "cpu", "--scheduler", address)
    assert f"No Dask scheduler answers at {address}" in sentence
    assert not out.exists()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_running_cluster_is_used_and_stays(refuse, listed, tmp_path, threads):
    distributed = pytest.importorskip("distributed")
    out = tmp_path / "out"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=threads, processes=False, dashboard_address=None
    ) as cluster:
        command = ["cohort", listed, "-o", out, "--method", "shift", "--device", "cpu"]
        command += ["--scheduler", cluster.scheduler_address]
        if threads == 1:
            assert main([str(word) for word in command]) == 0
            assert len(list(out.glob("pairs/*/row.json"))) == 2
        else:
            assert "several pairs at a time" in refuse(*command)
            assert not out.exists()
        assert cluster.scheduler.status.name == "running"
        assert len(cluster.scheduler.workers) == 1


def test_without_dask_the_command_says_what_to_install(refuse, listed, tmp_path, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "DeepRegistrationLib.cli.cohort.find_spec",
        lambda name: None if name == "distributed" else there(name),
    )
    sentence = refuse("cohort", listed, "-o", tmp_path / "out")
    assert "pip install 'deepregistration[cohort]'" in sentence
    assert "pyarrow" not in sentence


def test_dask_and_pyarrow_are_loaded_by_no_other_command():
    code = (
        "import sys\nfrom DeepRegistrationLib.cli import main\n"
        "import DeepRegistrationLib.cli.cohort, DeepRegistrationLib.cli.register\n"
        "main(['cohort', '--help'])\n"
        "print([m for m in ('dask', 'distributed', 'pyarrow') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert ran.stdout.splitlines()[-1] == "[]", ran.stderr
