"""A SQL database as a target: Postgres, or SQLite where no server is.

Here belongs how a change gets into the database, whole or not at all, and how its errors are worded.
Not here: names, types and the making of tables (``sql_tables.py``), Postgres' COPY (``postgres.py``), or
when the sink runs (``assets/sinks.py``).

The tables named after lake tables and ``wifi_assets_progress``, in the connection's current schema, are
ours; nothing else in the database is read or touched.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.dialects import postgresql, sqlite

from wifi_assets.resources.change import Change, Progress, Written
from wifi_assets.resources.errors import SinkError
from wifi_assets.resources.postgres import copy_in, without_nul
from wifi_assets.resources.sql_tables import (
    column_name,
    make_or_evolve,
    missing_columns,
    progress_table,
    staging_table,
    target_table,
)
from wifi_assets.schemas import TABLES, Table

#: Rows in memory at a time.
CHUNK_ROWS = 20_000
#: Seconds to wait for another writer of the same table, or for a user's lock on it.
LOCK_SECONDS = 300
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite+pysqlite"}
_INSERT: dict[str, Callable[..., Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
#: libpq settings that the URL may override: a server that is gone is noticed within a minute.
_LIBPQ = {
    "application_name": "wifi_assets",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}


class SqlTarget:
    """The tables of one SQL database.

    Args:
        url: ``postgresql://user:password@host:5432/database``, with any of libpq's parameters behind a
            ``?``: for TLS ``sslmode=verify-full&sslrootcert=/path/ca.pem``, for a client certificate
            ``sslcert`` and ``sslkey``; or ``sqlite:///file``. Special characters in the password are
            percent-encoded.

    Attributes:
        name: The database without user and secrets, for metadata and messages.

    Raises:
        SinkError: The URL is none that serves. Nothing connects before the first call.
    """

    def __init__(self, url: SecretStr) -> None:
        try:
            parsed = sa.make_url(url.get_secret_value())
            driver = _DRIVERS[parsed.get_backend_name()]
        except (sa.exc.ArgumentError, ValueError, KeyError):
            # Not even the part at fault is shown: in a URL that cannot be read, any part may be the password.
            raise SinkError(
                "WIFI_SQL_URL is no database URL that serves: write sqlite:///file, or "
                "postgresql://user:password@host:5432/database with special characters percent-encoded"
            ) from None
        secrets = {key: str(parsed.query[key]) for key in ("password", "sslpassword") if key in parsed.query}
        self._secrets = [SecretStr(each) for each in (parsed.password, *secrets.values()) if each]
        # The engine shows its URL's parameters to whoever prints it.
        parsed = parsed.set(drivername=driver).difference_update_query(secrets)
        self.name = _name(parsed)
        if driver.startswith("postgresql"):
            defaults = {key: value for key, value in _LIBPQ.items() if key not in parsed.query}
            self._engine = sa.create_engine(
                parsed.update_query_dict(defaults),
                poolclass=sa.NullPool,
                hide_parameters=True,
                connect_args=secrets,
            )
        else:
            self._engine = sa.create_engine(
                parsed,
                poolclass=sa.NullPool,
                hide_parameters=True,
                connect_args={"timeout": LOCK_SECONDS, "isolation_level": None},
                json_serializer=partial(json.dumps, ensure_ascii=False),
            )
            # The driver would begin late and share the lock with other readers, then fail to raise it.
            sa.event.listen(self._engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))

    def progress(self, table: str) -> Progress | None:
        """How far the database has come in a lake table.

        Args:
            table: Lake table.

        Returns:
            What the last ``apply`` recorded. None when there was none, and when the table is gone or lacks
            a column that the lake has by now: then only the whole table makes it right again.

        Raises:
            SinkError: The server is at fault.
        """
        with self._transaction(f"the progress of {table} was not read") as connection:
            schema = connection.dialect.default_schema_name
            recorded = progress_table(schema)
            if missing_columns(connection, recorded) is None:
                return None
            if missing_columns(connection, target_table(TABLES[table], schema)) != []:
                return None
            found = connection.execute(
                sa.select(recorded.c.table_id, recorded.c.version).where(recorded.c.lake_table == table)
            ).one_or_none()
        return None if found is None else Progress(found.table_id, found.version)

    def apply(self, change: Change) -> Written:
        """Bring the table to what ``change`` says: rows, deletions and progress in one transaction.

        The table is made, or gets the columns that it lacks, in a transaction of its own before.

        Args:
            change: The change; its rows are read once, at most ``CHUNK_ROWS`` of them in memory.

        Returns:
            Rows sent and rows deleted.

        Raises:
            SinkError: The server is at fault, or a table is in the way; rows and progress are as before.
        """
        table = change.table
        failed = f"{table.name} was not written, nothing of it is recorded, the next run takes it again"
        with self._transaction(failed) as connection:
            schema = connection.dialect.default_schema_name
            target, recorded = target_table(table, schema), progress_table(schema)
            if connection.dialect.name == "postgresql":
                # Sinks of several tables start at once, and the first of each makes the table of progress.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("wifi_assets"))))
            make_or_evolve(connection, recorded)
            make_or_evolve(connection, target)
        with self._transaction(failed) as connection:
            if connection.dialect.name == "postgresql":
                place = connection.dialect.identifier_preparer.format_table(target)
                connection.exec_driver_sql(f"LOCK TABLE {place} IN SHARE ROW EXCLUSIVE MODE")
            written = _write(connection, change, target)
            entry = {
                "lake_table": table.name,
                "table_id": change.progress.table_id,
                "version": change.progress.version,
                "written_at": datetime.now(UTC),
            }
            insert = _INSERT[connection.dialect.name](recorded).values(entry)
            connection.execute(insert.on_conflict_do_update(index_elements=["lake_table"], set_=entry))
        return written

    def count(self, table: str) -> int:
        """Rows of a lake table in the database.

        Args:
            table: Lake table.

        Returns:
            Their number; 0 where the table was never made.

        Raises:
            SinkError: The server is at fault.
        """
        with self._transaction(f"{table} was not counted") as connection:
            target = target_table(TABLES[table], connection.dialect.default_schema_name)
            if missing_columns(connection, target) is None:
                return 0
            return connection.execute(sa.select(sa.func.count()).select_from(target)).scalar_one()

    @contextmanager
    def _transaction(self, failed: str) -> Iterator[sa.Connection]:
        try:
            connection = self._engine.connect()
        except (sa.exc.SQLAlchemyError, psycopg.Error, sqlite3.Error) as error:
            raise SinkError(
                f"{self.name}: cannot connect: {self._cause(error)}; check WIFI_SQL_URL and the server"
            ) from None
        try:
            with connection, connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                yield connection
        except SinkError as error:
            raise SinkError(f"{self.name}: {error}") from None
        except (sa.exc.SQLAlchemyError, psycopg.Error, sqlite3.Error) as error:
            raise SinkError(f"{self.name}: {failed}: {self._cause(error)}") from None

    def _cause(self, error: Exception) -> str:
        """The driver's own words in one line, without any secret."""
        cause = getattr(error, "orig", None) or error
        text = str(cause)
        if isinstance(cause, psycopg.Error) and cause.diag.message_primary:
            detail = cause.diag.message_detail
            text = cause.diag.message_primary + (f" ({detail})" if detail else "")
        text = (text.strip() or type(cause).__name__).splitlines()[0].removeprefix("connection failed: ")
        for secret in self._secrets:
            text = text.replace(secret.get_secret_value(), "***")
        return text[:500]


