"""Rows and progress are one commit, and whatever is done to a table later leaves the progress as it is."""

import json
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from wifi_assets import schemas
from wifi_assets.lake import Lake, LakeError, OvertakenError, Topic
from wifi_assets.snapshot import GENERATION, KAFKA
from wifi_assets_tests.support import at_once, rows_of

DAY = date(2026, 3, 1)


def rows(*positions: tuple[int, int], day: date = DAY, generation: int = 0, name: str = "acks") -> pa.Table:
    """Rows at these (partition, offset)s."""
    time = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pa.Table.from_pylist(
        [
            {"day": day, "topic_generation": generation, "kafka_partition": p, "kafka_offset": o, "event_time": time}
            for p, o in positions
        ],
        schemas.TABLES[name].schema,
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "a lake & möre"))


def test_progress_is_read_back_and_outlives_whatever_is_done_to_the_table(lake: Lake) -> None:
    assert not lake.exists("acks")
    assert lake.open("acks").positions("frames") == []
    for offset in range(40):
        lake.append(
            lake.open("acks"), rows((0, offset), (1, offset)), {"frames": [offset + 1, offset + 1]}, {"x": offset}
        )
    wanted, stored = [40, 40], rows_of(lake.open("acks").rows().to_table())

    def check() -> None:
        now = Lake(lake.url).open("acks")
        assert now.positions("frames") == wanted
        assert now.positions("frame") == now.positions("frames/0") == []
        assert now.upstream_version("x") == 39
        assert now.upstream_version("frames") is None
        assert rows_of(now.rows().to_table()) == stored

    check()
    assert lake.compact("acks") == 40
    assert len(lake.open("acks").paths()) == 1
    check()
    assert lake.compact("acks") == 0
    lake.open("acks").delta.vacuum(0, enforce_retention_duration=False, dry_run=False)
    check()
    lake.open("acks").delta.create_checkpoint()
    check()
    lake.replace(lake.open("acks"), rows((0, 0)), {DAY}, {})
    stored = rows_of(rows((0, 0)))
    check()
    assert lake.delete_before(lake.open("acks"), DAY + timedelta(days=1)) == {DAY}
    stored = rows_of(rows())
    check()


def test_a_look_reads_the_table_again_only_when_it_has_a_newer_version_or_is_another_table(lake: Lake) -> None:
    assert lake.look("acks") is None
    lake.append(lake.open("acks"), rows((0, 0)), {"frames": [1]})
    first = lake.look("acks")
    assert first is not None
    assert lake.look("acks") is first
    lake.append(Lake(lake.url).open("acks"), rows((0, 1)), {"frames": [2]})
    second = lake.look("acks")
    assert second is not None
    assert second is not first
    assert (first.positions("frames"), second.positions("frames")) == ([1], [2])
    assert lake.look("acks") is second
    # To write moves on what is written through, so that must never be what others look at.
    lake.append(lake.open("acks"), rows((0, 2)), {"frames": [3]})
    assert (second.version, second.positions("frames")) == (2, [2])
    shutil.rmtree(lake.uri("acks"))
    assert lake.look("acks") is None
    for offset in range(3):
        lake.append(lake.open("acks"), rows((1, offset)), {"frames": [0, offset + 1]})
    other = lake.look("acks")
    assert other is not None
    assert (other.version, other.positions("frames")) == (3, [0, 3])


def test_a_look_at_a_quiet_table_outlives_the_cleaning_of_its_log(lake: Lake) -> None:
    for offset in range(3):
        lake.append(lake.open("acks"), rows((0, offset)), {"frames": [offset + 1]})
    assert lake.look("acks") is lake.look("acks")
    long_ago = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    for entry in (Path(lake.uri("acks")) / "_delta_log").glob("*.json"):
        os.utime(entry, (long_ago, long_ago))
    quiet = lake.look("acks")
    assert quiet is not None
    # What another process does each night. Of this version nothing is newer, but what it is read from is gone.
    Lake(lake.url).vacuum("acks")
    assert not (Path(lake.uri("acks")) / "_delta_log" / f"{0:020}.json").exists()
    now = lake.look("acks")
    assert now is not None
    assert (now.version, now.positions("frames")) == (quiet.version, [3])


def test_a_second_commit_from_the_same_version_is_overtaken_and_writes_nothing(lake: Lake) -> None:
    first, *others = [Lake(lake.url).open("acks") for _ in range(4)]
    lake.append(first, rows((0, 0)), {"frames": [1]})
    for write in (
        lambda: lake.append(others[0], rows((0, 0)), {"frames": [1]}),
        lambda: lake.append(others[1], rows((0, 0), (0, 1)), {"frames": [2]}),
        lambda: lake.replace(others[2], rows((0, 0)), {DAY}, {"frames": [1]}),
    ):
        with pytest.raises(OvertakenError, match="table acks: another run committed first"):
            write()
    now = lake.open("acks")
    assert now.positions("frames") == [1]
    assert now.rows().count_rows() == 1
    lake.append(now, rows((0, 1)), {"frames": [2]})
    assert lake.open("acks").rows().count_rows() == 2


