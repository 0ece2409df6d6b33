"""From the topic into every target with nobody touching it, and what happens to the others while one is away."""

import pytest

from wifi_assets_tests.processes import until
from wifi_assets_tests.unattended.platform import FRAMES, LAKE, REFUSED, Platform, on, sent

#: Many runs, each a process of its own, on a machine that may be busy.
pytestmark = pytest.mark.timeout(3600)


def test_a_message_reaches_every_target_and_its_day_is_green(platform: Platform) -> None:
    late, refused = platform.day(3), platform.count("quarantine")
    before = {run.run_id for run in platform.dagster.runs()}
    platform.name_device("attic of day 3")
    until(lambda: platform.lake.exists("devices") and platform.count("devices", "name = 'attic of day 3'"))
    sent(platform, [late])
    until(lambda: platform.count("frames", on(late)) == FRAMES)
    platform.settled()
    assert platform.count("quarantine") == refused + REFUSED
    assert platform.count("probes_enriched", f"{on(late)} AND source_device_name = 'attic of day 3'") == 4
    # Weeks before the days that the lag sensor's run is over, and reported all the same.
    for asset in LAKE:
        assert str(late) in platform.materialised(asset) or asset == "quarantine", asset
    since = platform.runs_since(before)
    by = {run.tags.get("dagster/sensor_name") for run in since}
    assert by == {"unifi_devices_sensor", "kafka_lag_sensor", "sink_postgres_sensor", "sink_neo4j_sensor"}
    assert all(run.is_success for run in since)


def test_a_paused_sensor_leaves_the_other_targets_going(platform: Platform) -> None:
    platform.dagster.stop_sensor("sink_neo4j_sensor")
    before = {run.run_id for run in platform.dagster.runs()}
    sent(platform, [platform.day(4)])
    until(lambda: platform.count("frames", on(platform.day(4))) == FRAMES)
    platform.settled("postgres")
    since = platform.runs_since(before)
    assert {run.tags["dagster/sensor_name"] for run in since} == {"kafka_lag_sensor", "sink_postgres_sensor"}
    assert not platform.fresh("neo4j")
    platform.dagster.start_sensor("sink_neo4j_sensor")
    platform.settled()
