"""The external assets: what a run of the checks writes down of the topic and of the collections."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from wifi_assets.assets.external import COLLECTION_KEYS, topic_key
from wifi_assets.definitions import build_defs
from wifi_assets.demo.publish import Topic
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import QUIET
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import household, ingested, make_again, settings_of, topic_with

DEVICE, USER = COLLECTION_KEYS.values()
MESSAGES = household(3).messages[:100]


@pytest.fixture
def topic(kafka: Server) -> Topic:
    return topic_with(kafka, MESSAGES, partitions=2)


@pytest.fixture
def settings(topic: Topic, tmp_path: Path) -> Settings:
    return settings_of(topic, tmp_path / "lake", devices_path=household(3).devices(tmp_path))


def observed(settings: Settings, *keys: dg.AssetKey) -> dict[dg.AssetKey, dg.AssetObservation]:
    """The observations of a run of these assets."""
    defs = build_defs(settings)
    job = dg.define_asset_job("observe", dg.AssetSelection.assets(*keys)).resolve(
        asset_graph=defs.resolve_asset_graph()
    )
    done = job.execute_in_process(run_config=QUIET)
    found = [event.asset_observation_data.asset_observation for event in done.get_asset_observation_events()]
    assert len(found) == len(keys)
    return {observation.asset_key: observation for observation in found}


def told(observation: dg.AssetObservation) -> dict[str, Any]:
    return {name: value.value for name, value in observation.metadata.items()}


def test_the_lineage_begins_where_the_data_does(settings: Settings) -> None:
    graph = build_defs(settings).resolve_asset_graph()
    topic = topic_key(settings.kafka_topic)
    assert graph.external_asset_keys == {topic, DEVICE, USER}
    assert graph.get(dg.AssetKey("frames")).parent_keys == {topic}
    assert graph.get(dg.AssetKey("devices")).parent_keys == {DEVICE, USER}
    without = build_defs(settings.model_copy(update={"devices_path": None})).resolve_asset_graph()
    assert without.external_asset_keys == {topic}
    assert without.get(dg.AssetKey("devices")).parent_keys == set()


def test_the_topic_is_observed_with_watermarks_and_lag(settings: Settings, topic: Topic) -> None:
    key = topic_key(topic.name)
    before = told(observed(settings, key)[key])
    assert (before["partitions"], before["offsets kept"], before["lag"]) == (2, 100, 100)
    ingested(settings)
    topic.publish(MESSAGES[:7])
    client = AdminClient({"bootstrap.servers": topic.bootstrap})
    for done in client.delete_records([TopicPartition(topic.name, 1, 3)]).values():
        done.result(30)
    found = observed(settings, key)[key]
    after, lines = told(found), [line.data for line in found.metadata["by partition"].records]
    assert [line["first offset kept"] for line in lines] == [0, 3]
    assert sum(line["high watermark"] for line in lines) == 107
    assert (after["offsets kept"], after["lag"], sum(line["lag"] for line in lines)) == (104, 7, 7)
    assert after["topic id"] == before["topic id"]


def test_a_topic_made_anew_has_no_lag_but_a_problem(settings: Settings, topic: Topic) -> None:
    key = topic_key(topic.name)
    ingested(settings)
    make_again(topic, 2)
    found = told(observed(settings, key)[key])
    assert "was deleted and made again" in found["problem"]
    assert "lag" not in found


def test_the_collections_are_observed_with_their_documents(settings: Settings, tmp_path: Path) -> None:
    first = observed(settings, DEVICE, USER)
    said = {key: told(observation) for key, observation in first.items()}
    for one in said.values():
        left_out = sum(count for name, count in one.items() if name.startswith("left out: "))
        assert one["devices"] + left_out == one["documents"]
        assert one["devices"] > 0
        assert one["source"] == "files"
    # The simulated router wrote its newest documents at the end of the three hours.
    last_seen = household(3).last_seen
    assert [said[key]["newest change"] for key in (DEVICE, USER)] == [last_seen, last_seen]
    lines = (tmp_path / "ace.user.json").read_text().splitlines()
    renamed = [json.loads(line) for line in lines]
    renamed[0]["name"] = "another"
    (tmp_path / "ace.user.json").write_text("\n".join(map(json.dumps, renamed)))
    second = observed(settings, DEVICE, USER)
    assert second[DEVICE].data_version == first[DEVICE].data_version
    assert second[USER].data_version != first[USER].data_version


def test_the_checks_observe_and_nothing_else_does(settings: Settings) -> None:
    defs = build_defs(settings.model_copy(update={"sensors_on": True}))
    external = defs.resolve_asset_graph().external_asset_keys
    for name in ("checks", "lake", "refresh_devices", "relabel"):
        keys = defs.resolve_job_def(name).asset_layer.selected_asset_keys & external
        assert keys == (external if name == "checks" else set())
    assert all(defs.resolve_asset_graph().get(key).automation_condition is None for key in external)


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_is_away_is_said_in_one_sentence(settings: Settings) -> None:
    away = settings.model_copy(update={"kafka_bootstrap": f"127.0.0.1:{free_port()}"})
    with pytest.raises(dg.Failure, match=f"^[^\n]*{away.kafka_bootstrap}[^\n]*$"):
        observed(away, topic_key(settings.kafka_topic))
