"""Every message once: two drains at once, transactions, and whatever may happen to a topic between two drains."""

import re
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from wifi_assets.demo.messages import Message
from wifi_assets.demo.publish import Topic
from wifi_assets.drain import Drained, TopicChangedError, drain, pending
from wifi_assets.from_settings import lake_of, rules_of, topic_of
from wifi_assets.ingest import ingest
from wifi_assets.lake import Lake
from wifi_assets.lake import Topic as LakeTopic
from wifi_assets.resources.kafka import Batch, KafkaTopic, TopicState
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets.snapshot import KAFKA
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import (
    ask,
    at_once,
    check_account,
    contents,
    differences,
    household,
    ingested,
    make_again,
    settings_of,
    topic_with,
)

MESSAGES = household().messages


def drained(settings: Settings, *, accept_loss: bool = False) -> Drained:
    """Drain only."""
    return drain(lake_of(settings), topic_of(settings), rules_of(settings), settings.batch, accept_loss=accept_loss)


def undisturbed(kafka: Server, messages: Iterable[Message], folder: Path, **settings: Any) -> Lake:
    """What a lake holds that took these messages in one go."""
    return ingested(settings_of(topic_with(kafka, messages), folder, **settings))


def versions(lake: Lake) -> dict[str, int]:
    """Version of each table that there is."""
    return {name: lake.open(name).version for name in TABLES if lake.exists(name)}


def refused(settings: Settings, words: str) -> None:
    """The drain refuses with these words, and neither it nor asking what waits changes anything."""
    lake = lake_of(settings)
    before = versions(lake), lake.topic()
    with pytest.raises(TopicChangedError, match=words) as error:
        drained(settings)
    assert "\n" not in str(error.value)
    with pytest.raises(TopicChangedError, match=words):
        ingest(settings)
    with pytest.raises(TopicChangedError, match=words):
        pending(lake, topic_of(settings))
    assert (versions(lake), lake.topic()) == before


# ---------------------------------------------------------------- one drain


def test_a_drain_says_what_it_did_and_what_waits(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, MESSAGES[:1000], partitions=2)
    settings = settings_of(topic, tmp_path, batch=300)
    lake, kafka_topic = lake_of(settings), topic_of(settings)
    highs = kafka_topic.look().high
    assert pending(lake, kafka_topic)[1] == highs
    told: list[tuple[int, int]] = []
    done = drain(lake, kafka_topic, rules_of(settings), 300, progress=lambda *step: told.append(step))
    assert (done.start, done.end, done.lag) == ([0, 0], highs, 0)
    assert done.rows + done.quarantined == 1000
    assert done.quarantined == done.reasons.total() == 3
    assert done.days == {row["day"] for row in ask(lake, "SELECT DISTINCT day FROM frames")}
    assert done.commits == len(told) == 4
    assert told[-1] == (1000, 1000)
    assert pending(lake, kafka_topic)[1] == [0, 0]
    topic.publish(MESSAGES[1000:1010])
    assert sum(pending(lake, kafka_topic)[1]) == 10
    assert drained(settings).start == highs
    assert sum(check_account(lake)) == 1010


