"""How the process of a run begins: as a copy of one that has Dagster's and the tables' libraries in memory.

Dagster's own launcher has the code server start a new interpreter for each run, and to import what every run needs
takes 2.2 of the 3.5 to 4.5 CPU s of a run in all (*measured*). Here the daemon keeps a process that imports once, and
each run is a fork of it. wifi_assets itself is imported by each run, so that code that was changed counts as before.
``dagster.yaml`` names this launcher (``deploy/``); runs then find settings and lake where the daemon does.

Here belongs the life of a run's process. Not here: which run begins when (Dagster's queue), what it does (``jobs.py``).
"""

import multiprocessing
import os
import threading
import time
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Self

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.instance import InstanceRef
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster._utils import get_run_crash_explanation

from wifi_assets.connections import keep_connections

#: What a run imports that is not ours. None of them starts a thread that a copy would miss: those of jemalloc and
#: OpenBLAS begin anew in it by themselves.
_LIBRARIES = [
    "dagster._cli.api",
    "dagster._daemon.cli",
    "dagster_postgres",
    "confluent_kafka",
    "deltalake",
    "duckdb",
    "msgspec",
    "netaddr",
    "psycopg",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pydantic_settings",
]
#: Tag of a job whose runs give way to the others where processors are few: how far, 0 to 19 (``nice``).
NICE = "wifi_assets/nice"
#: Tag of a run, hidden in the UI: ``_identity`` of its process.
_PROCESS = f"{HIDDEN_TAG_PREFIX}process"
#: Less than the minute after which ``docker-compose.yml`` has the daemon killed.
_LAST_SECONDS = 45


class ForkingRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Starts runs beside the daemon, on its machine.

    A run that ends without having said so, since something killed it, is reported as failed at once. A daemon that is
    told to end waits a moment for its runs; a run that outlives it goes on. One that died with it, as all do when the
    machine loses its power, is found by ``run_monitoring``, when the daemon is there again: else the sensors would wait
    for that run.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._processes = multiprocessing.get_context("forkserver")
        self._starting = threading.Lock()
        self._watching: dict[str, threading.Thread] = {}
        self._first = True
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What ``dagster.yaml`` says of it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing is to be set."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """As Dagster makes it."""
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Begin the run's process, and have it watched."""
        if self._first:
            self._first = False
            # Read only when the fork server starts, with the first run; all runs are forks of it.
            self._processes.set_forkserver_preload(_LIBRARIES)
            # Of the processes that have a launcher the daemon alone comes here.
            keep_connections(self._instance)
        run_id, nice = context.dagster_run.run_id, int(context.dagster_run.tags.get(NICE, 0))
        process = self._processes.Process(target=_execute, args=(run_id, nice, self._instance.get_ref()), name=run_id)
        with self._starting:
            process.start()
            # multiprocessing polls all known children when the next one starts. That races with the watching thread,
            # and one of the two sees exit code 255. And at exit it would wait for the runs.
            multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]
        watch = threading.Thread(target=self._watch, args=(run_id, process), name=f"watch {run_id}", daemon=True)
        self._watching[run_id] = watch
        watch.start()

    def dispose(self) -> None:
        """Wait for the runs under way: with a container's first process, the daemon, all others of it are killed."""
        until = time.monotonic() + _LAST_SECONDS
        for watch in list(self._watching.values()):
            watch.join(max(0, until - time.monotonic()))

    def terminate(self, run_id: str) -> bool:
        """Ask the run to end: its own process looks for that word, wherever this one is."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It can tell."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a run is there; one that this launcher did not start is taken as such."""
        known = run.tags.get(_PROCESS)
        if known is None or known == _identity(int(known.split()[0])):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"The process of run {run.run_id} is there no more")

    def _watch(self, run_id: str, process: ForkServerProcess) -> None:
        process.join()
        self._watching.pop(run_id)
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        self._instance.report_engine_event(
            get_run_crash_explanation(f"The process of run {run_id}", process.exitcode or 0), run, cls=type(self)
        )
        if run.status == DagsterRunStatus.CANCELING:
            self._instance.report_run_canceled(run)
        else:
            self._instance.report_run_failed(run)


def _identity(pid: int) -> str | None:
    """The number of a process and when it began, since numbers come again; None if it is gone or there is no /proc."""
    try:
        # Behind the name, in which anything can stand: the state, and as the 20th value the start (proc(5)).
        state, *values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else f"{pid} {values[18]}"


def _execute(run_id: str, nice: int, instance: InstanceRef) -> None:
    """The process of one run."""
    os.nice(nice)
    # Only here: the webserver, which launches nothing, reads this module too.
    from dagster._cli.api import _execute_run_command_body
    from dagster._core.execution.run_cancellation_thread import start_run_cancellation_thread
    from dagster._utils.interrupts import capture_interrupts

    with capture_interrupts(), DagsterInstance.from_ref(instance) as own:
        keep_connections(own)
        if (process := _identity(os.getpid())) is not None:
            own.add_run_tags(run_id, {_PROCESS: process})
        looking, end = start_run_cancellation_thread(own, run_id)
        try:
            _execute_run_command_body(run_id, own, lambda event: None, set_exit_code_on_failure=False)
        finally:
            end.set()
            looking.join()
