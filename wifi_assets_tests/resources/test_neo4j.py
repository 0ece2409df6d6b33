"""The device graph on a real Neo4j: what a change leaves in it, whatever else is there."""

from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from neo4j import ManagedTransaction, ResultSummary

from wifi_assets.resources import neo4j as sink
from wifi_assets.resources.change import Progress, Written
from wifi_assets.resources.errors import SinkError
from wifi_assets_tests.resources.neo4j_support import (
    HOSTILE,
    TABLE,
    Edge,
    change,
    cypher,
    edges_in,
    empty_graph,
    everything_in,
    nodes_in,
    rows,
)
from wifi_assets_tests.services import Server

PHONE, LAPTOP, STRANGER = "00:11:22:33:44:55", "00:11:22:33:44:66", "da:a1:19:00:00:01"


def assert_holds(server: Server, edges: dict[tuple[str, str], Edge]) -> None:
    """Exactly these edges, and no node without one."""
    assert edges_in(server) == edges
    assert nodes_in(server, "source", "mac") == sorted({mac for mac, _ in edges})
    assert nodes_in(server, "ssid", "name") == sorted({ssid for _, ssid in edges})


def by_key(*edges: Edge) -> dict[tuple[str, str], Edge]:
    return {edge.key: edge for edge in edges}


