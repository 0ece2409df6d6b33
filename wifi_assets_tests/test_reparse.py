"""Stored days read again from a real Kafka: equal under the same rules, moved under others, or refused in whole."""

from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from wifi_assets import reparse as module
from wifi_assets.demo.air import Air
from wifi_assets.demo.messages import Shape, message
from wifi_assets.drain import drain
from wifi_assets.from_settings import lake_of, rules_of, topic_of
from wifi_assets.lake import Lake, LakeError, OvertakenError
from wifi_assets.reparse import reparse
from wifi_assets.resources.kafka import KafkaUnavailable
from wifi_assets.settings import Settings
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import (
    FIRST_DAY,
    FIRST_HOUR,
    ask,
    check_account,
    contents,
    differences,
    household,
    make_again,
    settings_of,
    topic_with,
)

SECOND_DAY = FIRST_DAY + timedelta(days=1)
BOTH = {FIRST_DAY, SECOND_DAY}
MESSAGES = household().messages
#: Enough of both days, with all broken messages but one among them.
EVENING = MESSAGES[3500:]


def drained(settings: Settings, *, accept_loss: bool = False) -> Lake:
    """The lake after a drain alone."""
    lake = lake_of(settings)
    drain(lake, topic_of(settings), rules_of(settings), settings.batch, accept_loss=accept_loss)
    return lake


def again(settings: Settings, days: set[Any]) -> set[Any]:
    """Parse days again with these settings' rules; the days of frames replaced."""
    return reparse(lake_of(settings), topic_of(settings), rules_of(settings), days).frames


def fresh(settings: Settings, folder: Path) -> Lake:
    """What a new lake gets out of the topic with these settings."""
    return drained(settings.model_copy(update={"lake": str(folder)}))


def versions(lake: Lake) -> tuple[int, int]:
    return lake.open("frames").version, lake.open("quarantine").version


def days_of(lake: Lake, name: str) -> set[Any]:
    return {row["day"] for row in ask(lake, f"SELECT DISTINCT day FROM {name}")}


@pytest.mark.parametrize("partitions", [1, 3])
def test_with_the_same_rules_the_result_is_equal(kafka: Server, tmp_path: Path, partitions: int) -> None:
    lake = drained(settings := settings_of(topic_with(kafka, EVENING, partitions), tmp_path / "lake"))
    before = contents(lake)
    assert before["quarantine"].total() > 3
    assert again(settings, BOTH) == BOTH
    assert differences(contents(lake), before) == {}
    assert sum(check_account(lake)) == len(EVENING)
    # And the drain goes on where it was.
    assert drain(lake, topic_of(settings), rules_of(settings), settings.batch).rows == 0


def test_other_days_stay_as_they_are(kafka: Server, tmp_path: Path) -> None:
    lake = drained(settings := settings_of(topic_with(kafka, EVENING), tmp_path / "lake"))
    paths = {day: lake.open("frames").rows(days={day}).files for day in BOTH}
    assert again(settings, {SECOND_DAY}) == {SECOND_DAY}
    assert lake.open("frames").rows(days={FIRST_DAY}).files == paths[FIRST_DAY]
    assert lake.open("frames").rows(days={SECOND_DAY}).files != paths[SECOND_DAY]


def test_an_earlier_first_day_brings_frames_out_of_quarantine(kafka: Server, tmp_path: Path) -> None:
    narrow = settings_of(topic_with(kafka, EVENING, 3), tmp_path / "lake", first_day=SECOND_DAY)
    lake = drained(narrow)
    assert days_of(lake, "frames") == {SECOND_DAY}
    wide = narrow.model_copy(update={"first_day": FIRST_DAY})
    assert again(wide, BOTH) == BOTH
    assert differences(contents(lake), contents(fresh(wide, tmp_path / "fresh"))) == {}
    check_account(lake)


