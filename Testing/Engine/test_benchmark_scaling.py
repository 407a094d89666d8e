"""Rows of the scaling benchmark: limits, several runs in one table, on what they were measured."""

import json
import time

import pytest

from Testing.Benchmarks import processes, scaling
from Testing.Benchmarks.processes import in_a_process
from Testing.Benchmarks.scaling_tables import table

HEAD = "method | voxels | cold"
STAGES = ("--only", "read (.nii.gz)", "warp")


def row(what="optimize-fast", size=(64, 64, 64), **changes):
    """A row as a run leaves it."""
    kind = "method" if what in scaling.METHODS else "stage"
    times = {"seconds": 2.0, "cpu": 3.0}
    values = {"what": what, "size": list(size), "kind": kind, "machine": "one", "threads": 2}
    return {**values, "cold": times, "peak_mb": 500.0, "tre": 1.25, "load": 0.4, **changes}


def failed(why, **changes):
    values = row(failed=why, **changes)
    return {key: value for key, value in values.items() if key not in ("cold", "peak_mb", "tre")}


def cells(page, first):
    """The cells of the table row that begins with these words."""
    lines = [line for line in page.splitlines() if line.startswith(f"| {first} |")]
    assert len(lines) == 1, lines
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command on a tiny phantom; returns the rows by name that it leaves."""
    monkeypatch.setattr(scaling, "SIZES", {"tiny": (32, 32, 32), "small": (36, 34, 33)})

    def measured(*arguments):
        scaling.main([*map(str, arguments), "--threads", "1", "--output", str(tmp_path)])
        rows = json.loads((tmp_path / "scaling.json").read_text())["rows"]
        return {(row["what"], row["size"][0]): row for row in rows}

    return measured


def test_work_that_takes_too_long_is_ended_and_says_so():
    result = in_a_process(0.3, 0.0, time.sleep, 10_000.0)
    assert result == {"failed": "over 0.3 s", "limit": 0.3}


def test_work_that_leaves_too_little_memory_is_ended(monkeypatch):
    monkeypatch.setattr(processes, "available_gb", lambda: 1.5)
    result = in_a_process(600.0, 2.0, time.sleep, 600.0)
    assert result == {"failed": "stopped: less than 2 GB of memory left"}


def test_the_memory_that_is_left_is_what_the_system_says(tmp_path, monkeypatch):
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:  8388608 kB\nMemFree:  12 kB\nMemAvailable:    3145728 kB\n")
    monkeypatch.setattr(processes, "_MEMORY", file)
    assert processes.available_gb() == 3.0
    monkeypatch.setattr(processes, "_MEMORY", tmp_path / "none")
    assert processes.available_gb() == float("inf")


def test_an_error_in_the_work_is_its_result():
    assert in_a_process(600.0, 0.0, int, "three")["failed"].startswith("invalid literal")
    assert in_a_process(600.0, 0.0, int, "3") == 3


def test_runs_add_up_and_what_is_measured_again_is_replaced(run, tmp_path):
    first = run("--sizes", "tiny", *STAGES)
    assert set(first) == {("read (.nii.gz)", 32), ("warp", 32)}
    assert all("cold" in row and "warm" in row and row["threads"] == 1 for row in first.values())
    both = run("--sizes", "small", "--only", "warp", "--once", "--add")
    assert set(both) == {*first, ("warp", 36)} and "warm" not in both["warp", 36]
    again = run("--sizes", "tiny", "--only", "warp", "--once", "--add")
    assert set(again) == set(both) and "warm" not in again["warp", 32]
    assert again["read (.nii.gz)", 32] == first["read (.nii.gz)", 32]
    page = (tmp_path / "SCALING.md").read_text()
    assert cells(page, "warp | 32 x 32 x 32")[3] == ""  # the warm figure that is gone
    assert float(cells(page, "warp | 36 x 34 x 33")[4]) > 10  # MB
    assert (tmp_path / "scaling.png").stat().st_size > 1000
    assert set(run("--sizes", "tiny", "--only", "warp")) == {("warp", 32)}  # begins anew


def test_missing_rows_are_those_that_are_not_there_or_ended_at_a_shorter_limit(
    run, tmp_path, monkeypatch
):
    calls = []

    def measure(what, size, folder, options):
        calls.append((what, size[0]))
        return {"failed": f"over {options.limit:g} s", "limit": options.limit}

    monkeypatch.setattr(scaling, "_row", measure)
    names = ("--only", "warp", "write")
    run("--sizes", "small", "--only", "write", "--limit", "60")
    calls.clear()
    rows = run("--missing", *names, "--limit", "60")
    assert calls == [("warp", 32), ("write", 32)]  # not again, and nothing larger is tried
    assert rows["write", 36]["failed"] == "over 60 s"
    assert rows["warp", 36]["failed"] == "not tried: over 60 s at 32 x 32 x 32"
    calls.clear()
    run("--missing", *names, "--limit", "60")
    assert calls == []
    run("--missing", "--only", "write", "--limit", "90")
    assert calls == [("write", 32)]


def test_the_tools_of_others_take_part_in_the_largest_size_only_by_name():
    options = scaling.argparse.Namespace(only=None)
    largest = list(scaling._wanted(options, "512x300"))
    assert {"optimize-default", "warp", "write"} <= set(largest)
    assert not {"elastix", "convexadam", "symmetric-demons"} & set(largest)
    assert {"elastix", "convexadam", "symmetric-demons"} < set(scaling._wanted(options, "512"))
    options.only = ["elastix"]
    assert list(scaling._wanted(options, "512x300")) == ["elastix"]


def test_what_is_the_same_for_all_rows_is_said_once():
    page = table([row(), row(size=(128, 128, 128))], "scaling")
    assert "one, 2 threads. Made by" in page
    assert cells(page, HEAD) == ["method", "voxels", "cold", "warm", "peak MB", "TRE mm"]
    assert "one, 1 thread. Made by" in table([row(threads=1)], "scaling")


def test_threads_and_machines_that_differ_stand_in_each_row():
    rows = [row(), row("elastix", threads=1, machine="two"), failed("over 90 s", what="convexadam")]
    page = table(rows, "scaling")
    assert "Machines: 1 one; 2 two. Made by" in page
    assert cells(page, HEAD)[-2:] == ["machine", "threads"]
    assert cells(page, "optimize-fast | 64 x 64 x 64")[-2:] == ["1", "2"]
    assert cells(page, "elastix")[-2:] == ["2", "1"]
    assert cells(page, "convexadam")[2:] == ["over 90 s", "", "", "", "1", "2"]


def test_the_load_is_shown_where_other_work_ran():
    quiet = table([row(load=2.9)], "scaling")
    assert "load" not in cells(quiet, HEAD) and "trust" not in quiet
    busy = table([row(load=2.9), row("elastix", load=3.6)], "scaling")
    assert cells(busy, HEAD)[-1] == "load" and "trust the processor seconds" in busy
    assert cells(busy, "elastix")[-1] == "4" and cells(busy, "optimize-fast | 64 x 64 x 64")[-1]


def test_the_page_is_that_of_the_stored_rows():
    rows = json.loads((scaling.HERE / "scaling.json").read_text())["rows"]
    assert (scaling.HERE / "SCALING.md").read_text() == table(rows, "scaling")
