"""The alarms over several ticks, with real runs and a real receiver."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.plan.objects import StepSuccessData

from wifi_assets.demo.publish import Topic
from wifi_assets.from_settings import lake_of
from wifi_assets.settings import Settings
from wifi_assets.snapshot import KAFKA
from wifi_assets_tests.daemon import Daemon
from wifi_assets_tests.receiver import Receiver
from wifi_assets_tests.services import free_port
from wifi_assets_tests.support import household, ingested, settings_of

RUNS, STALLED = "run_failure_sensor", "ingest_stalled_sensor"
MESSAGES = household(2).messages
LAKE = dg.RunRequest(
    job_name="lake",
    tags={
        "dagster/asset_partition_range_start": "2026-03-01",
        "dagster/asset_partition_range_end": "2026-03-01",
    },
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def settings(topic: Topic, tmp_path: Path, receiver: Receiver) -> Settings:
    return settings_of(
        topic, tmp_path / "lake", webhook_url=f"{receiver.url}/bot123:secret/x", sql_url=f"sqlite:///{tmp_path}/wifi.db"
    )


def in_the_way(settings: Settings, table: str) -> Path:
    """A file where a table should be."""
    path = Path(settings.lake) / table
    path.parent.mkdir(exist_ok=True)
    path.write_text("no table")
    return path


def test_a_failing_step_is_told_once_and_so_is_its_end(daemon: Daemon, settings: Settings, receiver: Receiver) -> None:
    assert daemon.skipped(RUNS) == "nothing fails"
    blocker = in_the_way(settings, "packet_stats")
    first = daemon.run(LAKE)
    assert not first.success
    assert daemon.skipped(RUNS) == "failing: packet_stats"
    (text,) = receiver.texts
    assert text.startswith("wifi_assets: packet_stats fails: ")
    assert first.run_id[:8] in text
    daemon.run(LAKE)
    daemon.run(LAKE)
    for _ in range(2):
        assert daemon.skipped(RUNS) == "failing: packet_stats"
    assert len(receiver.texts) == 1
    blocker.unlink()
    assert daemon.run(LAKE).success
    for _ in range(2):
        assert daemon.skipped(RUNS) == "nothing fails"
    assert receiver.texts[1:] == ["wifi_assets: packet_stats works again"]


def test_the_alarm_of_a_target_that_is_no_more_is_let_go(
    daemon: Daemon, settings: Settings, receiver: Receiver
) -> None:
    ingested(settings)
    asset = "postgres_packet_stats"
    killed(daemon, asset, done="postgres_probe_stats_by_source_device", under_way=asset)
    assert daemon.skipped(RUNS) == f"failing: {asset}"
    later = Daemon(settings.model_copy(update={"sql_url": None}), daemon.instance)
    later.cursors = daemon.cursors
    assert later.skipped(RUNS) == "nothing fails"
    assert len(receiver.texts) == 1


def test_each_step_has_its_own_alarm(daemon: Daemon, settings: Settings, receiver: Receiver) -> None:
    in_the_way(settings, "rts")
    blocker = in_the_way(settings, "acks")
    daemon.run(LAKE)
    assert daemon.skipped(RUNS) == "failing: acks, rts"
    assert {line.split(" fails: ")[0] for line in receiver.texts[0].splitlines()} == {
        "wifi_assets: rts",
        "wifi_assets: acks",
    }
    blocker.unlink()
    daemon.run(LAKE)
    assert daemon.skipped(RUNS) == "failing: rts"
    assert receiver.texts[1:] == ["wifi_assets: acks works again"]


def test_a_run_that_was_killed_is_told_as_well(daemon: Daemon, receiver: Receiver) -> None:
    daemon.instance.report_run_failed(daemon.queue(LAKE))
    assert daemon.skipped(RUNS) == "failing: job lake"
    assert "job lake fails: no step failed, but the run did" in receiver.texts[0]
    daemon.run(LAKE)
    assert daemon.skipped(RUNS) == "nothing fails"
    assert receiver.texts[1:] == ["wifi_assets: job lake works again"]


def killed(daemon: Daemon, *assets: str, done: str, under_way: str | None = None) -> dg.DagsterRun:
    """A run of these assets that was killed behind or within a step."""
    run = daemon.queue(dg.RunRequest(asset_selection=[dg.AssetKey(asset) for asset in assets]))
    start, success = dg.DagsterEventType.STEP_START.value, dg.DagsterEventType.STEP_SUCCESS.value
    events = [
        dg.DagsterEvent(start, run.job_name, step_key=done),
        dg.DagsterEvent(success, run.job_name, step_key=done, event_specific_data=StepSuccessData(1.0)),
    ]
    if under_way is not None:
        events.append(dg.DagsterEvent(start, run.job_name, step_key=under_way))
    for event in events:
        daemon.instance.report_dagster_event(event, run.run_id)
    daemon.instance.report_run_failed(run)
    return run


def test_what_a_killed_run_left_half_done_is_told_and_only_its_own_success_calls_it_off(
    daemon: Daemon, settings: Settings, receiver: Receiver
) -> None:
    ingested(settings)
    packets, sources, sessions = (
        "postgres_packet_stats",
        "postgres_probe_stats_by_source_device",
        "postgres_oui_fingerprint_sessions",
    )
    run = killed(daemon, packets, sources, sessions, done=packets, under_way=sources)
    assert daemon.skipped(RUNS) == f"failing: {sources}"
    assert receiver.texts == [f"wifi_assets: {sources} fails: the run ended before it did (run {run.run_id[:8]})"]
    assert daemon.run(dg.RunRequest(asset_selection=[dg.AssetKey(packets)])).success
    assert daemon.skipped(RUNS) == f"failing: {sources}"
    assert daemon.run(dg.RunRequest(asset_selection=[dg.AssetKey(sources)])).success
    assert daemon.skipped(RUNS) == "nothing fails"
    assert receiver.texts[1:] == [f"wifi_assets: {sources} works again"]


def test_a_run_killed_between_its_steps_is_told_by_those_that_it_was_still_to_make(
    daemon: Daemon, settings: Settings, receiver: Receiver
) -> None:
    # One step makes frames and quarantine, and only steps are seen to work again.
    run = killed(daemon, "frames", "quarantine", "rts", "acks", done="rts")
    assert daemon.skipped(RUNS) == "failing: acks, frames"
    assert set(receiver.texts[0].splitlines()) == {
        f"wifi_assets: {step} fails: the run ended before it began (run {run.run_id[:8]})"
        for step in ("acks", "frames")
    }
    ingested(settings)
    assert daemon.run(LAKE).success
    assert daemon.skipped(RUNS) == "nothing fails"


def test_a_cancelled_run_is_no_news(daemon: Daemon, receiver: Receiver) -> None:
    daemon.instance.report_run_canceled(daemon.queue(LAKE))
    assert daemon.skipped(RUNS) == "nothing fails"
    assert receiver.texts == []


def test_a_webhook_that_fails_is_logged_without_its_secret_and_tried_again(
    daemon: Daemon, settings: Settings, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    blocker = in_the_way(settings, "packet_stats")
    daemon.run(LAKE)
    receiver.status, receiver.body = 503, "bot123:secret is busy"
    capfd.readouterr()
    for _ in range(2):
        assert daemon.skipped(RUNS) == "failing: packet_stats"
    said = capfd.readouterr().err
    assert said.count(f"webhook at 127.0.0.1:{receiver.port} did not take it: answered 503") == 2
    assert "secret" not in said
    assert "secret" not in (daemon.cursors[RUNS] or "")
    receiver.status = 200
    daemon.skipped(RUNS)
    daemon.skipped(RUNS)
    assert len(receiver.texts) == 1

    receiver.status = 503
    blocker.unlink()
    daemon.run(LAKE)
    assert daemon.skipped(RUNS) == "nothing fails"
    receiver.status = 200
    daemon.skipped(RUNS)
    daemon.skipped(RUNS)
    assert receiver.texts[1:] == ["wifi_assets: packet_stats works again"]


def test_what_nobody_heard_of_need_not_be_called_off(daemon: Daemon, settings: Settings, receiver: Receiver) -> None:
    blocker = in_the_way(settings, "packet_stats")
    daemon.run(LAKE)
    blocker.unlink()
    daemon.run(LAKE)
    assert daemon.skipped(RUNS) == "nothing fails"
    assert receiver.texts == []


@pytest.mark.parametrize(
    "cursor", ["", "{", "[]", '{"after": "soon"}', '{"after": "2026-03-01T00:00:00Z", "alarms": 3}']
)
def test_a_broken_cursor_begins_anew(daemon: Daemon, settings: Settings, receiver: Receiver, cursor: str) -> None:
    in_the_way(settings, "packet_stats")
    daemon.run(LAKE)
    daemon.cursors[RUNS] = daemon.cursors[STALLED] = cursor
    assert daemon.skipped(RUNS) == "failing: packet_stats"
    assert daemon.skipped(STALLED).startswith("the lake stands at [")
    assert len(receiver.texts) == 1


def hours_later(daemon: Daemon, hours: int = 1) -> None:
    """The stalled alarm's memory as if it had been made so long ago."""
    known = json.loads(daemon.cursors[STALLED] or "")
    known["since"] = (datetime.fromisoformat(known["since"]) - timedelta(hours=hours)).isoformat()
    daemon.cursors[STALLED] = json.dumps(known)