def test_a_later_first_day_sends_frames_into_quarantine(kafka: Server, tmp_path: Path) -> None:
    wide = settings_of(topic_with(kafka, EVENING, 3), tmp_path / "lake")
    lake = drained(wide)
    narrow = wide.model_copy(update={"first_day": SECOND_DAY})
    assert again(narrow, BOTH) == BOTH
    assert days_of(lake, "frames") == {SECOND_DAY}
    assert differences(contents(lake), contents(fresh(narrow, tmp_path / "fresh"))) == {}
    check_account(lake)


def test_another_ssid_encoding_is_another_ssid(kafka: Server, tmp_path: Path) -> None:
    # The collector passes once a day: its SSIDs "cafe" and "[]" are hex and no hex.
    frames = [frame for _, frame in Air(23, 200, FIRST_HOUR, 24).arrivals()]
    topic = topic_with(kafka, (message(frame, Shape.TSHARK2) for frame in frames))
    wrong = settings_of(topic, tmp_path / "lake", ssid_encoding="hex")
    lake = drained(wrong)
    octets = "SELECT DISTINCT ssid_bytes FROM frames WHERE ssid_bytes IN ('cafe'::BLOB, '\\xCA\\xFE'::BLOB)"
    assert ask(lake, octets) == [{"ssid_bytes": b"\xca\xfe"}]
    assert contents(lake)["quarantine"].total() > 0
    right = wrong.model_copy(update={"ssid_encoding": "auto"})
    again(right, {FIRST_DAY})
    assert ask(lake, octets) == [{"ssid_bytes": b"cafe"}]
    assert contents(lake)["quarantine"].total() == 0
    assert differences(contents(lake), contents(fresh(right, tmp_path / "fresh"))) == {}


def test_messages_that_kafka_deleted_refuse_it_and_nothing_changes(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, EVENING)
    lake = drained(settings := settings_of(topic, tmp_path / "lake"))
    first_kept = ask(lake, f"SELECT min(kafka_offset) + 5 AS o FROM frames WHERE day = DATE '{SECOND_DAY}'")[0]["o"]
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    for future in admin.delete_records([TopicPartition(topic.name, 0, first_kept)]).values():
        future.result(10)
    before, held = contents(lake), versions(lake)
    for day in (FIRST_DAY, SECOND_DAY):
        with pytest.raises(LakeError, match=rf"^day {day} can't be parsed again: .*; nothing was changed; ") as error:
            again(settings, {day})
        assert f"topic {topic.name}, partition 0 begins at offset {first_kept}, " in str(error.value)
    assert versions(lake) == held
    assert differences(contents(lake), before) == {}


