"""A month in small: ``python -m bench.soak [BATCHES [FOLDER]]``.

Micro-batches of 30 s of the simulated household (900 messages each), as fast as they go, through the daemon's own
code: its sensors, its queue, Dagster on Postgres; one run of job ``lake`` a batch (targets: ``live.py``). Runs are
executed in this process, so that what a run leaves behind in memory adds up where it can be seen. Every simulated
six hours ``maintenance`` and ``purge_history`` run, with what they keep shortened as the clock is. It prints what each
process holds, what the lake's folder and Dagster's events take, and what a batch costs. It is no part of ``make
bench``: 3,000 batches take an hour or two.
"""

import json
import logging
import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from dagster import DagsterRunStatus, RunsFilter
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration

from bench import load
from bench.platform import PER_HOUR, Platform, given, platform
from wifi_assets.connections import keep_connections
from wifi_assets.demo.air import Air
from wifi_assets.demo.messages import message
from wifi_assets.drain import pending
from wifi_assets.from_settings import lake_of, topic_of
from wifi_assets.purge import purge
from wifi_assets.resources.producer import CheckedProducer
from wifi_assets.schemas import TABLES

BATCHES = 3_000
MESSAGES = 900
#: Batches of one figure.
SAMPLE = 100
REACH = 1.3
#: Batches between two maintenances: six simulated hours.
_MAINTAIN_EVERY = 720
#: What is kept of replaced files, log entries and runs, in real time: a run's day is this soak's quarter of an hour.
_KEPT = timedelta(minutes=15)
_INSTANCE = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
    # Without threads: two runs that begin in one process at once wait for each other's imports for ever.
    "run_coordinator": {
        "module": "dagster._core.run_coordinator.queued_run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"dequeue_interval_seconds": 1},
    },
}
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Daemon:
    """The sensors' and the queue's part of ``dagster-daemon``, one turn at a time."""

    def __init__(self, parts: Platform, workspace: WorkspaceProcessContext) -> None:
        self.lake, self.kafka = lake_of(parts.settings), topic_of(parts.settings)
        self.instance = parts.instance
        self._workspace = workspace
        self._queue = QueuedRunCoordinatorDaemon(interval_seconds=1)
        self._log = logging.getLogger("bench.soak")

    def until_caught_up(self) -> None:
        """Turn until the lake holds all of the topic and no run is under way."""
        while sum(pending(self.lake, self.kafka)[1]) or self._under_way():
            self.turn()

    def turn(self) -> None:
        """Let the sensors look, and execute what they asked for."""
        for problem in execute_sensor_iteration(self._workspace, self._log, None, None):
            if problem is not None:
                raise SystemExit(f"a sensor failed: {problem}")
        for problem in self._queue.run_iteration(self._workspace):
            if problem is not None:
                raise SystemExit(f"the queue failed: {problem}")

    def _under_way(self) -> int:
        return self.instance.get_runs_count(RunsFilter(statuses=NOT_FINISHED_STATUSES))


def main(batches: int, folder: Path) -> None:
    """Run the batches and print; exit code 1 if a run failed or a late batch costs more than ``REACH`` times."""
    print(f"{batches:,} batches of {MESSAGES} messages in {folder}; {load()}", flush=True)
    # From a midnight on: what a batch costs grows until the next one, and 3,000 are an hour more than a day.
    begin = (int(time.time()) - batches * 3600 * MESSAGES // PER_HOUR) // 86_400 * 24
    messages = (message(frame) for _, frame in Air(1, PER_HOUR, begin).arrivals())
    spent: list[float] = []
    medians: list[float] = []
    with (
        platform(
            folder,
            {"WIFI_LAG_SECONDS": "1", "WIFI_SQL_URL": ""},
            names=("kafka", "mongo", "postgres"),
            daemon=False,
            dagster=_INSTANCE,
        ) as parts,
        WorkspaceProcessContext(parts.instance, WorkspaceFileTarget(["workspace.yaml"])) as workspace,
    ):
        parts.processes["daemon and runs"] = os.getpid()
        keep_connections(parts.instance)
        daemon = Daemon(parts, workspace)
        topic = CheckedProducer({"bootstrap.servers": parts.settings.kafka_bootstrap}, parts.settings.kafka_topic)
        for number in range(1, batches + 1):
            for one in islice(messages, MESSAGES):
                topic.put(one.key, one.value, one.timestamp_ms)
            topic.flush()
            cpu = parts.processor_seconds()
            daemon.until_caught_up()
            spent.append(parts.processor_seconds() - cpu)
            # At once: a purge would delete it.
            if parts.instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.FAILURE])):
                raise SystemExit(f"a run failed in batch {number:,}; what it said is above")
            if number == 1:
                _shorten(daemon)
            if number % _MAINTAIN_EVERY == 0:
                _maintain(parts)
            if number % SAMPLE == 0:
                medians.append(statistics.median(spent[-SAMPLE:]))
                _print(parts, number, medians[-1])
    # The first hundred warm up what is imported and cached.
    ratio, dearest = medians[-1] / medians[1], max(medians) / medians[1]
    print(
        f"CPU of a batch at the end: {ratio:.2f} times that of the second hundred, reach {REACH}; "
        f"of the dearest hundred: {dearest:.2f} times"
    )
    print(load())
    if ratio > REACH:
        raise SystemExit(1)


def _shorten(daemon: Daemon) -> None:
    """Let what is replaced go as soon as a month's would in a month."""
    kept = f"interval {_KEPT.seconds} seconds"
    for name in TABLES:
        if daemon.lake.exists(name):
            daemon.lake.open(name).delta.alter.set_table_properties(
                dict.fromkeys(("delta.logRetentionDuration", "delta.deletedFileRetentionDuration"), kept)
            )


def _maintain(parts: Platform) -> None:
    # Not before the platform's settings are those of this process, in which the runs are executed too.
    from wifi_assets.definitions import defs

    began = time.monotonic()
    defs.resolve_job_def("maintenance").execute_in_process(instance=parts.instance, run_config=_QUIET)
    maintained = time.monotonic()
    purged = purge(parts.instance, datetime.now(UTC) - _KEPT)
    print(
        f"maintenance: {maintained - began:.1f} s; purge_history: {time.monotonic() - maintained:.1f} s, "
        f"{purged.runs} runs deleted, {purged.needed} older ones needed",
        flush=True,
    )


def _print(parts: Platform, number: int, median: float) -> None:
    files, log_octets = parts.lake_files()
    rows, octets = parts.event_log()
    line = {
        "batch": number,
        "CPU s": round(median, 3),
        "MiB": parts.resident(),
        "lake files": files,
        "lake MiB": parts.lake_octets() >> 20,
        "lake logs MiB": log_octets >> 20,
        "events": rows,
        "events MiB": octets >> 20,
        "instance files": sum(1 for one in Path(os.environ["DAGSTER_HOME"]).rglob("*")),
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*given("soak", BATCHES))
