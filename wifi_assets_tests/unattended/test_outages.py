"""Servers that go away for many ticks: sensors say what is away, nothing piles up, all catches up alone afterwards."""

from collections import Counter
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from dagster import DagsterRunStatus

from wifi_assets_tests.processes import until
from wifi_assets_tests.unattended.platform import FRAMES, Platform, heard_on, on, sent

#: Many runs, each a process of its own, on a machine that may be busy.
pytestmark = pytest.mark.timeout(3600)

TICKS = 5
SENSORS = (
    "kafka_lag_sensor",
    "unifi_devices_sensor",
    "sink_postgres_sensor",
    "sink_neo4j_sensor",
    "run_failure_sensor",
    "ingest_stalled_sensor",
)


def ticks_since(platform: Platform, sensor: str, last: int) -> list[str]:
    """Skip reasons of a sensor's ticks after that one, newest first; none may have failed."""
    ticks = [one for one in platform.dagster.ticks(sensor, 200) if one.tick_id > last and one.status.value != "STARTED"]
    assert [str(tick.error) for tick in ticks if tick.error is not None] == []
    return [tick.skip_reason or "" for tick in ticks]


def ticked(platform: Platform, since: dict[str, int], more_than: int) -> None:
    """Wait until each of these sensors has looked so often."""
    for sensor, last in since.items():
        until(lambda sensor=sensor, last=last: len(ticks_since(platform, sensor, last)) > more_than, every=1)


def newest(platform: Platform, sensor: str) -> int:
    return max(tick.tick_id for tick in platform.dagster.ticks(sensor, 5))


def test_broker_and_router_away_and_back(platform: Platform) -> None:
    before = {run.run_id for run in platform.dagster.runs()}
    platform.kafka.kill()
    platform.mongo.kill()
    try:
        since = {sensor: newest(platform, sensor) for sensor in SENSORS[:2]}
        ticked(platform, since, TICKS)
        said = {sensor: ticks_since(platform, sensor, since[sensor]) for sensor in since}
    finally:
        platform.kafka.start()
        platform.mongo.start()
    # The first one may have begun while they were there.
    for reason in said["kafka_lag_sensor"][:TICKS]:
        assert reason.startswith(f"Kafka at 127.0.0.1:{platform.kafka.port}, topic {platform.topic.name}: "), reason
    for reason in said["unifi_devices_sensor"][:TICKS]:
        assert reason.startswith(f"MongoDB at 127.0.0.1:{platform.mongo.port} (WIFI_MONGO_URL) "), reason
    # Neither failed runs nor a queue of them.
    assert [run for run in platform.runs_since(before) if run.job_name in ("lake", "refresh_devices")] == []
    platform.name_device("garage")
    sent(platform, [platform.day(1)])
    until(lambda: platform.count("devices", "name = 'garage'"))
    until(lambda: platform.count("frames", on(platform.day(1))) == FRAMES)
    platform.settled()


def test_one_target_and_the_webhook_away_and_back(platform: Platform) -> None:
    """The lake and the other target go on; the target that is away is not asked for with each tick."""
    before = {run.run_id for run in platform.dagster.runs()}
    told, tried = len(platform.webhook.texts), len(platform.webhook.paths)
    platform.webhook.status = 503
    platform.postgres.kill()
    try:
        since = newest(platform, "sink_postgres_sensor")
        sent(platform, [platform.day(6)])
        until(lambda: any(run.status == DagsterRunStatus.FAILURE for run in platform.runs_since(before)))
        failing = newest(platform, "run_failure_sensor")
        sent(platform, [platform.day(7)])
        until(lambda: platform.count("frames", on(platform.day(7))) == FRAMES)
        until(lambda: platform.fresh("neo4j"), every=1)
        ticked(platform, {"sink_postgres_sensor": since, "run_failure_sensor": failing}, TICKS)
        away = platform.runs_since(before)
        platform.check("neo4j")
    finally:
        platform.postgres.start()
    failed = [run for run in away if run.status == DagsterRunStatus.FAILURE]
    assert {run.tags["dagster/sensor_name"] for run in failed} == {"sink_postgres_sensor"}
    for run in failed:
        said = platform.dagster.failures(run)
        assert said
        assert all(f"port {platform.postgres.port}" in sentence for sentence in said), said
    # Each asset once when it went, then at most once with each minute of the retries' clock, however often one looked.
    records = [platform.dagster.instance.get_run_record_by_id(run.run_id) for run in failed]
    minutes = {record.create_timestamp.replace(second=0, microsecond=0) for record in records if record}
    times = Counter(asset for run in failed for asset in run.asset_selection or ())
    assert max(times.values()) <= 1 + len(minutes)
    assert len(platform.webhook.paths) > tried
    assert len(platform.webhook.texts) == told
    platform.webhook.status = 200
    platform.settled()
    # What nobody could be told while it lasted is told now, or was over before.
    until(lambda: platform.dagster.ticks("run_failure_sensor", 1)[0].skip_reason == "nothing fails")


def test_broken_cursors_start_from_the_lake(platform: Platform) -> None:
    held, before = platform.count("frames"), {run.run_id for run in platform.dagster.runs()}
    for cursor in ('{"not": "ours', "[99999]"):
        for sensor in SENSORS:
            platform.dagster.set_cursor(sensor, cursor)
        ticked(platform, {sensor: newest(platform, sensor) for sensor in SENSORS}, 1)
    sent(platform, [platform.day(2)])
    until(lambda: platform.count("frames") == held + FRAMES)
    platform.settled()
    assert all(run.is_success for run in platform.runs_since(before))


def test_partitions_that_were_added_are_drained(platform: Platform) -> None:
    held = platform.count("frames")
    admin = AdminClient({"bootstrap.servers": platform.topic.bootstrap})
    more = platform.partitions() + 3
    admin.create_partitions([NewPartitions(platform.topic.name, more)])[platform.topic.name].result()
    until(lambda: platform.partitions() == more)
    messages = heard_on(platform.day(10))
    for number, message in enumerate(messages):
        platform.topic.publish([replace(message, key=f"key {number}".encode())])
    until(lambda: platform.count("frames") == held + FRAMES)
    platform.settled()
    reached = platform.lake.open("frames").positions("kafka")
    assert len(reached) == more
    assert any(reached[-3:])
