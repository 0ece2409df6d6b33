"""The report of a month with a million probe requests: ``python -m bench.report [SOURCES]``.

Thirty days of frames go straight into ``frames``: a million probe requests, of SOURCES addresses (20,000 unless
told; with a million each was heard once), and four million other frames. The tables behind them are made by their
steps. ``wifi-assets report`` over all of it is a process of its own, whose CPU seconds and peak memory are those of
its end.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench import BEGIN, load, with_nulls
from wifi_assets.engine import engine
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA
from wifi_assets.steps import catch_up

DAYS = 30
PROBES = 1_000_000
OTHERS = 4_000_000
SOURCES = 20_000
REACH_CPU_S = 10
REACH_MIB = 1024

#: What the report reads, in the order in which it comes about.
FOLLOWERS = (
    "probes", "probes_enriched", "packet_stats", "networks_looked_for_day", "session_fragments",
    "oui_fingerprint_sessions", "devices_estimated",
)  # fmt: skip
#: Of so many sources one is a device that the router knows.
KNOWN = 100
_MAC = "printf('%s:%02x:%02x:%02x', {head}, ({number} >> 16) & 255, ({number} >> 8) & 255, {number} & 255)"


def fill(lake: Lake, probes: int, others: int, sources: int, known_of: int = KNOWN) -> None:
    """``frames`` and ``devices`` of a lake, ``DAYS`` days, the probe requests from every source in turn."""
    known = f"CASE WHEN n % {known_of} = 0 THEN '24:0a:c4' ELSE '0a:00:00' END"
    with engine() as run:
        devices = run.query(f"""
            SELECT {_MAC.format(head=known, number="n")} AS mac, 'ace.user' AS source, 'Device ' || n AS name,
              CAST(NULL AS VARCHAR) AS ip, CAST(NULL AS VARCHAR) AS model, CAST(NULL AS VARCHAR) AS type,
              false AS is_guest
            FROM range(0, {sources}, {known_of}) AS r(n)""")
        lake.append(lake.open("devices"), devices.cast(TABLES["devices"].schema), {})
    for day in range(DAYS):
        _append_day(lake, day, probes // DAYS, (probes + others) // DAYS, sources, known)


def _append_day(lake: Lake, day: int, probes: int, rows: int, sources: int, known: str) -> None:
    own = lake.open("frames")
    midnight = BEGIN + timedelta(days=day)
    with engine() as run:
        made = run.query(f"""
            WITH drawn AS (
              SELECT i, CAST(hash({rows * day} + i) >> 2 AS BIGINT) AS h, (i * {probes}) // {rows} AS p,
                (i * {probes}) // {rows} <> ((i + 1) * {probes}) // {rows} AS is_probe FROM range({rows}) AS r(i)),
            who AS (
              SELECT i, h, is_probe, CAST(({probes * day} + p) % {sources} AS BIGINT) AS n,
                CASE WHEN is_probe THEN 4 ELSE [8, 27, 28, 29, 36][1 + h % 5] END AS kind FROM drawn)
            SELECT DATE '{midnight.date()}' AS day, 0 AS topic_generation, 0 AS kafka_partition,
              {rows * day} + i AS kafka_offset,
              TIMESTAMPTZ '{midnight.isoformat()}' + to_microseconds(CAST(i * 86400000000 // {rows} AS BIGINT))
                AS event_time,
              kind // 16 AS frame_type, kind AS frame_subtype, [1, 6, 11][1 + h % 3] AS radio_channel,
              CAST(-30 - n % 60 + h % 7 AS INTEGER) AS signal_dbm, 28 AS duration_us,
              CASE WHEN kind IN (4, 8) THEN 'ff:ff:ff:ff:ff:ff' ELSE '24:5a:4c:00:07:01' END AS receiver_address,
              CASE WHEN is_probe THEN {_MAC.format(head=known, number="n")}
                WHEN kind IN (8, 36) THEN '24:5a:4c:00:07:0' || h % 4 END AS source_address,
              CASE WHEN is_probe THEN [20722] END AS tag_oui,
              CASE WHEN is_probe THEN [h % 4] END AS tag_vendor_oui_type,
              CASE WHEN is_probe AND h % 2 = 0 THEN 'network ' || (h >> 8) % 2000 WHEN kind IN (4, 8) THEN '' END
                AS ssid
            FROM who""")
    lake.append(own, with_nulls(made, own.table.schema), {KAFKA: [rows * (day + 1)]})


def _prepare(url: str, sources: int) -> None:
    lake = Lake(url)
    fill(lake, PROBES, OTHERS, sources)
    for name in FOLLOWERS:
        catch_up(lake, name)
    counts = (f"{lake.open(name).rows().count_rows():,} {name}" for name in ("frames", "probes_enriched", "devices"))
    print(f"{', '.join(counts)} of {DAYS} days, {sources:,} sources; {load()}", flush=True)


def main(sources: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="wifi-assets-bench-") as folder:
        url = f"{folder}/lake"
        # In a process of its own: the peak of a child begins with that of the one which starts it.
        filling = multiprocessing.get_context("spawn").Process(target=_prepare, args=(url, sources))
        filling.start()
        filling.join()
        if filling.exitcode:
            raise SystemExit("the lake could not be filled")
        began = time.perf_counter()
        command = [Path(sys.executable).parent / "wifi-assets", "report", "--out", "report.html"]
        # In a folder without a .env.
        started = subprocess.Popen(command, cwd=folder, env=os.environ | {"WIFI_LAKE": url})
        _, status, spent = os.wait4(started.pid, 0)
        wall = time.perf_counter() - began
        if status:
            raise SystemExit(f"the report ended with {os.waitstatus_to_exitcode(status)}")
        size = (Path(folder) / "report.html").stat().st_size
    cpu, peak = spent.ru_utime + spent.ru_stime, spent.ru_maxrss >> 10
    print(f"CPU {cpu:.1f} s, wall {wall:.1f} s, at most {peak:,} MiB, page {size:,} octets; {load()}")
    reached = cpu <= REACH_CPU_S and peak < REACH_MIB
    print(f"reach: {REACH_CPU_S} CPU s and less than {REACH_MIB:,} MiB: {'yes' if reached else 'no'}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SOURCES)
