"""The asset checks: what must hold between topic, tables and targets, each with its numbers.

One module a kind: the account of the messages (``account.py``), tables against each other and against
``schemas.py`` (``tables.py``), the targets against the lake (``targets.py``), single days (``days.py``), what only
warns (``signs.py``).
"""

from collections.abc import Callable, Mapping

import dagster as dg

from wifi_assets.assets.sinks import Sink
from wifi_assets.checks import account, days, signs, tables, targets
from wifi_assets.lake import Lake
from wifi_assets.resources.kafka import KafkaTopic
from wifi_assets.settings import Settings

#: The checks that each run of the lake makes. They are cheap: they read the new files of ``frames`` and
#: ``quarantine``, Delta's log, and ``packet_stats``, which has one row for each day and subtype.
EVERY_RUN = (account.KEY, tables.SUMS)


def build(
    lake: Lake, kafka: KafkaTopic, settings: Settings, sinks: Mapping[str, Callable[[], Sink]]
) -> list[dg.AssetChecksDefinition]:
    """All checks for these settings."""
    return [
        *account.build(lake, kafka),
        *tables.build(lake),
        *targets.build(lake, sinks, settings.stalled_minutes),
        *days.build(lake),
        *signs.build(lake, settings.quarantine_share, settings.stalled_minutes),
    ]
