"""Dagster runs of the platform on an instance, and all that such a run tells, for the tests of the assets.

Not here: what a run must do.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import dagster as dg

from wifi_assets.definitions import build_defs
from wifi_assets.settings import Settings

#: Dagster prints each event on the terminal; the tests read them from the instance.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def config(op: str, **values: Any) -> dict[str, Any]:
    """The run config of one asset."""
    return {"ops": {op: {"config": values}}}


def run_job(
    settings: Settings,
    job: str,
    instance: dg.DagsterInstance,
    *days: date,
    run_config: Mapping[str, Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job for the range of these days; a run that fails is a result too."""
    tags = (
        {"dagster/asset_partition_range_start": str(min(days)), "dagster/asset_partition_range_end": str(max(days))}
        if days
        else {}
    )
    return (
        build_defs(settings)
        .resolve_job_def(job)
        .execute_in_process(
            instance=instance, tags=tags, run_config={**QUIET, **(run_config or {})}, raise_on_error=False
        )
    )


def materialise(
    settings: Settings, asset: str, instance: dg.DagsterInstance, day: date | None = None, **values: Any
) -> dg.ExecuteInProcessResult:
    """Materialise one asset, for one day if it has days, as its page in the UI does."""
    together = next(
        (pair for pair in (["frames", "quarantine"], ["devices", "device_names"]) if asset in pair), [asset]
    )
    job = build_defs(settings).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(name) for name in together],
        partition_key=str(day) if day else None,
        run_config={**QUIET, **(config(together[0], **values) if values else {})},
        raise_on_error=False,
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The sentence with which a run failed, which must have failed in one step by ``dg.Failure``."""
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    assert data.user_failure_data is not None, data.error
    text = data.user_failure_data.description
    assert text is not None
    assert "\n" not in text
    return text


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """What the run's own materialisation of an asset says; of several days all say the same."""
    assert result.success
    found = [
        {name: value.value for name, value in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset) and "late" not in event.materialization.metadata
    ]
    assert found
    assert all(one == found[0] for one in found)
    return found[0]


def late_days(result: dg.ExecuteInProcessResult, asset: str) -> set[str]:
    """The days that a run reported beyond those it was asked for."""
    return {
        str(event.partition)
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset) and "late" in event.materialization.metadata
    }


def partitions(instance: dg.DagsterInstance, asset: str) -> set[str]:
    """The days of an asset that Dagster shows as materialised."""
    return instance.get_materialized_partitions(dg.AssetKey(asset))


def everything_told(instance: dg.DagsterInstance, results: Iterable[dg.ExecuteInProcessResult]) -> str:
    """All that Dagster keeps of runs: their config and tags, every event with its metadata, every error."""
    told = []
    for result in results:
        run = instance.get_run_by_id(result.run_id)
        told += [repr(run), repr(run.run_config if run else None), *map(repr, instance.all_logs(result.run_id))]
        told += [dg.serialize_value(entry) for entry in instance.all_logs(result.run_id)]
    return "\n".join(told)
