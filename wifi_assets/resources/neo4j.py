"""Neo4j as a target: who looked for which network, as a graph.

Here belongs how the lake's ``networks_looked_for`` gets into Neo4j and how far it has got there. Not
here: how the server is reached and its errors are worded (``neo4j_server.py``), the questions one asks
of the graph (``graph_queries.py``), or when the sink runs (``assets/sinks.py``).

The graph is ``(:source {mac, mac_resolved, device_name, is_known})-[:LOOKED_FOR_SSID {probes, first_seen,
last_seen}]->(:ssid {name})``. The database may hold other things. What we made is marked: our nodes
have the label ``wifi_assets`` beside their own, our relationships the property ``wifi_assets: true``.
A ``:source`` or ``:ssid`` that somebody else made is used and never deleted, and a node of ours stays
for as long as a relationship, a label or a property of somebody else's is on it.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import neo4j
import neo4j.time
import pyarrow as pa
from pydantic import SecretStr

from wifi_assets.graph_queries import QUERIES
from wifi_assets.resources.change import Change, Progress, Written
from wifi_assets.resources.neo4j_server import Neo4jServer
from wifi_assets.schemas import TIME

READ = neo4j.RoutingControl.READ
_ORDER = [("ssid", "ascending"), ("source_address", "ascending")]
#: Rows of one transaction: more are no faster, and 200,000 no longer fit a heap of 512 MB.
TRANSACTION_ROWS = 2_000
#: Rows sorted together: each source among them is written once, each busy network seldom.
SORTED_ROWS = 50_000

CONSTRAINTS = (
    "CREATE CONSTRAINT IF NOT EXISTS FOR (s:source) REQUIRE s.mac IS UNIQUE",
    "CREATE CONSTRAINT IF NOT EXISTS FOR (n:ssid) REQUIRE n.name IS UNIQUE",
    "CREATE CONSTRAINT IF NOT EXISTS FOR (p:wifi_assets_progress) REQUIRE p.table IS UNIQUE",
)

_SOURCES = """
UNWIND $sources AS row
MERGE (s:source {mac: row[0]}) ON CREATE SET s:wifi_assets
SET s.mac_resolved = row[1], s.device_name = row[2], s.is_known = row[3]
"""
# Times travel as microseconds: to pack one datetime takes the driver 27 µs, to make one the server 2.
_TIME = """
CASE WHEN row[{0}] IS NULL THEN NULL
     ELSE datetime({{epochSeconds: 0}}) + duration({{microseconds: row[{0}]}}) END