def test_a_lake_that_stands_is_told_once_and_so_is_its_end(
    daemon: Daemon, topic: Topic, settings: Settings, receiver: Receiver
) -> None:
    topic.publish(MESSAGES[:10])
    assert re.fullmatch(r"the lake stands at \[\] for 0:00:\d\d", daemon.skipped(STALLED))
    assert receiver.texts == []
    hours_later(daemon)
    for _ in range(3):
        daemon.skipped(STALLED)
    (text,) = receiver.texts
    assert re.match(r"wifi_assets: the lake has taken no message for 1:0\d:\d\d", text)
    assert f"10 messages wait on topic {topic.name}" in text
    ingested(settings)
    for _ in range(2):
        assert re.search(r"for 0:00:\d\d$", daemon.skipped(STALLED))
    (text,) = receiver.texts[1:]
    assert re.fullmatch(r"wifi_assets: the lake takes messages again, after 1:0\d:\d\d", text)
    hours_later(daemon)
    daemon.skipped(STALLED)
    assert f"topic {topic.name} has none that wait; look at the capture" in receiver.texts[2]
    assert lake_of(settings).open("frames").positions(KAFKA)


def test_the_end_is_told_as_soon_as_the_webhook_takes_it(
    daemon: Daemon, topic: Topic, settings: Settings, receiver: Receiver
) -> None:
    topic.publish(MESSAGES[:10])
    daemon.skipped(STALLED)
    hours_later(daemon)
    receiver.status = 500
    daemon.skipped(STALLED)
    receiver.status = 200
    daemon.skipped(STALLED)
    assert len(receiver.texts) == 1
    ingested(settings)
    receiver.status = 500
    daemon.skipped(STALLED)
    daemon.skipped(STALLED)
    receiver.status = 200
    daemon.skipped(STALLED)
    daemon.skipped(STALLED)
    assert len(receiver.texts) == 2
    assert "again" in receiver.texts[1]


