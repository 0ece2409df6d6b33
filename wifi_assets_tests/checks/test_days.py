"""The checks of single days: left failed by a run, silent for an hour, behind their upstream."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from wifi_assets.demo.messages import Message
from wifi_assets.demo.publish import Topic
from wifi_assets.drain import drain
from wifi_assets.from_settings import rules_of, topic_of
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import run_job
from wifi_assets_tests.checks.conftest import Checks, numbers
from wifi_assets_tests.services import free_port
from wifi_assets_tests.support import FIRST_DAY, household, ingested

FAILED, SILENT = "no_day_left_failed", ("frames", "no_silent_hour")
SECOND_DAY = FIRST_DAY + timedelta(days=1)


def frame(heard: datetime) -> Message:
    milliseconds = int(heard.timestamp() * 1000)
    value = json.dumps({"timestamp": str(milliseconds), "wlan_fc_type_subtype": ["0x001d"]}).encode()
    return Message(b"", value, milliseconds)


@pytest.mark.usefixtures("impatient")
def test_days_left_failed_are_named_with_their_run_until_they_are_materialised(
    checks: Checks, settings: Settings, topic: Topic
) -> None:
    topic.publish(household(30).messages[:200])
    parted = [(name, FAILED) for name, table in TABLES.items() if table.partitioned]
    away = settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{free_port()}"})
    assert run_job(settings, "lake", checks.instance, FIRST_DAY).success
    assert all(found.passed for found in checks.run(settings, *parted).values())
    failed = run_job(away, "lake", checks.instance, FIRST_DAY, SECOND_DAY)
    assert not failed.success
    # The run ended before any table of it was written, so all are left failed.
    for found in checks.run(settings, *parted).values():
        assert not found.passed
        assert numbers(found, "days left failed", "runs", "newest run") == [2, 1, failed.run_id]
        assert found.metadata["which"].value == f"{FIRST_DAY}, {SECOND_DAY}"
        assert [line.data for line in found.metadata["run by day"].records] == [  # type: ignore[attr-defined]
            {"day": str(day), "run": failed.run_id} for day in (FIRST_DAY, SECOND_DAY)
        ]
        assert f"e.g. {SECOND_DAY} by run {failed.run_id[:8]}" in (told := found.description or "")
        assert f"materialise the failed days of {found.asset_key.to_user_string()}" in told
    assert run_job(settings, "lake", checks.instance, SECOND_DAY).success
    again = checks.one(settings, "acks", FAILED)
    assert again.metadata["which"].value == str(FIRST_DAY)
    assert run_job(settings, "lake", checks.instance, FIRST_DAY).success
    assert all(found.passed for found in checks.run(settings, *parted).values())


@pytest.mark.usefixtures("impatient")
def test_a_run_that_a_user_cancelled_or_that_is_under_way_left_nothing_failed(
    checks: Checks, settings: Settings, topic: Topic
) -> None:
    instance = checks.instance
    away = settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{free_port()}"})
    failed = run_job(away, "lake", instance, FIRST_DAY).run_id
    assert not checks.one(settings, "rts", FAILED).passed
    for ends in (dg.DagsterEventType.RUN_CANCELED, dg.DagsterEventType.RUN_START):
        instance.delete_run(failed)
        run = run_job(away, "lake", instance, FIRST_DAY)
        instance.report_dagster_event(dg.DagsterEvent(ends.value, "lake"), run.run_id)
        failed = run.run_id
        assert checks.one(settings, "rts", FAILED).passed


def test_an_hour_in_which_nothing_was_heard_warns(checks: Checks, settings: Settings, topic: Topic) -> None:
    assert checks.one(settings, *SILENT).passed
    begun = datetime(2026, 3, 1, 10, tzinfo=UTC)
    topic.publish(frame(begun + timedelta(minutes=20 * n)) for n in range(60))
    ingested(settings)
    whole = checks.one(settings, *SILENT)
    assert whole.passed
    # From 10:00 to 05:40 of the next day.
    assert numbers(whole, "days", "frames", "hours heard", "silent hours") == [2, 60, 20, 0]
    topic.publish([frame(begun + timedelta(hours=23)), frame(begun + timedelta(days=40))])
    ingested(settings)
    found = checks.one(settings, *SILENT)
    # Of the newest 31 days only the last frame is left: silence before it is that of another month.
    assert numbers(found, "frames", "silent hours") == [1, 0]
    topic.publish([frame(begun + timedelta(days=38, hours=1))])
    ingested(settings)
    found = checks.one(settings, *SILENT)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert numbers(found, "hours heard", "silent hours", "days with silence") == [2, 46, 3]
    lines = found.metadata["by day"].records  # type: ignore[attr-defined]
    assert [line.data["silent hours"] for line in lines] == [12, 24, 10]
    assert "46 hours of 3 days, most on 2026-04-09 (24 hours)" in (found.description or "")


def test_a_table_that_is_behind_names_its_days(checks: Checks, settings: Settings, topic: Topic) -> None:
    old = datetime(2026, 3, 1, 10, tzinfo=UTC)
    topic.publish([frame(old)] * 5 + [frame(old + timedelta(days=1))] * 3)
    lake = ingested(settings)
    for name in ("acks", "packet_stats"):
        assert numbers(checks.one(settings, name, "fresh"), "behind", "days behind") == [0, 0]
    topic.publish([frame(old + timedelta(days=1, hours=1))] * 4)
    drain(lake, topic_of(settings), rules_of(settings), settings.batch)
    for name, behind in (("acks", 4), ("packet_stats", 1)):
        found = checks.one(settings, name, "fresh")
        assert numbers(found, "behind", "days behind", "which") == [behind, 1, "2026-03-02"]
        assert f"frames is {behind} further on 1 days, e.g. 2026-03-02" in (found.description or "")
