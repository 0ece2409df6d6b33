"""What the tests of the SQL target share: databases of their own, rows, changes, and reading back.

Here belongs no test.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pyarrow as pa
import sqlalchemy as sa
from pydantic import SecretStr

from wifi_assets.resources.change import Change, Progress
from wifi_assets.resources.sql_tables import column_name, target_table
from wifi_assets.resources.sql_target import SqlTarget
from wifi_assets.schemas import TABLES, Table
from wifi_assets_tests.services import Server

PACKETS = TABLES["packet_stats"]
PROBES = TABLES["probe_stats_by_source_device"]
SESSIONS = TABLES["oui_fingerprint_sessions"]
START = datetime(2020, 3, 21, 14, 0, 2, 202655, tzinfo=UTC)

Row = dict[str, Any]
_number = count()


def new_database(server: Server, password: str = "") -> str:
    """Make an empty database on a server of ours and return its URL."""
    name = f"sink_{next(_number)}"
    login = f"wifi:{password}" if password else "wifi"
    with psycopg.connect(f"postgresql://{login}@127.0.0.1:{server.port}/wifi", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://{login}@127.0.0.1:{server.port}/{name}"


class Database:
    """One empty database and its target.

    Attributes:
        url: As a user writes it.
        target: What is tested.
        kind: ``postgresql`` or ``sqlite``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.target = SqlTarget(SecretStr(url))
        self.kind = url.split(":", 1)[0]
        driver = url.replace("postgresql:", "postgresql+psycopg:")
        self.engine = sa.create_engine(driver, poolclass=sa.NullPool)

    @property
    def schema(self) -> str:
        """Where tables go when nobody says otherwise."""
        return "public" if self.kind == "postgresql" else "main"

    def run(self, *statements: str) -> None:
        """What somebody else does in this database."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query, as the driver gives them."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def rows(self, table: Table) -> list[Row]:
        """What the target holds of a lake table, by lake names, in the order of its key."""
        target = target_table(table, self.schema)
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table(table.name):
                return []
            found = connection.execute(sa.select(target)).mappings().all()
        names = {name: column_name(table, name) for name in table.columns}
        return in_order(table, ({lake: _aware(row[name]) for lake, name in names.items()} for row in found))

    @contextmanager
    def before(self, statement: str, action: Any) -> Iterator[None]:
        """Do something just before the target sends a statement that holds this text."""

        def look(_c: Any, _cursor: Any, said: str, *_: Any) -> None:
            if statement in said:
                action()

        sa.event.listen(self.target._engine, "before_cursor_execute", look)
        yield
        sa.event.remove(self.target._engine, "before_cursor_execute", look)


def _aware(value: Any) -> Any:
    """SQLite's times are UTC and do not say so."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def in_order(table: Table, rows: Iterable[Row]) -> list[Row]:
    """Rows by key."""
    return sorted(rows, key=lambda row: [row[name] for name in table.key])


def stored(rows: Iterable[Row]) -> list[Row]:
    r"""Lake rows as a target holds them: JSON's keys are texts, NUL is ``\x00``."""

    def one(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("\0", "\\x00")
        if isinstance(value, list):
            return [one(each) for each in value]
        if isinstance(value, dict):
            return json.loads(json.dumps(value))
        return value

    return [{name: one(value) for name, value in row.items()} for row in rows]


def reader(table: Table, rows: Iterable[Row], chunk: int = 3) -> pa.RecordBatchReader:
    """Rows as the lake gives them, in batches that are slices of one column."""
    ready = [
        {name: list(value.items()) if isinstance(value, dict) else value for name, value in row.items()} for row in rows
    ]
    return pa.RecordBatchReader.from_batches(
        table.schema, pa.Table.from_pylist(ready, schema=table.schema).to_batches(max_chunksize=chunk)
    )


def no_deletes(table: Table) -> pa.Table:
    """Keys of nothing."""
    return deletes(table, [])


def deletes(table: Table, rows: Iterable[Row]) -> pa.Table:
    """The keys of rows."""
    schema = pa.schema([table.schema.field(name) for name in table.key])
    return pa.Table.from_pylist([{name: row[name] for name in table.key} for row in rows], schema=schema)


def whole(table: Table, rows: Iterable[Row], version: int = 1) -> Change:
    """A change that holds every row."""
    return Change(table, Progress("lake", version), reader(table, rows), no_deletes(table), full=True)


def part(table: Table, upserts: Iterable[Row], gone: Iterable[Row] = (), version: int = 2) -> Change:
    """A change since an earlier version."""
    return Change(table, Progress("lake", version), reader(table, upserts), deletes(table, gone), full=False)


def packets(number: int, more: int = 0) -> list[Row]:
    """``number`` rows of packet_stats, each counting ``more`` than usual."""
    return [
        {
            "day": date(2020, 3, 21) + timedelta(days=place // 64),
            "frame_subtype": place % 64,
            "packet_count": place + more,
            "earliest_time": START + timedelta(microseconds=place),
            "latest_time": START + timedelta(seconds=place + more),
        }
        for place in range(number)
    ]


def probe_stats(source: str, ssids: list[str] | None = None, **other: Any) -> Row:
    """One row of probe_stats_by_source_device."""
    return {
        "source": source,
        "probes": 7,
        "earliest_probe": START,
        "latest_probe": START + timedelta(hours=1),
        "min_signal_dbm": -80,
        "max_signal_dbm": None,
        "avg_signal_dbm": -61.3,
        "probed_ssids": ssids,
        "unique_ssids": len(ssids or []),
        "unique_destinations": 1,
        "signal_dbm_sum": -429,
        "signal_dbm_count": 7,
        "destinations": ["ff:ff:ff:ff:ff:ff"],
        "source_addresses": ["02:00:00:00:00:01", "02:00:00:00:00:02"],
        "latest_day": START.date(),
    } | other


def session(fingerprint: str, **other: Any) -> Row:
    """One row of oui_fingerprint_sessions."""
    return {
        "day": START.date(),
        "fingerprint": fingerprint,
        "tag_vendor_data": ["000b", "", None],
        "tag_vendor_oui_type": [4, None],
        "tag_oui": [],
        "probe_count": 9,
        "source_addresses": ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"],
        "first_probe": START,
        "last_probe": START + timedelta(seconds=90),
        "min_signal_dbm": -70,
        "max_signal_dbm": -40,
        "signal_dbm_distribution": {-70: 4, -40: 5},
        "source_address_count": 3,
        "session_seconds": 90.0,
        "signal_dbm_range": 30,
        "within_3_dbm": False,
        "oui_names": None,
    } | other
