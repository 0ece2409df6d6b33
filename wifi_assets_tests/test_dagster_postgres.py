"""The Dagster instance of deploy/dagster.yaml on a real Postgres: tables, a tick, a run, the history.

What runs are the commands of docker-compose.yml: code server, daemon, webserver, each a process of its own.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import psutil
import psycopg
import pytest
import sqlalchemy as sa
import yaml
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.definitions.sensor_definition import SensorEvaluationContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, TickStatus
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage, PostgresScheduleStorage

from wifi_assets.connections import keep_connections, kept_instance
from wifi_assets.sensors.sinks import sink_sensors
from wifi_assets_tests.processes import BIN, DEPLOY, answer, process, succeeds, until
from wifi_assets_tests.services import Server, free_port

CODE = """
from dagster import DefaultSensorStatus, Definitions, RunRequest, SkipReason, asset, define_asset_job, sensor

@asset
def heard():
    return 1

job = define_asset_job("listen", [heard])

@sensor(job=job, minimum_interval_seconds=1, default_status=DefaultSensorStatus.RUNNING)
def ear(context):
    if context.cursor:
        return SkipReason("heard it")
    context.update_cursor("1")
    return RunRequest()

defs = Definitions([heard], jobs=[job], sensors=[ear])
"""


@pytest.fixture
def home(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A DAGSTER_HOME as the image has it, with an empty database of its own."""
    server = f"postgresql://wifi@127.0.0.1:{postgres.port}"
    with psycopg.connect(f"{server}/wifi", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS dagster WITH (FORCE)")
        connection.execute("CREATE DATABASE dagster")
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", f"{server}/dagster".replace("://", "+psycopg2://"))
    yield tmp_path
    with psycopg.connect(f"{server}/wifi", autocommit=True) as connection:
        connection.execute("DROP DATABASE dagster WITH (FORCE)")


def database() -> str:
    return os.environ["DAGSTER_POSTGRES_URL"].replace("+psycopg2", "")


def backends() -> set[int]:
    """The processes of Postgres that serve Dagster's connections; one that was closed may be there a moment longer."""
    with psycopg.connect(database(), application_name="looks") as connection:
        return {
            pid
            for (pid,) in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = 'dagster' AND backend_type = 'client backend' "
                "AND application_name <> 'looks'"
            )
        }


def one(found: set[int]) -> set[int] | None:
    return found if len(found) == 1 else None


def connections(pid: int) -> set[int]:
    """The local ports of a process's connections to Postgres."""
    port = sa.make_url(database()).port
    return {one.laddr.port for one in psutil.Process(pid).net_connections() if one.raddr and one.raddr.port == port}


