"""Whatever kills a run, wherever: the next one goes on, and the tables are those of a run that nothing disturbed."""

import multiprocessing
import os
import random
import signal
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from wifi_assets.drain import drain
from wifi_assets.from_settings import lake_of, rules_of, topic_of
from wifi_assets.ingest import ingest
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import (
    FIRST_DAY,
    ask,
    check_account,
    contents,
    differences,
    household,
    ingested,
    settings_of,
    topic_with,
)

SECOND_DAY = FIRST_DAY + timedelta(days=1)
#: Runs that get SIGKILL while they work.
KILLS = 20


class CrashError(BaseException):
    """Ends a run as a crash does: nothing may catch it."""


def test_a_run_killed_at_twenty_random_moments_leaves_what_an_undisturbed_one_does(
    kafka: Server, tmp_path: Path
) -> None:
    home = household()
    messages = list(home.messages)
    topic = topic_with(kafka, partitions=2)
    devices = home.devices(tmp_path)
    settings = settings_of(topic, tmp_path / "killed", devices_path=devices, batch=60)
    # A server that has imported everything forks each run: the kill hits work, not imports.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["wifi_assets.ingest"])
    seed = time.time_ns()
    print(f"seed {seed}")
    rng = random.Random(seed)

    def run() -> Any:
        process = processes.Process(target=ingest, args=(settings,))
        process.start()
        return process

    topic.publish(messages[:100])
    whole = run()
    began = time.monotonic()
    whole.join()
    duration = time.monotonic() - began
    assert whole.exitcode == 0
    sent, kills, moved = 100, 0, 0
    lake = lake_of(settings)
    while kills < KILLS:
        topic.publish(messages[sent : sent + 100])
        sent += len(messages[sent : sent + 100])
        before = sum(check_account(lake))
        process = run()
        process.join(rng.uniform(0, duration))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            kills += 1
            moved += before < sum(check_account(lake)) < sent
    print(f"{moved} of {KILLS} runs were killed in the middle of the drain")
    topic.publish(messages[sent:])
    ingest(settings)
    assert sum(check_account(lake)) == max(sent, len(messages))
    undisturbed = ingested(settings_of(topic, tmp_path / "one", devices_path=devices))
    assert differences(contents(lake), contents(undisturbed)) == {}


def _crash_after(monkeypatch: pytest.MonkeyPatch, commits: int) -> None:
    """Let a lake make so many commits, then crash."""
    left = commits
    write = Lake._write

    def write_and_crash(self: Lake, *arguments: Any, **named: Any) -> None:
        nonlocal left
        write(self, *arguments, **named)
        left -= 1
        if left == 0:
            raise CrashError

    monkeypatch.setattr(Lake, "_write", write_and_crash)


