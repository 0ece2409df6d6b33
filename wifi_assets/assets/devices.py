"""``devices``: the router's devices and users as an asset."""

import time

import dagster as dg

from wifi_assets.assets.metadata import definition_metadata, done_metadata, said_plainly
from wifi_assets.ingest import store_devices
from wifi_assets.lake import Lake
from wifi_assets.resources.devices import DeviceSource
from wifi_assets.schemas import TABLES


class DevicesConfig(dg.Config):
    """What a user may ask of a run of ``devices``."""

    #: Believe a collection that held devices and is empty now.
    allow_empty: bool = False


def build(lake: Lake, source: DeviceSource | None) -> list[dg.AssetsDefinition]:
    """The asset; without a source the table stays as it is (empty at first)."""

    @dg.asset(
        group_name="devices",
        kinds={"mongodb", "deltalake"},
        owners=["team:wifi_assets"],
        description=TABLES["devices"].description,
        metadata=definition_metadata("devices", lake.uri("devices")),
    )
    def devices(config: DevicesConfig) -> dg.MaterializeResult:
        began = time.monotonic()
        with said_plainly():
            done = store_devices(lake, source, allow_empty=config.allow_empty)
        held = lake.open("devices").rows().count_rows()
        return dg.MaterializeResult(
            metadata=done_metadata(done, time.monotonic() - began) | {"dagster/row_count": held}
        )

    return [devices]
