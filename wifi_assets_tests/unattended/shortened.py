"""The platform's definitions with shortened clocks: what takes minutes by default takes seconds.

Here belongs only that: how often is looked, how long is waited, and that nothing begins at a time of the day. Dagster
loads this module in the place of ``wifi_assets.definitions``.
"""

from datetime import timedelta

import dagster as dg

from wifi_assets import jobs
from wifi_assets.assets import sinks
from wifi_assets.resources import kafka, mongo, neo4j_server
from wifi_assets.sensors import alarms, devices, history

alarms.INTERVAL = 2
devices.INTERVAL = 2
history.FIRST_WAIT = timedelta(seconds=2)
history.LONGEST_WAIT = timedelta(seconds=5)
# Cron knows nothing shorter.
sinks.RETRY_CRON = "* * * * *"
kafka.ANSWER_SECONDS = 2
mongo._PATIENCE["serverSelectionTimeoutMS"] = 2000
neo4j_server.RETRY_SECONDS = 2.0


def _no_schedules(*args: object, **kwargs: object) -> list[dg.ScheduleDefinition]:
    return []


# Checks fail in an outage until their next hour, and maintenance makes versions that no run asked for.
jobs.schedules = _no_schedules

from wifi_assets.definitions import defs  # noqa: E402

__all__ = ["defs"]
