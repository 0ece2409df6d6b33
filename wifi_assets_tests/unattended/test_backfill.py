"""Backfills as the UI launches them, while sensors run and messages flow: what was asked for, and what follows."""

import json
from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread

import dagster as dg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from wifi_assets_tests.processes import until
from wifi_assets_tests.support import ask
from wifi_assets_tests.unattended.platform import FRAMES, LAKE, Platform, heard_on, on

#: Many runs, each a process of its own, on a machine that may be busy.
pytestmark = pytest.mark.timeout(3600)

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def runs_of(platform: Platform, backfill: str) -> list[dg.DagsterRun]:
    return platform.dagster.runs(tags={"dagster/backfill": backfill})


def names_on(platform: Platform, day: date) -> list[str]:
    """What the probe requests of ``DEVICE`` call it on a day, in the lake."""
    rows = ask(platform.lake, f"SELECT DISTINCT source_device_name AS name FROM probes_enriched WHERE {on(day)}")
    return sorted(row["name"] for row in rows if row["name"])


def test_one_asset_of_one_day_relabels_that_day_and_what_stands_on_it_follows(platform: Platform) -> None:
    first, second = platform.day(8), platform.day(9)
    platform.name_device("cellar")
    until(lambda: platform.count("devices", "name = 'cellar'"))
    backfill = platform.dagster.backfill(["probes_enriched"], [first])
    assert platform.dagster.backfill_ended(backfill) == "COMPLETED_SUCCESS"
    (run,) = runs_of(platform, backfill)
    assert platform.dagster.steps(run) & set(LAKE) == {"probes_enriched"}
    # All that stands on it, in the lake and in both targets, with nobody asking.
    platform.settled()
    assert names_on(platform, first) == ["cellar"]
    assert names_on(platform, second) == ["attic"]
    named = "SELECT source, probes FROM probe_stats_by_source_day WHERE source IN ('attic', 'cellar') AND "
    assert ask(platform.lake, named + on(first)) == [{"source": "cellar", "probes": 4}]
    assert ask(platform.lake, named + on(second)) == [{"source": "attic", "probes": 4}]
    counted = {
        row["source"]: row["probes"]
        for row in platform.targets["postgres"].held()["probe_stats_by_source_device"]
        if row["source"] in ("attic", "cellar")
    }
    assert counted["cellar"] >= 4
    assert counted["attic"] >= 4


def test_a_range_is_one_run_while_messages_flow_and_all_targets_follow(platform: Platform) -> None:
    days = [platform.day(number) for number in range(12, 16)]
    empty, today = days[2], datetime.now(UTC).date()
    enough, published = Event(), 0

    def flow() -> None:
        nonlocal published
        while not enough.wait(0.2):
            for message in heard_on(today, hour=0):
                platform.topic.publish([message])
                published += 1

    before = platform.count("frames"), platform.count("quarantine")
    thread = Thread(target=flow)
    thread.start()
    try:
        backfills = [platform.dagster.backfill(LAKE, days), platform.dagster.backfill(LAKE, [today])]
        ended = [platform.dagster.backfill_ended(backfill) for backfill in backfills]
    finally:
        enough.set()
        thread.join()
    assert ended == ["COMPLETED_SUCCESS"] * 2
    (run,) = runs_of(platform, backfills[0])
    assert [run.tags[tag] for tag in RANGE] == [str(days[0]), str(days[-1])]
    platform.settled()
    # A day without a frame is green too: that it holds nothing is what is known of it.
    for asset in LAKE:
        assert {str(day) for day in (*days, today)} <= platform.materialised(asset), asset
    assert platform.count("frames", on(empty)) == 0
    assert [platform.count("frames", on(day)) for day in days if day != empty] == [FRAMES] * 3
    assert platform.count("frames") + platform.count("quarantine") == sum(before) + published


def test_all_days(platform: Platform) -> None:
    versions = {name: platform.lake.open(name).version for name in ("frames", "packet_stats")}
    backfill = platform.dagster.backfill(["packet_stats"], allPartitions=True)
    assert platform.dagster.backfill_ended(backfill) == "COMPLETED_SUCCESS"
    (run,) = runs_of(platform, backfill)
    assert len(platform.materialised("packet_stats")) >= (datetime.now(UTC).date() - platform.day(0)).days
    # Days that hold nothing cost no commit.
    held = len(platform.lake.open("frames").days())
    assert platform.lake.open("packet_stats").version - versions["packet_stats"] <= 2 * held
    platform.settled()


def test_a_day_that_kafka_no_longer_holds_stays_as_it_is(platform: Platform) -> None:
    day = platform.day(20)
    kept = platform.count("frames")
    admin = AdminClient({"bootstrap.servers": platform.topic.bootstrap})
    ends = [TopicPartition(platform.topic.name, partition, -1) for partition in range(platform.partitions())]
    for done in admin.delete_records(ends).values():
        done.result()
    plain = platform.dagster.backfill(["frames", "quarantine"], [day])
    config = {"ops": {"frames": {"config": {"reparse": True}}}}
    again = platform.dagster.backfill(["frames", "quarantine"], [day], runConfigData=json.dumps(config))
    assert platform.dagster.backfill_ended(plain) == "COMPLETED_SUCCESS"
    assert platform.dagster.backfill_ended(again) == "COMPLETED_FAILED"
    (run,) = runs_of(platform, again)
    (said,) = platform.dagster.failures(run)
    assert said.startswith(f"day {day} can't be parsed again: topic {platform.topic.name}, partition ")
    assert "; nothing was changed; " in said
    assert platform.count("frames") == kept
    platform.settled()


def test_a_day_that_is_no_partition_begins_nothing(platform: Platform) -> None:
    """The UI offers no such day; Dagster's words to a program that asks for one name no day, the command's do."""
    before = {run.run_id for run in platform.dagster.runs()}, len(platform.dagster.instance.get_backfills())
    for day in (platform.day(-1), datetime.now(UTC).date() + timedelta(days=2), "yesterday"):
        told = platform.dagster.launch_backfill(["packet_stats"], [str(day)])
        assert told["__typename"] in {"PartitionKeysNotFoundError", "PythonError"}, told
    platform.settled()
    assert [run for run in platform.runs_since(before[0]) if "dagster/sensor_name" not in run.tags] == []
    assert len(platform.dagster.instance.get_backfills()) == before[1]
