"""deploy/dagster.local.yaml: an instance of one machine is what the file says."""

import logging
import shutil
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._daemon.monitoring import concurrency
from dagster._time import get_current_datetime

DEPLOY = Path(__file__).parents[1] / "deploy"


@dg.job
def nothing() -> None: ...


def test_a_run_that_was_killed_in_a_step_gives_back_the_place_in_the_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DEPLOY / "dagster.local.yaml", tmp_path / "dagster.yaml")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        places = instance.event_log_storage
        places.initialize_concurrency_limit_to_default("postgres_packet_stats")
        killed, following = (instance.create_run_for_job(nothing) for _ in range(2))

        def claims(run: dg.DagsterRun) -> bool:
            return places.claim_concurrency_slot("postgres_packet_stats", run.run_id, "write").is_claimed

        assert claims(killed)
        instance.report_run_failed(killed)
        assert not claims(following)
        later = get_current_datetime() + timedelta(minutes=2)
        monkeypatch.setattr(concurrency, "get_current_datetime", lambda: later)
        for problem in concurrency.execute_concurrency_slots_iteration(
            SimpleNamespace(instance=instance),  # type: ignore[arg-type]
            logging.getLogger(__name__),
        ):
            assert problem is None
        assert claims(following)


def test_the_instance_is_what_the_file_says(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "dagster.local.yaml", tmp_path / "dagster.yaml")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        assert instance.run_coordinator.dequeue_use_threads
        assert instance.get_settings("sensors")["num_workers"] == 4
        assert isinstance(instance.compute_log_manager, NoOpComputeLogManager)
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config.max_concurrent_runs == 5
        assert limits.run_queue_config.tag_concurrency_limits == [{"key": "dagster/backfill", "limit": 1}]
        assert limits.pool_config.default_pool_limit == 1
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled
        kept = instance.get_tick_retention_settings(InstigatorType.SENSOR)
        assert kept[TickStatus.SKIPPED] == 2
        assert instance.get_tick_retention_settings(InstigatorType.SCHEDULE)[TickStatus.SUCCESS] == 30