"""
_EDGES = f"""
UNWIND $networks AS network
MERGE (n:ssid {{name: network[0]}}) ON CREATE SET n:wifi_assets
WITH n, network
UNWIND network[1] AS row
MATCH (s:source {{mac: row[0]}})
MERGE (s)-[r:LOOKED_FOR_SSID {{wifi_assets: true}}]->(n)
SET r.probes = row[1], r.first_seen = {_TIME.format(2)}, r.last_seen = {_TIME.format(3)}
"""
_NOT_STALE = "REMOVE r.wifi_assets_stale"

_DELETE_EDGES = """
UNWIND $keys AS key
MATCH (:source {mac: key[0]})-[r:LOOKED_FOR_SSID {wifi_assets: true}]->(:ssid {name: key[1]})
DELETE r
"""
_ALONE = "NOT EXISTS { (n)--() } AND size(labels(n)) = 2 AND all(key IN keys(n) WHERE key IN %s)"
_SOURCE_ALONE = _ALONE % ["mac", "mac_resolved", "device_name", "is_known"]
_SSID_ALONE = _ALONE % ["name"]
_DELETE_SOURCES = f"""
UNWIND $macs AS mac
MATCH (n:source:wifi_assets {{mac: mac}}) WHERE {_SOURCE_ALONE}
DELETE n
"""
_DELETE_SSIDS = f"""
UNWIND $names AS name
MATCH (n:ssid:wifi_assets {{name: name}}) WHERE {_SSID_ALONE}
DELETE n
"""

_MARK_STALE = """
MATCH ()-[r:LOOKED_FOR_SSID {wifi_assets: true}]->()
CALL (r) { SET r.wifi_assets_stale = true } IN TRANSACTIONS OF 10000 ROWS
"""
_DELETE_STALE = """
MATCH ()-[r:LOOKED_FOR_SSID {wifi_assets: true, wifi_assets_stale: true}]->()
CALL (r) { DELETE r } IN TRANSACTIONS OF 10000 ROWS
"""
_DELETE_ALONE = f"""
MATCH (n:wifi_assets) WHERE (n:source AND {_SOURCE_ALONE}) OR (n:ssid AND {_SSID_ALONE})
CALL (n) {{ DELETE n }} IN TRANSACTIONS OF 10000 ROWS
"""

_COUNT = "MATCH ()-[r:LOOKED_FOR_SSID {wifi_assets: true}]->() RETURN count(r) AS number"
_READ_PROGRESS = "MATCH (p:wifi_assets_progress {table: $table}) RETURN p.table_id, p.version"
_WRITE_PROGRESS = "MERGE (p:wifi_assets_progress {table: $table}) SET p.table_id = $id, p.version = $version"
_FORGET_PROGRESS = "MATCH (p:wifi_assets_progress {table: $table}) REMOVE p.table_id, p.version"


class Neo4jGraph:
    """The device graph in one Neo4j database.

    Args:
        url: ``bolt://host:7687`` or ``neo4j://…``; with ``+s`` for TLS with a checked certificate, with
            ``+ssc`` for TLS with any certificate.
        user: User name.
        password: Password; None for a server that asks for none.
        ca: PEM file of the CA that signed the server's certificate, for ``+s``; None for the
            system's CAs.

    Raises:
        SinkError: A setting is wrong. Nothing connects before the first call.
    """

    def __init__(self, url: SecretStr, user: str, password: SecretStr | None, ca: Path | None = None) -> None:
        self._server = Neo4jServer(url, user, password, ca)

    def progress(self, table: str) -> Progress | None:
        """How far the graph has come in a lake table.

        Args:
            table: Lake table.

        Returns:
            What the last whole ``apply`` recorded; None when there was none.

        Raises:
            SinkError: The server is at fault.
        """
        with self._server.driver() as driver:
            found = driver.execute_query(_READ_PROGRESS, table=table, routing_=READ).records
        if not found or found[0]["p.version"] is None:
            return None
        return Progress(found[0]["p.table_id"], found[0]["p.version"])

    def apply(self, change: Change) -> Written:
        """Bring the graph to what ``change`` says.

        Each transaction holds at most ``TRANSACTION_ROWS`` rows. The old progress is forgotten before
        the first and the new one written after the last, so that a write that broke off is followed
        by a full one: a row of it may be gone from the lake by then, and no ``deletes`` would tell.
        Repeating is harmless: the numbers on a relationship are totals, not increments.

        Args:
            change: A change of ``networks_looked_for``.

        Returns:
            Relationships written and deleted.

        Raises:
            SinkError: The server is at fault, or what is in it stands in the way. ``progress`` is
                None then, or what it was if nothing was written.
        """
        written = Written()
        table = change.table.name
        with self._server.driver() as driver, driver.session() as session:
            for constraint in CONSTRAINTS:
                session.run(constraint).consume()
            session.execute_write(_run, _FORGET_PROGRESS, table=table)
            edges = _EDGES
            if change.full:
                edges += _NOT_STALE
                session.run(_MARK_STALE).consume()
            for rows in _by_ssid(change.upserts):
                sources = _sources(rows)
                for start in range(0, len(sources), TRANSACTION_ROWS):
                    session.execute_write(_run, _SOURCES, sources=sources[start : start + TRANSACTION_ROWS])
                for part in _parts(rows):
                    session.execute_write(_run, edges, networks=_networks(part))
                    written.upserted += part.num_rows
            for keys in _parts(change.deletes):
                written.deleted += session.execute_write(_delete, keys)
            if change.full:
                written.deleted += session.run(_DELETE_STALE).consume().counters.relationships_deleted
                session.run(_DELETE_ALONE).consume()
            session.execute_write(
                _run,
                _WRITE_PROGRESS,
                table=table,
                id=change.progress.table_id,
                version=change.progress.version,
            )
        return written

    def count(self, table: str) -> int:
        """Relationships of ours.

        Args:
            table: Lake table, ``networks_looked_for``.

        Returns:
            Their number.

        Raises:
            SinkError: The server is at fault.
        """
        with self._server.driver() as driver:
            return int(driver.execute_query(_COUNT, routing_=READ).records[0]["number"])

    def ask(self, name: str) -> list[dict[str, Any]]:
        """The answer to one of the ready queries.

        Args:
            name: A key of ``graph_queries.QUERIES``.

        Returns:
            One dict a row, in the query's order; times are aware datetimes.

        Raises:
            SinkError: The server is at fault.
        """
        with self._server.driver() as driver:
            records = driver.execute_query(QUERIES[name].cypher, routing_=READ).records
        return [{key: _native(value) for key, value in record.items()} for record in records]


def _native(value: Any) -> Any:
    return value.to_native() if isinstance(value, neo4j.time.DateTime) else value


def _by_ssid(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """The rows in tables of ``SORTED_ROWS`` and at most one incoming batch more, each sorted by SSID.

    Sorted, also so that two writers lock the busy nodes in one order.
    """
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in reader:
        held.append(batch)
        count += batch.num_rows
        if count >= SORTED_ROWS:
            yield pa.Table.from_batches(held).sort_by(_ORDER)
            held, count = [], 0
    yield pa.Table.from_batches(held, reader.schema).sort_by(_ORDER)


def _parts(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, TRANSACTION_ROWS):
        yield rows.slice(start, TRANSACTION_ROWS)


def _columns(rows: pa.Table, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows[name].to_pylist() for name in names), strict=True)


def _run(transaction: neo4j.ManagedTransaction, query: str, **parameters: Any) -> neo4j.ResultSummary:
    return transaction.run(query, parameters).consume()


def _sources(rows: pa.Table) -> list[list[Any]]:
    # One source, one row: of rows that differ in its name, the latest heard tells.
    names = ("source_address", "source_address_resolved", "source_device_name", "is_known_device")
    return list({source[0]: list(source) for source in _columns(rows.sort_by("last_seen"), *names)}.values())


def _networks(rows: pa.Table) -> list[list[Any]]:
    for time in ("first_seen", "last_seen"):
        place = rows.schema.get_field_index(time)
        rows = rows.set_column(place, time, rows[time].cast(TIME).cast(pa.int64()))
    edges = _columns(rows, "ssid", "source_address", "probes", "first_seen", "last_seen")
    return [[ssid, [list(edge[1:]) for edge in group]] for ssid, group in groupby(edges, itemgetter(0))]


def _delete(transaction: neo4j.ManagedTransaction, keys: pa.Table) -> int:
    pairs = [list(pair) for pair in _columns(keys, "source_address", "ssid")]
    deleted = _run(transaction, _DELETE_EDGES, keys=pairs).counters.relationships_deleted
    _run(transaction, _DELETE_SOURCES, macs=list({mac for mac, _ in pairs}))
    _run(transaction, _DELETE_SSIDS, names=list({name for _, name in pairs}))
    return deleted