def test_a_lake_that_cannot_be_read_stands_and_is_told_with_the_reason(
    daemon: Daemon, topic: Topic, settings: Settings, receiver: Receiver
) -> None:
    topic.publish(MESSAGES[:10])
    ingested(settings)
    stands = daemon.skipped(STALLED).split(" for ")[0]
    log = Path(settings.lake) / "frames" / "_delta_log"
    log.rename(log.with_name("log"))
    log.write_text("no folder")
    reason = f"the lake at {settings.lake} cannot be read: "
    assert re.match(f"{re.escape(stands)} for 0:00:.*: {reason}.*Not a directory", daemon.skipped(STALLED))
    assert receiver.texts == []
    hours_later(daemon)
    for _ in range(2):
        daemon.skipped(STALLED)
    (text,) = receiver.texts
    assert re.fullmatch(
        f"wifi_assets: the lake has taken no message for 1:0.:..: {reason}[ -~↳]*Not a directory[ -~]*", text
    )
    log.unlink()
    log.with_name("log").rename(log)
    assert re.fullmatch(rf"{re.escape(stands)} for 1:0\d:\d\d", daemon.skipped(STALLED))
    assert len(receiver.texts) == 1
    topic.publish(MESSAGES[10:20])
    ingested(settings)
    daemon.skipped(STALLED)
    assert "the lake takes messages again, after 1:0" in receiver.texts[1]


