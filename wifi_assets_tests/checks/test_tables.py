"""The checks between tables, against schemas.py, against targets, and those that warn: right and wrong."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import neo4j
import pyarrow as pa
import pytest
import sqlalchemy as sa
from deltalake import Schema
from elasticsearch import Elasticsearch
from pydantic import SecretStr

from wifi_assets.assets.sinks import SINKS, sync, targets
from wifi_assets.checks.tables import SUBTYPES
from wifi_assets.definitions import build_defs
from wifi_assets.demo.messages import Message
from wifi_assets.demo.publish import Topic
from wifi_assets.drain import drain
from wifi_assets.from_settings import rules_of, topic_of
from wifi_assets.lake import Lake
from wifi_assets.resources.elasticsearch_documents import TARGETS
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.targets import check_in_step, target_on
from wifi_assets_tests.checks.conftest import Checks, numbers
from wifi_assets_tests.resources.neo4j_support import PASSWORD
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import ask, household, ingested

MESSAGES = household(30).messages
SPLITS = [(name, "rows_equal_frames") for name in SUBTYPES]
SUMS = ("packet_stats", "sums_equal_frames")


@pytest.fixture
def lake(settings: Settings, topic: Topic) -> Lake:
    topic.publish(MESSAGES)
    return ingested(settings)


def test_all_checks_of_a_healthy_platform(checks: Checks, settings: Settings, lake: Lake) -> None:
    found = checks.run(settings)
    warned = {key for key, evaluation in found.items() if not evaluation.passed}
    # The household was heard in the past, and one message in 400 of it is broken.
    assert warned <= {("frames", "fresh"), ("quarantine", "share")}
    assert {asset for asset, name in found if name == "schema"} == set(TABLES)
    assert all(evaluation.metadata for evaluation in found.values())
    frames = ask(lake, "SELECT count(*) AS n FROM frames")[0]["n"]
    assert numbers(found[SUMS], "frames", "packet counts", "days", "days that differ") == [frames, frames, 2, 0]
    for name, check in SPLITS:
        rows = ask(lake, f"SELECT count(*) AS n FROM {name}")[0]["n"]
        assert rows > 0
        assert numbers(found[name, check], "frames", "rows") == [rows, rows]


def test_only_days_that_both_tables_keep_are_compared(
    checks: Checks, settings: Settings, topic: Topic, lake: Lake
) -> None:
    """Days of frames, and of one split alone, go by the job; late frames come for them, and go by the next."""
    counted = ask(lake, "SELECT * FROM packet_stats WHERE day = DATE '2026-03-01' ORDER BY ALL")
    days = (datetime.now(UTC).date() - date(2026, 3, 2)).days
    kept = settings.model_copy(update={"keep": {"frames": days, "quarantine": days, "rts": days - 1}})
    maintenance = build_defs(kept).resolve_job_def("maintenance")
    late = [one for one in MESSAGES[:60] if one.timestamp_ms < datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1000]
    for publish in (False, True):
        assert maintenance.execute_in_process(instance=checks.instance).success
        assert lake.open("frames").days() == {date(2026, 3, 2)}
        assert lake.open("rts").days() == set()
        if publish:
            topic.publish(late)
            ingested(kept)
        found = checks.run(kept, ("frames", "account"), SUMS, *SPLITS)
        assert {key for key, evaluation in found.items() if not evaluation.passed} == set()
        assert numbers(found[SUMS], "days") == [1]
        assert [numbers(found[split], "days")[0] for split in SPLITS] == [
            0 if split[0] == "rts" else 1 for split in SPLITS
        ]
    assert lake.open("frames").days() == {date(2026, 3, 1), date(2026, 3, 2)}
    assert ask(lake, "SELECT * FROM packet_stats WHERE day = DATE '2026-03-01' ORDER BY ALL") == counted
    # Of the days that both keep nothing is forgiven.
    lake.open("acks").delta.delete("day = '2026-03-02'")
    lake.open("packet_stats").delta.update({"packet_count": "packet_count + 1"}, predicate="day = '2026-03-02'")
    found = checks.run(kept, SUMS, *SPLITS)
    assert {asset for (asset, _), evaluation in found.items() if not evaluation.passed} == {"acks", "packet_stats"}


def test_a_split_that_lacks_rows_fails_alone(checks: Checks, settings: Settings, lake: Lake) -> None:
    lake.open("rts").delta.delete("day = '2026-03-02'")
    found = checks.run(settings, *SPLITS)
    assert {name for (name, _), evaluation in found.items() if not evaluation.passed} == {"rts"}
    assert "1 days differ, e.g. 2026-03-02" in (found["rts", "rows_equal_frames"].description or "")


def test_a_split_that_is_behind_is_held_to_what_it_has_seen(
    checks: Checks, settings: Settings, lake: Lake, topic: Topic
) -> None:
    topic.publish(MESSAGES[:200])
    drain(lake, topic_of(settings), rules_of(settings), settings.batch)
    heard = ask(lake, "SELECT count(*) AS n FROM frames WHERE frame_subtype = 29")[0]["n"]
    assert heard > lake.open("acks").rows().count_rows()
    assert checks.one(settings, "acks", "rows_equal_frames").passed


def test_sums_that_differ_fail(checks: Checks, settings: Settings, lake: Lake) -> None:
    lake.open("packet_stats").delta.update({"packet_count": "packet_count + 1"}, predicate="frame_subtype = 4")
    found = checks.one(settings, *SUMS)
    assert not found.passed
    assert numbers(found, "days that differ") == [2]


def test_a_column_of_somebody_else_and_one_of_another_type(checks: Checks, settings: Settings, lake: Lake) -> None:
    lake.open("cts").delta.alter.add_columns(Schema.from_arrow(pa.schema([pa.field("mine", pa.string())])).fields)
    found = checks.one(settings, "cts", "schema")
    assert not found.passed
    assert found.description == "columns that the code does not know: mine"
    assert numbers(found, "columns", "stored columns") == [len(TABLES["cts"].columns), len(TABLES["cts"].columns) + 1]


# ---------------------------------------------------------------- what warns


def message(heard: datetime, kafka: datetime, value: bytes | None = None) -> Message:
    frame = {"timestamp": str(int(heard.timestamp() * 1000)), "wlan_fc_type_subtype": ["0x001d"]}
    return Message(b"", value or json.dumps(frame).encode(), int(kafka.timestamp() * 1000))


def test_refused_messages_warn_with_their_reasons(checks: Checks, settings: Settings, topic: Topic) -> None:
    now = datetime.now(UTC)
    old = now - timedelta(days=3)
    topic.publish([message(old, old, b"old")] * 50 + [message(now, now)] * 97 + [message(now, now, b"{}{}")] * 2)
    topic.publish([message(now, now, b"[]")])
    ingested(settings)
    found = checks.one(settings, "quarantine", "share")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert numbers(found, "rows", "quarantined", "share") == [97, 3, 0.03]
    assert found.description == "3.00% refused: several documents in one message (2), not an object (1)"
    assert checks.one(settings.model_copy(update={"quarantine_share": 0.03}), "quarantine", "share").passed


def test_a_clock_that_is_ahead_warns(checks: Checks, settings: Settings, topic: Topic) -> None:
    now = datetime.now(UTC) - timedelta(hours=2)
    topic.publish([message(now, now + timedelta(seconds=1))] * 98 + [message(now + timedelta(minutes=5), now)])
    ingested(settings)
    found = checks.one(settings, "frames", "sniffer_clock")
    assert not found.passed
    assert numbers(found, "frames", "ahead", "most ahead, s", "median delay, s") == [99, 1, 300.0, 1.0]
    assert found.description == "1.0% of the frames are up to 300 s ahead of Kafka: set the sniffer's clock"
    topic.publish([message(now, now)] * 10)
    ingested(settings)
    assert checks.one(settings, "frames", "sniffer_clock").passed


def test_a_live_sniffer_whose_clock_is_ahead_warns_although_kafka_has_its_times(
    checks: Checks, settings: Settings, topic: Topic
) -> None:
    now = datetime.now(UTC)
    topic.publish([message(now, now)] * 10)
    ingested(settings)
    found = checks.one(settings, "frames", "sniffer_clock")
    assert found.passed, found.description
    ahead = now + timedelta(minutes=10)
    topic.publish([message(ahead, ahead)])
    ingested(settings)
    found = checks.one(settings, "frames", "sniffer_clock")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    ahead_of_kafka, seconds = numbers(found, "ahead", "newest frame ahead of now, s")
    assert ahead_of_kafka == 0
    assert 1 < seconds <= 600
    assert found.description == (
        f"the newest frame is {seconds:.0f} s ahead of the clock here: set the sniffer's clock"
    )


def test_freshness_says_how_old_and_how_far_behind(checks: Checks, settings: Settings, topic: Topic) -> None:
    heard = datetime.now(UTC) - timedelta(minutes=10)
    topic.publish([message(heard, heard)])
    lake = ingested(settings)
    assert checks.one(settings, "frames", "fresh").passed
    soon = settings.model_copy(update={"stalled_minutes": 5})
    found = checks.one(soon, "frames", "fresh")
    assert not found.passed
    assert numbers(found, "age of the newest message, s")[0] >= 600
    assert numbers(checks.one(soon, "packet_stats", "fresh"), "behind", "rows") == [0, 1]
    assert numbers(checks.one(soon, "acks", "fresh"), "behind", "rows") == [0, 1]
    assert lake.open("acks").rows().count_rows() == 1


# ---------------------------------------------------------------- targets


@pytest.fixture
def sqlite(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"sql_url": SecretStr(f"sqlite:///{tmp_path}/w.db")})


def test_a_sql_target_that_is_whole_behind_or_meddled_with(
    checks: Checks, sqlite: Settings, lake: Lake, topic: Topic, tmp_path: Path
) -> None:
    check = ("postgres_packet_stats", "count_equals_lake")
    assert "has no whole copy" in (checks.one(sqlite, *check).description or "")
    sink = targets(sqlite)["postgres"]()
    for table in SINKS["postgres"].values():
        sync(lake, table, sink)
        found = checks.one(sqlite, f"postgres_{table}", "count_equals_lake")
        assert found.passed, found.description
        assert numbers(found, "lake", "versions behind") == [lake.open(table).rows().count_rows(), 0]
    topic.publish([message(datetime.now(UTC), datetime.now(UTC))])
    ingested(sqlite)
    behind = checks.one(sqlite, *check)
    assert behind.passed
    assert numbers(behind, "versions behind")[0] > 0
    fresh = ("postgres_packet_stats", "fresh")
    assert checks.one(sqlite, *fresh).passed
    stale = checks.one(sqlite.model_copy(update={"stalled_minutes": 0}), *fresh)
    assert not stale.passed
    assert numbers(stale, "versions behind") == numbers(behind, "versions behind")
    assert "look at the runs of postgres_packet_stats" in (stale.description or "")
    with sa.create_engine(f"sqlite:///{tmp_path}/w.db").begin() as connection:
        connection.execute(sa.text("DELETE FROM packet_stats WHERE subtype = 4"))
    meddled = checks.one(sqlite, *check)
    assert not meddled.passed
    assert numbers(meddled, "lake", "postgres") == [numbers(behind, "lake")[0], numbers(behind, "lake")[0] - 2]


def test_a_target_that_was_away_for_longer_than_the_log_goes_back_is_no_good_copy(
    checks: Checks, sqlite: Settings, lake: Lake, topic: Topic
) -> None:
    sync(lake, "packet_stats", targets(sqlite)["postgres"]())
    topic.publish([message(datetime.now(UTC), datetime.now(UTC))])
    ingested(sqlite)
    delta = lake.open("packet_stats").delta
    delta.create_checkpoint()
    for version in range(delta.version()):
        (Path(lake.uri("packet_stats")) / "_delta_log" / f"{version:020}.json").unlink()
    found = checks.one(sqlite, "postgres_packet_stats", "count_equals_lake")
    assert not found.passed
    assert "of which the lake's log knows nothing any more" in (found.description or "")


def _meddle_with_elasticsearch(server: Server, lose: str | None) -> None:
    with Elasticsearch(f"http://127.0.0.1:{server.port}") as client:
        if lose is None:
            client.indices.delete(index="wifi_assets_progress")
            return
        pattern = TARGETS[lose].pattern
        hit = client.search(index=pattern, size=1)["hits"]["hits"][0]
        client.delete(index=hit["_index"], id=hit["_id"])


def _meddle_with_neo4j(server: Server, lose: str | None) -> None:
    statement = (
        "MATCH (p:wifi_assets_progress) DELETE p"
        if lose is None
        else "MATCH ()-[r:LOOKED_FOR_SSID]->() WITH r LIMIT 1 DELETE r"
    )
    with neo4j.GraphDatabase.driver(f"bolt://127.0.0.1:{server.port}", auth=("neo4j", PASSWORD)) as driver:
        driver.execute_query(statement)


@pytest.mark.parametrize(
    ("target", "meddle"), [("elasticsearch", _meddle_with_elasticsearch), ("neo4j", _meddle_with_neo4j)]
)
def test_what_was_deleted_behind_our_back_fails_with_numbers_until_all_is_written_again(
    checks: Checks,
    settings: Settings,
    lake: Lake,
    tmp_path: Path,
    target: str,
    meddle: Callable[[Server, str | None], None],
    request: pytest.FixtureRequest,
) -> None:
    server: Server = request.getfixturevalue(target)
    with target_on(target, server, tmp_path) as place:
        on = settings.model_copy(update=place.settings)
        sink = targets(on)[target]()
        for table in SINKS[target].values():
            sync(lake, table, sink)
        keys = [(asset, "count_equals_lake") for asset in SINKS[target]]
        rows = {asset: lake.open(table).rows().count_rows() for asset, table in SINKS[target].items()}
        assert all(rows.values())
        found = checks.run(on, *keys)
        assert all(evaluation.passed for evaluation in found.values())
        assert {asset: numbers(found[asset, name], "lake", target) for asset, name in keys} == {
            asset: [count, count] for asset, count in rows.items()
        }
        for table in SINKS[target].values():
            meddle(server, table)
            # Nothing new in the lake, so nothing that would write there.
            sync(lake, table, sink)
        found = checks.run(on, *keys)
        for (asset, _), evaluation in found.items():
            assert not evaluation.passed
            assert numbers(evaluation, "lake", target) == [rows[asset], rows[asset] - 1]
            assert f"{target} holds {rows[asset] - 1}" in (evaluation.description or "")
            assert "delete wifi_assets_progress there" in (evaluation.description or "")
        meddle(server, None)
        for table in SINKS[target].values():
            sync(lake, table, sink)
        assert all(evaluation.passed for evaluation in checks.run(on, *keys).values())
        check_in_step(place, lake)
