"""How the process of a run begins: as a copy of one that has Dagster's and the tables' libraries in memory.

Dagster's own launcher has the code server start a new interpreter for each run, and to import what every run needs
takes 2.2 of the 3.5 to 4.5 CPU s of a run in all (*measured*). Here the daemon keeps a process that imports once, and
each run is a fork of it. wifi_assets itself is imported by each run, so that code that was changed counts as before.
``dagster.yaml`` names this launcher (``deploy/``); runs then find settings and lake where the daemon does.

Here belongs the life of a run's process. Not here: which run begins when (Dagster's queue), what it does (``jobs.py``).
"""

import multiprocessing
import threading
from collections.abc import Mapping
from multiprocessing.context import ForkServerProcess
from typing import Any, Self

from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.instance import InstanceRef
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster._utils import get_run_crash_explanation

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
#: No statement of a run takes a second; one that waits for a lock must not wait for ever.
_STATEMENT_MS = 300_000


class ForkingRunLauncher(RunLauncher[DagsterInstance], ConfigurableClass):
    """Starts runs beside the daemon, on its machine.

    A run that ends without having said so, since something killed it, is reported as failed at once. A run that
    outlives the daemon goes on. Of one that dies meanwhile nobody hears: ``run_monitoring`` ends it by its limits.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._processes = multiprocessing.get_context("forkserver")
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
        # Counts for the first process only, which is that of all.
        self._processes.set_forkserver_preload(_LIBRARIES)
        run_id = context.dagster_run.run_id
        process = self._processes.Process(target=_execute, args=(run_id, self._instance.get_ref()), name=run_id)
        process.start()
        threading.Thread(target=self._watch, args=(run_id, process), name=f"watch {run_id}", daemon=True).start()

    def terminate(self, run_id: str) -> bool:
        """Ask the run to end: its own process looks for that word, wherever this one is."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        return True

    def _watch(self, run_id: str, process: ForkServerProcess) -> None:
        process.join()
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


def _execute(run_id: str, instance: InstanceRef) -> None:
    """The process of one run."""
    # Only here: the webserver, which launches nothing, reads this module too.
    from dagster._cli.api import _execute_run_command_body
    from dagster._core.execution.run_cancellation_thread import start_run_cancellation_thread
    from dagster._utils.interrupts import capture_interrupts

    with capture_interrupts(), DagsterInstance.from_ref(instance) as own:
        # What the webserver does: keep connections. dagster-postgres else opens one for each of some 250 questions of
        # a run of the lake, which took Postgres 1.8 CPU s instead of 0.3 (*measured*).
        own.optimize_for_webserver(statement_timeout=_STATEMENT_MS, pool_recycle=3600, max_overflow=20)
        looking, end = start_run_cancellation_thread(own, run_id)
        try:
            _execute_run_command_body(run_id, own, lambda event: None, set_exit_code_on_failure=False)
        finally:
            end.set()
            looking.join()
