"""The account of the messages: right, wrong, after retention, over a topic made anew."""

from datetime import date
from pathlib import Path

import pyarrow.compute as pc
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from wifi_assets.definitions import build_defs
from wifi_assets.demo.publish import Topic
from wifi_assets.from_settings import lake_of
from wifi_assets.ingest import ingest
from wifi_assets.settings import Settings
from wifi_assets_tests.checks.conftest import Checks, numbers
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import BROKEN, FIRST_DAY, household, ingested, make_again, topic_with

MESSAGES = household(30).messages
ACCOUNT, TOPIC = ("frames", "account"), ("frames", "topic")
LAKE_DAY = {
    "dagster/asset_partition_range_start": str(FIRST_DAY),
    "dagster/asset_partition_range_end": str(FIRST_DAY),
}


def admin(topic: Topic) -> AdminClient:
    return AdminClient({"bootstrap.servers": topic.bootstrap})


def test_before_the_first_drain_there_is_nothing_to_account(checks: Checks, settings: Settings) -> None:
    found = checks.one(settings, *ACCOUNT)
    assert found.passed
    assert found.description == "Nothing was drained yet."


def test_every_message_is_accounted_for_and_only_the_new_ones_are_counted_again(
    checks: Checks, settings: Settings, topic: Topic
) -> None:
    topic.publish(MESSAGES)
    ingested(settings)
    found = checks.one(settings, *ACCOUNT)
    assert found.passed
    assert found.blocking
    total = len(MESSAGES)
    names = ("rows", "quarantined", "unread", "offsets", "missing")
    assert numbers(found, *names) == [total - len(BROKEN), len(BROKEN), 0, total, 0]
    lines = [record.data for record in found.metadata["by partition"].records]
    assert [line["partition"] for line in lines] == [0, 1]
    assert sum(line["rows"] for line in lines) == total - len(BROKEN)
    topic.publish(MESSAGES[:40])
    ingested(settings)
    assert numbers(checks.one(settings, *ACCOUNT), "offsets", "missing") == [40, 0]
    assert numbers(checks.one(settings, *ACCOUNT), "offsets", "missing") == [0, 0]


def test_a_row_that_vanished_fails_the_check_until_it_is_back_and_blocks_what_follows(
    checks: Checks, settings: Settings, topic: Topic
) -> None:
    topic.publish(MESSAGES[:300])
    ingested(settings)
    lake = lake_of(settings)
    whole = lake.open("frames").version
    lake.open("frames").delta.delete("kafka_partition = 1 AND kafka_offset BETWEEN 4 AND 6")
    lost = 3 - lake.open("quarantine").rows(None).filter(
        (pc.field("kafka_partition") == 1) & pc.field("kafka_offset").isin([4, 5, 6])
    ).count_rows()  # fmt: skip
    for _ in range(2):
        found = checks.one(settings, *ACCOUNT)
        assert not found.passed
        assert numbers(found, "missing") == [lost]
        assert "partition 1, offsets 0 to " in (told := found.description or "")
        assert f"{lost} are neither row nor refusal" in told
    result = build_defs(settings).resolve_job_def("lake").execute_in_process(
        instance=checks.instance, tags=LAKE_DAY, raise_on_error=False
    )  # fmt: skip
    assert not result.success
    materialised = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert materialised == {"frames", "quarantine"}
    lake.open("frames").delta.restore(whole)
    found = checks.one(settings, *ACCOUNT)
    assert found.passed, found.description


def test_another_lake_of_the_same_instance_is_counted_from_its_beginning(
    checks: Checks, settings: Settings, topic: Topic, kafka: Server, tmp_path: Path
) -> None:
    topic.publish(MESSAGES[:300])
    ingested(settings)
    assert numbers(checks.one(settings, *ACCOUNT), "offsets", "missing") == [300, 0]
    other = topic_with(kafka, MESSAGES[:100], partitions=2)
    moved = settings.model_copy(update={"kafka_topic": other.name, "lake": str(tmp_path / "other")})
    ingested(moved)
    found = checks.one(moved, *ACCOUNT)
    assert found.passed, found.description
    assert numbers(found, "offsets", "missing") == [100, 0]
    other.publish(MESSAGES[100:500])
    ingested(moved)
    assert numbers(checks.one(moved, *ACCOUNT), "offsets", "missing") == [400, 0]


