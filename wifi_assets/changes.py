"""What changed in a lake table since a sink last looked.

Here belongs the comparison of two Delta versions: their files say which rows are new, different or gone,
for appended, replaced, merged and compacted tables alike. Not here: what a sink does with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from wifi_assets.engine import engine
from wifi_assets.lake import Lake
from wifi_assets.resources.change import Change, Progress
from wifi_assets.snapshot import Snapshot

#: Rows of one batch that a sink is given.
_ROWS = 20_000


@contextmanager
def change_since(lake: Lake, name: str, progress: Progress | None) -> Iterator[Change | None]:
    """The way from ``progress`` to now; None if there is nothing new.

    The reader in it lives as long as the context.
    """
    now = lake.open(name)
    reached = Progress(now.table_id, now.version)
    if progress == reached:
        yield None
        return
    before = None
    if progress is not None and progress.table_id == now.table_id and progress.version < now.version:
        before = lake.at(name, progress.version)
    if before is None:
        rows = now.rows().scanner(batch_size=_ROWS).to_reader()
        yield Change(now.table, reached, rows, _no_keys(now), full=True)
        return
    new, old = now.paths() - before.paths(), before.paths() - now.paths()
    if not old:
        rows = now.rows(paths=new).scanner(batch_size=_ROWS).to_reader()
        yield Change(now.table, reached, rows, _no_keys(now), full=False)
        return
    if not before.readable(old):
        rows = now.rows().scanner(batch_size=_ROWS).to_reader()
        yield Change(now.table, reached, rows, _no_keys(now), full=True)
        return
    keys = ", ".join(now.table.key)
    columns = ", ".join(now.table.schema.names)
    with engine() as run:
        run.view("new", now.rows(paths=new))
        run.view("old", before.rows(paths=old))
        gone = run.query(f"SELECT {keys} FROM old EXCEPT SELECT {keys} FROM new")  # noqa: S608 - our own column names
        rows = run.stream(f"SELECT {columns} FROM new EXCEPT SELECT {columns} FROM old", _ROWS)  # noqa: S608
        yield Change(now.table, reached, _as_stored(rows, now.table.schema), gone, full=False)


def _no_keys(snapshot: Snapshot) -> pa.Table:
    return pa.schema([snapshot.table.schema.field(key) for key in snapshot.table.key]).empty_table()


def _as_stored(rows: pa.RecordBatchReader, schema: pa.Schema) -> pa.RecordBatchReader:
    """DuckDB's result with the types and nullability of the table."""
    return pa.RecordBatchReader.from_batches(
        schema, (piece for batch in rows for piece in pa.Table.from_batches([batch]).cast(schema).to_batches())
    )