def _name(url: sa.URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database or ''}"
    host = url.host or url.query.get("host") or "local socket"
    return f"postgresql://{host}:{url.port or url.query.get('port') or 5432}/{url.database or ''}"


def _write(connection: sa.Connection, change: Change, target: sa.Table) -> Written:
    """Rows into a temporary table, then what differs from there into the target."""
    table = change.table
    key = [column.name for column in target.primary_key]
    new, rows = _stage(connection, table, tuple(table.columns), change.upserts)
    written = Written(upserted=rows)
    if change.full:
        kept = sa.exists().where(*(target.c[name] == new.c[name] for name in key))
        written.deleted = connection.execute(target.delete().where(~kept)).rowcount
    elif change.deletes.num_rows:
        gone, _ = _stage(connection, table, table.key, change.deletes.to_batches())
        named = sa.exists().where(*(target.c[name] == gone.c[name] for name in key))
        written.deleted = connection.execute(target.delete().where(named)).rowcount
    _merge(connection, new, target, rows)
    return written


def _merge(connection: sa.Connection, new: sa.Table, target: sa.Table, rows: int) -> None:
    """Insert the staged rows whose key is new, update those that differ."""
    names = [column.name for column in new.columns]
    key = [column.name for column in target.primary_key]
    insert = _INSERT[connection.dialect.name](target)
    # A plain INSERT takes Postgres three fifths of the time of one that looks out for conflicts. None can
    # come up between the two: nobody else writes to the table meanwhile.
    there = sa.exists().where(*(target.c[name] == new.c[name] for name in key))
    inserted = connection.execute(insert.from_select(names, sa.select(new).where(~there))).rowcount
    if inserted == rows:
        return
    # SQLite needs the WHERE: without one it reads ON CONFLICT as a join's condition.
    upsert = insert.from_select(names, sa.select(new).where(sa.true()))
    others = [name for name in names if name not in key]
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=key,
            set_={name: upsert.excluded[name] for name in others},
            where=sa.or_(*(target.c[name].is_distinct_from(upsert.excluded[name]) for name in others)),
        )
    )


def _stage(
    connection: sa.Connection, table: Table, columns: tuple[str, ...], batches: Iterable[pa.RecordBatch]
) -> tuple[sa.Table, int]:
    """A temporary table that holds the batches, and how many rows it has."""
    staged = staging_table(table, columns, connection.dialect.name)
    staged.create(connection)
    chunks = _chunks(table, columns, batches)
    if connection.dialect.name == "postgresql":
        return staged, copy_in(connection, staged, chunks)
    rows = 0
    for chunk in chunks:
        named = chunk.rename_columns([column_name(table, name) for name in columns])
        connection.execute(staged.insert(), named.to_pylist(maps_as_pydicts="strict"))
        rows += chunk.num_rows
    return staged, rows


def _chunks(table: Table, columns: tuple[str, ...], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows in bounded batches, in the table's types, without NUL, so that all databases hold the same."""
    schema = pa.schema([pa.field(name, table.columns[name][0]) for name in columns])
    for batch in batches:
        typed = batch.select(list(columns)).cast(schema)
        for start in range(0, typed.num_rows, CHUNK_ROWS):
            chunk = typed.slice(start, CHUNK_ROWS)
            yield pa.RecordBatch.from_arrays([without_nul(column) for column in chunk.columns], schema=schema)
