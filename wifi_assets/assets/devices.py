"""``devices`` and ``device_names``: the router's devices and users, and how their names changed, as assets."""

import time
from typing import Any

import dagster as dg

from wifi_assets.assets.external import COLLECTION_KEYS
from wifi_assets.assets.metadata import definition_metadata, done_metadata, said_plainly
from wifi_assets.lake import Lake
from wifi_assets.resources.devices import DeviceSource
from wifi_assets.router import store_devices
from wifi_assets.schemas import TABLES


class DevicesConfig(dg.Config):
    """What a user may ask of a run of ``devices``."""

    #: Believe a collection that held devices and is empty now.
    allow_empty: bool = False


def build(lake: Lake, source: DeviceSource | None) -> list[dg.AssetsDefinition]:
    """The two assets; without a source the tables stay as they are (empty at first)."""
    collections = [*COLLECTION_KEYS.values()] if source is not None else []

    def spec(name: str) -> dg.AssetSpec:
        return dg.AssetSpec(
            name,
            deps=collections if name == "devices" else ["devices"],
            group_name="devices",
            kinds={"python", "deltalake"},
            owners=["team:wifi_assets"],
            description=TABLES[name].description,
            metadata=definition_metadata(name, lake.uri(name)),
        )

    @dg.multi_asset(name="devices", specs=[spec("devices"), spec("device_names")])
    def devices(config: DevicesConfig) -> Any:
        """Read all devices; nothing is written if they are the same."""
        began = time.monotonic()
        with said_plainly():
            done = store_devices(lake, source, allow_empty=config.allow_empty)
        for name, step in done.items():
            yield dg.MaterializeResult(name, metadata=done_metadata(step, time.monotonic() - began, lake.open(name)))

    return [devices]