def test_a_crash_after_each_single_commit_leaves_what_an_undisturbed_run_does(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = household()
    topic = topic_with(kafka, home.messages[:1000], partitions=2)
    devices = home.devices(tmp_path)
    expected = contents(ingested(settings_of(topic, tmp_path / "one", devices_path=devices)))
    settings = settings_of(topic, tmp_path / "crashed", devices_path=devices, batch=400)
    crashes = 0
    while True:
        with monkeypatch.context() as patch:
            _crash_after(patch, 1)
            try:
                ingest(settings)
            except CrashError:
                crashes += 1
            else:
                break
    # Three batches of frames, their refusals, the devices, and at least one commit of each table that follows.
    assert crashes >= 3 + 1 + 1 + sum(table.upstream is not None for table in TABLES.values())
    assert sum(check_account(lake_of(settings))) == 1000
    assert differences(contents(lake_of(settings)), expected) == {}


def test_refusals_committed_without_their_frames_are_not_written_twice(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = household()
    topic = topic_with(kafka, home.messages[:2000])
    settings = settings_of(topic, tmp_path / "crashed", batch=2000)
    lake = lake_of(settings)
    with monkeypatch.context() as patch:
        _crash_after(patch, 1)
        with pytest.raises(CrashError):
            ingest(settings)
    assert (lake.open("frames").rows().count_rows(), lake.open("quarantine").rows().count_rows()) == (0, 6)
    # With other batches than before, some refusals are new in the middle of those that are known.
    topic.publish(home.messages[2000:])
    ingest(settings.model_copy(update={"batch": 700}))
    expected = ingested(settings_of(topic, tmp_path / "one"))
    assert differences(contents(lake), contents(expected)) == {}


def _stored(lake: Lake, name: str) -> list[tuple[int, int]]:
    """Partition and offset of each row."""
    rows = ask(lake, f"SELECT kafka_partition AS p, kafka_offset AS o FROM {name} ORDER BY ALL")
    return [(row["p"], row["o"]) for row in rows]


@pytest.mark.parametrize(("before", "after"), [(SECOND_DAY, FIRST_DAY), (FIRST_DAY, SECOND_DAY)])
def test_refusals_committed_without_their_frames_do_not_bind_other_rules(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: date, after: date
) -> None:
    topic = topic_with(kafka, household().messages[3500:], partitions=2)
    old = settings_of(topic, tmp_path / "crashed", first_day=before)
    lake = lake_of(old)
    with monkeypatch.context() as patch:
        _crash_after(patch, 1)
        with pytest.raises(CrashError):
            ingest(old)
    assert not _stored(lake, "frames")
    assert _stored(lake, "quarantine")
    # Whatever kills what mends it; and in other batches than before.
    new = old.model_copy(update={"first_day": after, "batch": 400})
    while True:
        with monkeypatch.context() as patch:
            _crash_after(patch, 1)
            try:
                drain(lake, topic_of(new), rules_of(new), new.batch)
                break
            except CrashError:
                continue
    check_account(ingested(new))
    expected = ingested(settings_of(topic, tmp_path / "one", first_day=after))
    for name in ("frames", "quarantine"):
        assert _stored(lake, name) == _stored(expected, name)
    found, wanted = contents(lake), contents(expected)
    # Whoever refused a message first has said why.
    assert differences(found, wanted | {"quarantine": found["quarantine"]}) == {}


@pytest.mark.parametrize("drained", [0, 1000])
@pytest.mark.parametrize("lost", [1700, 2000])
def test_refusals_committed_without_their_frames_are_not_lost_with_what_kafka_deletes(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drained: int, lost: int
) -> None:
    messages = household().messages
    topic = topic_with(kafka)
    settings = settings_of(topic, tmp_path)
    lake = lake_of(settings)
    topic.publish(messages[:drained])
    ingest(settings)
    topic.publish(messages[drained:2000])
    with monkeypatch.context() as patch:
        _crash_after(patch, 1)
        with pytest.raises(CrashError):
            ingest(settings)
    refused = _stored(lake, "quarantine")
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    admin.delete_records([TopicPartition(topic.name, 0, lost)])[TopicPartition(topic.name, 0)].result(10)
    topic.publish(messages[2000:2500])
    ingest(settings, accept_loss=True)
    assert check_account(lake) == [2500]
    gone = [message for message in refused if drained <= message[1] < lost]
    assert gone
    assert lake.open("frames").positions(f"{KAFKA}/unread") == [lost - drained - len(gone)]
    assert _stored(lake, "quarantine")[: len(refused)] == refused


def test_a_file_written_without_its_commit_is_no_row_and_vacuum_takes_it(kafka: Server, tmp_path: Path) -> None:
    settings = settings_of(topic_with(kafka, household().messages[:500]), tmp_path / "lake")
    lake = ingested(settings)
    before = contents(lake)
    path = Path(lake.url) / "frames" / min(lake.open("frames").paths())
    orphan = path.with_name("part-00000-left-by-a-crash.zstd.parquet")
    orphan.write_bytes(path.read_bytes())
    assert differences(contents(ingested(settings)), before) == {}
    lake.vacuum("frames")
    assert orphan.exists()  # it may be that of a run that is about to commit
    eight_days_ago = time.time() - 8 * 86_400
    os.utime(orphan, (eight_days_ago, eight_days_ago))
    lake.vacuum("frames")
    assert path.exists()
    assert not orphan.exists()
