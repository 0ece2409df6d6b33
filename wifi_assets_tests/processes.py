"""Dagster as a user runs it: code server, daemon and webserver, each a process of its own, on one instance.

Here belongs how they are started, killed, asked and told. Not here: what they are to do, and the servers around
them (``services/``). ``daemon.py`` ticks sensors without any of these processes.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.scheduler.instigation import InstigatorTick
from pydantic import SecretStr

from wifi_assets.settings import Settings
from wifi_assets_tests.services import free_port

BIN = Path(sys.executable).parent
DEPLOY = Path(__file__).parents[1] / "deploy"
LOCATION = "wifi_assets"
#: A busy machine takes its time; no test waits this long for what happens.
PATIENCE = 900
UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]

#: The daemon as it is, with a second between two looks where Dagster fixes 30 (backfills) or 5 (sensors).
_FAST_DAEMON = """
import sys
from dagster._daemon import controller, sensor
from dagster._daemon.cli import main
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 1
sensor.MIN_INTERVAL_LOOP_TIME = 1
sys.exit(main())
"""
_LOADED = """{ answer: workspaceOrError { ... on Workspace { locationEntries {
    loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
_SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": LOCATION}


def until(holds: Callable[[], Any], seconds: float = PATIENCE, *, every: float = 0.3) -> Any:
    """What ``holds`` gives as soon as that is something."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(every)
    return found


def succeeds(*command: str) -> bool:
    """Whether one of the environment's commands ends with 0."""
    return subprocess.run([BIN / command[0], *command[1:]], capture_output=True, check=False).returncode == 0


@contextmanager
def process(log: Path, *command: str, env: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """A command of the environment's, ended with the block; what it said goes into the failure."""
    with log.open("ab") as out:
        running = subprocess.Popen(
            [BIN / command[0], *command[1:]], stdout=out, stderr=subprocess.STDOUT, cwd=log.parent, env=env
        )
        try:
            yield running
        except AssertionError as error:
            error.add_note(f"{' '.join(command)}:\n{log.read_text(errors='replace')[-6000:]}")
            raise
        finally:
            running.terminate()
            # The code server waits up to a minute for calls that are under way.
            running.wait(PATIENCE)


def environment(settings: Settings) -> dict[str, str]:
    """Those settings that were given, as variables."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {f"WIFI_{name.upper()}": _text(value) for name, value in given.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return json.dumps(value)
    return str(int(value)) if isinstance(value, bool) else str(value)


@dataclass
class Dagster:
    """The processes and their instance.

    Attributes:
        home: ``DAGSTER_HOME``, with the logs of the processes.
        env: Environment of the processes.
        instance: Reads what they leave.
        web: Port of the webserver.
        daemon: The daemon's process.
    """

    home: Path
    env: Mapping[str, str]
    instance: DagsterInstance
    web: int
    daemon: "subprocess.Popen[bytes]" = field(init=False)

    def start_daemon(self) -> None:
        """Start it, with shortened clocks."""
        command = [BIN / "python", "-c", _FAST_DAEMON, "run", "--workspace=workspace.yaml"]
        with (self.home / "daemon.log").open("ab") as out:
            self.daemon = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=self.home, env=self.env)

    def kill_daemon(self) -> None:
        """SIGKILL."""
        self.daemon.kill()
        self.daemon.wait(60)

    # ---------------------------------------------------------------- as the UI's pages do

    def ask(self, query: str, **variables: Any) -> Any:
        """The one answer of a GraphQL request that says ``answer: …``."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.web}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                told = json.load(reply)
        except urllib.error.HTTPError as error:
            # Dagster's answer to what it refuses is JSON too.
            told = json.load(error)
        assert "errors" not in told, told
        return told["data"]["answer"]

    def launch_backfill(self, assets: Iterable[str], days: Iterable[str] = (), **others: Any) -> dict[str, Any]:
        """What the dialogue "Materialize" over several days, or "Launch backfill", sends.

        Args:
            assets: Names.
            days: Partition keys; none with ``allPartitions``.
            others: Further parameters of ``LaunchBackfillParams``.
        """
        parameters = {"assetSelection": [{"path": [name]} for name in assets], **others}
        if keys := [str(day) for day in days]:
            parameters["partitionNames"] = keys
        return self.ask(
            """mutation ($parameters: LaunchBackfillParams!) {
              answer: launchPartitionBackfill(backfillParams: $parameters) {
                __typename
                ... on LaunchBackfillSuccess { backfillId }
                ... on PartitionKeysNotFoundError { message partitionKeys }
                ... on PythonError { message }
              }
            }""",
            parameters=parameters,
        )

    def backfill(self, assets: Iterable[str], days: Iterable[str] = (), **others: Any) -> str:
        """Launch one; its id."""
        told = self.launch_backfill(assets, days, **others)
        assert told["__typename"] == "LaunchBackfillSuccess", told
        return str(told["backfillId"])

    def reexecute_backfill(self, backfill: str) -> str:
        """What "Re-execute from failure" sends; the id of the new one."""
        told = self.ask(
            """mutation ($p: ReexecutionParams!) {
              answer: reexecutePartitionBackfill(reexecutionParams: $p) {
                __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
            }""",
            p={"parentRunId": backfill, "strategy": "FROM_FAILURE"},
        )
        assert told["__typename"] == "LaunchBackfillSuccess", told
        return str(told["backfillId"])

    def backfill_ended(self, backfill: str) -> str:
        """Wait for its end; the status that the UI shows."""
        query = """query ($id: String!) {
            answer: partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
        }"""

        def ended() -> str | None:
            status = str(self.ask(query, id=backfill)["status"])
            return None if status in {"REQUESTED", "CANCELING", "FAILING", "COMPLETING"} else status

        return str(until(ended))

    def start_sensor(self, name: str) -> None:
        """Turn it on."""
        self.ask(
            "mutation ($s: SensorSelector!) { answer: startSensor(sensorSelector: $s) { __typename } }",
            s={**_SELECTOR, "sensorName": name},
        )

    def stop_sensor(self, name: str) -> None:
        """Turn it off."""
        self.ask("mutation ($id: String!) { answer: stopSensor(id: $id) { __typename } }", id=self._sensor(name)["id"])

    def set_cursor(self, name: str, cursor: str) -> None:
        """What the page of a sensor sets."""
        told = self.ask(
            """mutation ($s: SensorSelector!, $cursor: String) {
              answer: setSensorCursor(sensorSelector: $s, cursor: $cursor) { __typename } }""",
            s={**_SELECTOR, "sensorName": name},
            cursor=cursor,
        )
        assert told["__typename"] == "Sensor", told

    def ticks(self, name: str, limit: int = 40) -> list[InstigatorTick]:
        """Its ticks, newest first."""
        state = self._sensor(name)
        (found,) = [one for one in self.instance.all_instigator_state() if one.selector_id == state["selectorId"]]
        return list(self.instance.get_ticks(found.instigator_origin_id, found.selector_id, limit=limit))

    def _sensor(self, name: str) -> dict[str, str]:
        told = self.ask(
            """query ($s: SensorSelector!) {
              answer: sensorOrError(sensorSelector: $s) { ... on Sensor { sensorState { id selectorId status } } }
            }""",
            s={**_SELECTOR, "sensorName": name},
        )
        return dict(told["sensorState"])

    # ---------------------------------------------------------------- runs

    def runs(self, *statuses: DagsterRunStatus, **filters: Any) -> list[DagsterRun]:
        """Runs, newest first."""
        return list(self.instance.get_runs(RunsFilter(statuses=list(statuses) or None, **filters)))

    def at_rest(self) -> bool:
        """Whether no run waits or works."""
        return not self.runs(*UNFINISHED)

    def steps(self, run: DagsterRun) -> set[str]:
        """The steps of a run that succeeded."""
        return {
            str(entry.dagster_event.step_key)
            for entry in self.instance.all_logs(run.run_id)
            if entry.is_dagster_event and entry.dagster_event.is_step_success
        }

    def failures(self, run: DagsterRun) -> list[str]:
        """What each failed step of a run said."""
        events = [entry.dagster_event for entry in self.instance.all_logs(run.run_id) if entry.is_dagster_event]
        said = [event.step_failure_data.user_failure_data for event in events if event.is_step_failure]
        return [str(one and one.description) for one in said]

    def process_of(self, run: DagsterRun) -> int:
        """Of a run that has begun."""
        for entry in self.instance.all_logs(run.run_id):
            event = entry.dagster_event
            if event is not None and event.is_engine_event and "pid" in event.engine_event_data.metadata:
                return int(str(event.engine_event_data.metadata["pid"].value))
        raise AssertionError(f"run {run.run_id} has told no process")


@contextmanager
def running(home: Path, settings: Settings, module: str = "wifi_assets.definitions") -> Iterator[Dagster]:
    """Start code server, webserver and daemon with these settings; all end with the block.

    The instance is that of ``deploy/dagster.local.yaml``.

    Args:
        home: Made; ``DAGSTER_HOME``.
        settings: Those that were given go to the processes.
        module: Where Dagster finds the definitions.
    """
    home.mkdir(exist_ok=True)
    shutil.copy(DEPLOY / "dagster.local.yaml", home / "dagster.yaml")
    code, web = free_port(), free_port()
    workspace = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())
    workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": code}
    (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WIFI_", "DAGSTER_"))}
    env |= environment(settings) | {
        "DAGSTER_HOME": str(home),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        # Dagster's processes work in their home, and import what the tests may import.
        "PYTHONPATH": str(DEPLOY.parent),
    }
    server = ["dagster", "code-server", "start", f"--port={code}", f"--module-name={module}"]
    webserver = ["dagster-webserver", "--host=127.0.0.1", f"--port={web}", "--workspace=workspace.yaml"]
    with ExitStack() as stack:
        stack.enter_context(process(home / "code.log", *server, env=env))
        until(lambda: succeeds("dagster", "api", "grpc-health-check", f"--port={code}"))
        stack.enter_context(process(home / "webserver.log", *webserver, env=env))
        instance = stack.enter_context(DagsterInstance.from_config(str(home)))
        dagster = Dagster(home, env, instance, web)
        dagster.start_daemon()
        stack.callback(dagster.kill_daemon)
        until(lambda: answer(f"http://127.0.0.1:{web}/server_info"))
        (location,) = dagster.ask(_LOADED)["locationEntries"]
        assert location["locationOrLoadError"]["__typename"] == "RepositoryLocation", location
        yield dagster


def answer(url: str) -> Any:
    """The JSON behind a URL; None while nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return json.load(reply)
    except OSError:
        return None
