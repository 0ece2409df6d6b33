"""Ready questions to the device graph, in Cypher: the one place where they are written.

Here belongs what a reader asks of the graph; the page ``docs/neo4j.md`` shows the same text, and
``Neo4jGraph.ask`` runs it. Not here: how the graph gets there (``resources/neo4j.py``).

The queries take no parameters, so that they can be pasted as they are. An SSID or a name is data in
them, never part of the text.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphQuery:
    """One ready query.

    Attributes:
        question: What it answers, in words.
        cypher: The query, without parameters; its columns are named for a reader.
    """

    question: str
    cypher: str


QUERIES: dict[str, GraphQuery] = {
    "same_networks": GraphQuery(
        "Which devices look for the same networks?",
        """\
MATCH (a:source)-[:LOOKED_FOR_SSID]->(n:ssid)<-[:LOOKED_FOR_SSID]-(b:source)
WHERE a.mac < b.mac
WITH DISTINCT a, b, n ORDER BY n.name
WITH a, b, collect(n.name) AS networks
RETURN coalesce(a.device_name, a.mac_resolved, a.mac) AS device, a.mac AS mac,
       coalesce(b.device_name, b.mac_resolved, b.mac) AS other, b.mac AS other_mac,
       size(networks) AS shared, networks
ORDER BY shared DESC, mac, other_mac
""",
    ),
    "one_network_only": GraphQuery(
        "Which devices look for one network only, and which?",
        """\
MATCH (s:source)-[:LOOKED_FOR_SSID]->(n:ssid)
WITH s, collect(DISTINCT n.name) AS networks
WHERE size(networks) = 1
RETURN coalesce(s.device_name, s.mac_resolved, s.mac) AS device, s.mac AS mac, networks[0] AS network
ORDER BY network, mac
""",
    ),
    "known_devices_and_strangers": GraphQuery(
        "Which networks do my known devices share with strangers?",
        """\
MATCH (known:source {is_known: true})-[:LOOKED_FOR_SSID]->(n:ssid)<-[:LOOKED_FOR_SSID]-(stranger:source)
WHERE coalesce(stranger.is_known, false) = false
WITH DISTINCT known, n, stranger ORDER BY stranger.mac
WITH known, n, collect(stranger.mac) AS stranger_macs
RETURN coalesce(known.device_name, known.mac_resolved, known.mac) AS device, known.mac AS mac,
       n.name AS network, size(stranger_macs) AS strangers, stranger_macs
ORDER BY mac, network
""",
    ),
    "wanted_networks": GraphQuery(
        "Which networks are looked for by most devices, how often and when?",
        """\
MATCH (s:source)-[r:LOOKED_FOR_SSID]->(n:ssid)
RETURN n.name AS network, count(DISTINCT s) AS devices,
       count(DISTINCT CASE WHEN s.is_known THEN s END) AS known_devices,
       sum(r.probes) AS probes, min(r.first_seen) AS first_seen, max(r.last_seen) AS last_seen
ORDER BY devices DESC, probes DESC, network
""",
    ),
    "networks_of_one_device": GraphQuery(
        "Which networks does one device alone look for? They tell it from all others.",
        """\
MATCH (s:source)-[:LOOKED_FOR_SSID]->(n:ssid)
WITH n, collect(DISTINCT s) AS devices
WHERE size(devices) = 1
WITH devices[0] AS s, n ORDER BY n.name
WITH s, collect(n.name) AS networks
RETURN coalesce(s.device_name, s.mac_resolved, s.mac) AS device, s.mac AS mac, networks
ORDER BY size(networks) DESC, mac
""",
    ),
    "same_list": GraphQuery(
        "Which addresses look for the same list of networks? Likely one device that changes its address.",
        """\
MATCH (s:source)-[:LOOKED_FOR_SSID]->(n:ssid)
WITH DISTINCT s, n ORDER BY n.name
WITH s, collect(n.name) AS networks
WHERE size(networks) >= 2
WITH networks, s ORDER BY s.mac
WITH networks, collect(s.mac) AS macs, collect(DISTINCT s.device_name) AS device_names
WHERE size(macs) >= 2
RETURN networks, size(macs) AS addresses, macs, device_names
ORDER BY addresses DESC, networks
""",
    ),
    "strangers_like_known_devices": GraphQuery(
        "Which strangers' addresses may be one of my devices, by the share of networks that both look for?",
        """\
MATCH (known:source {is_known: true})-[:LOOKED_FOR_SSID]->(n:ssid)<-[:LOOKED_FOR_SSID]-(stranger:source)
WHERE coalesce(stranger.is_known, false) = false
WITH known, stranger, count(DISTINCT n) AS shared
WITH known, stranger, shared,
     COUNT { MATCH (known)-[:LOOKED_FOR_SSID]->(m:ssid) RETURN DISTINCT m } AS of_known,
     COUNT { MATCH (stranger)-[:LOOKED_FOR_SSID]->(m:ssid) RETURN DISTINCT m } AS of_stranger
RETURN coalesce(known.device_name, known.mac_resolved, known.mac) AS device, known.mac AS mac,
       stranger.mac AS stranger_mac,
       substring(stranger.mac, 1, 1) IN ['2', '3', '6', '7', 'a', 'b', 'e', 'f'] AS is_randomised,
       shared, toFloat(shared) / (of_known + of_stranger - shared) AS likeness
ORDER BY likeness DESC, shared DESC, mac, stranger_mac
""",
    ),
    "known_device_history": GraphQuery(
        "What does each of my known devices look for, in the order in which it was first heard?",
        """\
MATCH (s:source {is_known: true})-[r:LOOKED_FOR_SSID]->(n:ssid)
RETURN coalesce(s.device_name, s.mac_resolved, s.mac) AS device, s.mac AS mac, n.name AS network,
       r.probes AS probes, r.first_seen AS first_seen, r.last_seen AS last_seen
ORDER BY device, mac, first_seen, network
""",
    ),
}