def test_a_table_made_by_several_at_once_is_one(tmp_path: Path) -> None:
    for number in range(10):
        url = str(tmp_path / str(number))
        first, *others = at_once(*[lambda url=url: Lake(url).open("acks").table_id] * 4)
        assert {first} == set(others)


def test_replace_takes_those_days_and_no_other(lake: Lake) -> None:
    later = DAY + timedelta(days=1)
    lake.append(lake.open("acks"), pa.concat_tables([rows((0, 0)), rows((0, 1), day=later)]), {"frames": [2]})
    lake.replace(lake.open("acks"), rows((0, 7)), {DAY}, {"frames": [2]})
    assert rows_of(lake.open("acks").rows().to_table()) == rows_of(rows((0, 7))) + rows_of(rows((0, 1), day=later))
    assert rows_of(lake.open("acks").rows({later}).to_table()) == rows_of(rows((0, 1), day=later))
    lake.replace(lake.open("acks"), rows(), {DAY, later}, {"frames": [2]})
    assert lake.open("acks").days() == set()


def test_a_table_without_days_is_replaced_whole(lake: Lake) -> None:
    devices = [{"mac": f"02:00:00:00:00:0{n}", "source": "ace.user", "is_guest": False} for n in range(3)]
    schema = schemas.TABLES["devices"].schema
    for some in (devices, devices[1:], []):
        lake.replace(lake.open("devices"), pa.Table.from_pylist(some, schema), None, {})
        assert rows_of(lake.open("devices").rows().to_table()) == rows_of(pa.Table.from_pylist(some, schema))


# ---------------------------------------------------------------- schema


def _with(monkeypatch: pytest.MonkeyPatch, **columns: tuple[pa.DataType, str]) -> None:
    """Let this version of the code have other columns in ``acks``."""
    table = schemas.TABLES["acks"]
    changed = schemas.Table(table.name, table.kind, table.key, table.columns | columns, "", table.upstream)
    monkeypatch.setitem(schemas.TABLES, "acks", changed)


def test_a_new_column_is_added_and_is_null_in_old_rows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append(lake.open("acks"), rows((0, 0)), {"frames": [1]})
    _with(monkeypatch, noise_dbm=(pa.int32(), "noise, dBm"), names=(pa.list_(pa.string()), "names"))
    assert lake.open("acks").positions("frames") == [1]
    new = rows((0, 1)).set_column(
        rows((0, 1)).schema.get_field_index("noise_dbm"), "noise_dbm", pa.array([-95], pa.int32())
    )
    lake.append(lake.open("acks"), new, {"frames": [2]})
    stored = lake.open("acks").rows().to_table().sort_by("kafka_offset")
    assert stored.select(["kafka_offset", "noise_dbm", "names"]).to_pylist() == [
        {"kafka_offset": 0, "noise_dbm": None, "names": None},
        {"kafka_offset": 1, "noise_dbm": -95, "names": None},
    ]


@pytest.mark.parametrize(
    ("column", "kind", "stored"),
    [
        ("signal_dbm", pa.string(), "int32"),
        ("signal_dbm", pa.int64(), "int32"),
        ("receiver_address", pa.list_(pa.string()), "string"),
        ("event_time", pa.date32(), r"timestamp\[us, tz=UTC\]"),
    ],
)
def test_another_type_is_refused_with_table_column_and_both_types(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, column: str, kind: pa.DataType, stored: str
) -> None:
    lake.append(lake.open("acks"), rows((0, 0)), {"frames": [1]})
    version = lake.open("acks").version
    with monkeypatch.context() as patch:
        _with(patch, **{column: (kind, "")}, brand_new=(pa.int32(), ""))
        words = f"table acks at .*: column {column} is stored as {stored}, this version of wifi_assets has "
        with pytest.raises(LakeError, match=words) as error:
            lake.open("acks")
        assert str(kind).split("<")[0] in str(error.value)
    assert lake.open("acks").version == version
    assert lake.open("acks").rows().count_rows() == 1


@pytest.mark.parametrize(
    ("reader", "writer", "features"),
    [
        (3, 7, {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}),
        (3, 7, {"readerFeatures": ["columnMapping"], "writerFeatures": ["columnMapping"]}),
        (2, 5, {}),
        (1, 7, {"writerFeatures": ["rowTracking", "domainMetadata"]}),
        (1, 7, {"writerFeatures": ["inCommitTimestamp"]}),
    ],
)
def test_a_table_with_features_that_others_turned_on_is_refused(
    lake: Lake, reader: int, writer: int, features: dict[str, list[str]]
) -> None:
    lake.append(lake.open("acks"), rows((0, 0)), {"frames": [1]})
    protocol = {"protocol": {"minReaderVersion": reader, "minWriterVersion": writer, **features}}
    # By hand: deltalake turns on none of them but the first.
    commit = Path(lake.uri("acks")) / "_delta_log" / f"{lake.open('acks').version + 1:020}.json"
    commit.write_text(json.dumps(protocol))
    words = f"table acks at .* needs Delta reader {reader}, writer {writer}: drop the table features"
    with pytest.raises(LakeError, match=words):
        lake.open("acks")


