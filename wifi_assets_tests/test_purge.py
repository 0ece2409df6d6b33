"""What a purge takes and what it leaves, on the instances that people have: SQLite files and Postgres."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.schedules import SqlScheduleStorage
from dagster._core.storage.schedules.schema import AssetDaemonAssetEvaluationsTable

from wifi_assets.assets.sinks import follows_the_lake
from wifi_assets.purge import Purged, purge
from wifi_assets_tests.assets.runs import QUIET
from wifi_assets_tests.services import Server

DAYS = dg.DailyPartitionsDefinition("2026-03-01", end_date="2026-03-08")
SILENT = {"telemetry": {"enabled": False}}
HEARD, WRITTEN = dg.AssetKey("heard"), dg.AssetKey("written")


class How(dg.Config):
    """How a run is to end."""

    fails: bool = False


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def heard(config: How) -> dg.MaterializeResult:
    if config.fails:
        raise dg.Failure("no")
    return dg.MaterializeResult(data_version=dg.DataVersion("1"))


@dg.asset(deps=[heard], automation_condition=follows_the_lake())
def written(config: How) -> None:
    if config.fails:
        raise dg.Failure("no")


@dg.asset_check(asset=heard)
def whole(config: How) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=not config.fails, metadata={"rows": 1})


DEFS = dg.Definitions([heard, written], asset_checks=[whole])
JOB = DEFS.resolve_implicit_global_asset_job_def()


@contextmanager
def on_sqlite(folder: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(folder), overrides=SILENT) as instance:
        yield instance


@contextmanager
def on_postgres(server: Server, folder: Path) -> Iterator[dg.DagsterInstance]:
    place = f"postgresql://wifi@127.0.0.1:{server.port}"
    with psycopg.connect(f"{place}/wifi", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS history WITH (FORCE)")
        connection.execute("CREATE DATABASE history")
        url = f"{place}/history".replace("://", "+psycopg2://")
        storage = {"storage": {"postgres": {"postgres_url": url}}}
        with dg.DagsterInstance.local_temp(str(folder), overrides=SILENT | storage) as instance:
            yield instance
        connection.execute("DROP DATABASE history WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    postgres = request.param == "postgres"
    place = on_postgres(request.getfixturevalue("postgres"), tmp_path) if postgres else on_sqlite(tmp_path)
    with place as instance:
        yield instance


def run(
    instance: dg.DagsterInstance,
    asset: dg.AssetKey,
    first: int = 0,
    last: int = 0,
    *,
    fails: bool = False,
    tags: Mapping[str, str] | None = None,
) -> str:
    """A run over days of March; its id."""
    days = {
        "dagster/asset_partition_range_start": f"2026-03-{first:02}",
        "dagster/asset_partition_range_end": f"2026-03-{last or first:02}",
    }
    return JOB.get_subset(asset_selection={asset}, asset_check_selection=set()).execute_in_process(
        instance=instance,
        tags={**(tags or {}), **(days if first else {})},
        run_config={**QUIET, "ops": {asset.to_user_string(): {"config": {"fails": fails}}}},
        raise_on_error=False,
    ).run_id  # fmt: skip


def check(instance: dg.DagsterInstance, *, fails: bool = False) -> str:
    """A run of the check; its id."""
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    return job.resolve(asset_graph=DEFS.resolve_asset_graph()).execute_in_process(
        instance=instance, run_config={**QUIET, "ops": {"heard_whole": {"config": {"fails": fails}}}}
    ).run_id  # fmt: skip


def events(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    return storage


def count(instance: dg.DagsterInstance, table: sa.Table) -> int:
    with events(instance).index_connection() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def shown(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What Dagster says about days, assets and checks, out of the events alone and out of its cache as well."""
    found: dict[str, Any] = {}
    for cached in (True, False):
        if not cached:
            events(instance).wipe_asset_cached_status(HEARD)
        status = get_and_update_asset_status_cache_value(instance, HEARD, DAYS)
        assert status is not None
        found[f"green, {cached=}"] = set(status.deserialize_materialized_partition_subsets(DAYS).get_partition_keys())
        found[f"red, {cached=}"] = set(status.deserialize_failed_partition_subsets(DAYS).get_partition_keys())
    for key in (HEARD, WRITTEN):
        newest = instance.get_latest_materialization_event(key)
        planned = instance.event_log_storage.get_latest_planned_materialization_info(key)
        found[key.to_user_string()] = newest and newest.run_id, planned and planned.run_id
    found["by day"] = instance.event_log_storage.get_latest_storage_id_by_partition(
        HEARD, dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([whole.check_key])[whole.check_key]
    found["check"] = record.id, record.status
    return found


def later() -> datetime:
    """A moment from which all that has happened is old."""
    return datetime.now(UTC) + timedelta(seconds=5)


def test_what_dagster_shows_and_asks_for_stays_while_old_runs_go(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    goes = [run(instance, HEARD, 1), run(instance, HEARD, 2), run(instance, HEARD, 5, fails=True)]
    stays = [run(instance, HEARD, 1, 3)]
    goes += [run(instance, HEARD, 2, fails=True), check(instance), run(instance, WRITTEN, fails=True)]
    # Day 2 is green again, day 3 was green and is red, day 4 is red, day 5 is green.
    stays += [run(instance, HEARD, day, fails=day in (3, 4)) for day in (2, 3, 4, 5)]
    stays += [run(instance, WRITTEN), run(instance, WRITTEN, fails=True)]
    goes.append(check(instance, fails=True))
    stays += [check(instance), check(instance, fails=True)]
    under_way = instance.create_run_for_job(
        JOB.get_subset(asset_selection={HEARD}, asset_check_selection=set()), status=dg.DagsterRunStatus.STARTED
    ).run_id
    before = shown(instance)
    assert before["green, cached=False"] == {"2026-03-01", "2026-03-02", "2026-03-03", "2026-03-05"}
    assert before["red, cached=False"] == {"2026-03-03", "2026-03-04"}
    # Between two tries of a target that failed, whatever the clock says.
    begun = datetime.now(UTC).replace(minute=1, second=0)
    asked = dg.evaluate_automation_conditions(DEFS, instance, evaluation_time=begun)
    rows, tags = count(instance, SqlEventLogStorageTable), count(instance, AssetEventTagsTable)

    assert purge(instance, datetime.now(UTC) - timedelta(hours=1)) == Purged()
    done = purge(instance, later())

    assert {found.run_id for found in instance.get_runs()} == {*stays, under_way}
    assert (done.runs, done.needed) == (len(goes), len(stays))
    assert shown(instance) == before
    again = dg.evaluate_automation_conditions(
        DEFS, instance, cursor=asked.cursor, evaluation_time=begun + timedelta(minutes=1)
    )
    assert again.total_requested == 0
    assert count(instance, SqlEventLogStorageTable) < rows
    assert count(instance, AssetEventTagsTable) < tags
    with events(instance).index_connection() as connection:
        left = set(connection.execute(sa.select(SqlEventLogStorageTable.c.run_id)).scalars())
    assert left == {*stays, under_way}
    assert not [path for run_id in goes for path in tmp_path.rglob(f"*{run_id}*")]
    assert all(instance.all_logs(run_id) for run_id in stays)
    # The newest of each outcome stays: what a check builds on may be its last success.
    assert (done.checks, count(instance, AssetCheckExecutionsTable)) == (2, 2)
    assert purge(instance, later()) == Purged(needed=len(stays))


def test_a_failed_target_stays_failed_and_is_not_tried_at_once(instance: dg.DagsterInstance) -> None:
    run(instance, HEARD, 1)
    run(instance, WRITTEN, fails=True)
    begun = datetime.now(UTC).replace(minute=1, second=0)
    asked = dg.evaluate_automation_conditions(DEFS, instance, evaluation_time=begun)
    check(instance)
    purge(instance, later())
    for minute, requested in ((1, 0), (2, 0), (4, 1)):
        asked = dg.evaluate_automation_conditions(
            DEFS, instance, cursor=asked.cursor, evaluation_time=begun + timedelta(minutes=minute)
        )
        assert asked.total_requested == requested


def test_a_month_is_as_large_as_a_day(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    sizes, files, kept = [], [], []
    for _ in range(3):
        for _ in range(2):
            run(instance, HEARD, 1, 4)
            run(instance, WRITTEN)
            check(instance)
        purge(instance, later())
        sizes.append(count(instance, SqlEventLogStorageTable))
        kept.append(instance.get_runs_count())
        files.append(sum(1 for path in tmp_path.rglob("*") if path.is_file()))
    assert kept == [3] * 3
    assert len(set(sizes)) == 1
    assert len(set(files)) == 1


def test_backfills_and_evaluations_that_ended_go(instance: dg.DagsterInstance) -> None:
    def backfill(key: str, status: BulkActionStatus) -> None:
        begun = datetime.now(UTC).timestamp()
        instance.add_backfill(PartitionBackfill(key, status, False, {}, begun, partition_names=["2026-03-01"]))

    backfill("done", BulkActionStatus.COMPLETED_SUCCESS)
    backfill("under way", BulkActionStatus.REQUESTED)
    of_backfill = [run(instance, HEARD, 1, tags={"dagster/backfill": key}) for key in ("done", "under way", "done")]
    newest = run(instance, HEARD, 1)
    storage = instance.schedule_storage
    assert isinstance(storage, SqlScheduleStorage)
    with storage.connect() as connection:
        connection.execute(
            sa.insert(AssetDaemonAssetEvaluationsTable),
            [{"evaluation_id": n, "asset_key": "a", "asset_evaluation_body": "x" * 1_000} for n in range(2_000)],
        )
    assert purge(instance, datetime.now(UTC) - timedelta(hours=1)) == Purged()
    done = purge(instance, later())
    assert (done.runs, done.backfills, done.evaluations) == (2, 1, 2_000)
    # A SQLite file is given back that is more than half empty.
    assert (done.freed > 1_000_000) is isinstance(events(instance), SqliteEventLogStorage)
    assert [found.backfill_id for found in instance.get_backfills()] == ["under way"]
    assert {found.run_id for found in instance.get_runs()} == {of_backfill[1], newest}
