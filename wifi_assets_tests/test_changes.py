"""The way from one version of a table to the next, for whatever may have happened to the table in between."""

import shutil
from collections.abc import Iterable
from dataclasses import replace as replace_fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from wifi_assets.changes import change_since
from wifi_assets.lake import Lake
from wifi_assets.resources.change import Progress
from wifi_assets.schemas import TABLES

DAY = date(2026, 3, 1)
NEXT = DAY + timedelta(days=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Row = dict[str, Any]


def stats(day: date, subtype: int, count: int = 1) -> Row:
    """A row of packet_stats."""
    return {"day": day, "frame_subtype": subtype, "packet_count": count, "earliest_time": NOON, "latest_time": None}


def device(mac: str, name: str | None) -> Row:
    """A row of devices."""
    return {"mac": mac, "source": "ace.user", "name": name, "ip": None, "model": None, "type": None, "is_guest": False}


def session(fingerprint: str, signals: list[tuple[int, int]] | None, sources: list[str] | None = None) -> Row:
    """A row of oui_fingerprint_sessions, which has lists and a map."""
    filled = {"day": DAY, "fingerprint": fingerprint, "first_probe": NOON, "probe_count": 3}
    filled |= {"signal_dbm_distribution": signals, "source_addresses": sources}
    return {name: filled.get(name) for name in TABLES["oui_fingerprint_sessions"].columns}


def arrow(name: str, rows: Iterable[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), TABLES[name].schema)


def append(lake: Lake, name: str, *rows: Row) -> None:
    lake.append(lake.open(name), arrow(name, rows), {})


def replace(lake: Lake, name: str, days: set[date] | None, *rows: Row) -> None:
    lake.replace(lake.open(name), arrow(name, rows), days, {})


class Follower:
    """A sink that is a dict: what it holds of a table after each look.

    Attributes:
        held: Key -> row.
        full: Whether the last look gave the whole table; None if nothing was new.
        upserts: Rows of the last look.
        deletes: Keys of the last look.
    """

    def __init__(self, name: str) -> None:
        self.table = TABLES[name]
        self.held: dict[tuple[Any, ...], Row] = {}
        self.progress: Progress | None = None
        self.full: bool | None = None
        self.upserts: list[Row] = []
        self.deletes: list[tuple[Any, ...]] = []

    def key(self, row: Row) -> tuple[Any, ...]:
        return tuple(row[name] for name in self.table.key)

    def look(self, lake: Lake) -> None:
        broke_off = self.progress is not None and self.progress.begun
        with change_since(lake, self.table.name, self.progress) as change:
            self.full, self.upserts, self.deletes = None, [], []
            if change is None:
                return
            assert change.table is self.table
            assert change.upserts.schema == self.table.schema
            assert tuple(change.deletes.column_names) == self.table.key
            self.full = change.full
            self.deletes = [self.key(row) for row in change.deletes.to_pylist()]
            self.upserts = change.upserts.read_all().to_pylist()
            self.progress = change.progress
        if self.full:
            assert self.deletes == []
            self.held = {}
        for key in self.deletes:
            # A row that is gone was there.
            assert key in self.held or broke_off
            self.held.pop(key, None)
        for row in self.upserts:
            # What is the same is not said again.
            assert self.held.get(self.key(row)) != row or broke_off
            self.held[self.key(row)] = row

    def break_off(self, lake: Lake, taken: int) -> None:
        """Take so many rows of a change, and as many keys, as a target does whose server goes away."""
        with change_since(lake, self.table.name, self.progress) as change:
            if change is None:
                return
            if change.full or self.progress is None:
                self.progress = None
                return
            for gone in change.deletes.to_pylist()[:taken]:
                self.held.pop(self.key(gone), None)
            for row in change.upserts.read_all().to_pylist()[:taken]:
                self.held[self.key(row)] = row
            begun = {*self.progress.begun, change.progress.version}
            self.progress = replace_fields(self.progress, begun=tuple(sorted(begun)))


def stored(lake: Lake, name: str) -> dict[tuple[Any, ...], Row]:
    """The table as a dict by key; fails on a key that is there twice."""
    rows = lake.open(name).rows().to_table().to_pylist()
    found = {tuple(row[column] for column in TABLES[name].key): row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_the_first_look_is_the_whole_table_and_the_second_nothing(lake: Lake) -> None:
    append(lake, "packet_stats", stats(DAY, 4), stats(NEXT, 8))
    sink = Follower("packet_stats")
    sink.look(lake)
    assert (sink.full, sink.held) == (True, stored(lake, "packet_stats"))
    now = lake.open("packet_stats")
    assert sink.progress == Progress(now.table_id, now.version)
    sink.look(lake)
    assert sink.full is None


def test_a_table_that_is_not_there_is_an_empty_one(lake: Lake) -> None:
    sink = Follower("packet_stats")
    sink.look(lake)
    assert (sink.full, sink.upserts) == (True, [])


def test_appended_rows_alone_are_given(lake: Lake) -> None:
    append(lake, "packet_stats", stats(DAY, 4))
    sink = Follower("packet_stats")
    sink.look(lake)
    append(lake, "packet_stats", stats(DAY, 8))
    append(lake, "packet_stats", stats(NEXT, 4))
    sink.look(lake)
    assert (sink.full, sink.deletes) == (False, [])
    assert sorted((row["day"], row["frame_subtype"]) for row in sink.upserts) == [(DAY, 8), (NEXT, 4)]
    assert sink.held == stored(lake, "packet_stats")


def test_of_a_replaced_day_what_differs_is_given(lake: Lake) -> None:
    append(lake, "packet_stats", stats(DAY, 4), stats(DAY, 8), stats(DAY, 29), stats(NEXT, 4))
    sink = Follower("packet_stats")
    sink.look(lake)
    replace(lake, "packet_stats", {DAY}, stats(DAY, 4), stats(DAY, 8, count=2), stats(DAY, 36))
    sink.look(lake)
    assert (sink.full, sink.deletes) == (False, [(DAY, 29)])
    assert sorted(row["frame_subtype"] for row in sink.upserts) == [8, 36]
    assert sink.held == stored(lake, "packet_stats")
    replace(lake, "packet_stats", {DAY})
    sink.look(lake)
    assert (sink.full, sink.upserts, len(sink.deletes)) == (False, [], 3)
    assert sink.held == stored(lake, "packet_stats") == {(NEXT, 4): stats(NEXT, 4)}


def test_of_a_replaced_snapshot_what_differs_is_given(lake: Lake) -> None:
    replace(lake, "devices", None, device("a", "one"), device("b", None), device("c", "three"))
    sink = Follower("devices")
    sink.look(lake)
    replace(lake, "devices", None, device("a", "one"), device("b", "two"), device("d", "four"))
    sink.look(lake)
    assert (sink.full, sink.deletes) == (False, [("c",)])
    assert sorted(row["mac"] for row in sink.upserts) == ["b", "d"]
    assert sink.held == stored(lake, "devices")


def test_lists_and_maps_are_compared(lake: Lake) -> None:
    name = "oui_fingerprint_sessions"
    before = [session("a", [(-50, 2), (-40, 1)], ["x", "y"]), session("b", None), session("c", [(-50, 1)], [])]
    append(lake, name, *before)
    sink = Follower(name)
    sink.look(lake)
    replace(lake, name, {DAY}, before[0], session("b", []), session("c", [(-50, 2)], []))
    sink.look(lake)
    assert sorted(row["fingerprint"] for row in sink.upserts) == ["b", "c"]
    assert sink.held == stored(lake, name)


def test_a_rewritten_day_with_the_same_rows_and_merged_files_are_no_change(lake: Lake) -> None:
    for subtype in range(4):
        append(lake, "packet_stats", stats(DAY, subtype), stats(NEXT, subtype))
    sink = Follower("packet_stats")
    sink.look(lake)
    assert lake.compact("packet_stats", at_least=2) == 8
    sink.look(lake)
    assert (sink.full, sink.upserts, sink.deletes) == (False, [], [])
    replace(lake, "packet_stats", {DAY}, *(stats(DAY, subtype) for subtype in reversed(range(4))))
    sink.look(lake)
    assert (sink.full, sink.upserts, sink.deletes) == (False, [], [])
    # A commit without files moves the progress too, else each run would find it again.
    lake.append(lake.open("packet_stats"), arrow("packet_stats", []), {}, {"frames": 7})
    sink.look(lake)
    assert (sink.full, sink.upserts, sink.deletes) == (False, [], [])
    sink.look(lake)
    assert sink.full is None


def test_vacuumed_files_mean_the_whole_table(lake: Lake) -> None:
    append(lake, "packet_stats", stats(DAY, 4), stats(NEXT, 4))
    sink, other = Follower("packet_stats"), Follower("packet_stats")
    sink.look(lake)
    other.look(lake)
    replace(lake, "packet_stats", {DAY}, stats(DAY, 8))
    other.look(lake)
    removed = lake.open("packet_stats").delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert removed
    sink.look(lake)
    assert sink.full is True
    assert sink.held == stored(lake, "packet_stats")
    # Who had seen the replacement misses nothing.
    append(lake, "packet_stats", stats(DAY, 29))
    other.look(lake)
    assert other.full is False
    assert other.held == stored(lake, "packet_stats")


def test_a_log_that_was_cleaned_means_the_whole_table(lake: Lake) -> None:
    append(lake, "packet_stats", stats(DAY, 4))
    sink = Follower("packet_stats")
    sink.look(lake)
    append(lake, "packet_stats", stats(DAY, 8))
    delta = lake.open("packet_stats").delta
    delta.create_checkpoint()
    log = Path(lake.uri("packet_stats")) / "_delta_log"
    for version in range(delta.version()):
        (log / f"{version:020}.json").unlink()
    sink.look(lake)
    assert sink.full is True
    assert sink.held == stored(lake, "packet_stats")


def test_another_table_under_the_same_name_means_the_whole_table(lake: Lake) -> None:
    append(lake, "packet_stats", stats(DAY, 4))
    append(lake, "packet_stats", stats(DAY, 8))
    sink = Follower("packet_stats")
    sink.look(lake)
    shutil.rmtree(lake.uri("packet_stats"))
    for subtype in (29, 36):
        append(lake, "packet_stats", stats(NEXT, subtype))
    # The number of its version is one that the sink has seen of the other.
    assert lake.open("packet_stats").version == sink.progress.version
    sink.look(lake)
    assert sink.full is True
    assert sink.held == stored(lake, "packet_stats")


def test_a_table_that_was_set_back_means_the_whole_table(lake: Lake) -> None:
    append(lake, "packet_stats", stats(DAY, 4))
    seen = lake.open("packet_stats")
    ahead = Progress(seen.table_id, seen.version + 5)
    sink = Follower("packet_stats")
    sink.progress = ahead
    sink.look(lake)
    assert sink.full is True
    assert sink.progress == Progress(seen.table_id, seen.version)


def test_what_a_write_that_broke_off_left_is_taken_back(lake: Lake) -> None:
    replace(lake, "devices", None, device("a", "one"), device("b", "two"))
    sink = Follower("devices")
    sink.look(lake)
    replace(lake, "devices", None, device("a", "other"), device("b", "two"), device("c", "three"))
    sink.break_off(lake, 2)
    # In neither the version before nor the one after it there is a "c", and "a" is the same in both.
    replace(lake, "devices", None, device("a", "one"), device("b", "two"))
    assert sink.held != stored(lake, "devices")
    sink.look(lake)
    assert sink.full is False
    assert sink.held == stored(lake, "devices")
    assert sink.progress.begun == ()


def test_a_write_that_broke_off_and_is_repeated_gives_the_same(lake: Lake) -> None:
    replace(lake, "devices", None, device("a", "one"), device("b", "two"))
    sink = Follower("devices")
    sink.look(lake)
    replace(lake, "devices", None, device("a", "one"), device("c", "three"))
    for _ in range(2):
        sink.break_off(lake, 1)
        assert sink.progress.begun == (lake.open("devices").version,)
    sink.look(lake)
    assert (sink.full, len(sink.upserts)) == (False, 1)
    assert sink.held == stored(lake, "devices")


def test_rows_come_in_bounded_batches(lake: Lake) -> None:
    many = [stats(DAY + timedelta(days=n // 64), n % 64) for n in range(45_000)]
    days = {row["day"] for row in many}
    append(lake, "packet_stats", *many[:64])
    first = lake.open("packet_stats")
    progress = Progress(first.table_id, first.version)
    replace(lake, "packet_stats", days, *(row | {"packet_count": 2} for row in many))
    for since in (None, progress):
        with change_since(lake, "packet_stats", since) as change:
            assert change is not None
            sizes = [batch.num_rows for batch in change.upserts]
        assert sum(sizes) == len(many)
        assert max(sizes) <= 20_480


# ---------------------------------------------------------------- any steps, any looks

_DAYS = st.sampled_from([DAY, NEXT, NEXT + timedelta(days=1)])
_ROWS = st.dictionaries(st.integers(0, 5), st.integers(0, 2), max_size=5)


class Following(RuleBasedStateMachine):
    """A table that goes through any steps, and two followers that look now and then."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory(prefix="wifi-assets-")
        self.lake = Lake(self.folder.name)
        self.followers = [Follower("packet_stats"), Follower("packet_stats")]
        self.model: dict[tuple[date, int], int] = {}

    def teardown(self) -> None:
        for follower in self.followers:
            follower.look(self.lake)
            assert follower.held == stored(self.lake, "packet_stats")
        self.folder.cleanup()

    @rule(day=_DAYS, rows=_ROWS)
    def append(self, day: date, rows: dict[int, int]) -> None:
        new = {(day, subtype): count for subtype, count in rows.items() if (day, subtype) not in self.model}
        append(self.lake, "packet_stats", *(stats(*key, count) for key, count in new.items()))
        self.model |= new

    @rule(days=st.sets(_DAYS, min_size=1), rows=_ROWS)
    def replace_days(self, days: set[date], rows: dict[int, int]) -> None:
        new = {(day, subtype): count for day in days for subtype, count in rows.items()}
        replace(self.lake, "packet_stats", days, *(stats(*key, count) for key, count in new.items()))
        self.model = {key: count for key, count in self.model.items() if key[0] not in days} | new

    @rule(rows=_ROWS)
    def replace_all(self, rows: dict[int, int]) -> None:
        replace(self.lake, "packet_stats", None, *(stats(DAY, subtype, count) for subtype, count in rows.items()))
        self.model = {(DAY, subtype): count for subtype, count in rows.items()}

    @rule()
    def compact(self) -> None:
        self.lake.compact("packet_stats", at_least=2)

    @rule()
    def vacuum(self) -> None:
        self.lake.open("packet_stats").delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    @rule(first=_DAYS)
    def drop_old_days(self, first: date) -> None:
        self.lake.delete_before(self.lake.open("packet_stats"), first)
        self.model = {key: count for key, count in self.model.items() if key[0] >= first}

    @rule()
    def make_anew(self) -> None:
        shutil.rmtree(self.lake.uri("packet_stats"), ignore_errors=True)
        self.model = {}

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        follower = self.followers[which]
        follower.look(self.lake)
        assert {key: row["packet_count"] for key, row in follower.held.items()} == self.model

    @rule(which=st.integers(0, 1), taken=st.integers(0, 4))
    def break_off(self, which: int, taken: int) -> None:
        self.followers[which].break_off(self.lake, taken)

    @invariant()
    def table_is_the_model(self) -> None:
        if hasattr(self, "lake"):
            held = stored(self.lake, "packet_stats")
            assert {key: row["packet_count"] for key, row in held.items()} == self.model


TestFollowing = Following.TestCase
TestFollowing.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
