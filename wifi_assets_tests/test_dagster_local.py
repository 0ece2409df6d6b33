"""deploy/dagster.local.yaml: an instance of one machine is what the file says."""

import shutil
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_the_instance_is_what_the_file_says(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "dagster.local.yaml", tmp_path / "dagster.yaml")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        assert instance.run_coordinator.dequeue_use_threads
        assert instance.get_settings("sensors")["num_workers"] == 4
        assert isinstance(instance.compute_log_manager, NoOpComputeLogManager)
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config.max_concurrent_runs == 3
        assert limits.run_queue_config.tag_concurrency_limits == [{"key": "dagster/backfill", "limit": 1}]
        assert limits.pool_config.default_pool_limit == 1
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled
        kept = instance.get_tick_retention_settings(InstigatorType.SENSOR)
        assert kept[TickStatus.SKIPPED] == 2
        assert instance.get_tick_retention_settings(InstigatorType.SCHEDULE)[TickStatus.SUCCESS] == 30
