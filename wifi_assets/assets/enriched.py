"""``probes_enriched``: probe requests with the device behind them."""

import dagster as dg

from wifi_assets.assets.following import following
from wifi_assets.lake import Lake


def build(lake: Lake, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The asset; it also depends on ``devices``."""
    return [following("probes_enriched", lake, "enriched", days, "devices")]
