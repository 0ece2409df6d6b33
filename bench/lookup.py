"""A lookup over HTTP on a lake of 10 million probe requests: ``python -m bench.lookup``.

Forty days of probe requests go straight into ``probes_enriched``, as many a day and from as many random addresses
as in a household at 100,000 frames an hour; the steps of the lookups' tables follow each day. ``wifi-assets
serve`` answers as a process of its own, over one connection: ``LOOKUPS`` by name, in any case of letters, or by
address, in any notation; then by parts of names and of addresses, which search all of them; then the first again
while new probe requests are committed all the time. On a machine that others use, ``chrt -r 1 python -m
bench.lookup`` puts server and client before them.
"""

import http.client
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from bench import BEGIN, load, with_nulls
from wifi_assets.engine import engine
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.steps import catch_up

DAYS = 40
PER_DAY = 250_000
RANDOM_ADDRESSES = 18_000
DEVICES = 200
LOOKUPS = 2_000
PARTS = 200
BATCH = 1_000
REACH_MS = 20

_TABLES = ("probe_stats_by_source_day", "probe_stats_by_source_device")


def device_mac(number: int) -> str:
    """The address of a device that the router knows."""
    return f"24:0a:c4:00:00:{number:02x}"


def device_name(number: int) -> str:
    """Its name."""
    return f"Asgard{number:03}"


def append_probes(lake: Lake, day: int, rows: int) -> None:
    """Probe requests of a day: four of ten from the devices, the others from the day's random addresses."""
    own = lake.open("probes_enriched")
    start = (own.positions("frames") or [0])[0]
    midnight = BEGIN + timedelta(days=day)
    with engine() as run:
        drawn = run.query(f"""
            WITH drawn AS (SELECT i, hash({start} + i) AS h FROM range({rows}) AS r(i)),
            who AS (SELECT i, h, CASE WHEN h % 10 < 4 THEN CAST((h >> 8) % {DEVICES} AS INTEGER) END AS device,
              hash({day} * {RANDOM_ADDRESSES} + (h >> 8) % {RANDOM_ADDRESSES}) AS a FROM drawn)
            SELECT DATE '{midnight.date()}' AS day, 0 AS topic_generation, 0 AS kafka_partition,
              {start} + i AS kafka_offset,
              TIMESTAMPTZ '{midnight.isoformat()}' + to_microseconds(CAST(i * 86400000000 // {rows} AS BIGINT))
                AS event_time,
              CASE WHEN device IS NULL THEN printf('%02x:%02x:%02x:%02x:%02x:%02x', (a & 252) | 2, (a >> 8) & 255,
                (a >> 16) & 255, (a >> 24) & 255, (a >> 32) & 255, (a >> 40) & 255)
                ELSE printf('24:0a:c4:00:00:%02x', device) END AS source_address,
              CASE WHEN device IS NOT NULL THEN printf('Asgard%03d', device) END AS source_device_name,
              device IS NOT NULL AS is_known_device, 'ff:ff:ff:ff:ff:ff' AS destination_address,
              CAST(-40 - h % 50 AS INTEGER) AS signal_dbm, device IS NULL AS is_randomised,
              CASE WHEN h % 3 = 0 THEN 'network ' || (h >> 16) % 2000 ELSE '' END AS ssid
            FROM who""")
    lake.append(own, with_nulls(drawn, own.table.schema), {"frames": [start + rows]})
    for name in _TABLES:
        catch_up(lake, name)


def fill(lake: Lake) -> None:
    """The whole lake."""
    rows = [
        {"mac": device_mac(number), "name": device_name(number), "is_guest": False, "source": "ace.user"}
        for number in range(DEVICES)
    ]
    lake.append(lake.open("devices"), pa.Table.from_pylist(rows, TABLES["devices"].schema), {})
    for day in range(DAYS):
        append_probes(lake, day, PER_DAY)
        if day % 10 == 9:
            print(f"  day {day + 1} of {DAYS}", file=sys.stderr)


