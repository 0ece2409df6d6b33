"""The one partitions definition of the lake: days, UTC.

Here belong days as Dagster's partition keys. Not here: what a day's rows are.
"""

from datetime import date

import dagster as dg


def daily(first_day: date) -> dg.DailyPartitionsDefinition:
    """Days from ``first_day`` up to and including today (``end_offset=1``), UTC."""
    return dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), timezone="UTC", end_offset=1)


def days_of(context: dg.AssetExecutionContext) -> set[date]:
    """The days that a run was asked for; none for a run without a partition."""
    if not context.has_partition_key_range and not context.has_partition_key:
        return set()
    return {date.fromisoformat(key) for key in context.partition_keys}
