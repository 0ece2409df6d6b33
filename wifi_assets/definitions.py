"""Only assembles: settings in, ``Definitions`` out.

Dagster finds ``defs`` here. No network is touched and no table opened at import.
"""

import warnings

import dagster as dg

from wifi_assets import checks, sensors
from wifi_assets.assets import aggregates, devices, enriched, external, raw, sinks, split
from wifi_assets.from_settings import devices_of, lake_of, rules_of, topic_of
from wifi_assets.jobs import (
    checks_job,
    devices_job,
    lake_job,
    maintenance_job,
    purge_job,
    relabel_job,
    schedules,
    sink_jobs,
)
from wifi_assets.partitions import daily
from wifi_assets.settings import Settings


def build_defs(settings: Settings) -> dg.Definitions:
    """The platform for these settings; a sink without its URL is not in it."""
    with warnings.catch_warnings():
        # backfill_policy, pools and sources that observe several assets are in beta in Dagster 1.13 and used
        # knowingly: one run drains many days. A filter for the whole process would not hold where the caller has
        # its own, as pytest has.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _assembled(settings)


def _assembled(settings: Settings) -> dg.Definitions:
    lake, kafka = lake_of(settings), topic_of(settings)
    source, targets = devices_of(settings), sinks.targets(settings)
    days = daily(settings.first_day)
    by_clock = (
        checks_job(external.external_keys(settings, source)),
        maintenance_job(lake, settings.keep),
        purge_job(settings.keep_runs_days),
    )
    return dg.Definitions(
        assets=[
            *external.build(settings, lake, kafka, source),
            raw.build(lake, kafka, rules_of(settings), settings.batch, source, days),
            *split.build(lake, days),
            *devices.build(lake, source),
            *enriched.build(lake, days),
            *aggregates.build(lake, days),
            *sinks.build(lake, settings),
        ],
        asset_checks=checks.build(lake, kafka, settings, targets),
        jobs=[
            lake_job(),
            devices_job(),
            relabel_job(),
            *sink_jobs(list(targets)),
            *by_clock,
        ],
        schedules=schedules(*by_clock, on=settings.sensors_on),
        sensors=sensors.build(settings, lake, kafka, source, list(targets)),
        # Runs that automation or the UI asks for: a process for each step would cost more than the step.
        executor=dg.in_process_executor,
    )


defs = build_defs(Settings())
