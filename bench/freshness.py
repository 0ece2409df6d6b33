"""When a message came, when the lake held it, when each target did: looked at from outside, while all runs.

Here belongs how that is seen. Not here: what is made of it (``latency.py``).
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import psutil
from confluent_kafka import Consumer, TopicPartition
from dagster._core.scheduler.instigation import TickStatus

from bench.platform import Platform
from wifi_assets.assets.sinks import SINKS, Sink, targets
from wifi_assets.from_settings import lake_of
from wifi_assets.resources.errors import SinkError
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA

#: Seconds between two looks: how exact the times of messages and targets are.
LOOK = 0.2
_NEVER = float("inf")


class Tick(NamedTuple):
    """One tick of the lag sensor that asked for a run.

    Attributes:
        at: When, seconds since 1970.
        run_id: Of the run.
    """

    at: float
    run_id: str


def lag_ticks(instance: dg.DagsterInstance) -> list[Tick]:
    """The ticks of ``kafka_lag_sensor`` that asked for a run, oldest first."""
    states = [one for one in instance.all_instigator_state() if one.instigator_name == "kafka_lag_sensor"]
    return sorted(
        Tick(tick.timestamp, tick.run_ids[0])
        for state in states
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, statuses=[TickStatus.SUCCESS])
        if tick.run_ids
    )


class Watch(threading.Thread):
    """Looks five times a second at the topic, the targets and the processes of runs.

    Attributes:
        marks: (when, messages by partition).
        held: Asset of a target -> (when first seen, lake version that it holds), oldest first.
        cpu: Process id of a run -> CPU seconds so far.
    """

    def __init__(self, parts: Platform) -> None:
        super().__init__(daemon=True)
        self._parts = parts
        self._ended = threading.Event()
        self.marks: list[tuple[float, list[int]]] = []
        self.held: dict[str, list[tuple[float, int]]] = {asset: [] for assets in SINKS.values() for asset in assets}
        self.cpu: dict[int, float] = {}

    def run(self) -> None:
        """Look until ``end``."""
        settings = self._parts.settings
        consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": "bench"})
        partitions = range(len(consumer.list_topics(settings.kafka_topic).topics[settings.kafka_topic].partitions))
        sinks = {target: connect() for target, connect in targets(settings).items()}
        while not self._ended.wait(LOOK):
            marks = [consumer.get_watermark_offsets(TopicPartition(settings.kafka_topic, p)) for p in partitions]
            self.marks.append((time.time(), [mark[1] for mark in marks if mark]))
            for target, sink in sinks.items():
                self._look_at(target, sink)
            for process in psutil.Process(self._parts.processes["daemon"]).children(recursive=True):
                try:
                    times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                self.cpu[process.pid] = times.user + times.system
        consumer.close()

    def _look_at(self, target: str, sink: Sink) -> None:
        for asset, table in SINKS[target].items():
            try:
                progress = sink.progress(table)
            except SinkError:
                # Its tables are being made.
                continue
            seen = self.held[asset]
            if progress is not None and (not seen or seen[-1][1] != progress.version):
                seen.append((time.time(), progress.version))

    def end(self) -> None:
        """Stop looking."""
        self._ended.set()
        self.join()

    def marks_at(self, when: float) -> list[int]:
        """Messages by partition at the last look before ``when``."""
        place = bisect_right(self.marks, when, key=lambda mark: mark[0])
        return self.marks[max(place - 1, 0)][1]


@dataclass(frozen=True)
class _Version:
    at: float
    number: int
    positions: list[int]
    upstream: int | None


class LakeHistory:
    """Every version of every table: when it came, and how far it had come in its upstream."""

    def __init__(self, parts: Platform) -> None:
        lake = lake_of(parts.settings)
        self._versions: dict[str, list[_Version]] = {}
        for name, table in TABLES.items():
            if name != "frames" and table.upstream is None:
                continue
            upstream = table.upstream or KAFKA
            found = []
            for commit in sorted((parts.lake / name / "_delta_log").glob("*.json")):
                snapshot = lake.at(name, int(commit.stem))
                if snapshot is not None:
                    positions, version = snapshot.positions(upstream), snapshot.upstream_version(upstream)
                    found.append(_Version(_written(commit), snapshot.version, positions, version))
            self._versions[name] = found

    def fresh(self, marks: Sequence[int]) -> dict[str, tuple[float, int]]:
        """Table -> when, and with which version, it held all messages below these offsets."""
        found: dict[str, tuple[float, int]] = {}

        def reached(name: str) -> tuple[float, int]:
            if name not in found:
                upstream = TABLES[name].upstream
                needed = reached(upstream)[1] if upstream else 0
                found[name] = next(
                    (
                        (version.at, version.number)
                        for version in self._versions[name]
                        if (len(version.positions) == len(marks) and all(map(int.__ge__, version.positions, marks)))
                        or (version.upstream is not None and upstream and version.upstream >= needed)
                    ),
                    (_NEVER, 1 << 60),
                )
            return found[name]

        for name in self._versions:
            reached(name)
        return found


def _written(commit: Path) -> float:
    return commit.stat().st_mtime


def targets_fresh(watch: Watch, lake: dict[str, tuple[float, int]]) -> dict[str, float]:
    """Asset of a target -> when it held what the lake's tables held."""
    return {
        asset: next((when for when, version in watch.held[asset] if version >= lake[table][1]), _NEVER)
        for assets in SINKS.values()
        for asset, table in assets.items()
    }
