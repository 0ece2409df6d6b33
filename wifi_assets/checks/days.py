"""What is amiss with single days: left failed by Dagster's runs, or not heard by the sniffer.

Here belongs what a user of a month looks for day by day. Not here: days whose rows differ between tables
(``tables.py``), and how far a table is behind (``signs.py``).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from wifi_assets.assets.metadata import days_metadata, said_plainly
from wifi_assets.engine import engine
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES

#: Days that are looked at for silence, back from the newest frame.
MONTH = timedelta(days=31)
#: Runs named one by one.
_LISTED = 20


def build(lake: Lake) -> list[dg.AssetChecksDefinition]:
    """The checks of days."""
    parted = [name for name, table in TABLES.items() if table.partitioned]

    @dg.multi_asset_check(
        name="days_left_failed",
        specs=[
            dg.AssetCheckSpec(
                "no_day_left_failed",
                asset=name,
                description="No day whose newest attempt failed and that was not materialised since.",
            )
            for name in parted
        ],
        can_subset=True,
    )
    def days_left_failed(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        for key in sorted(context.selected_asset_check_keys):
            yield _left_failed(key.asset_key, failed_days(context.instance, key.asset_key))

    @dg.asset_check(
        asset="frames",
        name="no_silent_hour",
        description=f"Some frame was heard in each hour of the newest {MONTH.days} days, from the first to the last.",
    )
    def no_silent_hour() -> dg.AssetCheckResult:
        with said_plainly():
            return _silence(heard(lake))

    return [days_left_failed, no_silent_hour]


def failed_days(instance: dg.DagsterInstance, asset: dg.AssetKey) -> dict[str, str]:
    """Day -> run that failed, where no later run has materialised the day.

    As the UI colours a day red, but of the events themselves and not of the cache that the UI fills. A run that
    a user cancelled left no failure; one whose process was killed did, as soon as Dagster's monitoring finds it.
    """
    tried = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(
        asset
    )
    runs = sorted({run for run, _ in tried.values()})
    failed = (
        set(instance.get_run_ids(dg.RunsFilter(run_ids=runs, statuses=[dg.DagsterRunStatus.FAILURE])))
        if runs
        else set()
    )
    return {day: run for day, (run, _) in sorted(tried.items()) if run in failed}


def _left_failed(asset: dg.AssetKey, failed: dict[str, str]) -> dg.AssetCheckResult:
    name, runs = asset.to_user_string(), list(dict.fromkeys(failed.values()))
    metadata: dict[str, Any] = {"days left failed": len(failed), "runs": len(runs)}
    told = ""
    if failed:
        newest = [*failed.items()][-_LISTED:]
        metadata["which"] = days_metadata({date.fromisoformat(day) for day in failed})
        metadata["run by day"] = dg.MetadataValue.table(
            [dg.TableRecord({"day": day, "run": run}) for day, run in newest]
        )
        metadata["newest run"] = dg.MetadataValue.dagster_run(newest[-1][1])
        told = (
            f"{len(failed)} days were left failed, e.g. {newest[-1][0]} by run {newest[-1][1][:8]}: look there for the "
            f"reason, then materialise the failed days of {name} (Materialize, Failed and missing, in the UI)"
        )
    return dg.AssetCheckResult(
        passed=not failed, asset_key=asset, check_name="no_day_left_failed", metadata=metadata, description=told
    )


def heard(lake: Lake) -> dict[datetime, int]:
    """Frames by hour of the newest ``MONTH``; hours without any are not there."""
    frames = lake.open("frames")
    newest = max(frames.days(), default=None)
    if newest is None:
        return {}
    days = {day for day in frames.days() if day > newest - MONTH}
    with engine() as run:
        run.view("frames", frames.rows(days=days))
        counted = run.query("SELECT date_trunc('hour', event_time) AS hour, count(*) AS n FROM frames GROUP BY hour")
    hours = [hour.astimezone(UTC) for hour in counted["hour"].to_pylist()]
    return dict(zip(hours, counted["n"].to_pylist(), strict=True))


def _silence(frames: dict[datetime, int]) -> dg.AssetCheckResult:
    by_day: dict[date, list[int]] = {}
    hour, last = min(frames, default=None), max(frames, default=None)
    while hour is not None and last is not None and hour <= last:
        day = by_day.setdefault(hour.date(), [0, 0, 0])
        count = frames.get(hour, 0)
        for place, more in enumerate((count, bool(count), not count)):
            day[place] += more
        hour += timedelta(hours=1)
    silent = {day: hours for day, (_, _, hours) in by_day.items() if hours}
    worst = max(silent, key=lambda day: silent[day], default=None)
    columns = ("frames", "hours heard", "silent hours")
    metadata: dict[str, Any] = {
        "days": len(by_day),
        "frames": sum(frames.values()),
        "hours heard": len(frames),
        "silent hours": sum(silent.values()),
        "days with silence": len(silent),
    }
    if by_day:
        metadata["by day"] = dg.MetadataValue.table(
            [
                dg.TableRecord({"day": str(day), **dict(zip(columns, numbers, strict=True))})
                for day, numbers in by_day.items()
            ]
        )
    return dg.AssetCheckResult(
        passed=not silent,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
        description=""
        if worst is None
        else f"nothing was heard in {sum(silent.values())} hours of {len(silent)} days, most on {worst} "
        f"({silent[worst]} hours): look at the capture; what a file still holds can be sent with wifi-assets capture",
    )
