"""Edges, changes and a look into the database, for the tests of the device graph.

Here belongs what several of those tests need. Not here: what is tested.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from neo4j import Driver, GraphDatabase
from pydantic import SecretStr

from wifi_assets.resources.change import Change, Progress
from wifi_assets.resources.neo4j import Neo4jGraph
from wifi_assets.schemas import TABLES
from wifi_assets_tests.services import Server

TABLE = TABLES["networks_looked_for"]
KEYS = pa.schema([TABLE.schema.field(name) for name in TABLE.key])
PASSWORD = "wifi-assets-tests"
START = datetime(2026, 3, 1, 23, 59, 59, 123456, tzinfo=UTC)

HOSTILE = (
    "nul \x00 inside",
    "'); DROP DATABASE neo4j; --",
    '"}) DETACH DELETE n //',
    "`$rows` {mac: 1} \\u0027 \\",
    "\u202egnp.exe\u202c \u05e9\u05dc\u05d5\u05dd",
    "</script><script>alert(1)</script>",
    "e\u0301 is not \u00e9",
    "\U0001f4f6" * 8,
    " ",
    "null",
)


@dataclass(frozen=True)
class Edge:
    """One row of ``networks_looked_for``; the names are the graph's."""

    mac: str
    ssid: str
    probes: int | None = 1
    first_seen: datetime | None = START
    last_seen: datetime | None = START + timedelta(hours=1)
    mac_resolved: str | None = None
    device_name: str | None = None
    is_known: bool | None = False

    @property
    def key(self) -> tuple[str, str]:
        return self.mac, self.ssid

    def on(self, **values: Any) -> "Edge":
        return replace(self, **values)


def rows(edges: Iterable[Edge]) -> pa.Table:
    """The lake's rows of these edges."""
    return pa.Table.from_pylist(
        [
            {
                "source_address": edge.mac,
                "ssid": edge.ssid,
                "probes": edge.probes,
                "first_seen": edge.first_seen,
                "last_seen": edge.last_seen,
                "source_address_resolved": edge.mac_resolved,
                "source_device_name": edge.device_name,
                "is_known_device": edge.is_known,
            }
            for edge in edges
        ],
        TABLE.schema,
    )


def keys(pairs: Iterable[tuple[str, str]]) -> pa.Table:
    """The key columns of these (mac, ssid)."""
    return pa.Table.from_pylist([{"source_address": mac, "ssid": ssid} for mac, ssid in pairs], KEYS)


def change(
    upserts: Iterable[Edge] | pa.RecordBatchReader = (),
    deletes: Iterable[tuple[str, str]] = (),
    *,
    full: bool = False,
    version: int = 1,
) -> Change:
    """A change of the lake table to ``version``."""
    reader = upserts if isinstance(upserts, pa.RecordBatchReader) else rows(upserts).to_reader(max_chunksize=3)
    return Change(TABLE, Progress("table-1", version), reader, keys(deletes), full)


def url(server: Server) -> SecretStr:
    return SecretStr(f"bolt://127.0.0.1:{server.port}")


def graph_on(server: Server) -> Neo4jGraph:
    return Neo4jGraph(url(server), "neo4j", SecretStr(PASSWORD))


@contextmanager
def plain_driver(server: Server) -> Iterator[Driver]:
    """The official driver, past our code."""
    with GraphDatabase.driver(
        url(server).get_secret_value(), auth=("neo4j", PASSWORD), notifications_min_severity="OFF"
    ) as driver:
        yield driver


def cypher(server: Server, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """Run one query past our code."""
    with plain_driver(server) as driver:
        return [record.data() for record in driver.execute_query(query, parameters).records]


def empty_graph(server: Server) -> Neo4jGraph:
    """The graph on a server that holds nothing, not even a constraint."""
    with plain_driver(server) as driver, driver.session() as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 5000 ROWS").consume()
        for record in list(session.run("SHOW CONSTRAINTS YIELD name")):
            session.run(f"DROP CONSTRAINT `{record['name']}`").consume()
    return graph_on(server)


def edges_in(server: Server) -> dict[tuple[str, str], Edge]:
    """Every ``LOOKED_FOR_SSID`` of the database; fails on two with one key."""
    found: dict[tuple[str, str], Edge] = {}
    with plain_driver(server) as driver:
        records = driver.execute_query(
            "MATCH (s:source)-[r:LOOKED_FOR_SSID]->(n:ssid) "
            "RETURN properties(s) AS s, properties(r) AS r, n.name AS ssid"
        ).records
    for record in records:
        source, relation = record["s"], record["r"]
        edge = Edge(
            source["mac"],
            record["ssid"],
            relation.get("probes"),
            *(relation[name].to_native() if name in relation else None for name in ("first_seen", "last_seen")),
            source.get("mac_resolved"),
            source.get("device_name"),
            source.get("is_known"),
        )
        assert edge.key not in found
        found[edge.key] = edge
    return found


def nodes_in(server: Server, label: str, key: str) -> list[str]:
    """The keys of all nodes of a label, sorted, repeats kept."""
    return sorted(row["key"] for row in cypher(server, f"MATCH (n:{label}) RETURN n.{key} AS key"))


def everything_in(server: Server) -> tuple[list[Any], list[Any]]:
    """All nodes and relationships with their ids, labels and properties."""
    nodes = cypher(server, "MATCH (n) RETURN elementId(n) AS id, labels(n) AS labels, properties(n) AS p ORDER BY id")
    relations = cypher(
        server,
        "MATCH (a)-[r]->(b) RETURN elementId(r) AS id, type(r) AS type, properties(r) AS p, "
        "elementId(a) AS a, elementId(b) AS b ORDER BY id",
    )
    return nodes, relations
