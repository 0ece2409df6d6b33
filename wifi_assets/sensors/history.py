"""What Dagster's history of runs says to a sensor that is about to ask for another one.

Here belongs only that. Not here: what a sensor looks at.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.tags import SENSOR_NAME_TAG

#: Wait after the first failed run; each further one doubles it.
FIRST_WAIT = timedelta(seconds=30)
#: The longest wait: what is away for an hour or a night is found again within this time. Well below the minutes after
#: which ingest counts as stalled: a run of the lake drains, and may fail in a table behind.
LONGEST_WAIT = timedelta(minutes=5)

#: Runs looked at. From the fifth failed one on the wait is the longest, and backfills lie between them.
_LOOK_BACK = 25
#: Dagster's tag of the first day of a run over several.
_FIRST_DAY = "dagster/asset_partition_range_start"


def hold_back(instance: dg.DagsterInstance, jobs: Sequence[str], now: datetime) -> str | None:
    """Why no run of these jobs may be asked for now; None if one may.

    A run is under way, or the last ones failed: then the wait is ``FIRST_WAIT``, doubled with each failed run
    since the last good one, at most ``LONGEST_WAIT``. Runs of a backfill count for neither: it may take hours.
    """
    unfinished = _runs(instance, jobs, NOT_FINISHED_STATUSES)
    if unfinished:
        run = unfinished[0].dagster_run
        return f"run {run.run_id[:8]} of job {run.job_name} is {run.status.value.lower()}"
    failed = _failed(instance, jobs)
    if not failed:
        return None
    ended = datetime.fromtimestamp(failed[0].end_time or failed[0].update_timestamp.timestamp(), UTC)
    wait = min(FIRST_WAIT * 2 ** (len(failed) - 1), LONGEST_WAIT)
    if now >= ended + wait:
        return None
    last = failed[0].dagster_run
    count = f"at least {len(failed)}" if len(failed) == _LOOK_BACK else str(len(failed))
    return (
        f"the last run {last.run_id[:8]} of job {last.job_name} ended as {last.status.value.lower()} "
        f"({count} in a row): next try at {ended + wait:%H:%M:%S} UTC, {wait.total_seconds():.0f} s after it"
    )


def failed_days(instance: dg.DagsterInstance, jobs: Sequence[str]) -> set[date]:
    """The first days of those runs of these jobs that a sensor asked for and that failed since the last good one.

    What a user asked for is not among them: such a run may compute days anew, which no sensor's run makes up for.
    """
    tags = [record.dagster_run.tags for record in _failed(instance, jobs)]
    return {date.fromisoformat(run[_FIRST_DAY]) for run in tags if _FIRST_DAY in run and SENSOR_NAME_TAG in run}


def under_way(instance: dg.DagsterInstance) -> str | None:
    """What waits or works, whoever asked for it; None if nothing does."""
    runs = instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES), limit=1)
    return f"run {runs[0].run_id[:8]} of job {runs[0].job_name} is {runs[0].status.value.lower()}" if runs else None


def newest_days(days: int, first_day: date, now: datetime) -> dict[str, str]:
    """Tags that make a run one over the last ``days`` days up to and with today, none before the first day."""
    today = now.date()
    first = max(today - timedelta(days=days - 1), first_day)
    return {
        _FIRST_DAY: first.isoformat(),
        "dagster/asset_partition_range_end": today.isoformat(),
    }


def _failed(instance: dg.DagsterInstance, jobs: Sequence[str]) -> list[dg.RunRecord]:
    """Runs that ended otherwise than well since the last one that did, newest first."""
    finished = _runs(instance, jobs, FINISHED_STATUSES)
    return list(takewhile(lambda record: record.dagster_run.status != dg.DagsterRunStatus.SUCCESS, finished))


def _runs(instance: dg.DagsterInstance, jobs: Sequence[str], statuses: list[dg.DagsterRunStatus]) -> list[dg.RunRecord]:
    """Runs of these jobs in these states that are no backfill's, newest first."""
    found = [
        record
        for job in jobs
        for record in instance.get_run_records(dg.RunsFilter(job_name=job, statuses=statuses), limit=_LOOK_BACK)
        if "dagster/backfill" not in record.dagster_run.tags
    ]
    return sorted(found, key=lambda record: record.storage_id, reverse=True)