def test_a_drain_holds_two_batches_at_most(kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(topic_with(kafka, MESSAGES), tmp_path, batch=len(MESSAGES) // 6)
    alive: set[int] = set()
    held: list[int] = []
    read = KafkaTopic.read

    def counted(self: KafkaTopic, starts: list[int], ends: list[int], batch: int) -> Iterator[Batch]:
        for number, one in enumerate(read(self, starts, ends, batch)):
            alive.add(number)
            weakref.finalize(one, alive.remove, number)
            held.append(len(alive))
            yield one

    monkeypatch.setattr(KafkaTopic, "read", counted)
    assert drained(settings).rows > 0
    assert len(held) >= 6
    assert max(held) == 2


def test_what_another_run_drains_after_the_look_is_not_taken_for_lost(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topic_with(kafka, MESSAGES[:1000])
    lake = lake_of(settings := settings_of(topic, tmp_path, batch=300))
    drained(settings)
    look, more = KafkaTopic.look, [MESSAGES[1000:1500], MESSAGES[1500:2000]]

    def and_another_run(self: KafkaTopic) -> TopicState:
        state = look(self)
        with monkeypatch.context() as patched:
            patched.setattr(KafkaTopic, "look", look)
            if more:
                topic.publish(more.pop())
                drained(settings)
        return state

    monkeypatch.setattr(KafkaTopic, "look", and_another_run)
    assert pending(lake, topic_of(settings))[1] == [0]
    drained(settings)
    assert check_account(lake) == [2000]


def test_an_empty_topic_is_drained_too(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, partitions=3)
    settings = settings_of(topic, tmp_path)
    lake = ingested(settings)
    assert all(rows.total() == 0 for rows in contents(lake).values())
    assert pending(lake, topic_of(settings))[1] == [0, 0, 0]
    topic.publish(MESSAGES[:10])
    ingested(settings)
    assert sum(check_account(lake)) == 10


def test_partitions_that_were_added_are_picked_up(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, MESSAGES[:2000])
    settings = settings_of(topic, tmp_path / "grown")
    lake = ingested(settings)
    assert check_account(lake) == [2000]
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    admin.create_partitions([NewPartitions(topic.name, 3)])[topic.name].result(10)
    topic.publish(MESSAGES[2000:])
    ingested(settings)
    reached = check_account(lake)
    assert len(reached) == 3
    assert sum(reached) == len(MESSAGES)
    expected = undisturbed(kafka, MESSAGES, tmp_path / "one")
    assert differences(contents(lake, positions=False), contents(expected, positions=False)) == {}


# ---------------------------------------------------------------- transactions


def _transactions(topic: Topic) -> Producer:
    producer = Producer(
        {"bootstrap.servers": topic.bootstrap, "transactional.id": topic.name, "log_level": 0, "linger.ms": 5}
    )
    producer.init_transactions(10)
    return producer


def _send(producer: Producer, topic: Topic, messages: Iterable[Message]) -> None:
    producer.begin_transaction()
    for message in messages:
        producer.produce(topic.name, message.value, message.key, timestamp=message.timestamp_ms)
    producer.flush(10)


def test_only_committed_transactions_are_read_and_each_marker_is_accounted_for(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka)
    settings = settings_of(topic, tmp_path / "transactions", batch=150)
    producer = _transactions(topic)
    for start in range(0, 1000, 100):
        _send(producer, topic, MESSAGES[start : start + 100])
        producer.commit_transaction(10)
        _send(producer, topic, MESSAGES[2000:2030])
        producer.abort_transaction(10)
    # One that is still open: neither it nor what comes after it is read yet.
    _send(producer, topic, MESSAGES[1000:1100])
    lake = ingested(settings)
    assert check_account(lake) == [10 * (101 + 31)]
    assert ask(lake, "SELECT count(*) AS n FROM frames") == [{"n": 1000 - 3}]
    producer.commit_transaction(10)
    ingested(settings)
    assert check_account(lake) == [10 * (101 + 31) + 101]
    assert lake.open("frames").positions(f"{KAFKA}/unread") == [10 * (1 + 31) + 1]
    expected = undisturbed(kafka, MESSAGES[:1100], tmp_path / "plain")
    assert differences(contents(lake, positions=False), contents(expected, positions=False)) == {}


def test_nothing_but_aborted_transactions_moves_the_position(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka)
    producer = _transactions(topic)
    _send(producer, topic, MESSAGES[:10])
    producer.abort_transaction(10)
    settings = settings_of(topic, tmp_path)
    lake = ingested(settings)
    assert check_account(lake) == [11]
    assert pending(lake, topic_of(settings))[1] == [0]
    topic.publish(MESSAGES[:10])
    ingested(settings)
    assert check_account(lake) == [21]


# ---------------------------------------------------------------- two at once


def test_two_drains_at_once_leave_the_rows_of_one(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, MESSAGES, partitions=4)
    expected = ingested(settings_of(topic, tmp_path / "one"))
    settings = settings_of(topic, tmp_path / "two", batch=900)
    first, second = at_once(lambda: drained(settings), lambda: drained(settings))
    lake = lake_of(settings)
    assert sum(check_account(lake)) == len(MESSAGES)
    assert first.rows + second.rows == household().truth["frames"]
    assert first.end == second.end
    assert differences(contents(ingested(settings)), contents(expected)) == {}


def test_two_whole_runs_at_once_leave_the_tables_of_one(kafka: Server, tmp_path: Path) -> None:
    home = household()
    topic = topic_with(kafka, MESSAGES, partitions=2)
    expected = ingested(settings_of(topic, tmp_path / "one", devices_path=home.devices(tmp_path)))
    settings = settings_of(topic, tmp_path / "two", devices_path=tmp_path, batch=2000)
    at_once(lambda: ingest(settings), lambda: ingest(settings))
    assert differences(contents(lake_of(settings)), contents(expected)) == {}


# ---------------------------------------------------------------- what may happen to a topic


def _lose(topic: Topic, *before: int) -> None:
    """What retention does: the messages before these offsets are gone."""
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    ends = [TopicPartition(topic.name, partition, offset) for partition, offset in enumerate(before)]
    for done in admin.delete_records(ends).values():
        done.result(10)


def _all_of(lake: Lake, messages: Iterable[Message], kafka: Server, folder: Path) -> None:
    """The lake holds these messages, each once, and all that follows from them."""
    expected = undisturbed(kafka, messages, folder)
    assert differences(contents(lake, positions=False), contents(expected, positions=False)) == {}


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_topic_made_again_is_refused_and_taken_on_demand(kafka: Server, tmp_path: Path, partitions: int) -> None:
    topic = topic_with(kafka, MESSAGES[:2500], partitions=2)
    settings = settings_of(topic, tmp_path / "again", batch=1000)
    lake = ingested(settings)
    topic.publish(MESSAGES[2500:2600])
    drained(settings)  # the other tables are not yet as far
    known = lake.topic()
    assert known is not None
    make_again(topic, partitions)
    topic.publish(MESSAGES[2600:])
    new_id = topic_of(settings).look().topic_id
    ids = f"id {re.escape(known.topic_id)}, now its id is {re.escape(new_id)}"
    refused(settings, f"topic {topic.name} was deleted and made again: .*{ids}; .*accept_loss")
    ingest(settings, accept_loss=True)
    assert lake.topic() == LakeTopic(topic.name, new_id, 1)
    check_account(lake)
    topic.publish(MESSAGES[:1])
    ingest(settings)
    _all_of(lake, (*MESSAGES, MESSAGES[0]), kafka, tmp_path / "one")


@pytest.mark.parametrize("partitions", [1, 3])
def test_another_topic_is_refused_and_taken_on_demand(kafka: Server, tmp_path: Path, partitions: int) -> None:
    topic = topic_with(kafka, MESSAGES[:2500], partitions=2)
    lake = ingested(settings_of(topic, tmp_path / "other"))
    topic.publish(MESSAGES[2500:2600])
    drained(settings_of(topic, tmp_path / "other"))
    other = topic_with(kafka, MESSAGES[2600:], partitions)
    settings = settings_of(other, tmp_path / "other", batch=1000)
    refused(settings, f"this lake holds topic {topic.name}, WIFI_KAFKA_TOPIC names {other.name}: .*accept_loss")
    ingest(settings, accept_loss=True)
    check_account(lake)
    _all_of(lake, MESSAGES, kafka, tmp_path / "one")
    # And back: its name is known, but what it holds counts as new.
    back = settings_of(topic, tmp_path / "other")
    refused(back, f"this lake holds topic {other.name}")
    ingest(back, accept_loss=True)
    _all_of(lake, (*MESSAGES, *MESSAGES[:2600]), kafka, tmp_path / "twice")


def test_offsets_lost_to_retention_are_named_and_left_on_demand(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, MESSAGES[:1000])
    settings = settings_of(topic, tmp_path / "lost", batch=500)
    lake = ingested(settings)
    topic.publish(MESSAGES[1000:])
    _lose(topic, 900)
    assert pending(lake, topic_of(settings))[1] == [len(MESSAGES) - 1000]
    _lose(topic, 1234)
    refused(
        settings, f"topic {topic.name}, partition 0: offsets 1000 to 1233 were deleted .*accept_loss.*retention.ms=-1"
    )
    ingest(settings, accept_loss=True)
    assert check_account(lake) == [len(MESSAGES)]
    assert lake.open("frames").positions(f"{KAFKA}/unread") == [234]
    _all_of(lake, MESSAGES[:1000] + MESSAGES[1234:], kafka, tmp_path / "one")


def test_a_loss_with_nothing_after_it_is_accepted_once(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, MESSAGES[:1000], partitions=2)
    settings = settings_of(topic, tmp_path)
    lake = ingested(settings)
    topic.publish(MESSAGES[1000:1100])
    highs = topic_of(settings).look().high
    _lose(topic, *highs)
    refused(settings, f"topic {topic.name}, partition .: offsets ")
    ingest(settings, accept_loss=True)
    assert check_account(lake) == highs
    assert sum(lake.open("frames").positions(f"{KAFKA}/unread")) == 100
    assert drained(settings).rows == 0


@pytest.mark.parametrize("after", [0, 30])
def test_offsets_lost_in_a_partition_that_was_added_are_named_too(kafka: Server, tmp_path: Path, after: int) -> None:
    topic = topic_with(kafka, MESSAGES[:1000])
    settings = settings_of(topic, tmp_path)
    lake = ingested(settings)
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    admin.create_partitions([NewPartitions(topic.name, 2)])[topic.name].result(10)
    producer = Producer({"bootstrap.servers": topic.bootstrap})
    for message in MESSAGES[1000 : 1100 + after]:
        producer.produce(topic.name, message.value, message.key, partition=1, timestamp=message.timestamp_ms)
    producer.flush(10)
    _lose(topic, 1000, 100)
    refused(settings, f"topic {topic.name}, partition 1: offsets 0 to 99 were deleted .*accept_loss")
    ingest(settings, accept_loss=True)
    assert check_account(lake) == [1000, 100 + after]
    assert lake.open("frames").positions(f"{KAFKA}/unread") == [0, 100]
    assert drained(settings).rows == 0


def test_offsets_lost_before_the_first_drain_count_as_unread(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, MESSAGES[:1000])
    _lose(topic, 400)
    lake = ingested(settings_of(topic, tmp_path))
    assert check_account(lake) == [1000]
    assert lake.open("frames").positions(f"{KAFKA}/unread") == [400]


def test_a_topic_that_ends_before_the_lake_is_refused_in_any_case(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, MESSAGES[:100])
    settings = settings_of(topic, tmp_path)
    lake = ingested(settings)
    frames = lake.open("frames")
    lake.append(frames, frames.table.schema.empty_table(), {KAFKA: [150]})
    words = f"topic {topic.name}, partition 0: ends at offset 100, but the lake holds it up to 150: the broker lost"
    refused(settings, words)
    with pytest.raises(TopicChangedError, match=words):
        drained(settings, accept_loss=True)


def test_the_group_is_told_afterwards_for_those_who_watch_lag(kafka: Server, tmp_path: Path) -> None:
    settings = settings_of(topic_with(kafka, MESSAGES[:500], 2), tmp_path, kafka_group=f"watched-{tmp_path.name}")
    done = drained(settings)
    assert done.group_problem == ""
    watcher = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": settings.kafka_group})
    told = watcher.committed([TopicPartition(settings.kafka_topic, partition) for partition in range(2)], timeout=10)
    watcher.close()
    assert [one.offset for one in told] == done.end
