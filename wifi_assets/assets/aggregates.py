"""What is counted over frames and probe requests."""

import dagster as dg

from wifi_assets.assets.following import following
from wifi_assets.lake import Lake

AGGREGATES = (
    "packet_stats",
    "session_fragments",
    "oui_fingerprint_sessions",
    "devices_estimated",
    "probe_stats_by_source_day",
    "probe_stats_by_source_device",
    "networks_looked_for_day",
    "networks_looked_for",
)


def build(lake: Lake, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """One asset an aggregate."""
    return [following(name, lake, "aggregates", days) for name in AGGREGATES]