def test_every_table_opens_again_with_the_schema_it_was_made_with(lake: Lake) -> None:
    for name, table in schemas.TABLES.items():
        lake.open(name)
        assert lake.open(name).rows().schema == table.schema


# ---------------------------------------------------------------- what is beyond, what changed


def test_days_that_changed_between_two_versions(lake: Lake) -> None:
    later = DAY + timedelta(days=1)

    def changed(since: int | None) -> set[date]:
        return lake.open("acks").changed_days(since)

    def version() -> int:
        return lake.open("acks").version

    lake.append(lake.open("acks"), pa.concat_tables([rows((0, 0)), rows((0, 1), day=later)]), {"frames": [2]})
    first = version()
    assert changed(first) == set()
    assert changed(None) == changed(first + 1000) == {DAY, later}
    lake.append(lake.open("acks"), rows((0, 2)), {"frames": [3]})
    assert changed(first) == {DAY}
    lake.append(lake.open("acks"), rows(), {"frames": [9]})
    assert changed(first + 1) == set()
    second = version()
    lake.replace(lake.open("acks"), rows(), {later}, {})
    assert changed(second) == {later}
    assert changed(first) == {DAY, later}
    third = version()
    assert lake.compact("acks", at_least=2) == 2
    # The same rows in another file: no harm in looking at the day again, but never the other way round.
    assert changed(third) <= {DAY}
    lake.delete_before(lake.open("acks"), later)
    assert changed(third) == {DAY}


def test_days_are_deleted_whole_and_only_before(lake: Lake) -> None:
    days = [DAY + timedelta(days=n) for n in range(4)]
    for number, day in enumerate(days):
        lake.append(lake.open("acks"), rows((0, number), day=day), {"frames": [number + 1]})
    assert lake.delete_before(lake.open("acks"), days[2]) == {days[0], days[1]}
    assert lake.open("acks").days() == {days[2], days[3]}
    version = lake.open("acks").version
    assert lake.delete_before(lake.open("acks"), days[2]) == set()
    assert lake.open("acks").version == version
    # More days are to be kept from now on: what was taken stays taken, though a late row is there again.
    lake.append(lake.open("acks"), rows((0, 9), day=days[0]), {"frames": [10]})
    assert lake.delete_before(lake.open("acks"), days[1]) == {days[0]}
    assert lake.open("acks").kept_from() == days[2]


POSITIONS = st.lists(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 30)), min_size=1, max_size=6), max_size=5
)


@settings(max_examples=25, deadline=None)
@given(POSITIONS, st.lists(st.integers(0, 30) | st.integers(GENERATION, GENERATION + 30), min_size=3, max_size=3))
def test_beyond_never_leaves_out_a_row(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[tuple[int, int, int]]], positions: list[int]
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("beyond")))
    for commit in commits:
        parts = [rows((p, o), generation=g, day=DAY + timedelta(days=o % 2)) for g, p, o in commit]
        lake.append(lake.open("acks"), pa.concat_tables(parts), {})

    def beyond(found: Iterable[dict[str, Any]]) -> list[tuple[int, int]]:
        at = [(row["kafka_partition"], row["topic_generation"] * GENERATION + row["kafka_offset"]) for row in found]
        return sorted((partition, position) for partition, position in at if position >= positions[partition])

    snapshot = lake.open("acks")
    everything = snapshot.rows().to_table().to_pylist()
    assert len(everything) == sum(map(len, commits))
    assert beyond(snapshot.beyond(positions).to_table().to_pylist()) == beyond(everything)


# ---------------------------------------------------------------- the topic


def test_the_topic_is_remembered_beside_the_rows(lake: Lake) -> None:
    assert lake.topic() is None
    for topic in (Topic("pcap", "abc/+_-==", 0), Topic("pcap", "def", 1), Topic("other.topic-1", "def", 2)):
        lake.set_topic(topic)
        assert lake.topic() == topic
    frames = lake.open("frames")
    lake.append(frames, frames.table.schema.empty_table(), {KAFKA: [2 * GENERATION + 5]})
    assert lake.topic() == topic
    assert lake.open("frames").positions(KAFKA) == [2 * GENERATION + 5]


def test_a_table_of_another_program_is_read_as_it_is(lake: Lake) -> None:
    write_deltalake(lake.uri("acks"), rows((0, 0)), partition_by=["day"])
    assert rows_of(lake.open("acks").rows().to_table()) == rows_of(rows((0, 0)))
