"""The frames by type: ``probes``, ``beacons``, ``rts``, ``cts``, ``acks``, ``nulls``."""

import dagster as dg

from wifi_assets.assets.following import following
from wifi_assets.lake import Lake

SPLITS = ("probes", "beacons", "rts", "cts", "acks", "nulls")


def build(lake: Lake, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One asset a frame type."""
    return [following(name, lake, "split", days) for name in SPLITS]
