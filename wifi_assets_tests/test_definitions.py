"""The definitions assemble without a network, and hold what the settings ask for and no more."""

import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr

from wifi_assets.assets.sinks import SINKS
from wifi_assets.definitions import build_defs
from wifi_assets.settings import Settings

URLS: dict[str, dict[str, Any]] = {
    "postgres": {"sql_url": SecretStr("postgresql://wifi@127.0.0.1:1/wifi")},
    "elasticsearch": {"elasticsearch_url": SecretStr("http://127.0.0.1:1")},
    "neo4j": {"neo4j_url": SecretStr("bolt://127.0.0.1:1")},
}
LOADED = """
import json, sys
from wifi_assets.definitions import defs
defs.resolve_job_def("lake")
graph = defs.resolve_asset_graph()
assert not {"elasticsearch", "neo4j", "psycopg"} & sys.modules.keys(), "no run of the lake needs them"
print(json.dumps(sorted(key.to_user_string() for key in graph.get_all_asset_keys())))
"""


@pytest.fixture
def listeners() -> Iterator[list[socket.socket]]:
    """A server for each URL, which answers nobody and knows whether somebody came."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(5)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
            one.listen()
            one.setblocking(False)
        yield sockets


def loaded(folder: Path, **environment: str) -> list[str]:
    """Import the definitions as Dagster does, in a process and a folder of its own; returns the assets."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WIFI_")}
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        env=clean | {"PYTHONPATH": str(Path(__file__).parents[1])} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_import_touches_no_network_and_no_lake(listeners: list[socket.socket], tmp_path: Path) -> None:
    kafka, mongo, postgres, elasticsearch, neo4j = (one.getsockname()[1] for one in listeners)
    assets = loaded(
        tmp_path,
        WIFI_KAFKA_BOOTSTRAP=f"127.0.0.1:{kafka}",
        WIFI_MONGO_URL=f"mongodb://127.0.0.1:{mongo}/",
        WIFI_SQL_URL=f"postgresql://wifi@127.0.0.1:{postgres}/wifi",
        WIFI_ELASTICSEARCH_URL=f"http://127.0.0.1:{elasticsearch}",
        WIFI_NEO4J_URL=f"bolt://127.0.0.1:{neo4j}",
        WIFI_LAKE=str(tmp_path / "lake"),
    )
    assert {name for sinks in SINKS.values() for name in sinks} <= set(assets)
    for one in listeners:
        with pytest.raises(BlockingIOError):
            one.accept()
    assert not (tmp_path / "lake").exists()


def test_import_without_any_setting(tmp_path: Path) -> None:
    assets = loaded(tmp_path)
    assert "frames" in assets
    assert [name for name in assets if name.startswith(tuple(SINKS))] == []
    assert list(tmp_path.iterdir()) == []


def test_urls_that_cannot_be_read_stop_no_import_and_no_other_asset(tmp_path: Path) -> None:
    assets = loaded(
        tmp_path,
        WIFI_MONGO_URL="mongo",
        WIFI_SQL_URL="postgres",
        WIFI_ELASTICSEARCH_URL="elastic",
        WIFI_NEO4J_URL="neo",
    )
    assert {"frames", "devices", "neo4j_device_graph"} <= set(assets)


@pytest.mark.parametrize("wanted", [(), ("postgres",), ("elasticsearch", "neo4j"), tuple(SINKS)])
def test_a_sink_without_url_is_not_in_the_graph(tmp_path: Path, wanted: tuple[str, ...]) -> None:
    urls = {name: value for target in wanted for name, value in URLS[target].items()}
    defs = build_defs(Settings(_env_file=None, lake=str(tmp_path), **urls))
    assets = {key.path[-1] for key in defs.resolve_asset_graph().get_all_asset_keys()}
    jobs = {job.name for job in defs.resolve_all_job_defs()}
    for target, sinks in SINKS.items():
        assert (set(sinks) <= assets) is (target in wanted)
        assert not (set(sinks) & assets) or target in wanted
        assert (f"sink_{target}" in jobs) is (target in wanted)
    assert {"lake", "refresh_devices", "maintenance"} <= jobs


def test_no_warning_is_left_to_the_caller(tmp_path: Path) -> None:
    urls = {name: value for target in SINKS for name, value in URLS[target].items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_defs(Settings(_env_file=None, lake=str(tmp_path), sensors_on=True, **urls)).resolve_all_job_defs()


def test_every_sink_hangs_on_its_table_and_says_what_it_is(tmp_path: Path) -> None:
    urls = {name: value for target in SINKS for name, value in URLS[target].items()}
    graph = build_defs(Settings(_env_file=None, lake=str(tmp_path), **urls)).resolve_asset_graph()
    nodes = {node.key.path[-1]: node for node in graph.asset_nodes}
    for target, sinks in SINKS.items():
        for name, table in sinks.items():
            node = nodes[name]
            assert [key.path[-1] for key in node.parent_keys] == [table]
            assert node.kinds == {target}
            assert node.owners == ["team:wifi_assets"]
            assert node.description
            assert table in node.description
            assert node.partitions_def is None
            assert node.group_name == f"sink_{target}"
    file = Settings(_env_file=None, lake=str(tmp_path), sql_url=f"sqlite:///{tmp_path}/w.db")
    node = build_defs(file).resolve_asset_graph().get(dg.AssetKey("postgres_packet_stats"))
    assert node.kinds == {"sqlite"}
    assert "SQLite" in (node.description or "")
    topic = next(node for node in graph.asset_nodes if node.key.path == ["kafka", "pcap"])
    assert topic.metadata["bootstrap"] == "127.0.0.1:9092"
    assert topic.is_observable
    assert not topic.is_materializable
