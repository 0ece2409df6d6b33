"""The devices sensor over several ticks: files, and a real server of MongoDB's protocol."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pymongo
import pytest

from wifi_assets.demo.messages import Message
from wifi_assets.demo.publish import Topic
from wifi_assets.from_settings import lake_of
from wifi_assets.ingest import ingest
from wifi_assets.sensors import history
from wifi_assets.settings import Settings
from wifi_assets_tests.daemon import Daemon
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import ask, settings_of

SENSOR = "unifi_devices_sensor"
MAC = "aa:bb:cc:00:00:01"


def write(folder: Path, name: str) -> None:
    folder.mkdir(exist_ok=True)
    document = {"mac": MAC, "ip": "10.0.0.2", "name": name, "model": "U7", "type": "uap"}
    (folder / "ace.device.json").write_text(json.dumps(document))


@pytest.fixture
def settings(topic: Topic, tmp_path: Path) -> Settings:
    write(tmp_path / "devices", "attic")
    return settings_of(topic, tmp_path / "lake", devices_path=tmp_path / "devices")


def names(settings: Settings) -> list[dict[str, Any]]:
    return ask(lake_of(settings), "SELECT name FROM devices")


def test_a_renamed_device_leads_to_one_run(daemon: Daemon, settings: Settings, tmp_path: Path) -> None:
    request = daemon.asked(SENSOR)
    assert request.job_name == "refresh_devices"
    assert request.run_key is None
    assert daemon.run(request).success
    assert daemon.skipped(SENSOR) == "the devices are those seen last"
    write(tmp_path / "devices", "cellar")
    assert daemon.run(daemon.asked(SENSOR)).success
    assert names(settings) == [{"name": "cellar"}]
    assert daemon.skipped(SENSOR) == "the devices are those seen last"


def test_a_change_while_a_run_is_queued_waits_and_is_not_lost(
    daemon: Daemon, settings: Settings, tmp_path: Path
) -> None:
    assert daemon.run(daemon.asked(SENSOR)).success
    write(tmp_path / "devices", "loft")
    run = daemon.queue(daemon.asked(SENSOR))
    assert daemon.skipped(SENSOR) == "the devices are those seen last"
    write(tmp_path / "devices", "cellar")
    for _ in range(2):
        assert f"run {run.run_id[:8]} of job refresh_devices is queued" in daemon.skipped(SENSOR)
    daemon.instance.delete_run(run.run_id)
    assert daemon.run(daemon.asked(SENSOR)).success
    assert names(settings) == [{"name": "cellar"}]


def test_a_run_that_failed_is_repeated_though_nothing_changed_since(
    daemon: Daemon, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = Path(settings.lake) / "devices"
    blocker.parent.mkdir()
    blocker.write_text("no table")
    assert not daemon.run(daemon.asked(SENSOR)).success
    assert "the devices changed, but the last run" in daemon.skipped(SENSOR)
    monkeypatch.setattr(history, "FIRST_WAIT", timedelta(0))
    blocker.unlink()
    assert daemon.run(daemon.asked(SENSOR)).success
    assert names(settings) == [{"name": "attic"}]
    assert daemon.skipped(SENSOR) == "the devices are those seen last"


def test_a_run_that_was_cancelled_has_not_stored_the_change(daemon: Daemon, settings: Settings) -> None:
    daemon.instance.report_run_canceled(daemon.queue(daemon.asked(SENSOR)))
    assert "the devices changed, but the last run" in daemon.skipped(SENSOR)


def test_another_lake_gets_the_devices_that_were_seen_for_the_one_before(
    daemon: Daemon, settings: Settings, tmp_path: Path
) -> None:
    daemon.run(daemon.asked(SENSOR))
    assert daemon.skipped(SENSOR) == "the devices are those seen last"
    moved = settings.model_copy(update={"lake": str(tmp_path / "other")})
    later = Daemon(moved, daemon.instance)
    later.cursors = daemon.cursors
    assert later.run(later.asked(SENSOR)).success
    assert names(moved) == [{"name": "attic"}]
    assert later.skipped(SENSOR) == "the devices are those seen last"


def test_a_router_without_devices_is_asked_for_once(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "devices" / "ace.device.json").write_text("")
    assert daemon.run(daemon.asked(SENSOR)).success
    assert daemon.skipped(SENSOR) == "the devices are those seen last"


def test_a_change_that_failed_is_repeated_by_the_other_job_if_the_setting_changed(
    daemon: Daemon, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.run(daemon.asked(SENSOR))
    write(tmp_path / "devices", "cellar")
    daemon.instance.report_run_failed(daemon.queue(daemon.asked(SENSOR)))
    monkeypatch.setattr(history, "FIRST_WAIT", timedelta(0))
    later = Daemon(settings.model_copy(update={"relabel_days": 1}), daemon.instance)
    later.cursors = daemon.cursors
    assert later.asked(SENSOR).job_name == "relabel"


def test_a_broken_cursor_costs_one_run_that_writes_nothing(daemon: Daemon, settings: Settings) -> None:
    daemon.run(daemon.asked(SENSOR))
    version = lake_of(settings).open("devices").version
    daemon.cursors[SENSOR] = '{"not": "ours'
    assert daemon.run(daemon.asked(SENSOR)).success
    assert daemon.skipped(SENSOR) == "the devices are those seen last"
    assert lake_of(settings).open("devices").version == version


@pytest.mark.usefixtures("impatient")
def test_a_source_that_is_away_is_named(topic: Topic, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    port = free_port()
    daemon = Daemon(settings_of(topic, tmp_path / "lake", mongo_url=f"mongodb://u:secret@127.0.0.1:{port}"), instance)
    for _ in range(2):
        reason = daemon.skipped(SENSOR)
        assert f"127.0.0.1:{port}" in reason
        assert "secret" not in reason
    assert instance.get_runs_count() == 0


def test_a_mongo_server_is_followed(mongo: Server, topic: Topic, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    url = f"mongodb://127.0.0.1:{mongo.port}"
    settings = settings_of(topic, tmp_path / "lake", mongo_url=url)
    daemon = Daemon(settings, instance)
    with pymongo.MongoClient(url) as client:
        client.drop_database("ace")
        devices = client["ace"]["device"]
        devices.insert_one({"mac": MAC, "name": "attic", "ip": "10.0.0.2", "model": "U7", "type": "uap"})
        assert daemon.run(daemon.asked(SENSOR)).success
        assert daemon.skipped(SENSOR) == "the devices are those seen last"
        devices.update_one({"mac": MAC}, {"$set": {"name": "cellar"}})
        assert daemon.run(daemon.asked(SENSOR)).success
        assert daemon.skipped(SENSOR) == "the devices are those seen last"
        devices.drop()
    assert names(settings) == [{"name": "cellar"}]


def frame(at: datetime) -> bytes:
    fields = {"wlan_fc_type_subtype": ["0x0004"], "wlan_sa": [MAC], "wlan_ssid": ["686f6d65"]}
    return json.dumps({"timestamp": str(int(at.timestamp() * 1000)), **fields}).encode()


def test_the_last_days_are_relabelled_if_the_user_wants_that(
    topic: Topic, settings: Settings, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    heard = [now - timedelta(days=days) for days in (0, 1, 2)]
    topic.publish(Message(b"", frame(at), int(at.timestamp() * 1000)) for at in heard)
    ingest(settings)
    write(tmp_path / "devices", "cellar")
    daemon = Daemon(settings.model_copy(update={"relabel_days": 2}), instance)
    request = daemon.asked(SENSOR)
    assert request.job_name == "relabel"
    result = daemon.run(request)
    assert result.success
    labelled = ask(lake_of(settings), "SELECT source_device_name AS name FROM probes_enriched ORDER BY event_time")
    assert [row["name"] for row in labelled] == ["attic", "cellar", "cellar"]
    sources = ask(lake_of(settings), "SELECT source, probes FROM probe_stats_by_source_device ORDER BY source")
    assert sources == [{"source": "attic", "probes": 1}, {"source": "cellar", "probes": 2}]
    days = {str(at.date()) for at in heard[:2]}
    told = {e.partition for e in result.get_asset_materialization_events() if e.asset_key.path == ["probes_enriched"]}
    assert told == days
    assert daemon.skipped(SENSOR) == "the devices are those seen last"


def test_without_a_source_there_is_no_sensor(topic: Topic, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    daemon = Daemon(settings_of(topic, tmp_path / "lake"), instance)
    assert SENSOR not in {sensor.name for sensor in daemon.defs.sensors or []}
