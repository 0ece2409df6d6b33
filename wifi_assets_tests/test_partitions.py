"""Days as Dagster's partition keys, against Dagster's own."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
from hypothesis import example, given
from hypothesis import strategies as st

from wifi_assets.partitions import daily


@given(
    first=st.dates(date(1999, 1, 1), date(2040, 1, 1)),
    since=st.timedeltas(timedelta(days=-3), timedelta(days=800)),
)
@example(first=date(2000, 1, 1), since=timedelta(microseconds=-1))
@example(first=date(2000, 1, 1), since=timedelta(0))
@example(first=date(2000, 1, 1), since=timedelta(days=60, microseconds=-1))
def test_the_keys_are_dagsters_own(first: date, since: timedelta) -> None:
    own = dg.DailyPartitionsDefinition(start_date=first.isoformat(), timezone="UTC", end_offset=1)
    now = datetime(first.year, first.month, first.day, tzinfo=UTC) + since
    keys = daily(first).get_partition_keys(now)
    assert keys == own.get_partition_keys(now)
    # As Dagster says it to whom it does not tell it.
    with dg.partition_loading_context(now):
        assert daily(first).get_partition_keys() == keys


def test_days_equal_dagsters_days_wherever_it_compares_them() -> None:
    own = dg.DailyPartitionsDefinition(start_date="2026-03-01", timezone="UTC", end_offset=1)
    assert daily(date(2026, 3, 1)) == own
    assert own == daily(date(2026, 3, 1))
    assert daily(date(2026, 3, 2)) != own
