"""What others fill and the platform reads: the Kafka topic, the router's two collections.

External assets, so that the lineage begins where the data does. Nothing here is materialised; an observation
writes down what is there now. It is made with the checks, once an hour: the lag sensor looks each half minute, and
as many events would fill Dagster's history with what each run of the lake says anyway. Here belongs what an
observation tells. Not here: how topic and devices are read (``resources/``), and when a run is asked for
(``sensors/``): no asset waits for an observation.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from wifi_assets.assets.metadata import said_plainly
from wifi_assets.drain import TopicChangedError, pending
from wifi_assets.frames.devices import COLLECTIONS, ROW, content_hash
from wifi_assets.lake import Lake
from wifi_assets.resources.devices import DeviceSource
from wifi_assets.resources.kafka import KafkaTopic
from wifi_assets.settings import Settings

#: Collection -> its asset.
COLLECTION_KEYS = {name: dg.AssetKey(name.split(".")) for name in COLLECTIONS}


def topic_key(topic: str) -> dg.AssetKey:
    """The asset of a topic."""
    return dg.AssetKey(["kafka", topic])


def build(settings: Settings, lake: Lake, kafka: KafkaTopic, source: DeviceSource | None) -> list[dg.AssetsDefinition]:
    """The external assets; without a source of devices the topic alone."""
    topic = _topic(lake, kafka, settings.kafka_bootstrap)
    return [topic] if source is None else [topic, _collections(source, mongo=settings.mongo_url is not None)]


def external_keys(settings: Settings, source: DeviceSource | None) -> list[dg.AssetKey]:
    """The keys of what ``build`` gives."""
    return [topic_key(settings.kafka_topic), *(COLLECTION_KEYS.values() if source is not None else ())]


def _topic(lake: Lake, kafka: KafkaTopic, bootstrap: str) -> dg.AssetsDefinition:
    @dg.multi_observable_source_asset(
        name="observe_topic",
        specs=[
            dg.AssetSpec(
                topic_key(kafka.topic),
                group_name="raw",
                kinds={"kafka"},
                description="Decoded 802.11 frames as tshark's JSON, one a message.",
                metadata={"bootstrap": bootstrap, "topic": kafka.topic},
            )
        ],
    )
    def observe_topic() -> Iterator[dg.ObserveResult]:
        """Without a data version: the topic moves on all the time, and no day is out of date by that."""
        with said_plainly():
            waiting: list[int] | None = None
            metadata: dict[str, Any] = {}
            try:
                state, waiting = pending(lake, kafka)
            except TopicChangedError as error:
                state, metadata["problem"] = kafka.look(), str(error)
        lines = [
            {"partition": partition, "first offset kept": low, "high watermark": high, "kept": high - low}
            | ({"lag": waiting[partition]} if waiting is not None else {})
            for partition, (low, high) in enumerate(zip(state.low, state.high, strict=True))
        ]
        yield dg.ObserveResult(
            topic_key(kafka.topic),
            metadata=metadata
            | {
                "topic id": state.topic_id,
                "partitions": len(lines),
                "offsets kept": sum(state.high) - sum(state.low),
                "by partition": dg.MetadataValue.table([dg.TableRecord(line) for line in lines]),
            }
            | ({"lag": sum(waiting)} if waiting is not None else {}),
        )

    return observe_topic


def _collections(source: DeviceSource, *, mongo: bool) -> dg.AssetsDefinition:
    @dg.multi_observable_source_asset(
        name="observe_devices",
        specs=[
            dg.AssetSpec(
                key,
                group_name="devices",
                kinds={"mongodb"} if mongo else {"json"},
                description=f"The UniFi controller's collection {name}"
                + ("." if mongo else ", as mongoexport or mongodump wrote it."),
            )
            for name, key in COLLECTION_KEYS.items()
        ],
    )
    def observe_devices() -> Iterator[dg.ObserveResult]:
        """With a data version of what a row is made of: ``devices`` is out of date when it is another one."""
        with said_plainly():
            snapshot = source.read()
        for name, key in COLLECTION_KEYS.items():
            # "field: …" counts within documents.
            fates = {
                fate: count
                for (collection, fate), count in sorted(snapshot.fates.items())
                if collection == name and not fate.startswith("field: ")
            }
            newest = snapshot.newest.get(name)
            rows = snapshot.table.filter(pc.equal(snapshot.table["source"], name))
            yield dg.ObserveResult(
                key,
                metadata={
                    "documents": sum(fates.values()),
                    "devices": fates.pop(ROW, 0),
                    "source": "MongoDB server" if mongo else "files",
                    "where": snapshot.origin,
                    **({"newest change": dg.MetadataValue.timestamp(newest)} if newest is not None else {}),
                    **{f"left out: {fate}": count for fate, count in fates.items()},
                },
                data_version=dg.DataVersion(content_hash(rows)),
            )

    return observe_devices
