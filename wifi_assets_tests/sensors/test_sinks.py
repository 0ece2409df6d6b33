"""The sensors of the targets: real evaluations of their condition over real runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._daemon.sensor import MIN_INTERVAL_LOOP_TIME

from wifi_assets.assets import sinks
from wifi_assets.demo.publish import Topic
from wifi_assets.settings import Settings
from wifi_assets_tests.daemon import Daemon
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import FIRST_DAY, household, settings_of, topic_with

LAG, SENSOR = "kafka_lag_sensor", "sink_postgres_sensor"
MESSAGES = household(3).messages
ALL = {dg.AssetKey(name) for name in sinks.SINKS["postgres"]}


@pytest.fixture
def topic(kafka: Server) -> Topic:
    return topic_with(kafka, MESSAGES[:200])


@pytest.fixture
def settings(topic: Topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # Else five minutes are up in the middle of a test.
    monkeypatch.setattr(sinks, "RETRY_CRON", "0 0 1 1 *")
    return settings_of(
        topic, tmp_path / "lake", sql_url=f"sqlite:///{tmp_path}/wifi.db", neo4j_url=f"bolt://127.0.0.1:{free_port()}"
    )


def asked(daemon: Daemon, sensor: str = SENSOR) -> set[dg.AssetKey]:
    """The assets of a tick's one request; empty if it asked for nothing."""
    requests = daemon.tick(sensor).run_requests or []
    assert len(requests) <= 1
    return set(requests[0].asset_selection or []) if requests else set()


def run(daemon: Daemon, assets: set[dg.AssetKey]) -> dg.ExecuteInProcessResult:
    return daemon.run(dg.RunRequest(asset_selection=list(assets)))


def settled(daemon: Daemon) -> None:
    """The lake and the target hold all, and nothing is asked for."""
    assert daemon.run(daemon.asked(LAG)).success
    assert asked(daemon) == ALL
    assert run(daemon, ALL).success
    assert asked(daemon) == set()


def test_a_target_that_was_never_written_is_asked_for_once(daemon: Daemon) -> None:
    assert asked(daemon) == ALL
    assert asked(daemon) == set()
    assert run(daemon, ALL).success
    assert asked(daemon) == set()


def test_a_run_of_the_lake_leads_to_one_run_of_the_target(daemon: Daemon, topic: Topic, tmp_path: Path) -> None:
    settled(daemon)
    topic.publish(MESSAGES[200:300])
    assert daemon.run(daemon.asked(LAG)).success
    assert asked(daemon) == ALL
    assert asked(daemon) == set()
    assert run(daemon, ALL).success
    assert asked(daemon) == set()
    with sa.create_engine(f"sqlite:///{tmp_path}/wifi.db").connect() as connection:
        assert connection.execute(sa.text("SELECT sum(packet_count) FROM packet_stats")).scalar_one() > 250


def test_a_broken_cursor_asks_for_each_asset_once(daemon: Daemon, topic: Topic) -> None:
    settled(daemon)
    topic.publish(MESSAGES[200:300])
    assert daemon.run(daemon.asked(LAG)).success
    for cursor in ("{", "[99999]", "0", "0not base64", "0eJwDAAAAAAE=", "9eJyrrgUAAXUA+Q=="):
        daemon.cursors[SENSOR] = cursor
        # What was written before it broke counts: the cursor alone knew that nobody had asked for it.
        assert asked(daemon) == ALL, cursor
        assert asked(daemon) == set(), cursor


def test_a_late_day_alone_leads_to_exactly_one_request(daemon: Daemon) -> None:
    settled(daemon)
    late = dg.AssetMaterialization("packet_stats", partition=str(FIRST_DAY), metadata={"late": True})
    daemon.instance.report_runless_asset_event(late)
    assert asked(daemon) == {dg.AssetKey("postgres_packet_stats")}
    assert asked(daemon) == set()


def test_a_rebuilt_day_of_last_year_leads_to_a_request(daemon: Daemon) -> None:
    settled(daemon)
    job = daemon.defs.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(
        instance=daemon.instance, asset_selection=[dg.AssetKey("packet_stats")], partition_key=str(FIRST_DAY)
    ).success
    assert asked(daemon) == {dg.AssetKey("postgres_packet_stats")}


