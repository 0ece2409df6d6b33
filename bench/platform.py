"""The whole platform on this machine: five servers, Dagster on Postgres, its code server and daemon.

Here belongs what the measurements of the whole platform share: how the parts are started, joined and looked at.
Not here: what is measured (``latency.py``, ``live.py``, ``soak.py``).
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import psycopg
import yaml
from bson import json_util
from dagster import DagsterInstance
from pymongo import MongoClient

from bench import octets_of
from wifi_assets.demo.household import write_documents
from wifi_assets.demo.live import live
from wifi_assets.demo.messages import Message
from wifi_assets.demo.publish import Topic
from wifi_assets.settings import Settings
from wifi_assets_tests.services import NAMES, Server, free_port
from wifi_assets_tests.services.__main__ import SETTINGS, make_topic, servers

#: Messages that the simulated household sends in an hour: 30 a second.
PER_HOUR = 30 * 3600

_BIN = Path(sys.executable).parent
_DEPLOY = Path(__file__).parents[1] / "deploy"
_START_SECONDS = 120
_JOIN_SECONDS = 60

Number = TypeVar("Number", int, float)


def given(name: str, amount: Number) -> tuple[Number, Path]:
    """What a measurement's command was given: ``[AMOUNT [FOLDER]]``.

    Args:
        name: Of the measurement.
        amount: How much is measured unless told otherwise.

    Returns:
        The amount, and a folder that is there.
    """
    if len(sys.argv) > 1:
        amount = type(amount)(sys.argv[1])
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp(prefix=f"wifi-assets-{name}-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return amount, folder


@dataclass(frozen=True)
class Platform:
    """What runs.

    Attributes:
        settings: Those of all parts.
        instance: Dagster's, on Postgres.
        processes: Name -> process id.
        lake: Folder of the tables.
        database: URL of Dagster's database, as psycopg takes it.
    """

    settings: Settings
    instance: DagsterInstance
    processes: dict[str, int]
    lake: Path
    database: str

    def resident(self) -> dict[str, int]:
        """MiB of memory that each process holds now."""
        return {name: _status(pid, "VmRSS") for name, pid in self.processes.items()}

    def processor_seconds(self) -> float:
        """CPU seconds that all processes have taken so far."""
        return sum(_processor_seconds(pid) for pid in self.processes.values())

    def lake_octets(self) -> int:
        """Octets of the lake's folder."""
        return octets_of(self.lake)

    def lake_files(self) -> tuple[int, int]:
        """Files of the lake, and octets of its logs."""
        files = [one for one in self.lake.rglob("*") if one.is_file()]
        return len(files), sum(one.stat().st_size for one in files if "_delta_log" in one.parts)

    def event_log(self) -> tuple[int, int]:
        """Rows and octets of Dagster's events."""
        with psycopg.connect(self.database) as connection:
            ((rows, octets),) = connection.execute(
                "SELECT (SELECT count(*) FROM event_logs), pg_total_relation_size('event_logs')"
            ).fetchall()
        return rows, octets


