"""The engine as a child process, so that nothing it does can freeze or crash Slicer.

Parent side, without PyTorch and without Qt::

    engine = EngineProcess(transport)              # panel: qt.QProcess; scripts: PipeTransport
    job = engine.submit("register", {"task": task}, on_change=lambda job: ...)
    # The transport calls engine.on_output / on_error_output / on_exit; a timer calls
    # engine.tick() about every 50 ms while engine.busy.
    job.state, job.fraction, job.stage, job.seconds_left, job.result, job.message, job.details
    job.cancel()                                   # cooperative; after 2 s the process is killed
    engine.close()

Child side: ``python -m DeepRegistrationLib.worker FOLDER`` reads requests as JSON lines from stdin
and answers with JSON lines on stdout. Arrays are files in FOLDER, which the parent made; see
:mod:`payload`. It stays warm between requests and ends when its stdin closes. What it can do is
listed in :mod:`commands`.
"""

from DeepRegistrationLib.worker.client import EngineProcess, Transport
from DeepRegistrationLib.worker.job import Job, State
from DeepRegistrationLib.worker.pipes import PipeTransport

__all__ = ["EngineProcess", "Job", "PipeTransport", "State", "Transport"]
