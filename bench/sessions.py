"""Probe requests a second into sessions: ``python -m bench.sessions``.

Five days of the household's probe requests, at 100,000 frames an hour, lie in ``probes_enriched``: half a day
as it is simulated, again every twelve hours. Measured are the two steps, reading and commits included: the
fragments of each day, and the sessions that they make. Medians of ``ROUNDS``, each into new tables.
"""

import shutil
import statistics
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bench import FIRST_HOUR, load
from wifi_assets.demo.air import Air
from wifi_assets.demo.frame import PROBE_REQUEST
from wifi_assets.demo.messages import message
from wifi_assets.frames.message import Rules
from wifi_assets.frames.parse import messages_table, parse
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.steps import catch_up

PER_HOUR = 100_000
HOURS = 12
COPIES = 10
ROUNDS = 5
STEPS = ("session_fragments", "oui_fingerprint_sessions")


def half_a_day() -> pa.Table:
    """The first twelve hours' rows of ``probes``, one Kafka partition."""
    heard = (frame for _, frame in Air(1, PER_HOUR, FIRST_HOUR, HOURS).arrivals() if frame.subtype == PROBE_REQUEST)
    rows = (
        (0, 0, offset, frame.time_us, sent.key, sent.value)
        for offset, frame in enumerate(heard)
        for sent in (message(frame),)
    )
    frames, refused = parse(messages_table(rows), Rules())
    if len(refused):
        raise SystemExit(f"{len(refused)} simulated messages were refused: {refused['reason'][0]}")
    return frames.select(TABLES["probes"].schema.names)


def fill(lake: Lake, probes: pa.Table) -> int:
    """Append ``COPIES`` of the rows, each half a day later; returns how many rows that makes."""
    for copy in range(COPIES):
        later = pc.add(probes["event_time"], pa.scalar(timedelta(hours=HOURS * copy)))
        offsets = pc.add(probes["kafka_offset"], len(probes) * copy)
        moved = {"event_time": later, "day": later.cast(pa.date32()), "kafka_offset": offsets}
        columns = [moved.get(name, probes[name]) for name in probes.schema.names]
        rows = pa.table(columns, schema=probes.schema)
        lake.append(lake.open("probes"), rows, {"frames": [len(probes) * (copy + 1)]})
    catch_up(lake, "probes_enriched")
    return len(probes) * COPIES


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="wifi-assets-bench-") as folder:
        lake = Lake(folder)
        probes = fill(lake, half_a_day())
        print(f"{probes:,} probe requests of {len(lake.open('probes_enriched').days())} days; {load()}")
        spent: list[list[float]] = []
        for _ in range(ROUNDS):
            for name in STEPS:
                shutil.rmtree(Path(folder) / name, ignore_errors=True)
            marks = [time.perf_counter()]
            rows = []
            for name in STEPS:
                rows.append(catch_up(lake, name).rows)
                marks.append(time.perf_counter())
            spent.append([after - before for before, after in zip(marks, marks[1:], strict=False)])
    for name, count, times in zip(STEPS, rows, zip(*spent, strict=True), strict=True):
        print(f"{name:<28}{count:>9,} rows{statistics.median(times):>8.3f} s")
    whole = statistics.median(sum(times) for times in spent)
    print(f"{probes / whole:,.0f} probe requests a second, reach 1,000,000; {load()}")


if __name__ == "__main__":
    main()
