"""DuckDB over Arrow: named views in, an Arrow result out.

Here belongs how a SQL text is run; another engine over the same tables would take this module's place.
Not here: what the texts say (``sql/``), which rows they see (``steps.py``, ``recompute.py``), how results are
stored (``lake.py``).
"""

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from multiprocessing.util import Finalize
from tempfile import mkdtemp
from typing import TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

#: Of the GiB that a run may take, the part that DuckDB keeps before it spills to disk.
MEMORY = "400MB"

Rows: TypeAlias = pa.Table | pa.RecordBatchReader | ds.Dataset


def statement(table: str) -> str:
    """The SQL text of a table."""
    return (files("wifi_assets") / "sql" / f"{table}.sql").read_text()


def named(text: str, tables: Iterable[str]) -> list[str]:
    """Those of ``tables`` that a statement may read, in any case of letters; DuckDB reads only those it does name.

    Whole names: one table's name can begin another's. DuckDB's own list of a statement's tables binds the statement
    first, which without the tables fails for a USING or a PIVOT.
    """
    return [name for name in tables if re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE)]


class Engine:
    """One DuckDB connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def view(self, name: str, rows: Rows, where: str = "true") -> None:
        """Make ``rows`` known as ``name``, only those for which ``where`` holds."""
        self._connection.register(f"all_{name}", rows)
        self._connection.execute(f'CREATE OR REPLACE TEMP VIEW "{name}" AS SELECT * FROM "all_{name}" WHERE {where}')  # noqa: S608

    def query(self, text: str) -> pa.Table:
        """The result of a statement.

        Raises:
            duckdb.Error: The statement is wrong, or has no result.
        """
        relation = self._connection.sql(text)
        # Typed as never None, which it is where there is no statement in the text.
        if relation is None:
            raise duckdb.ProgrammingError("the statement has no result: ask by SELECT")
        return relation.to_arrow_table()

    def stream(self, text: str, rows: int) -> pa.RecordBatchReader:
        """The result of a statement in batches of ``rows``, for results that do not fit in memory."""
        return self._connection.sql(text).to_arrow_reader(rows)


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """The process's one database, with the prelude: making one costs more than most statements (*measured* 10 ms)."""
    connection = duckdb.connect()
    # For its owner alone, which DuckDB's own would not be.
    spill = mkdtemp(prefix="wifi-assets-")
    # The process of a run, a fork, ends without atexit, but not without this.
    Finalize(None, _end, (connection, spill), exitpriority=0)
    connection.execute(f"SET memory_limit = '{MEMORY}'; SET temp_directory = '{spill}'")
    # What a statement took goes back at once: beside this database others in the process want memory too
    # (*measured*: 613 instead of 654 MiB at the peak of four tables, as much CPU).
    connection.execute("SET allocator_flush_threshold = '8MB'; SET allocator_background_threads = true")
    connection.execute(statement("prelude"))
    return connection


def _end(connection: duckdb.DuckDBPyConnection, spill: str) -> None:
    connection.close()
    shutil.rmtree(spill)


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine whose views are its own."""
    with _database().cursor() as connection:
        yield Engine(connection)
