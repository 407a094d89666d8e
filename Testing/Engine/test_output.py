"""Outputs appear only when complete: full disks, wrong folders, defects and interruptions."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from trivial import assert_says, register, volume

from DeepRegistrationLib.cli import main
from DeepRegistrationLib.cli import register as register_command
from DeepRegistrationLib.images import atomic_output
from DeepRegistrationLib.options import Outputs
from DeepRegistrationLib.reports import result_files
from DeepRegistrationLib.transforms import Affine, write_transform

ROOT = Path(__file__).parents[2]
Disk = namedtuple("Disk", "total used free")


# The output folder ----------------------------------------------------------------------------


def test_a_file_in_the_place_of_the_output_folder_is_refused(good, refuse, shift, tmp_path):
    (tmp_path / "out").write_text("mine")
    for out in (tmp_path / "out", tmp_path / "out" / "deeper"):
        assert_says(refuse(*register(*good, out)), "cannot be made, because .*out is a file")
    assert shift.calls == []


def test_an_unwritable_folder_is_refused_before_any_work(
    good, refuse, shift, tmp_path, monkeypatch
):
    monkeypatch.setattr(atomic_output.os, "access", lambda path, mode: False)
    assert_says(refuse(*register(*good, tmp_path / "out")), "no write permission")
    assert shift.calls == []


def test_a_read_only_file_system_is_refused(good, refuse, tmp_path, monkeypatch):
    def mkdir(*arguments, **named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert_says(refuse(*register(*good, tmp_path / "out")), "Read-only file system")


def test_a_disk_with_too_little_space_is_refused_before_any_work(
    good, refuse, shift, tmp_path, monkeypatch
):
    monkeypatch.setattr(atomic_output.shutil, "disk_usage", lambda path: Disk(10**9, 10**9, 10**6))
    assert_says(refuse(*register(*good, tmp_path / "out")), r"only 1 MB are free")
    assert shift.calls == []


def test_the_estimated_size_bounds_what_is_written(good, tmp_path):
    main([str(a) for a in register(*good, tmp_path / "out", "--inverse", "-q")])
    written = sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    estimate = register_command.output_size(
        register_command.load_image(str(good[0])).grid,
        Outputs(warped=True, jacobian=True, inverse=True),
    )
    assert written <= estimate + atomic_output._SPARE


def test_a_disk_that_fills_up_while_writing_leaves_nothing(good, refuse, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(register_command, "write_report", full)
    assert_says(refuse(*register(*good, tmp_path / "out")), "disk became full")


def test_a_file_that_itk_cut_short_in_silence_is_noticed(good, refuse, tmp_path, monkeypatch):
    write = result_files.write_image

    def cut(image, path, **scale):
        write(image, path, **scale)
        with open(path, "rb+") as file:
            file.truncate(500)

    monkeypatch.setattr(result_files, "write_image", cut)
    assert_says(refuse(*register(*good, tmp_path / "out")), "disk became full")


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"),
    reason="mounting a small disk needs root",
)
def test_a_really_full_disk_leaves_nothing_on_it(good, refuse, tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    big = {"size": (40, 40, 30)}
    images = [volume(tmp_path / f"{name}.nii.gz", **big) for name in ("a", "b")]
    monkeypatch.setattr(atomic_output, "_SPARE", 1000)
    monkeypatch.setattr(register_command, "output_size", lambda grid, inverse: 1000)
    try:
        assert_says(refuse(*register(*images, disk / "out")), "disk became full")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_earlier_result_survives_a_failure(good, refuse, tmp_path, capfd, monkeypatch):
    out = tmp_path / "out"
    assert main([str(a) for a in register(*good, out, "-q")]) == 0
    capfd.readouterr()  # the verdict on images of noise
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(register_command, "write_report", full)
    refuse(*register(*good, out, "--set", "scale=2"))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_input_is_never_overwritten(good, refuse, tmp_path):
    shutil.copy(good[1], tmp_path / "warped.nii.gz")
    sentence = refuse(*register(good[0], tmp_path / "warped.nii.gz", tmp_path))
    assert_says(sentence, "would be overwritten")


def test_no_command_replaces_what_it_reads(good, refuse, tmp_path):
    transform, image = tmp_path / "t.h5", tmp_path / "image.nii.gz"
    write_transform(Affine(), transform)
    shutil.copy(good[0], image)
    before = image.read_bytes(), transform.read_bytes()
    for words in (
        ("apply", transform, image, "--reference", good[1], "-o", image),
        ("apply", transform, good[0], "--reference", image, "-o", image),
        ("lungs", image, "-o", image),
        ("convert", transform, transform),
        ("evaluate", transform, "--fixed", image, "-o", image),
    ):
        assert_says(refuse(*words), "would be overwritten")
    assert (image.read_bytes(), transform.read_bytes()) == before


# Defects, memory, interruption ----------------------------------------------------------------


def test_a_defect_is_exit_1_with_one_line(good, shift, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(shift, "error", ZeroDivisionError("division\nby zero"))
    assert main([str(a) for a in register(*good, tmp_path / "out")]) == 1
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1
    assert "ZeroDivisionError: division by zero" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 GB"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    ],
)
def test_too_little_memory_is_the_users_to_mend(error, good, refuse, shift, tmp_path, monkeypatch):
    monkeypatch.setattr(shift, "error", error)
    assert_says(refuse(*register(*good, tmp_path / "out")), "not enough memory")


def test_ctrl_c_inside_the_method_leaves_nothing(good, refuse, shift, tmp_path, monkeypatch):
    monkeypatch.setattr(shift, "error", KeyboardInterrupt())
    assert_says(refuse(*register(*good, tmp_path / "out")), "Interrupted; nothing was written")


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.path[:0] = [{root!r}, {here!r}]
import trivial
from DeepRegistrationLib.methods import register_method
from DeepRegistrationLib.cli import main

class Slow(trivial.Shift):
    name = "slow"
    def register(self, fixed, moving, context):
        print("started", flush=True)
        for _ in range(2400):
            time.sleep(0.05)
            context.progress(0.1, "waiting")

register_method(Slow)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_stops_the_process_and_cleans_up(number, good, tmp_path):
    code = SLOW.format(root=str(ROOT), here=str(Path(__file__).parent))
    command = [str(a) for a in register(*good, tmp_path / "out")]
    command[command.index("shift")] = "slow"
    before = set(tmp_path.iterdir())
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout.readline() == "started\n"
    assert any("partial" in path.name for path in tmp_path.iterdir())
    process.send_signal(number)
    _, error = process.communicate(timeout=60)  # by itself it goes on for two minutes
    assert process.returncode == 2
    assert error == "deepreg: Interrupted; nothing was written.\n"
    assert set(tmp_path.iterdir()) == before


def test_the_installed_command_behaves_the_same(good, tmp_path):
    command = [sys.executable, "-m", "DeepRegistrationLib", "register", "gone.nii", str(good[1])]
    ran = subprocess.run(
        [*command, "-o", str(tmp_path / "out"), "--method", "affine"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_what_python_prints_while_files_are_written_is_shown_and_native_lines_are_not():
    code = """
import os, sys, warnings
from DeepRegistrationLib.images.guard.itk_warnings import native_silence
with native_silence():
    warnings.warn("a library's warning")
    print("a line", file=sys.stderr)
    os.write(2, b"native")
print("afterwards", file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0
    order = [ran.stderr.find(text) for text in ("a library's warning", "a line", "afterwards")]
    assert -1 not in order and order == sorted(order) and "native" not in ran.stderr
