"""All five servers for a developer: ``python -m wifi_assets_tests.services start|stop [FOLDER]``.

``start`` prints the settings on standard output, as lines of a ``.env`` file, and all else on standard
error. Here belongs what joins the servers to one set. Not here: how each is run (its script), nor the
handle on one (the package).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from wifi_assets_tests.services import HERE, NAMES, Server, Unavailable, free_port

#: Server -> the settings that make wifi_assets use it.
SETTINGS: dict[str, Callable[[int], list[str]]] = {
    "kafka": lambda port: [f"WIFI_KAFKA_BOOTSTRAP=127.0.0.1:{port}", "WIFI_KAFKA_TOPIC=pcap"],
    "mongo": lambda port: [f"WIFI_MONGO_URL=mongodb://127.0.0.1:{port}/?replicaSet=secantus"],
    "postgres": lambda port: [f"WIFI_SQL_URL=postgresql+psycopg://wifi@127.0.0.1:{port}/wifi"],
    "elasticsearch": lambda port: [f"WIFI_ELASTICSEARCH_URL=http://127.0.0.1:{port}"],
    "neo4j": lambda port: [
        f"WIFI_NEO4J_URL=bolt://127.0.0.1:{port}",
        "WIFI_NEO4J_PASSWORD=wifi-assets-tests",
    ],
}


def servers(folder: Path, names: Sequence[str] = NAMES) -> list[Server]:
    """The servers of a folder, on the ports that they were given when it was new."""
    remembered = folder / "ports.json"
    if remembered.exists():
        ports = json.loads(remembered.read_text())
    else:
        # Next to each other, so that none gets the second port that Kafka takes.
        first = free_port(2 * len(names))
        ports = {name: first + 2 * place for place, name in enumerate(names)}
        folder.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps(ports, indent=2) + "\n")
    return [Server(name, (folder / name).resolve(), port) for name, port in ports.items()]


def is_running(server: Server) -> bool:
    """True if the script of the server says so."""
    script = HERE / server.name / f"{server.name}.sh"
    command = ["bash", script, "status", server.data, str(server.port)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def make_topic(port: int) -> None:
    """Make the topic ``pcap``.

    Its messages stay for ever: retention goes by their timestamps, so that Kafka's usual seven days
    would delete a replayed capture of last year within minutes.
    """
    topic = NewTopic("pcap", num_partitions=4, replication_factor=1, config={"retention.ms": "-1"})
    client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})  # ends its requests when it goes
    made = client.create_topics([topic])["pcap"]
    try:
        made.result(timeout=30)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _start(server: Server) -> str:
    state = "was running" if is_running(server) else "runs"
    if state == "runs":
        server.start()
    if server.name == "kafka":
        make_topic(server.port)
    return state


def start(folder: Path, names: Sequence[str] = NAMES) -> int:
    """Start what does not run; one that fails leaves the others running.

    Returns:
        Exit code: 0 if all run.
    """
    failed = 0
    lines = []
    with ThreadPoolExecutor() as pool:
        states = [(server, pool.submit(_start, server)) for server in servers(folder, names)]
        for server, state in states:
            try:
                print(f"{server.name} {state.result()} on 127.0.0.1:{server.port}", file=sys.stderr)
                lines += SETTINGS[server.name](server.port)
            except (Unavailable, KafkaException) as error:
                print(f"{server.name} does not run: {error}", file=sys.stderr)
                failed = 1
    print("\n".join(lines))
    return failed


def stop(folder: Path) -> int:
    """End the servers of a folder; their data and ports stay.

    Returns:
        Exit code: 0 if none runs any more.
    """
    if not (folder / "ports.json").exists():
        print(f"no servers were started from {folder}", file=sys.stderr)
        return 0
    failed = 0
    with ThreadPoolExecutor() as pool:
        for server, ended in [(server, pool.submit(server.stop)) for server in servers(folder)]:
            try:
                ended.result()
                print(f"{server.name} stopped", file=sys.stderr)
            except Unavailable as error:
                print(f"{server.name} does not stop: {error}", file=sys.stderr)
                failed = 1
    print(f"their data stays in {folder}; remove it to begin anew", file=sys.stderr)
    return failed


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m wifi_assets_tests.services", description=__doc__)
    parser.add_argument("verb", choices=["start", "stop"])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(".services"), help="their data (.services)")
    arguments = parser.parse_args()
    return {"start": start, "stop": stop}[arguments.verb](arguments.folder)


if __name__ == "__main__":
    sys.exit(main())
