"""What of Dagster's own history may go: runs, their events and output, checks, evaluations, backfills.

Dagster keeps all of it for ever and offers to delete one run with its events. From these events it derives which
day is green, which one failed and what automation has seen, so the newest of them must stay. Here belongs that
rule. Not here: ticks, which Dagster purges by dagster.yaml; the lake's files (``lake.py``); when it happens
(``jobs.py``).
"""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import dagster as dg
import msgspec
import sqlalchemy as sa
from dagster._core.events import ASSET_EVENTS
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.schema import BackfillTagsTable, BulkActionsTable, RunsTable
from dagster._core.storage.schedules import SqlScheduleStorage
from dagster._core.storage.schedules.schema import AssetDaemonAssetEvaluationsTable

#: Rows of one delete: some milliseconds.
_BATCH = 1_000
#: Runs between two words of progress.
_TOLD_EVERY = 1_000

Connect = Callable[[], AbstractContextManager[Any]]


class Purged(msgspec.Struct):
    """What went, and what had to stay.

    Attributes:
        runs: Runs deleted, with their events and output.
        needed: Runs as old that stay, since what Dagster shows today rests on them.
        checks: Evaluations of asset checks.
        evaluations: Evaluations of automation conditions.
        backfills: Backfills.
        freed: Bytes given back to the disk; SQLite alone, Postgres uses its free pages again.
    """

    runs: int = 0
    needed: int = 0
    checks: int = 0
    evaluations: int = 0
    backfills: int = 0
    freed: int = 0


def purge(
    instance: dg.DagsterInstance, before: datetime, progress: Callable[[str], None] = lambda text: None
) -> Purged:
    """Delete what is older than a moment and that nothing rests on.

    Only runs that ended go, one by one and the events before the run, so that a purge that is cut off is
    completed by the next. No lock is held for longer than one run's rows or ``_BATCH`` rows take.

    Args:
        instance: Whose history.
        before: What was last changed before this moment is old; aware.
        progress: Told now and then how far it is.
    """
    events, runs = cast("SqlEventLogStorage", instance.event_log_storage), cast("SqlRunStorage", instance.run_storage)
    done = Purged()
    checks = _newest_checks(events)
    needed = _runs_needed(instance, events, runs) | set(checks.values())
    old = instance.get_run_ids(dg.RunsFilter(statuses=FINISHED_STATUSES, updated_before=before))
    goes = [run_id for run_id in reversed(old) if run_id not in needed]
    done.needed = len(old) - len(goes)
    for run_id in goes:
        events.delete_events(run_id)
        if isinstance(events, SqliteEventLogStorage):
            _unlink(Path(events.path_for_shard(run_id)))
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        runs.delete_run(run_id)
        done.runs += 1
        if done.runs % _TOLD_EVERY == 0:
            progress(f"{done.runs:,} of {len(goes):,} runs deleted")
    executions = AssetCheckExecutionsTable.c
    naive = before.replace(tzinfo=None)
    done.checks = _delete(
        events.index_connection,
        AssetCheckExecutionsTable,
        sa.and_(executions.evaluation_event_timestamp < naive, executions.id.not_in(checks)),
    )
    ended = BulkActionsFilter(statuses=BULK_ACTION_TERMINAL_STATUSES, created_before=before)
    for backfill in instance.get_backfills(ended):
        with runs.connect() as connection:
            for column in (BackfillTagsTable.c.backfill_id, BulkActionsTable.c.key):
                connection.execute(sa.delete(column.table).where(column == backfill.backfill_id))
        done.backfills += 1
    stores: list[Connect] = [events.index_connection, runs.connect]
    if instance.schedule_storage is not None:
        schedules = cast("SqlScheduleStorage", instance.schedule_storage)
        evaluations = AssetDaemonAssetEvaluationsTable
        done.evaluations = _delete(schedules.connect, evaluations, evaluations.c.create_timestamp < naive)
        stores.append(schedules.connect)
    done.freed = sum(_vacuum(store) for store in stores)
    return done


def _newest_checks(events: SqlEventLogStorage) -> dict[int, str]:
    """Id and run of the newest evaluation of each check, by outcome: what it says now, and what it built on."""
    table = AssetCheckExecutionsTable.c
    newest = sa.select(sa.func.max(table.id)).group_by(
        table.asset_key, table.check_name, table.partition, table.execution_status
    )
    with events.index_connection() as connection:
        rows = connection.execute(sa.select(table.id, table.run_id).where(table.id.in_(newest)))
        return {row.id: row.run_id for row in rows}


def _runs_needed(instance: dg.DagsterInstance, events: SqlEventLogStorage, runs: SqlRunStorage) -> set[str]:
    """The runs on which rests what Dagster shows, and what it asks for next.

    Of each asset's partition the newest event of each kind: that it was materialised makes it green, that it was
    planned and the run failed makes it red. And of each job the newest run, which the sensors look at.
    """
    event, run = SqlEventLogStorageTable.c, RunsTable.c
    newest = (
        sa.select(sa.func.max(event.id))
        .where(event.asset_key.is_not(None), event.dagster_event_type.in_([kind.value for kind in ASSET_EVENTS]))
        .group_by(event.asset_key, event.dagster_event_type, event.partition)
    )
    with events.index_connection() as connection:
        needed = set(connection.execute(sa.select(event.run_id).where(event.id.in_(newest)).distinct()).scalars())
        needed |= set(connection.execute(sa.select(AssetKeyTable.c.last_run_id)).scalars())
    under_way = [status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES]
    backfills = [backfill.backfill_id for backfill in instance.get_backfills(BulkActionsFilter(statuses=under_way))]
    last = sa.select(sa.func.max(run.id)).group_by(run.pipeline_name)
    with runs.connect() as connection:
        needed |= set(
            connection.execute(
                sa.select(run.run_id).where(sa.or_(run.id.in_(last), run.backfill_id.in_(backfills)))
            ).scalars()
        )
    return needed


def _delete(connect: Connect, table: sa.Table, old: sa.ColumnElement[bool]) -> int:
    """Delete the old rows in small transactions; how many they were."""
    deleted = 0
    while True:
        with connect() as connection:
            ids = connection.execute(sa.select(table.c.id).where(old).limit(_BATCH)).scalars().all()
            if not ids:
                return deleted
            connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
            deleted += len(ids)


def _unlink(shard: Path) -> None:
    """Remove the SQLite database of one run's events: deleting its rows leaves the file as large as it was."""
    for suffix in ("", "-wal", "-shm"):
        shard.with_name(shard.name + suffix).unlink(missing_ok=True)


def _vacuum(connect: Connect) -> int:
    """Shrink a SQLite file of which more than half is free; bytes freed.

    A fuller one is left, since Dagster fills free pages again. Vacuuming holds up the file's writers, which wait for at
    least five seconds, and takes about one second for each hundred megabytes that are left.
    """
    with connect() as connection:
        place = connection.engine.url
    if place.get_backend_name() != "sqlite" or not place.database or not Path(place.database).is_file():
        return 0
    path = Path(place.database)
    size = path.stat().st_size
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        (free,), (pages,) = (database.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count"))
        if 2 * free <= pages:
            return 0
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return size - path.stat().st_size
