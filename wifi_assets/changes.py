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
    # Who only follows a table may have no right to write: what is there is looked at.
    now = lake.look(name) or lake.open(name)
    reached = Progress(now.table_id, now.version)
    if progress == reached:
        yield None
        return
    before = _held(lake, now, progress)
    paths, held = now.paths(), [one.paths() for one in before]
    new = {path for path in paths if not all(path in each for each in held)}
    old = [each - paths for each in held]
    if not before or not all(one.readable(gone) for one, gone in zip(before, old, strict=True)):
        rows = now.rows().scanner(batch_size=_ROWS).to_reader()
        yield Change(now.table, reached, rows, _no_keys(now), full=True)
        return
    if not any(old):
        rows = now.rows(paths=new).scanner(batch_size=_ROWS).to_reader()
        yield Change(now.table, reached, rows, _no_keys(now), full=False)
        return
    keys = ", ".join(now.table.key)
    columns = ", ".join(now.table.schema.names)
    with engine() as run:
        run.view("new", now.rows(paths=new))
        for number, (one, gone_files) in enumerate(zip(before, old, strict=True)):
            run.view(f"old_{number}", one.rows(paths=gone_files))
        were = " UNION ALL ".join(f"SELECT {keys} FROM old_{number}" for number in range(len(old)))
        gone = run.query(f"({were}) EXCEPT SELECT {keys} FROM new")  # noqa: S608 - our own column names
        # Only of a single version is it known that the target has its rows: a write that broke off may have put others.
        same = f"EXCEPT SELECT {columns} FROM old_0" if len(old) == 1 else ""
        rows = run.stream(f"SELECT {columns} FROM new {same}", _ROWS)  # noqa: S608
        yield Change(now.table, reached, _as_stored(rows, now.table.schema), gone, full=False)


def _held(lake: Lake, now: Snapshot, progress: Progress | None) -> list[Snapshot]:
    """The versions of which the target holds rows, besides this one's; none if that is not to be known."""
    if progress is None or progress.table_id != now.table_id:
        return []
    versions = {progress.version, *progress.begun} - {now.version}
    if max(versions, default=0) > now.version:
        return []
    held = [lake.at(now.table.name, version) for version in sorted(versions)]
    return [one for one in held if one is not None] if None not in held else []


def _no_keys(snapshot: Snapshot) -> pa.Table:
    return pa.schema([snapshot.table.schema.field(key) for key in snapshot.table.key]).empty_table()


def _as_stored(rows: pa.RecordBatchReader, schema: pa.Schema) -> pa.RecordBatchReader:
    """DuckDB's result with the types and nullability of the table."""
    return pa.RecordBatchReader.from_batches(
        schema, (piece for batch in rows for piece in pa.Table.from_batches([batch]).cast(schema).to_batches())
    )
