"""Child processes in the host: Slicer's Python behind its launcher, and pip, which never runs."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import slicer
from SlicerHost.host import Host


def test_a_child_process_runs_in_slicers_python(slicer_host):
    import qt

    process = qt.QProcess()
    heard = []
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: heard.append(code))
    process.start(shutil.which("PythonSlicer"), ["-c", "print('from the child')"])
    slicer_host.process_events(until=lambda: heard)
    assert heard == [0]
    assert process.readAllStandardOutput().data().decode().strip() == "from the child"
    program = slicer.app.slicerHome + "/bin/PythonSlicer"
    assert subprocess.run([program, "-c", "import vtk"], check=False).returncode == 0


# CTKAppLauncher, Base/ctkAppLauncher.cpp, applicationFinished
@pytest.mark.skipif(os.name == "nt", reason="uses signals of POSIX")
def test_pythonslicer_is_a_launcher_that_tells_a_crash_by_exit_code_1_and_a_line(slicer_host):
    program = shutil.which("PythonSlicer")

    def ended(code: str) -> subprocess.CompletedProcess:
        return subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)

    assert ended("import sys; sys.exit(3)").returncode == 3
    killed = ended("import os; os.kill(os.getpid(), 9)")
    assert killed.returncode == 1 and "exit abnormally" in killed.stderr


@pytest.mark.skipif(os.name == "nt", reason="uses signals of POSIX")
def test_killing_pythonslicer_leaves_the_interpreter_which_ends_with_its_input(slicer_host):
    code = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read(); print('end')"
    launcher = subprocess.Popen(
        [shutil.which("PythonSlicer"), "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    interpreter = int(launcher.stdout.readline())
    assert interpreter != launcher.pid
    launcher.kill()
    launcher.wait()
    os.kill(interpreter, 0)  # it is there
    launcher.stdin.close()
    assert launcher.stdout.read() == "end\n"


# Base/Python/slicer/packaging.py, _pip_install_with_dialog; before 5.12 it is raised only.
def test_an_installation_that_fails_is_displayed_and_raised(slicer_host):
    slicer_host.pip.fails = True
    if hasattr(slicer, "packaging"):
        slicer_host.dialogs.expect("Package installation failed.")
    with pytest.raises(subprocess.CalledProcessError, match="pip"):
        slicer.util.pip_install(["some-package"])


# Slicer's development branch keeps one dialog for all installations, a child of the main window,
# and a timer that hides it (packaging.py, _PipProgressDialog).
def test_an_installation_knows_nothing_of_one_in_the_session_before():
    for _ in range(2):
        with Host() as host:
            slicer.util.pip_install(["some-package"])
        assert host.pip.calls == [("install", ["some-package"])]