def test_migrate_makes_the_tables_and_is_harmless_again(home: Path) -> None:
    for _ in range(2):
        done = subprocess.run([BIN / "dagster", "instance", "migrate"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    with psycopg.connect(database()) as connection:
        tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert {"runs", "event_logs", "job_ticks", "instigators", "asset_keys", "alembic_version"} <= tables


def test_the_instance_is_what_the_file_says(home: Path) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 5
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        assert instance.run_coordinator.dequeue_use_threads
        assert instance.get_concurrency_config().run_queue_config.max_user_code_failure_retries == 3
        assert instance.get_settings("sensors")["num_workers"] == 4
        assert isinstance(instance.compute_log_manager, NoOpComputeLogManager)
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_runtime_seconds == 6 * 3600
        assert not instance.telemetry_enabled


def test_a_wrong_database_ends_with_its_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", os.environ["DAGSTER_POSTGRES_URL"].replace("/dagster", "/nothing"))
    done = subprocess.run([BIN / "dagster", "instance", "migrate"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert 'database "nothing" does not exist' in done.stderr


def ear(instance: DagsterInstance) -> InstigatorState:
    (state,) = [one for one in instance.all_instigator_state() if one.instigator_name == "ear"]
    return state


def ticks(instance: DagsterInstance) -> Sequence[InstigatorTick]:
    state = ear(instance)
    return instance.get_ticks(state.instigator_origin_id, state.selector_id)


def test_a_kept_connection_answers_all_questions_and_one_that_postgres_closed_is_replaced(home: Path) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        keep_connections(instance)
        instance.get_runs()
        (kept,) = until(lambda: one(backends()))
        instance.get_runs()
        assert backends() == {kept}

        with psycopg.connect(database()) as connection:
            connection.execute("SELECT pg_terminate_backend(%s, 60000)", [kept])
        assert instance.get_runs() == []
        (other,) = until(lambda: one(backends()))
        assert other != kept


def test_the_sensor_of_a_target_keeps_its_connections_from_tick_to_tick(home: Path) -> None:
    @dg.asset(group_name="sink_shelf", automation_condition=dg.AutomationCondition.missing())
    def written() -> None: ...

    (sensor,) = sink_sensors(["shelf"], dg.DefaultSensorStatus.RUNNING)
    repository = dg.Definitions([written], sensors=[sensor]).get_repository_def()
    with DagsterInstance.from_config(str(home)) as instance:
        reference, cursor, kept = instance.get_ref(), None, set()
        for tick in range(3):
            with SensorEvaluationContext(
                reference, None, None, cursor, None, repository.name, repository_def=repository, sensor_name=sensor.name
            ) as context:
                done = sensor.evaluate_tick(context)
            assert done.run_requests
            cursor, kept = done.cursor, kept & backends() if tick else backends()
            assert kept
    kept_instance(reference).dispose()


def test_a_sensor_ticks_a_run_succeeds_and_its_history_stays(home: Path) -> None:
    port, web = free_port(), free_port()
    (home / "hearing.py").write_text(CODE)
    workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
    workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": port}
    (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    assert succeeds("dagster", "instance", "migrate")
    code = ["dagster", "code-server", "start", f"--port={port}", "--python-file=hearing.py"]
    daemon = ["dagster-daemon", "run", "--workspace=workspace.yaml"]
    webserver = ["dagster-webserver", "--host=127.0.0.1", f"--port={web}", "--workspace=workspace.yaml"]
    with process(home / "code.log", *code), DagsterInstance.from_config(str(home)) as instance:
        until(lambda: succeeds("dagster", "api", "grpc-health-check", f"--port={port}"))
        with process(home / "daemon.log", *daemon) as daemons, process(home / "webserver.log", *webserver):
            until(lambda: instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.SUCCESS])))
            kept = until(lambda: connections(daemons.pid))
            seen = len(ticks(instance))
            until(lambda: len(ticks(instance)) > seen + 1)
            # Some are opened when two of its threads ask at once; those are not kept.
            assert kept & connections(daemons.pid)
            until(lambda: succeeds("dagster-daemon", "liveness-check"))
            until(lambda: answer(f"http://127.0.0.1:{web}/server_info"))

    # All processes are gone; another one reads what is left, from Postgres alone.
    with DagsterInstance.from_config(str(home)) as instance:
        (run,) = instance.get_runs()
        assert run.job_name == "listen"
        assert run.status == DagsterRunStatus.SUCCESS
        assert run.tags["dagster/sensor_name"] == "ear"
        events = [
            entry.dagster_event.event_type_value for entry in instance.all_logs(run.run_id) if entry.is_dagster_event
        ]
        for event in ("PIPELINE_ENQUEUED", "PIPELINE_STARTING", "ASSET_MATERIALIZATION", "PIPELINE_SUCCESS"):
            assert event in events
        assert ear(instance).instigator_data.cursor == "1"
        assert [tick.run_ids for tick in ticks(instance) if tick.status == TickStatus.SUCCESS] == [[run.run_id]]
    with psycopg.connect(database()) as connection:
        assert connection.execute("SELECT run_id, status FROM runs").fetchall() == [(run.run_id, "SUCCESS")]
