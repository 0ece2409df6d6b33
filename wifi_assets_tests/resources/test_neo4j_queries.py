"""The ready queries on a real Neo4j, over a few edges whose answers are plain to see."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from wifi_assets.graph_queries import QUERIES
from wifi_assets.resources.neo4j import Neo4jGraph
from wifi_assets_tests.resources.neo4j_support import START, Edge, change, cypher, empty_graph
from wifi_assets_tests.services import Server

PHONE = Edge("00:11:22:00:00:01", "", device_name="Phone", is_known=True)
TV = Edge("00:11:22:00:00:02", "", mac_resolved="Vendor_00:00:02", is_known=True)
GUEST = Edge("00:11:22:00:00:03", "", device_name="Guest", is_known=False)
MASK_A = Edge("da:a1:19:00:00:01", "", is_known=None)
MASK_B = Edge("da:a1:19:00:00:02", "", is_known=False)
HOUR = timedelta(hours=1)

EDGES = [
    PHONE.on(ssid="home", probes=10, first_seen=START, last_seen=START + 5 * HOUR),
    PHONE.on(ssid="cafe", probes=2, first_seen=START + HOUR, last_seen=START + 2 * HOUR),
    PHONE.on(ssid="work", probes=4, first_seen=START - HOUR, last_seen=START + HOUR),
    TV.on(ssid="home", probes=7, first_seen=START - 2 * HOUR, last_seen=START),
    GUEST.on(ssid="cafe"),
    GUEST.on(ssid="hotel"),
    MASK_A.on(ssid="cafe"),
    MASK_A.on(ssid="work"),
    MASK_B.on(ssid="cafe"),
    MASK_B.on(ssid="work"),
]


@pytest.fixture(scope="module")
def graph(neo4j: Server) -> Neo4jGraph:
    graph = empty_graph(neo4j)
    graph.apply(change(EDGES, full=True))
    # A second relationship of the same type, by somebody else: no query counts the network twice.
    cypher(
        neo4j,
        "MATCH (s:source {mac: $mac}), (n:ssid {name: 'cafe'}) CREATE (s)-[:LOOKED_FOR_SSID]->(n)",
        mac=GUEST.mac,
    )
    return graph


def test_same_networks(graph: Neo4jGraph) -> None:
    answer = graph.ask("same_networks")
    assert answer[0] == {
        "device": "Phone",
        "mac": PHONE.mac,
        "other": MASK_A.mac,
        "other_mac": MASK_A.mac,
        "shared": 2,
        "networks": ["cafe", "work"],
    }
    assert [(row["mac"], row["other_mac"], row["networks"]) for row in answer] == [
        (PHONE.mac, MASK_A.mac, ["cafe", "work"]),
        (PHONE.mac, MASK_B.mac, ["cafe", "work"]),
        (MASK_A.mac, MASK_B.mac, ["cafe", "work"]),
        (PHONE.mac, TV.mac, ["home"]),
        (PHONE.mac, GUEST.mac, ["cafe"]),
        (GUEST.mac, MASK_A.mac, ["cafe"]),
        (GUEST.mac, MASK_B.mac, ["cafe"]),
    ]


def test_one_network_only(graph: Neo4jGraph) -> None:
    assert graph.ask("one_network_only") == [{"device": "Vendor_00:00:02", "mac": TV.mac, "network": "home"}]


def test_known_devices_and_strangers(graph: Neo4jGraph) -> None:
    assert graph.ask("known_devices_and_strangers") == [
        {
            "device": "Phone",
            "mac": PHONE.mac,
            "network": "cafe",
            "strangers": 3,
            "stranger_macs": [GUEST.mac, MASK_A.mac, MASK_B.mac],
        },
        {
            "device": "Phone",
            "mac": PHONE.mac,
            "network": "work",
            "strangers": 2,
            "stranger_macs": [MASK_A.mac, MASK_B.mac],
        },
    ]


def test_wanted_networks(graph: Neo4jGraph) -> None:
    answer = graph.ask("wanted_networks")
    assert [(row["network"], row["devices"], row["known_devices"], row["probes"]) for row in answer] == [
        ("cafe", 4, 1, 5),
        ("work", 3, 1, 6),
        ("home", 2, 2, 17),
        ("hotel", 1, 0, 1),
    ]
    assert (answer[2]["first_seen"], answer[2]["last_seen"]) == (START - 2 * HOUR, START + 5 * HOUR)


def test_networks_of_one_device(graph: Neo4jGraph) -> None:
    assert graph.ask("networks_of_one_device") == [{"device": "Guest", "mac": GUEST.mac, "networks": ["hotel"]}]


def test_same_list(graph: Neo4jGraph) -> None:
    assert graph.ask("same_list") == [
        {"networks": ["cafe", "work"], "addresses": 2, "macs": [MASK_A.mac, MASK_B.mac], "device_names": []}
    ]


def test_strangers_like_known_devices(graph: Neo4jGraph) -> None:
    answer = graph.ask("strangers_like_known_devices")
    assert [(row["stranger_mac"], row["is_randomised"], row["shared"]) for row in answer] == [
        (MASK_A.mac, True, 2),
        (MASK_B.mac, True, 2),
        (GUEST.mac, False, 1),
    ]
    assert [row["likeness"] for row in answer] == pytest.approx([2 / 3, 2 / 3, 1 / 4])
    assert {(row["device"], row["mac"]) for row in answer} == {("Phone", PHONE.mac)}


def test_known_device_history(graph: Neo4jGraph) -> None:
    answer = graph.ask("known_device_history")
    assert [(row["device"], row["network"], row["probes"]) for row in answer] == [
        ("Phone", "work", 4),
        ("Phone", "home", 10),
        ("Phone", "cafe", 2),
        ("Vendor_00:00:02", "home", 7),
    ]
    assert (answer[0]["first_seen"], answer[0]["last_seen"]) == (START - HOUR, START + HOUR)


def test_every_query_is_tested_and_on_the_page() -> None:
    assert {name for name in QUERIES if f"test_{name}" not in globals()} == set()
    page = (Path(__file__).parents[2] / "docs" / "neo4j.md").read_text()
    shown = dict(re.findall(r"^### ([^\n]+)\n\n```cypher\n(.+?)```$", page, re.MULTILINE | re.DOTALL))
    assert shown == {query.question: query.cypher for query in QUERIES.values()}