def test_a_lake_that_becomes_unreadable_before_its_reason_is_asked_is_told_all_the_same(
    daemon: Daemon, settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("Generic S3 error\n  \x1b[31m↳\x1b[0m 403 Forbidden\n")

    daemon.skipped(STALLED)
    hours_later(daemon)
    monkeypatch.setattr("wifi_assets.sensors.alarms.pending", refused)
    daemon.skipped(STALLED)
    assert receiver.texts[0].endswith(
        f"the lake at {settings.lake} cannot be read: Generic S3 error ↳ 403 Forbidden; look at WIFI_LAKE, its "
        "disk and your rights there"
    )


def test_a_lake_that_is_gone_has_not_moved(
    daemon: Daemon, topic: Topic, settings: Settings, receiver: Receiver
) -> None:
    topic.publish(MESSAGES[:10])
    ingested(settings)
    stands = daemon.skipped(STALLED).split(" for ")[0]
    hours_later(daemon)
    daemon.skipped(STALLED)
    assert len(receiver.texts) == 1
    lake, away = Path(settings.lake), Path(f"{settings.lake}-away")
    lake.rename(away)
    for _ in range(2):
        assert re.match(rf"{re.escape(stands)} for 1:0.*: the lake at {lake} is gone or empty", daemon.skipped(STALLED))
    assert len(receiver.texts) == 1
    away.rename(lake)
    assert daemon.skipped(STALLED).startswith(stands)
    assert len(receiver.texts) == 1


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_is_away_is_the_reason(tmp_path: Path, instance: dg.DagsterInstance, receiver: Receiver) -> None:
    port = free_port()
    away = settings_of(Topic(f"127.0.0.1:{port}", "pcap"), tmp_path / "lake", webhook_url=receiver.url)
    daemon = Daemon(away, instance)
    daemon.skipped(STALLED)
    hours_later(daemon)
    daemon.skipped(STALLED)
    assert f"Kafka at 127.0.0.1:{port}, topic pcap: no answer" in receiver.texts[0]


def test_a_url_that_is_none_breaks_neither_the_definitions_nor_a_tick(
    topic: Topic, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    daemon = Daemon(settings_of(topic, tmp_path / "lake", webhook_url="hooks/secret"), instance)
    daemon.instance.report_run_failed(daemon.queue(LAKE))
    assert daemon.skipped(RUNS) == "failing: job lake"
    assert json.loads(daemon.cursors[RUNS] or "")["alarms"]["job lake"]["stage"] == "new"


def test_without_a_webhook_there_is_no_alarm(topic: Topic, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    daemon = Daemon(settings_of(topic, tmp_path / "lake"), instance)
    assert [sensor.name for sensor in daemon.defs.sensors or []] == ["kafka_lag_sensor"]


def test_a_webhook_left_empty_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIFI_WEBHOOK_URL", "")
    assert Settings(_env_file=None).webhook_url is None