def test_a_run_that_is_queued_or_under_way_is_not_doubled_and_what_came_meanwhile_follows(
    daemon: Daemon, topic: Topic
) -> None:
    settled(daemon)
    topic.publish(MESSAGES[200:300])
    assert daemon.run(daemon.asked(LAG)).success
    (request,) = daemon.tick(SENSOR).run_requests or []
    queued = daemon.queue(request)
    topic.publish(MESSAGES[300:400])
    assert daemon.run(daemon.asked(LAG)).success
    for _ in range(3):
        assert asked(daemon) == set()
    # It may have looked at the lake before the second run wrote there.
    daemon.execute(queued)
    assert asked(daemon) == ALL
    assert asked(daemon) == set()


def test_a_target_that_is_away_is_tried_now_and_then_and_stops_no_other(daemon: Daemon, topic: Topic) -> None:
    other = {dg.AssetKey("neo4j_device_graph")}
    settled(daemon)
    assert asked(daemon, "sink_neo4j_sensor") == other
    assert not run(daemon, other).success
    for number in (2, 3):
        topic.publish(MESSAGES[100 * number : 100 * number + 100])
        assert daemon.run(daemon.asked(LAG)).success
        assert asked(daemon) == ALL
        assert run(daemon, ALL).success
        # New rows, but the last run failed: not before its time.
        assert asked(daemon, "sink_neo4j_sensor") == set()


def test_a_failed_target_is_tried_again_when_its_time_has_come(
    topic: Topic, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    begun = now.replace(hour=12, minute=1, second=30) - timedelta(days=1)
    database = tmp_path / "wifi.db"
    database.mkdir()
    defs = Daemon(settings_of(topic, tmp_path / "lake", sql_url=f"sqlite:///{database}"), instance)

    def evaluate(at: datetime, cursor: object) -> tuple[int, object]:
        done = dg.evaluate_automation_conditions(
            defs.defs, instance, asset_selection=dg.AssetSelection.assets(*ALL), evaluation_time=at, cursor=cursor
        )
        return done.total_requested, done.cursor

    requested, cursor = evaluate(begun, None)
    assert requested == len(ALL)
    assert not run(defs, ALL).success
    found = []
    for minute in range(1, 11):
        requested, cursor = evaluate(begun + timedelta(minutes=minute), cursor)
        found.append(requested)
        if requested:
            assert not run(defs, ALL).success
    assert found == [0, 0, 0, 3, 0, 0, 0, 0, 3, 0], found
    database.rmdir()
    requested, cursor = evaluate(begun + timedelta(minutes=14), cursor)
    assert requested == 3
    assert run(defs, ALL).success
    for minute in (15, 20, 25):
        requested, cursor = evaluate(begun + timedelta(minutes=minute), cursor)
        assert requested == 0


def test_no_turn_of_the_daemon_is_left_out(daemon: Daemon) -> None:
    sensor = daemon.defs.resolve_sensor_def(SENSOR)
    assert sensor.minimum_interval_seconds is not None
    assert sensor.minimum_interval_seconds < MIN_INTERVAL_LOOP_TIME


def test_each_target_has_its_own_sensor_and_none_runs_by_itself(daemon: Daemon, settings: Settings) -> None:
    found = {sensor.name: sensor.default_status for sensor in daemon.defs.sensors or []}
    assert found == dict.fromkeys([LAG, SENSOR, "sink_neo4j_sensor"], dg.DefaultSensorStatus.STOPPED)
    on = Daemon(settings.model_copy(update={"sensors_on": True}), daemon.instance)
    assert {sensor.default_status for sensor in on.defs.sensors or []} == {dg.DefaultSensorStatus.RUNNING}
    schedules = {schedule.job_name: schedule.default_status for schedule in on.defs.schedules or []}
    assert schedules == dict.fromkeys(["checks", "maintenance", "purge_history"], dg.DefaultScheduleStatus.RUNNING)
