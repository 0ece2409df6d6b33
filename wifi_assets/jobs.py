"""The jobs: the lake in one process, the sinks of each target, checks, maintenance; and those that the clock starts.

Here belongs what is run together. Not here: what is started by something that happened (``sensors/``).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import PRIORITY_TAG

from wifi_assets.assets.sinks import PATIENT, SINKS
from wifi_assets.checks import EVERY_RUN
from wifi_assets.lake import Lake, OvertakenError
from wifi_assets.launcher import NICE
from wifi_assets.schemas import TABLES
from wifi_assets.steps import drop_before, repeat_when_overtaken
from wifi_assets.unreadable import UNREADABLE, unreadable

#: What the clock starts gives way to what somebody waits for. The checks alone took 5 CPU s an hour: among 20 ticks
#: with them beside, the lake was fresh after 7.1 s at worst, among 18 without after 5.5, on two cores (*measured*).
_BACKGROUND = {NICE: "10", PRIORITY_TAG: "-1"}


def lake_job() -> UnresolvedAssetJobDefinition:
    """All lake tables in one process: a process for each step would cost more than the steps (*measured*)."""
    return dg.define_asset_job(
        "lake",
        selection=dg.AssetSelection.assets(
            *(name for name, table in TABLES.items() if table.partitioned or table.upstream)
        ).without_checks()
        | dg.AssetSelection.checks(*EVERY_RUN),
        executor_def=dg.in_process_executor,
        description="Drain the topic and bring every table up to date.",
    )


def devices_job() -> UnresolvedAssetJobDefinition:
    """The devices alone: they have no day, and change when the router says so."""
    return dg.define_asset_job(
        "refresh_devices",
        selection=dg.AssetSelection.assets("devices", "device_names").without_checks(),
        executor_def=dg.in_process_executor,
        description="Read the router's devices and users.",
    )


def relabel_job() -> UnresolvedAssetJobDefinition:
    """The devices, then the run's days of all that carries their names."""
    named = ["probes_enriched"]
    for name, table in TABLES.items():
        if table.upstream in named:
            named.append(name)
    return dg.define_asset_job(
        "relabel",
        selection=dg.AssetSelection.assets("devices", "device_names", *named).without_checks(),
        executor_def=dg.in_process_executor,
        description="Read the router's devices and users, and give the probe requests of these days the new names.",
    )


def checks_job(external: list[dg.AssetKey]) -> UnresolvedAssetJobDefinition:
    """All checks, those too that read whole tables or ask the targets; and a look at what others fill."""
    return dg.define_asset_job(
        "checks",
        selection=dg.AssetSelection.all_asset_checks() | dg.AssetSelection.assets(*external).without_checks(),
        tags=_BACKGROUND,
        executor_def=dg.in_process_executor,
        description="Check everything (the account of the messages, tables against each other, targets, clocks) and "
        "observe topic and collections.",
    )


def schedules(
    checks: UnresolvedAssetJobDefinition, maintenance: dg.JobDefinition, purge_history: dg.JobDefinition, *, on: bool
) -> list[dg.ScheduleDefinition]:
    """What the clock starts, UTC: checks once an hour, since they read all of frames; the others once a night.

    The history is purged after the lake's maintenance, so that the two do not slow each other and the runs of
    both are past when a house wakes up.
    """
    status = dg.DefaultScheduleStatus.RUNNING if on else dg.DefaultScheduleStatus.STOPPED
    return [
        dg.ScheduleDefinition(
            name=name,
            job=job,
            cron_schedule=cron,
            execution_timezone="UTC",
            default_status=status,
            description=job.description,
        )
        for name, job, cron in (
            ("checks_schedule", checks, "23 * * * *"),
            ("maintenance_schedule", maintenance, "41 2 * * *"),
            ("purge_history_schedule", purge_history, "41 3 * * *"),
        )
    ]


def sink_jobs(targets: list[str]) -> list[UnresolvedAssetJobDefinition]:
    """One job a target, so that a target that is down stops nothing else."""
    return [
        dg.define_asset_job(
            f"sink_{target}",
            selection=dg.AssetSelection.assets(*SINKS[target]).without_checks(),
            executor_def=dg.in_process_executor,
            tags=PATIENT,
            description=f"Keep {target} in step with the lake.",
        )
        for target in targets
    ]


def maintenance_job(lake: Lake, keep: Mapping[str, int]) -> dg.JobDefinition:
    """Vacuum, drop days beyond their table's retention, compact.

    Args:
        lake: Which.
        keep: Table -> days before today that it keeps; tables that are not in it keep all.
    """

    @dg.op(description="Delete files nobody needs, drop days that WIFI_KEEP does not keep, merge small files.")
    def maintain(context: dg.OpExecutionContext) -> None:
        problems = []

        def vacuum(name: str) -> None:
            context.log.info(f"{name}: {lake.vacuum(name)} files removed")

        def shrink(name: str) -> None:
            if name in keep:
                gone = drop_before(lake, name, datetime.now(UTC).date() - timedelta(days=keep[name]))
                context.log.info(f"{name}: {len(gone)} days dropped")
            merged = repeat_when_overtaken(partial(lake.compact, name, at_least=2))
            context.log.info(f"{name}: {merged} files merged")

        # Room first, everywhere: to merge files takes some, and the disk may be nearly full.
        for step in (vacuum, shrink):
            for name in filter(lake.exists, TABLES):
                # What one table suffers from is no reason to let the others grow.
                try:
                    step(name)
                except OvertakenError as error:
                    problems.append(f"{step.__name__} {name}: {error}")
                except UNREADABLE as error:
                    problems.append(f"{step.__name__} {name}: {unreadable(lake, error, 'maintained')}")
        if problems:
            raise dg.Failure("; ".join(problems))

    @dg.job(
        name="maintenance",
        executor_def=dg.in_process_executor,
        tags=_BACKGROUND,
        description="Compact and vacuum the lake.",
    )
    def maintenance() -> None:
        maintain()

    return maintenance


def purge_job(keep_days: int) -> dg.JobDefinition:
    """Delete what Dagster itself remembers and nobody needs."""

    @dg.op(description="Delete runs, events, checks and evaluations that are older than WIFI_KEEP_RUNS_DAYS.")
    def purge_old(context: dg.OpExecutionContext) -> None:
        # Once a day; the processes of all other runs start without it.
        from wifi_assets.purge import purge

        done = purge(context.instance, datetime.now(UTC) - timedelta(days=keep_days), context.log.info)
        context.log.info(
            f"{done.runs:,} runs deleted, {done.needed:,} older ones are needed; {done.checks:,} check results, "
            f"{done.evaluations:,} evaluations, {done.backfills:,} backfills deleted; {done.freed:,} bytes freed"
        )

    @dg.job(
        name="purge_history",
        executor_def=dg.in_process_executor,
        tags=_BACKGROUND,
        description="Delete Dagster's old runs and events, and keep those from which it tells which days are green.",
    )
    def purge_history() -> None:
        purge_old()

    return purge_history