@contextmanager
def platform(
    folder: Path,
    wifi: Mapping[str, str],
    *,
    names: Sequence[str] = NAMES,
    daemon: bool = True,
    dagster: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Platform]:
    """Start all of it in an empty folder; everything ends with the block, the folder stays.

    Args:
        folder: For data and logs.
        wifi: ``WIFI_…`` settings that are further or other than those of the servers.
        names: The servers; Kafka, MongoDB and Postgres at least.
        daemon: Start ``dagster-daemon`` too; without it the caller does the daemon's work.
        dagster: What is other than in ``deploy/dagster.yaml``.
    """
    with ExitStack() as stack:
        environment = _servers(folder, names, stack) | wifi
        environment |= {"WIFI_LAKE": str(folder / "lake"), "WIFI_SENSORS_ON": "1"}
        database = environment.pop("DATABASE")
        home = folder / "dagster"
        home.mkdir()
        (home / "dagster.yaml").write_text(
            yaml.safe_dump(yaml.safe_load((_DEPLOY / "dagster.yaml").read_text()) | dagster)
        )
        environment |= {
            "DAGSTER_HOME": str(home),
            "DAGSTER_POSTGRES_URL": database.replace("://", "+psycopg2://"),
            "PATH": f"{_BIN}:{os.environ['PATH']}",
        }
        os.environ.update(environment)
        # The settings are those of this block alone, not of a .env file where the command was given.
        os.chdir(home)
        subprocess.run([_BIN / "dagster", "instance", "migrate"], check=True, capture_output=True)
        port = free_port()
        workspace = yaml.safe_load((_DEPLOY / "workspace.yaml").read_text())
        workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": port}
        (home / "workspace.yaml").write_text(yaml.safe_dump(workspace))
        code = ["dagster", "code-server", "start", f"--port={port}", "--module-name=wifi_assets.definitions"]
        processes = {"code server": stack.enter_context(_process(folder / "code.log", *code))}
        _until_it_answers(port)
        if daemon:
            command = ["dagster-daemon", "run", "--workspace=workspace.yaml"]
            processes["daemon"] = stack.enter_context(_process(folder / "daemon.log", *command))
        instance = stack.enter_context(DagsterInstance.from_config(str(home)))
        settings = Settings(_env_file=None)  # type: ignore[call-arg]
        yield Platform(settings, instance, processes, folder / "lake", database)


@contextmanager
def feeding(parts: Platform) -> Iterator[None]:
    """Within the block the simulated household is heard on the topic as it happens, ``PER_HOUR`` messages an hour."""
    topic, ended = Topic(parts.settings.kafka_bootstrap, parts.settings.kafka_topic), threading.Event()

    def messages() -> Iterator[Message]:
        for _, message in live(int(time.time()), PER_HOUR):
            if ended.is_set():
                return
            yield message

    def publish() -> None:
        print(f"fed: {topic.publish(messages()):,} messages", flush=True)

    feed = threading.Thread(target=publish, daemon=True)
    feed.start()
    try:
        yield
    finally:
        ended.set()
        feed.join(_JOIN_SECONDS)


def _servers(folder: Path, names: Sequence[str], stack: ExitStack) -> dict[str, str]:
    """Start the servers with the topic, the router's documents and Dagster's database; their settings."""
    found = {server.name: server for server in servers(folder / "services", names)}

    def start(server: Server) -> None:
        server.start()
        stack.callback(server.stop)

    with ThreadPoolExecutor() as pool:
        list(pool.map(start, found.values()))
    make_topic(found["kafka"].port)
    write_documents(folder / "devices", int(time.time()))
    client: MongoClient[dict[str, Any]] = MongoClient("127.0.0.1", found["mongo"].port, directConnection=True)
    with client:
        for name in ("device", "user"):
            lines = (folder / "devices" / f"ace.{name}.json").read_text().splitlines()
            client["ace"][name].insert_many([json_util.loads(line) for line in lines])
    server = f"postgresql://wifi@127.0.0.1:{found['postgres'].port}"
    with psycopg.connect(f"{server}/wifi", autocommit=True) as connection:
        connection.execute("CREATE DATABASE dagster")
    lines = [line for name in found for line in SETTINGS[name](found[name].port)]
    return dict(line.split("=", 1) for line in lines) | {"DATABASE": f"{server}/dagster"}


@contextmanager
def _process(log: Path, *command: str) -> Iterator[int]:
    with log.open("wb") as out:
        running = subprocess.Popen([_BIN / command[0], *command[1:]], stdout=out, stderr=subprocess.STDOUT)
        try:
            yield running.pid
        finally:
            running.terminate()
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:
                # A shell that ignores the signal hands that down; it is no reason to lose what was measured.
                running.kill()
                running.wait()


def _until_it_answers(port: int) -> None:
    command = [str(_BIN / "dagster"), "api", "grpc-health-check", f"--port={port}"]
    end = time.monotonic() + _START_SECONDS
    while subprocess.run(command, capture_output=True, check=False).returncode:
        if time.monotonic() > end:
            raise SystemExit(f"the code server on port {port} does not answer within {_START_SECONDS} s")
        time.sleep(1)


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) >> 10
    raise SystemExit(f"process {pid} is gone")


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
