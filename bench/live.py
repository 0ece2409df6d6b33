"""The platform left alone: ``python -m bench.live [MINUTES [FOLDER]]``.

The simulated household as it happens, 30 messages a second on average, into Kafka; sensors at their defaults; five
servers. It prints every minute how far the lake and the targets are behind, and at the end whether all checks hold
and all counts are equal. It takes its time, so that it is no part of ``make bench``.
"""

import json
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from bench import load
from bench.platform import Platform, feeding, given, platform
from wifi_assets.assets.sinks import SINKS, targets
from wifi_assets.definitions import build_defs
from wifi_assets.drain import pending
from wifi_assets.from_settings import lake_of, topic_of

MINUTES = 120.0
#: Seconds between two looks.
_LOOK = 5
_CATCH_UP_SECONDS = 300


@dataclass
class Behind:
    """How far the lake is behind the topic, in messages and in seconds.

    Attributes:
        ends: (when seen, messages on the topic), oldest first, as far as the lake has not come.
        messages: Largest lag seen.
        seconds: Age of the oldest message that was not in the lake, the largest seen.
    """

    ends: deque[tuple[float, int]] = field(default_factory=deque)
    messages: int = 0
    seconds: float = 0.0

    def look(self, high: int, waiting: int) -> tuple[int, float]:
        """Take one look into account; (messages, seconds) behind now."""
        now = time.monotonic()
        self.ends.append((now, high))
        while len(self.ends) > 1 and self.ends[0][1] <= high - waiting:
            self.ends.popleft()
        seconds = now - self.ends[0][0]
        self.messages, self.seconds = max(self.messages, waiting), max(self.seconds, seconds)
        return waiting, seconds


def main(minutes: float, folder: Path) -> None:
    """Run, look, and say how it ended; exit code 1 if a check fails or counts differ."""
    print(f"{minutes:g} minutes in {folder}; {load()}", flush=True)
    with platform(folder, {}) as parts:
        with feeding(parts):
            behind = _watch(parts, minutes)
        print(f"largest lag: {behind.messages:,} messages, {behind.seconds:.0f} s", flush=True)
        _wait_until_all_is_there(parts)
        whole = _checks(parts)
        runs = {
            status.value: parts.instance.get_runs_count(dg.RunsFilter(statuses=[status]))
            for status in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
        }
        print(f"runs: {runs}; event log: {parts.event_log()}; lake: {parts.lake_files()}; {load()}")
    if not whole:
        raise SystemExit("not all is well")


def _watch(parts: Platform, minutes: float) -> Behind:
    lake, kafka = lake_of(parts.settings), topic_of(parts.settings)
    behind = Behind()
    for number in range(int(minutes * 60 / _LOOK)):
        time.sleep(_LOOK)
        state, waiting = pending(lake, kafka)
        messages, seconds = behind.look(sum(state.high), sum(waiting))
        if number % (60 // _LOOK) == 0:
            line = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "on the topic": sum(state.high),
                "lag": messages,
                "lag s": round(seconds),
                "under way": parts.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])),
                "queued": parts.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])),
                "MiB": parts.resident(),
            }
            print(json.dumps(line), flush=True)
    return behind


def _versions_behind(parts: Platform) -> dict[str, int]:
    lake = lake_of(parts.settings)
    behind = {}
    for target, connect in targets(parts.settings).items():
        sink = connect()
        for asset, table in SINKS[target].items():
            progress = sink.progress(table) if lake.exists(table) else None
            behind[asset] = lake.open(table).version - (progress.version if progress else -1)
    return {asset: versions for asset, versions in behind.items() if versions}


def _wait_until_all_is_there(parts: Platform) -> None:
    lake, kafka = lake_of(parts.settings), topic_of(parts.settings)
    end = time.monotonic() + _CATCH_UP_SECONDS
    while (waiting := sum(pending(lake, kafka)[1])) or (versions := _versions_behind(parts)):
        if time.monotonic() > end:
            print(f"not caught up within {_CATCH_UP_SECONDS} s: {waiting} messages, versions {versions}", flush=True)
            return
        time.sleep(1)


def _checks(parts: Platform) -> bool:
    """Run all checks; print those that fail and what the targets hold."""
    done = (
        build_defs(parts.settings)
        .resolve_job_def("checks")
        .execute_in_process(
            instance=parts.instance, run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        )
    )
    found = done.get_asset_check_evaluations()
    for one in found:
        name = f"{one.asset_key.to_user_string()}: {one.check_name}"
        if not one.passed:
            print(f"FAILED {name} ({one.severity.value}): {one.description}")
        elif one.check_name == "count_equals_lake":
            print(f"{name}: { {key: value.value for key, value in one.metadata.items()} }")
    print(f"checks: {sum(one.passed for one in found)} of {len(found)} hold")
    return all(one.passed for one in found)


if __name__ == "__main__":
    main(*given("live", MINUTES))
