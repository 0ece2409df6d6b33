"""How soon a message is in every table and target: ``python -m bench.latency [SAMPLES [FOLDER]]``.

The platform as it is deployed: five servers, Dagster on Postgres with its code server and daemon, sensors at their
default intervals, and 30 messages a second from the simulated household. Here belongs what is measured and how it
is told. Not here: how the platform is started (``platform.py``), when which table held what (``freshness.py``).
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import psutil
import psycopg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from bench import load
from bench.freshness import LakeHistory, Tick, Watch, lag_ticks, targets_fresh
from bench.platform import PER_HOUR, Platform, feeding, given, platform

SAMPLES = 20
#: Ticks before the first sample: tables and indices are made then.
_WARM_UP = 2
_IDLE_SECONDS = 60
_CATCH_UP_SECONDS = 600


def main(samples: int, folder: Path) -> None:
    """Measure and print."""
    print(f"{samples} samples in {folder}; {load()}", flush=True)
    with platform(folder, {}) as parts:
        _wait(lambda: _settled(parts), _CATCH_UP_SECONDS)
        _cpu_share(parts, "idle", _IDLE_SECONDS)
        watch = Watch(parts)
        watch.start()
        with feeding(parts):
            _measure(parts, watch, samples)


def _measure(parts: Platform, watch: Watch, samples: int) -> None:
    _wait(lambda: len(lag_ticks(parts.instance)) >= _WARM_UP, _CATCH_UP_SECONDS)
    size = _database_octets(parts)
    began, cpu = time.time(), _cpu(parts)
    _wait(lambda: len(lag_ticks(parts.instance)) >= _WARM_UP + samples + 1, 3600)
    seconds = time.time() - began
    print(f"{PER_HOUR // 3600} messages a second, {_shares(cpu, _cpu(parts), seconds)}")
    print(f"Dagster's database grew by {(_database_octets(parts) - size) / seconds * 86_400 / 2**20:,.0f} MiB a day")
    last = lag_ticks(parts.instance)[_WARM_UP + samples - 1]
    history = LakeHistory(parts)
    _wait(lambda: max(targets_fresh(watch, history.fresh(watch.marks_at(last.at))).values()) < time.time(), 300)
    watch.end()
    _tell(parts, watch, samples)


def _tell(parts: Platform, watch: Watch, samples: int) -> None:
    history = LakeHistory(parts)
    taken = lag_ticks(parts.instance)[_WARM_UP : _WARM_UP + samples]
    lake, targets = defaultdict(list), defaultdict(list)
    for tick in taken:
        fresh = history.fresh(watch.marks_at(tick.at))
        for name, (when, _) in fresh.items():
            lake[name].append(when - tick.at)
        for asset, when in targets_fresh(watch, fresh).items():
            targets[asset].append(when - tick.at)
    print(f"\nseconds from a tick of {len(taken)}, median and worst; {load()}")
    _row("tick -> all lake tables", [max(times) for times in zip(*lake.values(), strict=True)])
    _row("tick -> all targets", [max(times) for times in zip(*targets.values(), strict=True)])
    for name, times in (lake | targets).items():
        _row(f"  {name}", times)
    _tell_messages(history, watch, taken)
    _tell_runs(parts, watch, taken)


def _tell_messages(history: LakeHistory, watch: Watch, taken: Sequence[Tick]) -> None:
    """From a message on the topic: one that comes at a random time, so one of every look between two ticks."""
    in_lake, in_targets = [], []
    for when, marks in watch.marks:
        if taken[0].at < when <= taken[-1].at:
            fresh = history.fresh(marks)
            in_lake.append(max(at for at, _ in fresh.values()) - when)
            in_targets.append(max(targets_fresh(watch, fresh).values()) - when)
    print(f"seconds from a message on the topic, of {len(in_lake)} looks")
    _row("message -> all lake tables", in_lake)
    _row("message -> all targets", in_targets)


def _tell_runs(parts: Platform, watch: Watch, taken: Sequence[Tick]) -> None:
    asked = {tick.run_id: tick.at for tick in taken}
    begin, end = taken[0].at, taken[-1].at + 60
    events = _events_of_runs(parts)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in parts.instance.get_run_records():
        run, made = record.dagster_run, record.create_timestamp.timestamp()
        if not begin <= made <= end or record.start_time is None or record.end_time is None:
            continue
        assets = sorted(key.to_user_string() for key in run.asset_selection or ())
        name = run.job_name if run.job_name == "lake" else assets[0].split("_")[0] if assets else run.job_name
        numbers = found[name]
        if run.run_id in asked:
            numbers["tick to queue s"].append(made - asked[run.run_id])
        numbers["queue and process start s"].append(record.start_time - made)
        numbers["run s"].append(record.end_time - record.start_time)
        rows, octets, pid = events[run.run_id]
        numbers["events"].append(rows)
        numbers["event KiB"].append(octets / 1024)
        if pid in watch.cpu:
            numbers["process CPU s"].append(watch.cpu[pid])
    for name, numbers in sorted(found.items()):
        print(f"{len(numbers['run s'])} runs of {name}, median and worst")
        for what, values in numbers.items():
            _row(f"  {what}", values)


def _events_of_runs(parts: Platform) -> dict[str, tuple[int, int, int]]:
    """Run -> its events, their octets, and its process id."""
    with psycopg.connect(parts.database) as connection:
        rows = connection.execute(
            "SELECT run_id, count(*), sum(pg_column_size(e.*)), "
            "max(substring(event from 'Started process for run .pid: ([0-9]+)')::int) FROM event_logs e GROUP BY run_id"
        ).fetchall()
    return {run: (count, int(octets), pid or 0) for run, count, octets, pid in rows}


def _database_octets(parts: Platform) -> int:
    with psycopg.connect(parts.database) as connection:
        ((octets,),) = connection.execute("SELECT pg_database_size(current_database())").fetchall()
    return int(octets)


def _row(what: str, values: Sequence[float]) -> None:
    print(f"{what:<40} {median(values):8.1f} {max(values):8.1f}", flush=True)


def _settled(parts: Platform) -> bool:
    """The first runs, which every sensor asks for on an empty instance, are over."""
    unfinished = parts.instance.get_runs_count(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES))
    return not unfinished and parts.instance.get_runs_count() >= 3


def _wait(until: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise SystemExit(f"still waiting after {seconds:.0f} s")
        time.sleep(1)


def _cpu(parts: Platform) -> dict[str, float]:
    """CPU seconds so far: of the daemon, of the code server, and of the runs, which the daemon's child copies."""
    code, daemon = (psutil.Process(parts.processes[name]) for name in ("code server", "daemon"))
    # `dagster code-server` serves by a process of its own.
    servers = [one.cpu_times() for one in (code, *code.children())]
    copied = [one.cpu_times() for one in daemon.children()]
    own = daemon.cpu_times()
    return {
        "daemon": own.user + own.system,
        "code server": sum(times.user + times.system for times in servers),
        "runs": sum(times.children_user + times.children_system for times in copied),
    }


def _shares(before: dict[str, float], after: dict[str, float], seconds: float) -> str:
    told = ", ".join(f"{name} {(after[name] - before[name]) / seconds:.1%}" for name in before)
    return f"{seconds:.0f} s, share of one core: {told}"


def _cpu_share(parts: Platform, what: str, seconds: float) -> None:
    before = _cpu(parts)
    time.sleep(seconds)
    print(f"{what}, {_shares(before, _cpu(parts), seconds)}", flush=True)


if __name__ == "__main__":
    main(*given("latency", SAMPLES))