def test_a_row_twice_fails_the_check(checks: Checks, settings: Settings, topic: Topic) -> None:
    topic.publish(MESSAGES[:300])
    lake = ingested(settings)
    frames = lake.open("frames")
    lake.append(frames, frames.rows().head(2), {})
    found = checks.one(settings, *ACCOUNT)
    assert not found.passed
    assert numbers(found, "missing") == [-2]
    assert "rows too many" in (found.description or "")


def test_days_that_retention_dropped_are_no_loss(checks: Checks, settings: Settings, topic: Topic) -> None:
    late, rest, newest = MESSAGES[:5], MESSAGES[5:-50], MESSAGES[-50:]
    topic.publish(rest)
    lake = ingested(settings)
    assert lake.delete_before(lake.open("frames"), date(2026, 3, 2)) == {FIRST_DAY}
    first = checks.one(settings, *ACCOUNT)
    assert first.passed
    assert first.description == "Counted from the rows that are kept; exact from here on."
    assert numbers(first, "missing")[0] > 0
    topic.publish(newest)
    ingested(settings)
    second = checks.one(settings, *ACCOUNT)
    assert (second.passed, second.description) == (True, "")
    assert numbers(second, "offsets", "missing") == [50, 0]
    # What is lost otherwise is still found.
    topic.publish(newest)
    ingested(settings)
    frames = lake.open("frames")
    whole = frames.version
    frames.delta.delete(f"kafka_partition = 0 AND kafka_offset = {frames.positions('kafka')[0] - 1}")
    assert not checks.one(settings, *ACCOUNT).passed
    lake.open("frames").delta.restore(whole)
    assert checks.one(settings, *ACCOUNT).passed
    # Late ones for the day that is gone, and gone again before they were accounted for.
    topic.publish(late)
    ingested(settings)
    assert lake.delete_before(lake.open("frames"), date(2026, 3, 3)) == {FIRST_DAY, date(2026, 3, 2)}
    third = checks.one(settings, *ACCOUNT)
    assert third.passed
    assert numbers(third, "missing")[0] > 0
    assert checks.one(settings, *ACCOUNT).description == ""


def test_a_topic_made_anew_is_told_and_once_accepted_accounted_for(
    checks: Checks, settings: Settings, topic: Topic
) -> None:
    topic.publish(MESSAGES[:100])
    ingested(settings)
    assert checks.one(settings, *ACCOUNT).passed
    found = checks.one(settings, *TOPIC)
    assert found.passed
    assert numbers(found, "lag", "partitions") == [0, 2]
    make_again(topic, 2)
    topic.publish(MESSAGES[100:130])
    found = checks.one(settings, *TOPIC)
    assert not found.passed
    assert f"topic {topic.name} was deleted and made again" in (found.description or "")
    ingest(settings, accept_loss=True)
    assert checks.one(settings, *TOPIC).passed
    account = checks.one(settings, *ACCOUNT)
    assert account.passed
    assert numbers(account, "offsets", "missing") == [30, 0]


def test_offsets_lost_to_retention_are_told_with_their_range(checks: Checks, settings: Settings, topic: Topic) -> None:
    topic.publish(MESSAGES[:40])
    ingested(settings)
    reached = lake_of(settings).open("frames").positions("kafka")
    topic.publish(MESSAGES[40:100])
    gone = TopicPartition(topic.name, 0, reached[0] + 5)
    client = admin(topic)
    for done in client.delete_records([gone]).values():
        done.result(30)
    found = checks.one(settings, *TOPIC)
    assert not found.passed
    assert f"partition 0: offsets {reached[0]} to {reached[0] + 4} were deleted" in (found.description or "")
    ingest(settings, accept_loss=True)
    assert checks.one(settings, *TOPIC).passed
    account = checks.one(settings, *ACCOUNT)
    assert account.passed
    assert numbers(account, "unread", "offsets", "missing") == [5, 100, 0]
