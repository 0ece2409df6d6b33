"""The devices as an asset: from a real server by MongoDB's protocol, and from files; the table follows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from wifi_assets.demo.household import documents
from wifi_assets.from_settings import lake_of
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import failure, materialise, metadata
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import ask, household

DOORBELL = "24:0a:c4:d0:0b:e1"


@pytest.fixture
def ace(mongo: Server) -> Iterator[Any]:
    """The controller's database with the household in it."""
    with MongoClient("127.0.0.1", mongo.port, directConnection=True) as client:
        client.drop_database("ace")
        for collection, found in documents(household().last_seen).items():
            client.ace[collection.removeprefix("ace.")].insert_many(
                [{name: value for name, value in one.items() if name != "_id"} for one in found]
            )
        yield client.ace


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


@pytest.fixture
def settings(mongo: Server, tmp_path: Path) -> Settings:
    url = SecretStr(f"mongodb://127.0.0.1:{mongo.port}/?serverSelectionTimeoutMS=2000")
    return Settings(_env_file=None, lake=str(tmp_path / "lake"), mongo_url=url)


def devices(settings: Settings) -> list[dict[str, Any]]:
    return ask(lake_of(settings), "SELECT * FROM devices ORDER BY mac")


def history(settings: Settings) -> list[tuple[Any, ...]]:
    rows = ask(lake_of(settings), 'SELECT * FROM device_names ORDER BY "at", mac')
    return [(row["mac"], row["event"], row["old_name"], row["new_name"]) for row in rows]


def test_the_table_follows_the_server(ace: Any, settings: Settings, instance: dg.DagsterInstance) -> None:
    first = materialise(settings, "devices", instance)
    expected = household().truth["devices"]
    assert devices(settings) == expected
    assert metadata(first, "devices")["dagster/row_count"] == len(expected)
    assert {event for _, event, _, _ in history(settings)} == {"appeared"}
    assert metadata(first, "device_names")["dagster/row_count"] == len(expected)

    # What no row holds changes all the time, and is no news.
    ace.user.update_many({}, {"$inc": {"last_seen": 60}})
    version = lake_of(settings).open("devices").version
    again = materialise(settings, "devices", instance)
    assert metadata(again, "devices")["rows written"] == 0
    assert lake_of(settings).open("devices").version == version

    ace.user.update_one({"mac": DOORBELL}, {"$set": {"name": "Klingel"}})
    ace.device.delete_one({"name": "Cellar switch"})
    ace.user.insert_one({"mac": "02:00:00:00:00:FF", "oui": "Apple", "is_guest": True})
    materialise(settings, "devices", instance)
    names = {row["mac"]: row["name"] for row in devices(settings)}
    before = {row["mac"]: row["name"] for row in expected}
    assert names == {mac: name for mac, name in before.items() if name != "Cellar switch"} | {
        DOORBELL: "Klingel",
        "02:00:00:00:00:ff": "guest_Apple",
    }
    assert sorted(history(settings)[len(expected) :]) == [
        ("02:00:00:00:00:ff", "appeared", None, "guest_Apple"),
        (DOORBELL, "renamed", "Doorbell", "Klingel"),
        ("24:5a:4c:00:07:0a", "vanished", "Cellar switch", None),
    ]


def test_the_history_goes_on_when_the_old_version_of_the_table_is_gone(
    ace: Any, settings: Settings, instance: dg.DagsterInstance
) -> None:
    ace.device.delete_one({"name": "Cellar switch"})
    materialise(settings, "devices", instance)
    appeared = history(settings)
    seen = lake_of(settings).open("devices").version
    for _ in range(2):
        # As maintenance does it, without the days that it lets pass.
        table = lake_of(settings).open("devices").delta
        table.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 seconds"})
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        table.create_checkpoint()
        table.cleanup_metadata()
    assert lake_of(settings).at("devices", seen) is None
    ace.user.update_one({"mac": DOORBELL}, {"$set": {"name": "Klingel"}})
    materialise(settings, "devices", instance)
    assert history(settings)[len(appeared) :] == [(DOORBELL, "renamed", "Doorbell", "Klingel")]


@pytest.mark.parametrize("collection", ["device", "user"])
def test_an_emptied_collection_is_refused_unless_told_so(
    ace: Any, settings: Settings, instance: dg.DagsterInstance, collection: str
) -> None:
    materialise(settings, "devices", instance)
    held, told = devices(settings), history(settings)
    ace[collection].delete_many({})
    sentence = failure(materialise(settings, "devices", instance))
    assert f"ace.{collection} of MongoDB at 127.0.0.1:" in sentence
    assert "nothing was replaced" in sentence
    assert "allow_empty: true" in sentence
    assert (devices(settings), history(settings)) == (held, told)
    assert metadata(materialise(settings, "devices", instance, allow_empty=True), "devices")["rows written"] > 0
    left = [row for row in held if row["source"] != f"ace.{collection}"]
    assert devices(settings) == left
    assert {event for _, event, _, _ in history(settings)[len(told) :]} == {"vanished"}
    # Believed once, it is what the table holds.
    assert metadata(materialise(settings, "devices", instance), "devices")["rows written"] == 0


def test_both_collections_emptied(ace: Any, settings: Settings, instance: dg.DagsterInstance) -> None:
    materialise(settings, "devices", instance)
    ace.client.drop_database("ace")
    assert "ace.device of MongoDB" in failure(materialise(settings, "devices", instance))
    run = materialise(settings, "devices", instance, allow_empty=True)
    assert metadata(run, "devices")["dagster/row_count"] == 0
    assert devices(settings) == []


def test_a_server_away_is_one_sentence_and_changes_nothing(
    ace: Any, settings: Settings, instance: dg.DagsterInstance
) -> None:
    materialise(settings, "devices", instance)
    held, port = devices(settings), free_port()
    url = SecretStr(f"mongodb://127.0.0.1:{port}/?serverSelectionTimeoutMS=500")
    away = settings.model_copy(update={"mongo_url": url})
    assert f"MongoDB at 127.0.0.1:{port} (WIFI_MONGO_URL) gave no usable answer" in failure(
        materialise(away, "devices", instance)
    )
    assert devices(settings) == held


def test_files_and_the_server_give_the_same_table(
    ace: Any, settings: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    from_files = settings.model_copy(
        update={
            "mongo_url": None,
            "devices_path": household().devices(tmp_path / "export"),
            "lake": str(tmp_path / "other"),
        }
    )
    for each in (settings, from_files):
        assert materialise(each, "devices", instance).success
    assert devices(from_files) == devices(settings) == household().truth["devices"]


def test_without_a_source_the_tables_are_empty(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, lake=str(tmp_path / "lake"))
    run = materialise(settings, "devices", instance)
    assert metadata(run, "devices")["dagster/row_count"] == metadata(run, "device_names")["dagster/row_count"] == 0
