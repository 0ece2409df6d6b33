"""Dagster's daemon in small: ticks a sensor with the cursor that it left, and runs what it asked for, for real.

Not here: anything that only one test needs.
"""

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from wifi_assets.definitions import build_defs
from wifi_assets.settings import Settings

#: Dagster prints each event on the terminal; the tests read them from the instance.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Daemon:
    """The sensors of these settings on an instance.

    Attributes:
        defs: The definitions.
        instance: Where runs and events go.
        cursors: Sensor -> the cursor it left.
    """

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.defs = build_defs(settings)
        self.instance = instance
        self.cursors: dict[str, str | None] = {}

    def tick(self, name: str) -> SensorExecutionData:
        """One evaluation; the cursor is kept for the next."""
        sensor = self.defs.resolve_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), definitions=self.defs, sensor_name=name
        )
        done = sensor.evaluate_tick(context)
        self.cursors[name] = done.cursor
        return done

    def skipped(self, name: str) -> str:
        """Why a tick asked for nothing."""
        done = self.tick(name)
        assert not done.run_requests
        assert done.skip_message
        return done.skip_message

    def asked(self, name: str) -> dg.RunRequest:
        """The one request of a tick."""
        done = self.tick(name)
        assert done.skip_message is None
        (request,) = done.run_requests or []
        return request

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """What a sensor asked for, executed to its end; a run that fails is a result too."""
        return self._job(request).execute_in_process(
            instance=self.instance,
            tags=dict(request.tags),
            run_config={**_QUIET, **request.run_config},
            asset_selection=list(request.asset_selection) if request.asset_selection else None,
            raise_on_error=False,
        )

    def queue(self, request: dg.RunRequest) -> dg.DagsterRun:
        """What a sensor asked for, in the queue."""
        job = self._job(request)
        if request.asset_selection:
            job = job.get_subset(asset_selection=set(request.asset_selection))
        repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("wifi_assets"), "__repository__")
        return self.instance.create_run_for_job(
            job,
            run_config=dict(request.run_config),
            tags=dict(request.tags),
            status=dg.DagsterRunStatus.QUEUED,
            remote_job_origin=RemoteJobOrigin(repository, job.name),
            asset_selection=frozenset(request.asset_selection) if request.asset_selection else None,
        )

    def execute(self, run: dg.DagsterRun) -> None:
        """A queued run, executed to its end."""
        job = self.defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=run.asset_selection)
        starting = dg.DagsterEvent(dg.DagsterEventType.RUN_STARTING.value, run.job_name)
        self.instance.report_dagster_event(starting, run.run_id)
        for _ in execute_run_iterator(InMemoryJob(job), self.instance.get_run_by_id(run.run_id), self.instance):
            pass

    def _job(self, request: dg.RunRequest) -> dg.JobDefinition:
        if request.job_name:
            return self.defs.resolve_job_def(request.job_name)
        return self.defs.resolve_implicit_global_asset_job_def()
