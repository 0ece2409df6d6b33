"""What gets into Postgres and SQLite: every test on both, through the same code."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wifi_assets.frames.ssid import ssid_text
from wifi_assets.resources.change import Change, Progress, Written
from wifi_assets.schemas import TEXTS, TIME, Table
from wifi_assets_tests.resources.sql_support import (
    PACKETS,
    PROBES,
    SESSIONS,
    START,
    Database,
    Row,
    in_order,
    new_database,
    no_deletes,
    packets,
    part,
    probe_stats,
    reader,
    session,
    stored,
    whole,
)

HOSTILE = [
    "",
    " ",
    "NULL",
    "\\N",
    "\\.",
    "\n\\.\n",
    "a\r\nb\tc",
    "'; DROP TABLE packet_stats; --",
    "\"double\" 'single' \\back\\",
    '{"a","b"},{}',
    "</script><script>alert(1)</script>",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd",
    "nul\0inside\0",
    "\\x00 as text",
    "Zoë's ☕ 📶 " + "é" * 40,
    ssid_text(bytes(random.Random(4).randrange(256) for _ in range(32))),
    ssid_text(bytes(range(32))),
    "%s %(name)s :name $1 ?",
]


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/wifi.db")
    return Database(new_database(request.getfixturevalue("postgres")))


def test_a_new_database_knows_no_progress(database: Database) -> None:
    assert database.target.progress("packet_stats") is None
    assert sa.inspect(database.engine).get_table_names() == []


def test_rows_come_change_and_go(database: Database) -> None:
    first = packets(10)
    assert database.target.apply(whole(PACKETS, first)) == Written(10, 0)
    assert database.rows(PACKETS) == first
    assert database.target.progress("packet_stats") == Progress("lake", 1)

    changed = packets(12, more=5)[8:]
    assert database.target.apply(part(PACKETS, changed, gone=first[:2])) == Written(4, 2)
    assert database.rows(PACKETS) == first[2:8] + changed
    assert database.target.progress("packet_stats") == Progress("lake", 2)


def test_a_change_without_rows_moves_the_progress(database: Database) -> None:
    rows = packets(3)
    database.target.apply(whole(PACKETS, rows))
    assert database.target.apply(part(PACKETS, [], version=9)) == Written(0, 0)
    assert (database.rows(PACKETS), database.target.progress("packet_stats")) == (rows, Progress("lake", 9))


def test_a_full_change_leaves_exactly_its_rows(database: Database) -> None:
    database.target.apply(whole(PACKETS, packets(10)))
    kept = packets(7, more=1)[4:]
    assert database.target.apply(whole(PACKETS, kept, version=2)) == Written(3, 7)
    assert database.rows(PACKETS) == kept
    assert database.target.apply(whole(PACKETS, [], version=3)) == Written(0, 3)
    assert database.rows(PACKETS) == []


def test_a_repeat_changes_nothing(database: Database) -> None:
    rows = [session(f"print {place}") for place in range(5)]
    places = {"postgresql": "ctid", "sqlite": "rowid"}[database.kind]
    query = f"SELECT {places}, fingerprint FROM oui_fingerprint_sessions ORDER BY fingerprint"
    database.target.apply(whole(SESSIONS, rows))
    before = database.ask(query)
    for change in (whole(SESSIONS, rows), part(SESSIONS, rows, gone=[session("never there")])):
        assert database.target.apply(change) == Written(5, 0)
        assert database.rows(SESSIONS) == stored(rows)
    # Not even written anew: Postgres gives each written row another place.
    assert database.ask(query) == before


def test_each_table_has_its_own_progress(database: Database) -> None:
    database.target.apply(whole(PACKETS, packets(1), version=3))
    database.target.apply(whole(PROBES, [probe_stats("phone")], version=8))
    assert database.target.progress("packet_stats") == Progress("lake", 3)
    assert database.target.progress("probe_stats_by_source_device") == Progress("lake", 8)
    assert database.target.progress("oui_fingerprint_sessions") is None


def test_three_sinks_of_a_new_database_at_once(database: Database) -> None:
    changes = [
        whole(PACKETS, packets(200)),
        whole(PROBES, [probe_stats("phone")]),
        whole(SESSIONS, [session("print")]),
    ]
    with ThreadPoolExecutor(3) as pool:
        written = list(pool.map(database.target.apply, changes))
    assert [each.upserted for each in written] == [200, 1, 1]
    assert [len(database.rows(table)) for table in (PACKETS, PROBES, SESSIONS)] == [200, 1, 1]


def test_two_runs_of_one_sink_at_once(database: Database) -> None:
    rows = packets(500)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(database.target.apply, [whole(PACKETS, rows), whole(PACKETS, rows)]))
    assert database.rows(PACKETS) == rows


def test_hostile_text_arrives_as_what_it_is(database: Database) -> None:
    rows = [probe_stats(text, HOSTILE) for text in HOSTILE]
    database.target.apply(whole(PROBES, rows))
    assert database.rows(PROBES) == in_order(PROBES, stored(rows))

    sessions = [session(text, source_addresses=[text], oui_names=HOSTILE) for text in HOSTILE]
    database.target.apply(whole(SESSIONS, sessions))
    assert database.rows(SESSIONS) == in_order(SESSIONS, stored(sessions))

    database.target.apply(part(PROBES, [], gone=rows[1:]))
    assert database.rows(PROBES) == stored(rows[:1])


def test_no_list_is_not_an_empty_list(database: Database) -> None:
    rows = [probe_stats("a", None), probe_stats("b", []), probe_stats("c", [""])]
    database.target.apply(whole(PROBES, rows))
    assert [row["probed_ssids"] for row in database.rows(PROBES)] == [None, [], [""]]
    empty = [session("a", signal_dbm_distribution=None), session("b", signal_dbm_distribution={})]
    database.target.apply(whole(SESSIONS, empty))
    assert [row["signal_dbm_distribution"] for row in database.rows(SESSIONS)] == [None, {}]


def test_what_is_not_ours_stays(database: Database) -> None:
    database.target.apply(whole(PACKETS, packets(3)))
    database.run(
        "CREATE TABLE guests (name TEXT PRIMARY KEY, packet_count INTEGER)",
        "INSERT INTO guests VALUES ('Ada', 1)",
        "CREATE VIEW busy AS SELECT * FROM packet_stats WHERE packet_count > 1",
        "ALTER TABLE packet_stats ADD COLUMN remark TEXT",
        "UPDATE packet_stats SET remark = 'mine' WHERE subtype = 1",
        "INSERT INTO wifi_assets_progress VALUES ('another', 'lake', 5, '2020-01-01')",
    )
    if database.kind == "postgresql":
        database.run("CREATE SCHEMA other", "CREATE TABLE other.packet_stats (note TEXT)")
        database.run("INSERT INTO other.packet_stats VALUES ('not yours')")
    database.target.apply(whole(PACKETS, packets(2, more=3), version=2))
    assert database.ask("SELECT * FROM guests") == [("Ada", 1)]
    assert database.ask("SELECT count(*) FROM busy") == [(2,)]
    assert database.ask("SELECT remark FROM packet_stats ORDER BY subtype") == [(None,), ("mine",)]
    assert database.ask("SELECT version FROM wifi_assets_progress WHERE lake_table = 'another'") == [(5,)]
    if database.kind == "postgresql":
        assert database.ask("SELECT note FROM other.packet_stats") == [("not yours",)]


def test_nothing_is_left_beside_the_tables(database: Database) -> None:
    database.target.apply(whole(PACKETS, packets(3)))
    database.target.apply(part(PACKETS, packets(1), gone=packets(3)[1:]))
    assert sorted(sa.inspect(database.engine).get_table_names()) == ["packet_stats", "wifi_assets_progress"]


def test_rows_as_delta_gives_them(database: Database, tmp_path: Path) -> None:
    rows = [session(f"print {place}", oui_names=["Apple", None]) for place in range(4)]
    deltalake.write_deltalake(tmp_path / "lake", reader(SESSIONS, rows), partition_by=["day"])
    asked = (
        deltalake.QueryBuilder()
        .register("s", deltalake.DeltaTable(tmp_path / "lake"))
        .execute("SELECT * FROM s WHERE fingerprint <> 'print 2'")
    )
    stream = pa.RecordBatchReader.from_stream(asked)
    assert stream.schema.field("fingerprint").type == pa.string_view()
    change = Change(SESSIONS, Progress("lake", 1), stream, no_deletes(SESSIONS), full=True)
    assert database.target.apply(change) == Written(3, 0)
    assert database.rows(SESSIONS) == stored(rows[:2] + rows[3:])


def test_memory_is_bounded(database: Database) -> None:
    """However many rows come, a few batches are held."""
    held: list[int] = []
    batch_rows, batches = 2_000, 40
    ssids = [f"network {place}" for place in range(20)]

    def stream() -> Iterator[pa.RecordBatch]:
        for number in range(batches):
            held.append(pa.total_allocated_bytes())
            yield pa.RecordBatch.from_pylist(
                [probe_stats(f"{number} {place}", ssids) for place in range(batch_rows)], schema=PROBES.schema
            )

    rows = pa.RecordBatchReader.from_batches(PROBES.schema, stream())
    written = database.target.apply(Change(PROBES, Progress("lake", 1), rows, no_deletes(PROBES), full=True))
    assert written.upserted == batch_rows * batches
    one = pa.RecordBatch.from_pylist([probe_stats("0", ssids)] * batch_rows, schema=PROBES.schema).nbytes
    assert max(held) - held[0] < 6 * one


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(HOSTILE)
_TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_INT64 = st.integers(-(2**63), 2**63 - 1)
_VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): _TEXT,
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): _INT64,
    pa.bool_(): st.booleans(),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.date32(): st.dates(date(1970, 1, 1), date(2200, 1, 1)),
    TIME: _TIMES,
    TEXTS: st.lists(st.none() | _TEXT, max_size=4),
    pa.list_(pa.int64()): st.lists(st.none() | _INT64, max_size=4),
    pa.map_(pa.int32(), pa.int64()): st.dictionaries(st.integers(-100, 0), st.none() | _INT64, max_size=4),
}
# Few keys, so that changes meet.
_KEYS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.sampled_from(["phone", "\\.", "d'\"\\ö\n", ""]),
    pa.int32(): st.integers(0, 2),
    pa.date32(): st.sampled_from([date(2020, 3, 21), date(2020, 3, 22)]),
    TIME: st.sampled_from([START, START.replace(microsecond=0)]),
}


@st.composite
def changes(draw: st.DrawFn) -> tuple[Table, list[tuple[bool, list[Row], list[Row]]]]:
    """A table and a run of changes to it: whether full, rows to upsert, rows to delete."""
    table = draw(st.sampled_from([PACKETS, PROBES, SESSIONS]))
    row = st.fixed_dictionaries(
        {
            name: _KEYS[kind] if name in table.key else st.none() | _VALUES[kind]
            for name, (kind, _) in table.columns.items()
        }
    )
    rows = st.lists(row, max_size=7, unique_by=lambda one: tuple(one[name] for name in table.key))
    steps = []
    for _ in range(draw(st.integers(1, 5))):
        mixed = draw(rows)
        cut = draw(st.integers(0, len(mixed)))
        full = draw(st.booleans())
        steps.append((full, mixed[:cut], [] if full else mixed[cut:]))
    return table, steps


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes())
def test_any_run_of_changes_ends_as_a_dict_does(
    database: Database, drawn: tuple[Table, list[tuple[bool, list[Row], list[Row]]]]
) -> None:
    table, steps = drawn
    database.run(f"DROP TABLE IF EXISTS {table.name}")
    model: dict[tuple[Any, ...], Row] = {}
    for version, (full, upserts, gone) in enumerate(steps):
        if full:
            model.clear()
        for row in gone:
            model.pop(tuple(row[name] for name in table.key), None)
        model |= {tuple(row[name] for name in table.key): row for row in upserts}
        change = whole(table, upserts, version) if full else part(table, upserts, gone, version)
        assert database.target.apply(change).upserted == len(upserts)
        assert database.rows(table) == in_order(table, stored(model.values()))
        assert database.target.progress(table.name) == Progress("lake", version)