def test_a_range_of_which_one_day_is_gone_is_left_as_it_is(kafka: Server, tmp_path: Path) -> None:
    # The later day was replayed first, so that its offsets are the lower ones.
    late = [one for one in EVENING if one.timestamp_ms >= (FIRST_HOUR + 24) * 3_600_000]
    early = [one for one in EVENING if one.timestamp_ms < (FIRST_HOUR + 24) * 3_600_000]
    topic = topic_with(kafka, [*late, *early])
    lake = drained(settings := settings_of(topic, tmp_path / "lake"))
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    for future in admin.delete_records([TopicPartition(topic.name, 0, len(late) // 2)]).values():
        future.result(10)
    held = versions(lake)
    with pytest.raises(LakeError, match=rf"^day {SECOND_DAY} can't be parsed again: .*; nothing was changed; leave"):
        again(settings, BOTH)
    assert versions(lake) == held
    assert again(settings, {FIRST_DAY}) == {FIRST_DAY}


def test_a_topic_that_was_made_again_refuses_it(kafka: Server, tmp_path: Path) -> None:
    topic = topic_with(kafka, EVENING[:500])
    lake = drained(settings := settings_of(topic, tmp_path / "lake"))
    make_again(topic, 1)
    topic.publish(EVENING[-200:])
    drained(settings, accept_loss=True)
    before = contents(lake)
    with pytest.raises(LakeError, match=f"^day {FIRST_DAY} came from an earlier topic that is gone"):
        again(settings, {FIRST_DAY})
    assert again(settings, {SECOND_DAY}) == {SECOND_DAY}
    assert differences(contents(lake), before) == {}


def test_kafka_away_changes_nothing(kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wifi_assets.resources.kafka.ANSWER_SECONDS", 2)
    lake = drained(settings := settings_of(topic_with(kafka, EVENING[:500]), tmp_path / "lake"))
    held, port = versions(lake), free_port()
    with pytest.raises(KafkaUnavailable, match=f"^Kafka at 127.0.0.1:{port}, topic "):
        again(settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{port}"}), {FIRST_DAY})
    assert versions(lake) == held


def test_a_day_without_anything_is_left_alone(kafka: Server, tmp_path: Path) -> None:
    settings = settings_of(topic_with(kafka, EVENING[:500]), tmp_path / "lake")
    assert again(settings, {FIRST_DAY}) == set()
    lake = drained(settings)
    held = versions(lake)
    assert again(settings, {FIRST_DAY + timedelta(days=40)}) == set()
    assert versions(lake) == held


def test_without_any_refusal(kafka: Server, tmp_path: Path) -> None:
    frames = [message(frame) for _, frame in Air(23, 200, FIRST_HOUR, 2).arrivals()]
    lake = drained(settings := settings_of(topic_with(kafka, frames), tmp_path / "lake"))
    before = contents(lake)
    assert before["quarantine"].total() == 0
    assert again(settings, {FIRST_DAY}) == {FIRST_DAY}
    assert differences(contents(lake), before) == {}


def every_message(lake: Lake) -> set[tuple[int, int]]:
    """Partition and offset of all that is stored."""
    key = "kafka_partition, kafka_offset"
    rows = ask(lake, f"SELECT {key} FROM frames UNION SELECT {key} FROM quarantine")
    return {(row["kafka_partition"], row["kafka_offset"]) for row in rows}


@pytest.mark.parametrize("commits", [0, 1, 2])
@pytest.mark.parametrize(("before", "after"), [(SECOND_DAY, FIRST_DAY), (FIRST_DAY, SECOND_DAY)])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, OvertakenError])
def test_what_stops_between_two_commits_loses_nothing_and_is_mended(
    kafka: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commits: int,
    before: date,
    after: date,
    stop: type[BaseException],
) -> None:
    old = settings_of(topic_with(kafka, EVENING), tmp_path / "lake", first_day=before)
    lake = drained(old)
    new = old.model_copy(update={"first_day": after})
    stored = every_message(lake)
    replace, made = Lake.replace, list[None]()

    def stopping(self: Lake, *rest: Any) -> None:
        if len(made) == commits:
            made.append(None)
            assert every_message(lake) == stored
            raise stop
        replace(self, *rest)
        made.append(None)

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "replace", stopping)
        # Who was overtaken goes on by itself.
        with nullcontext() if stop is OvertakenError else pytest.raises(stop):
            again(new, BOTH)
    assert every_message(lake) == stored
    again(new, BOTH)
    check_account(lake)
    assert differences(contents(lake), contents(fresh(new, tmp_path / "fresh"))) == {}


def test_a_drain_meanwhile_loses_nothing(kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = topic_with(kafka, EVENING[:-100])
    lake = drained(settings := settings_of(topic, tmp_path / "lake"))
    read_again, replace, reads, replaced = module._read_again, Lake.replace, [], []

    def counted(*arguments: Any) -> Any:
        reads.append(arguments)
        return read_again(*arguments)

    def overtaken(self: Lake, *arguments: Any) -> None:
        if not replaced:
            topic.publish(EVENING[-100:])
            drained(settings)
        replaced.append(arguments)
        replace(self, *arguments)

    monkeypatch.setattr(module, "_read_again", counted)
    monkeypatch.setattr(Lake, "replace", overtaken)
    assert again(settings, {SECOND_DAY}) == {SECOND_DAY}
    # Overtaken once; what was read and parsed is not thrown away.
    assert [at.table.name for at, *_ in replaced].count("frames") == 2
    assert len(reads) == 1
    assert check_account(lake) == [len(EVENING)]
    assert differences(contents(lake), contents(fresh(settings, tmp_path / "fresh"))) == {}