def test_first_change_is_the_graph_and_its_progress(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    home = Edge(PHONE, "home", 12, mac_resolved="Vendor_33:44:55", device_name="Phone", is_known=True)
    cafe = home.on(ssid="cafe", probes=3)
    other = Edge(STRANGER, "cafe", 1, mac_resolved=STRANGER)

    assert graph.progress(TABLE.name) is None
    assert graph.apply(change([home, cafe, other], full=True, version=7)) == Written(upserted=3, deleted=0)
    assert_holds(neo4j, by_key(home, cafe, other))
    assert graph.progress(TABLE.name) == Progress("table-1", 7)
    assert graph.progress("another_table") is None


def test_keys_are_unique_by_constraint(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    for _ in range(2):
        graph.apply(change([]))
    constraints = cypher(neo4j, "SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties")
    assert {(c["type"], *c["labelsOrTypes"], *c["properties"]) for c in constraints} == {
        ("UNIQUENESS", "source", "mac"),
        ("UNIQUENESS", "ssid", "name"),
        ("UNIQUENESS", "wifi_assets_progress", "table"),
    }


def test_renamed_device_stays_one_node(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    before = [Edge(PHONE, ssid, device_name="Phone", is_known=True) for ssid in ("home", "cafe")]
    graph.apply(change(before))
    node = cypher(neo4j, "MATCH (s:source) RETURN elementId(s) AS id")
    after = [edge.on(device_name="Robin's phone", probes=5) for edge in before]
    graph.apply(change(after, version=2))
    assert_holds(neo4j, by_key(*after))
    assert cypher(neo4j, "MATCH (s:source) RETURN elementId(s) AS id") == node


def test_name_that_is_gone_is_removed(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    named = Edge(PHONE, "home", device_name="Phone", mac_resolved="Vendor", is_known=True)
    graph.apply(change([named]))
    bare = named.on(device_name=None, mac_resolved=None, is_known=None, probes=None, first_seen=None, last_seen=None)
    graph.apply(change([bare], version=2))
    assert_holds(neo4j, by_key(bare))
    assert cypher(neo4j, "MATCH (s:source) RETURN keys(s) AS keys") == [{"keys": ["mac"]}]


def test_of_rows_that_differ_in_the_name_the_latest_heard_tells(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    late = Edge(PHONE, "a", device_name="new")
    early = Edge(PHONE, "z", device_name="old", last_seen=late.first_seen)
    graph.apply(change([late, early]))
    assert cypher(neo4j, "MATCH (s:source) RETURN s.device_name AS name") == [{"name": "new"}]


def test_delete_takes_the_edge_and_the_nodes_it_leaves_alone(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    kept = Edge(PHONE, "home")
    graph.apply(change([kept, Edge(PHONE, "cafe"), Edge(STRANGER, "home"), Edge(LAPTOP, "work")]))
    gone = [(PHONE, "cafe"), (STRANGER, "home"), (LAPTOP, "work"), (LAPTOP, "never was")]
    assert graph.apply(change(deletes=gone, version=2)) == Written(upserted=0, deleted=3)
    assert_holds(neo4j, by_key(kept))


def test_full_leaves_exactly_its_edges(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    kept = Edge(PHONE, "home", 2)
    graph.apply(change([kept, Edge(PHONE, "old"), Edge(STRANGER, "older")]))
    new = Edge(LAPTOP, "home")
    assert graph.apply(change([kept.on(probes=9), new], full=True, version=2)) == Written(2, 2)
    assert_holds(neo4j, by_key(kept.on(probes=9), new))
    assert graph.apply(change(full=True, version=3)) == Written(0, 2)
    assert_holds(neo4j, {})


@pytest.mark.parametrize("full", [False, True])
def test_repeat_changes_nothing(neo4j: Server, full: bool) -> None:
    graph = empty_graph(neo4j)
    edges = [Edge(mac, ssid, 4, device_name="x") for mac in (PHONE, STRANGER) for ssid in ("home", "cafe")]
    deletes = [] if full else [(LAPTOP, "gone")]
    graph.apply(change(edges, deletes, full=full))
    before = everything_in(neo4j)
    graph.apply(change(edges, deletes, full=full))
    assert everything_in(neo4j) == before


def test_what_is_not_ours_stays(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    cypher(
        neo4j,
        """
        CREATE (robin:person {name: 'Robin'})-[:OWNS {since: 2020}]->(:source {mac: $laptop, colour: 'red'}),
               (:ssid {name: 'cafe', city: 'York'}), (:place {name: 'home'}),
               (:source {mac: 'x'})-[:LOOKED_FOR_SSID {by: 'another tool'}]->(:ssid {name: 'y'})
        """,
        laptop=LAPTOP,
    )
    foreign = everything_in(neo4j)
    edges = [Edge(mac, ssid) for mac in (PHONE, LAPTOP, STRANGER) for ssid in ("home", "cafe")]
    graph.apply(change([*edges, Edge("x", "y", 8), Edge("only", "ours")]))
    # Things that others hang on nodes that we made.
    cypher(
        neo4j,
        """
        MATCH (p:source {mac: $phone}), (s:source {mac: $stranger}), (h:ssid {name: 'home'}), (r:person)
        CREATE (r)-[:OWNS]->(p) SET s:suspect, h.note = 'mine'
        """,
        phone=PHONE,
        stranger=STRANGER,
    )
    graph.apply(change(deletes=[edge.key for edge in edges[:2]], version=2))
    graph.apply(change(full=True, version=3))

    nodes, relations = everything_in(neo4j)
    by_id = {node["id"]: node for node in nodes}
    for node in foreign[0]:
        stays = by_id.pop(node["id"])
        assert stays["labels"] == node["labels"]
        assert node["p"].items() <= stays["p"].items()
    assert [relation for relation in relations if relation["p"] != {}] == foreign[1]
    assert sum(relation["type"] == "OWNS" for relation in relations) == 2
    left = [
        (sorted(node["labels"]), node["p"].get("mac") or node["p"].get("name") or node["p"].get("table"))
        for node in by_id.values()
    ]
    assert sorted(left) == [
        (["source", "suspect", "wifi_assets"], STRANGER),
        (["source", "wifi_assets"], PHONE),
        (["ssid", "wifi_assets"], "home"),
        (["wifi_assets_progress"], TABLE.name),
    ]


def test_hostile_texts_arrive_as_what_they_are(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    edges = [
        Edge(PHONE.replace("55", f"{number:02x}"), text, device_name=text, mac_resolved=text)
        for number, text in enumerate(HOSTILE)
    ]
    graph.apply(change(edges))
    assert_holds(neo4j, by_key(*edges))
    assert {row["device"] for row in graph.ask("one_network_only")} == set(HOSTILE)
    graph.apply(change(deletes=[edge.key for edge in edges], version=2))
    assert_holds(neo4j, {})


@pytest.mark.parametrize("full", [False, True])
def test_no_progress_when_the_lake_fails_on_the_way(neo4j: Server, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "SORTED_ROWS", 1)
    graph = empty_graph(neo4j)
    old = Edge(PHONE, "old")
    graph.apply(change([old], full=True, version=1))

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows([Edge(PHONE, "new")]).to_batches()
        raise OSError("the disk is gone")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    with pytest.raises(OSError, match="the disk is gone"):
        graph.apply(change(reader, full=full, version=2))
    assert (PHONE, "new") in edges_in(neo4j)
    # Half done work is no known version: the lake now gives a full change, and that mends all.
    assert graph.progress(TABLE.name) is None
    graph.apply(change([Edge(PHONE, "new")], full=True, version=2))
    assert_holds(neo4j, by_key(Edge(PHONE, "new")))


def test_duplicates_that_stop_the_constraint_are_named(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    cypher(neo4j, "CREATE (:source {mac: $mac}), (:source {mac: $mac})", mac=PHONE)
    with pytest.raises(SinkError, match=rf"127.0.0.1:{neo4j.port}: what it holds .*`mac` = '{PHONE}'"):
        graph.apply(change([Edge(PHONE, "home")]))
    assert graph.progress(TABLE.name) is None
    assert edges_in(neo4j) == {}


def test_index_that_stops_the_constraint_is_named(neo4j: Server) -> None:
    graph = empty_graph(neo4j)
    cypher(neo4j, "CREATE INDEX somebodys FOR (n:ssid) ON (n.name)")
    try:
        with pytest.raises(SinkError, match=r"what it holds .*index \(:ssid \{name\}\)"):
            graph.apply(change([Edge(PHONE, "home")]))
    finally:
        cypher(neo4j, "DROP INDEX somebodys")
    graph.apply(change([Edge(PHONE, "home")]))
    assert_holds(neo4j, by_key(Edge(PHONE, "home")))


def test_rows_are_held_in_bounds_and_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "SORTED_ROWS", 5)
    pulled = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(9):
            pulled.append(number)
            edges = [Edge(mac, f"{9 - number} {part}") for part in "ba" for mac in "zy"][:3]
            yield from rows(edges).to_batches()

    tables = sink._by_ssid(pa.RecordBatchReader.from_batches(TABLE.schema, batches()))
    first = next(tables)
    assert pulled == [0, 1]
    found = [first, *tables]
    assert [table.num_rows for table in found] == [6, 6, 6, 6, 3]
    for table in found:
        order = list(sink._columns(table, "ssid", "source_address"))
        assert order == sorted(order)


def test_no_transaction_is_larger_than_said(neo4j: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "TRANSACTION_ROWS", 4)
    graph = empty_graph(neo4j)
    sizes: list[int] = []
    run = sink._run

    def counting(transaction: ManagedTransaction, query: str, **parameters: Any) -> ResultSummary:
        sizes.extend(len(parameters.get(name, [])) for name in ("sources", "keys"))
        sizes.append(sum(len(network[1]) for network in parameters.get("networks", [])))
        return run(transaction, query, **parameters)

    monkeypatch.setattr(sink, "_run", counting)
    edges = [Edge(f"m{source}", f"n{network}") for source in range(5) for network in range(3)]
    graph.apply(change(edges))
    graph.apply(change(deletes=[edge.key for edge in edges], version=2))
    assert max(sizes) == 4
    assert sum(sizes) == 5 + 15 + 15
    assert_holds(neo4j, {})


texts = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
macs = st.sampled_from([PHONE, LAPTOP, STRANGER])
facts = st.tuples(st.none() | texts, st.none() | st.booleans())
#: One state of the lake table: who looked for what how often, and what is known of each source.
states = st.tuples(
    st.dictionaries(st.tuples(macs, texts), st.integers(0, 2**62), max_size=6),
    st.fixed_dictionaries(dict.fromkeys((PHONE, LAPTOP, STRANGER), facts)),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(states, st.booleans()), min_size=1, max_size=4))
def test_any_way_ends_in_the_same_graph(
    neo4j: Server,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[tuple[tuple[dict[tuple[str, str], int], dict[str, tuple[str | None, bool | None]]], bool]],
) -> None:
    monkeypatch.setattr(sink, "TRANSACTION_ROWS", 2)
    monkeypatch.setattr(sink, "SORTED_ROWS", 4)
    graph = empty_graph(neo4j)
    held: dict[tuple[str, str], Edge] = {}
    for version, ((probes, about), full) in enumerate(steps):
        now = {
            (mac, ssid): Edge(mac, ssid, count, device_name=about[mac][0], is_known=about[mac][1])
            for (mac, ssid), count in probes.items()
        }
        upserts = [edge for key, edge in now.items() if full or held.get(key) != edge]
        deletes = [] if full else [key for key in held if key not in now]
        written = graph.apply(change(upserts, deletes, full=full, version=version))
        assert written == Written(len(upserts), len(held.keys() - now.keys()))
        assert graph.progress(TABLE.name) == Progress("table-1", version)
        assert_holds(neo4j, now)
        held = now
