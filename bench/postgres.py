"""Rows a second into Postgres, beside SQLAlchemy's own executemany: ``python -m bench.postgres``.

Here belongs the measurement of ``SqlTarget.apply`` on a server of its own. Not here: whether what it
writes is right (the tests).
"""

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import insert

from wifi_assets.resources.change import Change, Progress
from wifi_assets.resources.sql_tables import column_name, target_table
from wifi_assets.resources.sql_target import SqlTarget
from wifi_assets.schemas import TABLES, TIME, Table
from wifi_assets_tests.services import Server

ROWS = 1_000_000
PLAIN_ROWS = 100_000
PLAIN_BATCH = 10_000
BATCH = 50_000


def packet_stats(start: int, count: int, more: int) -> pa.RecordBatch:
    """Rows of 64 subtypes a day; ``more`` makes them other rows of the same keys."""
    place = np.arange(start, start + count)
    columns = [
        pa.array((place // 64).astype("datetime64[D]")),
        pa.array((place % 64).astype("int32")),
        pa.array(place + more),
        pa.array(place * 1_000).cast(TIME),
        pa.array(place * 2_000 + more).cast(TIME),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=TABLES["packet_stats"].schema)


def probe_stats(start: int, count: int, more: int) -> pa.RecordBatch:
    """Sources that look for three networks each."""
    place = np.arange(start, start + count)
    networks = pc.binary_join_element_wise("net ", pa.array(np.arange(count * 3) * 7 % 1_000).cast(pa.string()), "")
    columns = [
        pc.binary_join_element_wise("phone", pa.array(place).cast(pa.string()), " "),
        pa.array(place + more),
        pa.array(place * 1_000).cast(TIME),
        pa.array(place * 2_000 + more).cast(TIME),
        pa.array((-(place % 90)).astype("int32")),
        pa.array((-(place % 40)).astype("int32")),
        pa.array(-(place % 90) / 3),
        pa.array(np.full(count, 3)),
        pa.array(np.full(count, 1)),
        pa.array(-(place % 90)),
        pa.array(np.full(count, 3)),
        pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype="int32") * 3), networks),
        pa.ListArray.from_arrays(
            pa.array(np.arange(count + 1, dtype="int32")), pa.array(["ff:ff:ff:ff:ff:ff"] * count)
        ),
        pa.ListArray.from_arrays(
            pa.array(np.arange(count + 1, dtype="int32")), pa.array(["02:00:00:00:00:01"] * count)
        ),
        pa.array(place % 20_000, pa.int32()).cast(pa.date32()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=TABLES["probe_stats_by_source_device"].schema)


def applied(target: SqlTarget, table: Table, make: Callable[..., pa.RecordBatch], more: int, full: bool) -> float:
    """Rows a second of one ``apply``, the making of the rows included."""
    batches: Iterator[pa.RecordBatch] = (make(start, BATCH, more) for start in range(0, ROWS, BATCH))
    rows = pa.RecordBatchReader.from_batches(table.schema, batches)
    nothing = table.schema.empty_table().select(list(table.key))
    start = time.perf_counter()
    target.apply(Change(table, Progress("bench", more), rows, nothing, full))
    return ROWS / (time.perf_counter() - start)


def plain(engine: sa.Engine, table: Table, make: Callable[..., pa.RecordBatch], more: int) -> float:
    """Rows a second of SQLAlchemy's executemany upsert, one transaction, rows ready as dicts."""
    target = target_table(table, "public")
    new = insert(target)
    others = {column.name: new.excluded[column.name] for column in target.columns if not column.primary_key}
    upsert = new.on_conflict_do_update(index_elements=list(target.primary_key), set_=others)
    names = [column_name(table, name) for name in table.columns]
    rows = make(0, PLAIN_ROWS, more).rename_columns(names).to_pylist()
    start = time.perf_counter()
    with engine.begin() as connection:
        for place in range(0, PLAIN_ROWS, PLAIN_BATCH):
            connection.execute(upsert, rows[place : place + PLAIN_BATCH])
    return PLAIN_ROWS / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server("postgres", Path(folder) / "data").start()
        try:
            url = f"postgresql+psycopg://wifi@127.0.0.1:{server.port}/wifi"
            engine, target = sa.create_engine(url), SqlTarget(SecretStr(url))
            print(f"{'Postgres, rows a second':<44}{'wifi_assets':>12}{'executemany':>13}{'ratio':>7}")
            for make in (packet_stats, probe_stats):
                table = TABLES["packet_stats" if make is packet_stats else "probe_stats_by_source_device"]
                target_table(table, "public").create(engine)
                by_hand = [plain(engine, table, make, more) for more in (0, 1)]
                target_table(table, "public").drop(engine)
                ours = [applied(target, table, make, more, full=more == 0) for more in (0, 1, 1)]
                for what, speed, other in zip(
                    ("insert", "update", "repeat"), ours, [*by_hand, by_hand[1]], strict=True
                ):
                    title = f"{table.name} {what}"
                    print(f"{title:<44}{speed:>12,.0f}{other:>13,.0f}{speed / other:>7.1f}", flush=True)
            engine.dispose()
        finally:
            server.stop()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{ROWS:,} rows each ({PLAIN_ROWS:,} by executemany); peak memory of this process {peak} MB")


if __name__ == "__main__":
    main()
