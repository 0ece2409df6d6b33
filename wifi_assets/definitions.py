"""Only assembles: settings in, ``Definitions`` out.

Dagster finds ``defs`` here. No network is touched and no table opened at import.
"""

import dagster as dg

from wifi_assets.assets import aggregates, devices, enriched, raw, sinks, split
from wifi_assets.ingest import devices_of, lake_of, rules_of, topic_of
from wifi_assets.jobs import devices_job, lake_job, maintenance_job, sink_jobs
from wifi_assets.partitions import daily
from wifi_assets.settings import Settings


def build_defs(settings: Settings) -> dg.Definitions:
    """The platform for these settings; a sink without its URL is not in it."""
    lake, kafka = lake_of(settings), topic_of(settings)
    days = daily(settings.first_day)
    return dg.Definitions(
        assets=[
            raw.topic_spec(settings),
            raw.build(lake, kafka, rules_of(settings), settings.batch, days),
            *split.build(lake, days),
            *devices.build(lake, devices_of(settings)),
            *enriched.build(lake, days),
            *aggregates.build(lake, days),
            *sinks.build(lake, settings),
        ],
        jobs=[
            lake_job(days),
            devices_job(),
            *sink_jobs(list(sinks.targets(settings))),
            maintenance_job(lake, settings.keep_days),
        ],
    )


defs = build_defs(Settings())
