"""The real targets of the sinks, and their contents in a form that equals the lake's.

Each reads with its own plain client, past our code, and knows from the documentation alone what must be there.
Not here: what is tested.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch, helpers
from pydantic import SecretStr

from wifi_assets.assets.sinks import SINKS
from wifi_assets.lake import Lake
from wifi_assets.resources.elasticsearch_documents import MARK, TARGETS
from wifi_assets.schemas import TABLES
from wifi_assets_tests.resources.elasticsearch_rows import wipe
from wifi_assets_tests.resources.neo4j_support import PASSWORD, Edge, edges_in, empty_graph, nodes_in
from wifi_assets_tests.resources.sql_support import Database, in_order, new_database, stored
from wifi_assets_tests.services import Server

Contents = dict[str, Any]


class SqlContents:
    """A database of its own on Postgres, or in a file."""

    job = "sink_postgres"
    assets = tuple(SINKS["postgres"])

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.settings = {"sql_url": SecretStr(url)}

    def held(self) -> Contents:
        """Rows of each table, by key."""
        return {table: self.database.rows(TABLES[table]) for table in SINKS["postgres"].values()}

    def expected(self, lake: Lake) -> Contents:
        """What of this lake must be there."""
        return {
            table: in_order(TABLES[table], stored(_rows(lake, table, maps="strict")))
            for table in SINKS["postgres"].values()
        }


class ElasticsearchContents:
    """All indices of a server, empty at first."""

    job = "sink_elasticsearch"
    assets = tuple(SINKS["elasticsearch"])

    def __init__(self, server: Server) -> None:
        url = f"http://127.0.0.1:{server.port}"
        self.client = Elasticsearch(url, request_timeout=60)
        self.settings = {"elasticsearch_url": SecretStr(url)}
        wipe(self.client)

    def held(self) -> Contents:
        """Documents of each table, each with its index."""
        return {table: self._documents(table) for table in SINKS["elasticsearch"].values()}

    def expected(self, lake: Lake) -> Contents:
        """What of this lake must be there."""
        return {
            table: Counter(
                json.dumps([_index(table, row), _document(row)], sort_keys=True) for row in _rows(lake, table)
            )
            for table in SINKS["elasticsearch"].values()
        }

    def _documents(self, table: str) -> Counter[str]:
        pattern = TARGETS[table].pattern
        self.client.indices.refresh(index=pattern, ignore_unavailable=True)
        hits = helpers.scan(self.client, index=pattern, ignore_unavailable=True, size=5000)
        return Counter(
            json.dumps(
                [hit["_index"], {name: value for name, value in hit["_source"].items() if name != MARK}],
                sort_keys=True,
            )
            for hit in hits
        )


class GraphContents:
    """All of a Neo4j, empty at first."""

    job = "sink_neo4j"
    assets = tuple(SINKS["neo4j"])

    def __init__(self, server: Server) -> None:
        self.server = server
        self.graph = empty_graph(server)
        self.settings = {
            "neo4j_url": SecretStr(f"bolt://127.0.0.1:{server.port}"),
            "neo4j_password": SecretStr(PASSWORD),
        }

    def held(self) -> Contents:
        """Relationships by their ends, and the keys of all nodes."""
        return {
            "edges": edges_in(self.server),
            "sources": nodes_in(self.server, "source", "mac"),
            "networks": nodes_in(self.server, "ssid", "name"),
        }

    def expected(self, lake: Lake) -> Contents:
        """What of this lake must be there."""
        edges = [Edge(*row) for row in _tuples(lake)]
        return {
            "edges": {edge.key: edge for edge in edges},
            "sources": sorted({edge.mac for edge in edges}),
            "networks": sorted({edge.ssid for edge in edges}),
        }


Target = SqlContents | ElasticsearchContents | GraphContents


@contextmanager
def target_on(kind: str, server: Server | None, folder: Path) -> Iterator[Target]:
    """An empty target on a server of ours; SQLite needs none."""
    if server is None:
        yield SqlContents(f"sqlite:///{folder}/wifi.db")
    elif kind == "postgres":
        yield SqlContents(new_database(server))
    elif kind == "elasticsearch":
        target = ElasticsearchContents(server)
        with target.client:
            yield target
    else:
        yield GraphContents(server)


def check_in_step(target: Target, lake: Lake) -> None:
    """The target holds the lake's rows, each once, and nothing else; tells of one row where it does not."""
    held, expected = target.held(), target.expected(lake)
    for name, rows in expected.items():
        if held[name] != rows:
            had, wanted = (Counter(map(repr, _items(one))) for one in (held[name], rows))
            missing, more = wanted - had, had - wanted
            raise AssertionError(
                f"{name}: {missing.total()} missing, {more.total()} too many: {[*missing][:1]} {[*more][:1]}"
            )


def _items(contents: Any) -> Any:
    if isinstance(contents, Counter):
        return contents.elements()
    return contents.items() if isinstance(contents, dict) else contents


def _rows(lake: Lake, table: str, maps: Any = None) -> list[dict[str, Any]]:
    return lake.open(table).rows().to_table().to_pylist(maps_as_pydicts=maps)


def _tuples(lake: Lake) -> Iterator[tuple[Any, ...]]:
    names = ("source_address", "ssid", "probes", "first_seen", "last_seen")
    who = ("source_address_resolved", "source_device_name", "is_known_device")
    for row in _rows(lake, "networks_looked_for"):
        yield tuple(row[name] for name in (*names, *who))


def _index(table: str, row: dict[str, Any]) -> str:
    name = TARGETS[table].name
    return f"{name}-{row['day']:%Y.%m.%d}" if "day" in row else name


def _document(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in row.items() if value is not None}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"
    if isinstance(value, date):
        return str(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
