"""The lag sensor over several ticks, on a real topic, with real runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from pydantic import ValidationError

from wifi_assets.demo.publish import Topic
from wifi_assets.from_settings import lake_of
from wifi_assets.sensors import history
from wifi_assets.settings import Settings
from wifi_assets_tests.daemon import Daemon
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import FIRST_DAY, ask, check_account, household, make_again, settings_of

SENSOR = "kafka_lag_sensor"
MESSAGES = household(2).messages


def test_how_often_is_looked_is_a_setting(daemon: Daemon, settings: Settings) -> None:
    assert daemon.defs.resolve_sensor_def(SENSOR).minimum_interval_seconds == 30
    often = Daemon(settings.model_copy(update={"lag_seconds": 7}), daemon.instance)
    assert often.defs.resolve_sensor_def(SENSOR).minimum_interval_seconds == 7
    with pytest.raises(ValidationError, match="lag_seconds"):
        Settings(_env_file=None, lag_seconds=0)


def test_messages_lead_to_one_run_and_that_to_rest(daemon: Daemon, topic: Topic, settings: Settings) -> None:
    assert daemon.skipped(SENSOR).startswith("nothing waits")
    topic.publish(MESSAGES[:50])
    request = daemon.asked(SENSOR)
    today = datetime.now(UTC).date()
    assert request.job_name == "lake"
    assert request.run_key is None
    assert request.tags["dagster/asset_partition_range_start"] == str(today)
    assert request.tags["dagster/asset_partition_range_end"] == str(today)
    result = daemon.run(request)
    assert result.success
    late = {
        event.partition
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey("packet_stats")
    }
    assert late == {str(FIRST_DAY), str(today)}
    assert daemon.skipped(SENSOR).startswith("nothing waits")
    topic.publish(MESSAGES[50:100])
    assert daemon.run(daemon.asked(SENSOR)).success
    assert sum(check_account(lake_of(settings))) == 100


def test_a_tick_computes_no_day_anew(daemon: Daemon, topic: Topic, settings: Settings) -> None:
    topic.publish(MESSAGES[:50])
    daemon.run(daemon.asked(SENSOR))
    lake = lake_of(settings)
    versions = {name: lake.open(name).version for name in ("rts", "packet_stats", "probe_stats_by_source_device")}
    # What is no frame changes no table that follows frames.
    topic.publish([message for message in MESSAGES if message.value == b"{}{}"])
    assert daemon.run(daemon.asked(SENSOR)).success
    assert ask(lake, "SELECT count(*) AS n FROM quarantine WHERE reason LIKE 'several%'") == [{"n": 1}]
    assert lake.open("rts").version - versions["rts"] <= 1
    assert {name: lake.open(name).days() for name in versions} == {
        "rts": {FIRST_DAY},
        "packet_stats": {FIRST_DAY},
        "probe_stats_by_source_device": set(),
    }


def test_while_a_run_is_queued_or_under_way_the_lag_is_the_reason(
    daemon: Daemon, topic: Topic, instance: dg.DagsterInstance
) -> None:
    topic.publish(MESSAGES[:7])
    run = daemon.queue(daemon.asked(SENSOR))
    reason = daemon.skipped(SENSOR)
    assert reason.startswith("7 messages wait (by partition: [")
    assert f"run {run.run_id[:8]} of job lake is queued" in reason
    topic.publish(MESSAGES[7:10])
    for _ in range(3):
        assert daemon.skipped(SENSOR).startswith("10 messages wait")
    instance.report_run_canceling(run)
    assert "is canceling" in daemon.skipped(SENSOR)
    instance.report_run_canceled(run)
    assert "ended as canceled (1 in a row): next try at" in daemon.skipped(SENSOR)
    assert instance.get_runs_count() == 1


def test_a_backfill_holds_nothing_back(daemon: Daemon, topic: Topic) -> None:
    topic.publish(MESSAGES[:7])
    request = daemon.asked(SENSOR)
    daemon.queue(request.with_replaced_attrs(tags={**request.tags, "dagster/backfill": "abc"}))
    daemon.asked(SENSOR)


def test_a_day_that_failed_before_midnight_is_among_those_of_the_next_run(
    daemon: Daemon, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.publish(MESSAGES[:7])
    request = daemon.asked(SENSOR)
    monkeypatch.setattr(history, "FIRST_WAIT", timedelta(0))
    today = datetime.now(UTC).date()
    yesterday, long_ago = str(today - timedelta(days=1)), str(today - timedelta(days=9))
    by_user = {name: value for name, value in request.tags.items() if name != "dagster/sensor_name"}
    # A user's run over days may be more than to bring in what is new: no tick makes them green.
    for first, tags in ((long_ago, by_user), (yesterday, request.tags), (str(today), request.tags)):
        tags = {**tags, "dagster/asset_partition_range_start": first}
        daemon.instance.report_run_failed(daemon.queue(request.with_replaced_attrs(tags=tags)))
    request = daemon.asked(SENSOR)
    assert request.tags["dagster/asset_partition_range_start"] == yesterday
    assert request.tags["dagster/asset_partition_range_end"] == str(today)
    assert daemon.run(request).success
    topic.publish(MESSAGES[7:9])
    assert daemon.asked(SENSOR).tags["dagster/asset_partition_range_start"] == str(today)


def test_a_lake_that_cannot_be_read_is_the_reason(daemon: Daemon, topic: Topic, settings: Settings) -> None:
    topic.publish(MESSAGES[:7])
    assert daemon.run(daemon.asked(SENSOR)).success
    log = Path(settings.lake) / "frames" / "_delta_log"
    log.rename(log.with_name("log"))
    log.write_text("no folder")
    assert daemon.skipped(SENSOR).startswith(f"the lake at {settings.lake} cannot be read: ")
    log.unlink()
    log.with_name("log").rename(log)
    assert daemon.skipped(SENSOR).startswith("nothing waits")


def test_failed_runs_are_repeated_ever_later_up_to_a_bound(
    daemon: Daemon, topic: Topic, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic.publish(MESSAGES[:7])
    request = daemon.asked(SENSOR)
    in_the_way = Path(settings.lake) / "packet_stats"
    # A look makes nothing.
    in_the_way.parent.mkdir()
    in_the_way.write_text("no table")
    assert not daemon.run(request).success
    topic.publish(MESSAGES[7:12])
    assert "ended as failure (1 in a row)" in daemon.skipped(SENSOR)
    waits = []
    for failures in range(2, 8):
        daemon.instance.report_run_failed(daemon.queue(request))
        reason = daemon.skipped(SENSOR)
        assert f"ended as failure ({failures} in a row): next try at" in reason
        waits.append(int(reason.rpartition("UTC, ")[2].partition(" s")[0]))
    assert waits == [60, 120, 240, 300, 300, 300]
    monkeypatch.setattr(history, "FIRST_WAIT", timedelta(0))
    in_the_way.unlink()
    assert daemon.run(daemon.asked(SENSOR)).success
    assert daemon.skipped(SENSOR).startswith("nothing waits")
    topic.publish(MESSAGES[12:14])
    daemon.asked(SENSOR)


def test_a_broken_cursor_means_nothing(daemon: Daemon, topic: Topic) -> None:
    topic.publish(MESSAGES[:7])
    daemon.cursors[SENSOR] = '{"not": "ours'
    assert daemon.run(daemon.asked(SENSOR)).success
    daemon.cursors[SENSOR] = "[99999]"
    assert daemon.skipped(SENSOR).startswith("nothing waits")


def test_a_partition_more_is_looked_at_too(daemon: Daemon, topic: Topic, settings: Settings) -> None:
    topic.publish(MESSAGES[:20])
    daemon.run(daemon.asked(SENSOR))
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    admin.create_partitions([NewPartitions(topic.name, 3)])[topic.name].result()
    again = Topic(topic.bootstrap, topic.name)
    again.publish(MESSAGES[20:200])
    assert daemon.run(daemon.asked(SENSOR)).success
    reached = check_account(lake_of(settings))
    assert sum(reached) == 200
    assert reached[2] > 0


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_is_away_is_named_and_nothing_is_asked_for(
    tmp_path: Path, instance: dg.DagsterInstance, kafka: Server
) -> None:
    port = free_port()
    away = settings_of(Topic(f"127.0.0.1:{port}", "pcap"), tmp_path / "lake")
    daemon = Daemon(away, instance)
    for _ in range(2):
        assert daemon.skipped(SENSOR).startswith(f"Kafka at 127.0.0.1:{port}, topic pcap: no answer")
    assert instance.get_runs_count() == 0
    none = Daemon(settings_of(Topic(f"127.0.0.1:{kafka.port}", "not-there"), tmp_path / "lake"), instance)
    assert "has no topic not-there" in none.skipped(SENSOR)


def test_a_topic_made_anew_waits_for_a_user(daemon: Daemon, topic: Topic, instance: dg.DagsterInstance) -> None:
    topic.publish(MESSAGES[:20])
    asked = daemon.asked(SENSOR)
    daemon.run(asked)
    make_again(topic, 2)
    topic.publish(MESSAGES[:5])
    reason = daemon.skipped(SENSOR)
    assert f"topic {topic.name} was deleted and made again" in reason
    assert "accept_loss" in reason
    assert instance.get_runs_count() == 1
    config = {"ops": {"frames": {"config": {"accept_loss": True}}}}
    assert daemon.run(dg.RunRequest(job_name="lake", tags=asked.tags, run_config=config)).success
    assert daemon.skipped(SENSOR).startswith("nothing waits")
