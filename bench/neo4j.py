"""Rows a second into Neo4j, beside the fastest plain loop of its official driver: ``python -m bench.neo4j``.

Here belongs the measurement of ``Neo4jGraph.apply`` on a server of its own. Not here: whether what it
writes is right (the tests).
"""

import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import neo4j
import pyarrow as pa
from pydantic import SecretStr

from wifi_assets.resources.change import Change, Progress
from wifi_assets.resources.neo4j import CONSTRAINTS, Neo4jGraph
from wifi_assets.schemas import TABLES
from wifi_assets_tests.services import Server

ROWS = 100_000
ROUNDS = 5
OURS = "wifi_assets"
PASSWORD = "wifi-assets-bench"  # noqa: S105  (of a server that lives as long as this run)
TABLE = TABLES["networks_looked_for"]

#: One statement a row, keyed as ours is, all else SET: what one writes by the driver's manual.
PLAIN = """
UNWIND $rows AS row
MERGE (s:source {{mac: row.source_address}})
SET s.mac_resolved = row.source_address_resolved, s.device_name = row.source_device_name,
    s.is_known = row.is_known_device
MERGE (n:ssid {{name: row.ssid}})
MERGE (s)-[r:LOOKED_FOR_SSID]->(n)
SET r.probes = row.probes, r.first_seen = {first_seen}, r.last_seen = {last_seen}
"""
AS_DATETIME = PLAIN.format(first_seen="row.first_seen", last_seen="row.last_seen")
AS_TEXT = PLAIN.format(first_seen="datetime(row.first_seen)", last_seen="datetime(row.last_seen)")


def looked_for(count: int) -> pa.Table:
    """``count`` rows of the lake table: one device in ten is known, some networks are far more wanted."""
    chance = random.Random(4)  # noqa: S311
    start = datetime(2026, 3, 1, tzinfo=UTC)
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        source = f"{chance.randrange(1 << 48):012x}"
        mac = ":".join(source[place : place + 2] for place in range(0, 12, 2))
        known = chance.random() < 0.1
        for network in {int(5000 * chance.random() ** 2) for _ in range(chance.choice((1, 1, 2, 3, 5, 8)))}:
            first = start + timedelta(microseconds=chance.randrange(10**12))
            rows.append(
                {
                    "source_address": mac,
                    "ssid": f"network {network}",
                    "probes": chance.randrange(1, 500),
                    "first_seen": first,
                    "last_seen": first + timedelta(microseconds=chance.randrange(10**11)),
                    "source_address_resolved": f"Vendor_{mac[9:]}",
                    "source_device_name": f"device of {mac}" if known else None,
                    "is_known_device": known,
                }
            )
    return pa.Table.from_pylist(rows[:count], TABLE.schema)


def contenders(url: str, driver: neo4j.Driver, table: pa.Table) -> Iterator[tuple[str, Callable[[], None]]]:
    """The plain loops, with their rows already made and sorted, and ours, from the Arrow table."""
    dated = table.sort_by("ssid").to_pylist()
    written = [row | {name: row[name].isoformat() for name in ("first_seen", "last_seen")} for row in dated]

    def plain(query: str, rows: list[dict[str, Any]], size: int) -> Callable[[], None]:
        def load() -> None:
            for start in range(0, len(rows), size):
                driver.execute_query(query, rows=rows[start : start + size])

        return load

    yield "plain, datetimes, 1,000 rows a transaction", plain(AS_DATETIME, dated, 1_000)
    yield "plain, datetimes, 10,000", plain(AS_DATETIME, dated, 10_000)
    yield "plain, times as text, 1,000", plain(AS_TEXT, written, 1_000)
    yield "plain, times as text, 10,000", plain(AS_TEXT, written, 10_000)

    graph = Neo4jGraph(SecretStr(url), "neo4j", SecretStr(PASSWORD))
    keys = TABLE.schema.empty_table().select(list(TABLE.key))

    def ours() -> None:
        graph.apply(Change(TABLE, Progress("bench", 1), table.to_reader(65_536), keys, full=False))

    yield OURS, ours


def clear(driver: neo4j.Driver) -> None:
    """Take every node away."""
    with driver.session() as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS").consume()


def timed(driver: neo4j.Driver, load: Callable[[], None], rows: int) -> list[float]:
    """Rows a second of one load into nothing, and of the same again over what is there."""
    clear(driver)
    speeds = []
    for _ in range(2):
        begin = time.perf_counter()
        load()
        speeds.append(rows / (time.perf_counter() - begin))
    return speeds


def measure(server: Server) -> bool:
    """Print rows a second of each contender; True if ours is ahead on insert and on update.

    All loads are tried on fewer rows first, which also warms the server up. The fastest plain one then
    takes turns with ours, and the median of each turn's ratio counts: other work on the machine slows
    both of a turn.
    """
    url = f"bolt://127.0.0.1:{server.port}"
    print(f"Neo4j, rows of {TABLE.name}, rows a second: insert, update")
    with neo4j.GraphDatabase.driver(url, auth=("neo4j", PASSWORD), notifications_min_severity="OFF") as driver:
        for constraint in CONSTRAINTS:
            driver.execute_query(constraint)
        few = dict(contenders(url, driver, looked_for(ROWS // 5)))
        tried: dict[str, list[float]] = {}
        for name in [*few, *few]:
            tried[name] = timed(driver, few[name], ROWS // 5)
        for name, speeds in tried.items():
            show(f"{name} ({ROWS // 5:,} rows)", speeds)
        plain = max((name for name in tried if name != OURS), key=lambda name: sum(tried[name]))

        loads = dict(contenders(url, driver, looked_for(ROWS)))
        turns: dict[str, list[list[float]]] = {plain: [], OURS: []}
        for turn in range(ROUNDS):
            for name in (plain, OURS) if turn % 2 else (OURS, plain):
                turns[name].append(timed(driver, loads[name], ROWS))
    for name in turns:
        show(f"{name} ({ROWS:,} rows, median of {ROUNDS})", middle(turns[name]))
    ratios = middle(
        [
            [ours / other for ours, other in zip(*pair, strict=True)]
            for pair in zip(turns[OURS], turns[plain], strict=True)
        ]
    )
    print(f"{'wifi_assets / fastest plain':62}{ratios[0]:>10.2f}{ratios[1]:>10.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of this process, all rows of all contenders in it: {peak:,.0f} MiB")
    return min(ratios) >= 1


def middle(turns: list[list[float]]) -> list[float]:
    """The medians of insert and of update."""
    return [statistics.median(turn[way] for turn in turns) for way in (0, 1)]


def show(name: str, speeds: list[float]) -> None:
    """One line of the table."""
    print(f"{name:62}{speeds[0]:>10,.0f}{speeds[1]:>10,.0f}", flush=True)


def main() -> int:
    """Run the benchmark on a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        # A blank: the full compiler, as a server in earnest has it.
        env = {"NEO4J_JVM_OPTS": " ", "NEO4J_HEAP": "1g", "NEO4J_PASSWORD": PASSWORD}
        server = Server("neo4j", Path(folder) / "data", env=env)
        server.start()
        try:
            return 0 if measure(server) else 1
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