def keep_appending(url: str, ended: Event) -> None:
    """New probe requests of the last day, until the end; a process of its own."""
    lake = Lake(url)
    while not ended.is_set():
        append_probes(lake, DAYS - 1, BATCH)


@contextmanager
def appending(lake: Lake) -> Iterator[None]:
    """``keep_appending`` beside the block."""
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    process = context.Process(target=keep_appending, args=(lake.url, ended))
    process.start()
    try:
        yield
    finally:
        ended.set()
        process.join()


@contextmanager
def serving(lake: Lake, folder: Path) -> Iterator[int]:
    """``wifi-assets serve`` on this lake; the port."""
    log = folder / "serve.log"
    command = [Path(sys.executable).parent / "wifi-assets", "serve", "--port=0"]
    with log.open("w") as said:
        # In a folder without a .env.
        server = subprocess.Popen(command, cwd=folder, env=os.environ | {"WIFI_LAKE": lake.url}, stderr=said)
    try:
        while not (found := re.search(r":(\d+)/docs", log.read_text())):
            if server.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield int(found[1])
        resident = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{server.pid}/status").read_text())
        if resident is not None:
            print(f"the server held {int(resident[1]) >> 10:,} MiB at most")
    finally:
        server.terminate()
        server.wait(60)


def asked(lake: Lake) -> tuple[list[str], list[str], list[str]]:
    """Names and addresses as people write them, in random order; parts of names; parts of addresses."""
    chance = random.Random(7)  # noqa: S311 - the same lookups each time
    column = lake.open("probe_stats_by_source_device").rows().to_table(columns=["source"])["source"]
    sources = [column[chance.randrange(len(column))].as_py() for _ in range(LOOKUPS // 4)]
    macs = [device_mac(chance.randrange(DEVICES)) for _ in range(LOOKUPS // 4)]
    names = [device_name(chance.randrange(DEVICES)) for _ in range(LOOKUPS // 4)]
    print(f"{len(column):,} sources, {DEVICES} of them devices of the router")
    every = [*sources, *(mac.upper().replace(":", "-") for mac in macs), *names, *(name.lower() for name in names)]
    chance.shuffle(every)
    return every, [f"gard{number:03}" for number in range(PARTS)], [source[1:] for source in sources[:PARTS]]


def spent_ms(port: int, texts: Sequence[str]) -> list[float]:
    """Milliseconds from each request to the end of its answer, which must be a device that was heard."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    spent = []
    for text in texts:
        path = f"/lookup/{quote(text)}"
        before = time.perf_counter()
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
        spent.append(1000 * (time.perf_counter() - before))
        if reply.status != 200 or not json.loads(body)["device"]["probes"]:
            raise SystemExit(f"{path}: {reply.status} {body[:200]!r}")
    connection.close()
    return spent


def tell(what: str, spent: Sequence[float]) -> None:
    """One line."""
    half, most = np.percentile(spent, [50, 99])
    print(f"{len(spent):,} {what}: p50 {half:.2f} ms, p99 {most:.2f} ms, worst {max(spent):.2f} ms; {load()}")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="wifi-assets-bench-") as name:
        lake = Lake(f"{name}/lake")
        fill(lake)
        print(f"{lake.open('probes_enriched').rows().count_rows():,} probe requests; {load()}")
        every, of_names, of_addresses = asked(lake)
        with serving(lake, Path(name)) as port:
            spent_ms(port, every[:20])
            tell("lookups by name and address", spent := spent_ms(port, every))
            tell("lookups by a part of a name", spent_ms(port, of_names))
            tell("lookups by a part of an address", spent_ms(port, of_addresses))
            version = lake.open("probe_stats_by_source_device").version
            with appending(lake):
                began = time.perf_counter()
                tell("lookups by name and address while probe requests come", spent_ms(port, every))
                commits = lake.open("probe_stats_by_source_device").version - version
                print(f"{commits} commits meanwhile, in {time.perf_counter() - began:.1f} s")
    print(f"reach: p99 below {REACH_MS} ms: {'yes' if np.percentile(spent, 99) < REACH_MS else 'no'}")


if __name__ == "__main__":
    main()
