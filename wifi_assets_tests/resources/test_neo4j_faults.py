"""The device graph when the server is at fault: killed, away, short of memory, refusing."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr

from wifi_assets.resources import neo4j as sink
from wifi_assets.resources import neo4j_server
from wifi_assets.resources.change import Progress
from wifi_assets.resources.errors import SinkError
from wifi_assets.resources.neo4j import Neo4jGraph
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.resources.neo4j_support import (
    TABLE,
    Edge,
    change,
    edges_in,
    graph_on,
    nodes_in,
    rows,
    url,
)
from wifi_assets_tests.services import Server, free_port

SECRET = "a-secret-that-nobody-may-see"
EDGES = [
    Edge(f"00:11:22:33:44:{source:02x}", f"network {network}", source * network, device_name=f"device {source}")
    for network in range(60)
    for source in range(50)
]
HELD = {edge.key: edge for edge in EDGES}


@pytest.fixture
def own_neo4j(tmp_path: Path) -> Iterator[Server]:
    """A server for one test alone, that it may kill."""
    server = start_or_skip(Server("neo4j", tmp_path / "data"))
    yield server
    server.stop()


def test_killed_between_transactions_and_started_again(own_neo4j: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "TRANSACTION_ROWS", 500)
    monkeypatch.setattr(sink, "SORTED_ROWS", 1000)
    monkeypatch.setattr(neo4j_server, "RETRY_SECONDS", 1.0)
    graph = graph_on(own_neo4j)
    before = Edge("00:11:22:33:44:ff", "before")
    graph.apply(change([before], version=1))

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows(EDGES[:1000]).to_batches()
        own_neo4j.kill()
        yield from rows(EDGES[1000:]).to_batches()

    with pytest.raises(SinkError, match=rf"^Neo4j at 127.0.0.1:{own_neo4j.port}: cannot be reached or went away"):
        graph.apply(change(pa.RecordBatchReader.from_batches(TABLE.schema, batches()), version=2))
    own_neo4j.start()
    # What was acknowledged is there, and no progress says that this is all or what was before.
    assert edges_in(own_neo4j) == {before.key: before} | {edge.key: edge for edge in EDGES[:1000]}
    assert graph.progress(TABLE.name) is None

    # Now the server comes back while the sink tries again.
    monkeypatch.setattr(neo4j_server, "RETRY_SECONDS", 60.0)

    def interrupted() -> Iterator[pa.RecordBatch]:
        yield from rows(EDGES[:1000]).to_batches()
        own_neo4j.kill()
        own_neo4j.start()
        yield from rows(EDGES[1000:]).to_batches()

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, interrupted())
    graph.apply(change(reader, [before.key], version=2))
    assert edges_in(own_neo4j) == HELD
    assert graph.progress(TABLE.name) == Progress("table-1", 2)


@pytest.mark.parametrize(("full", "delay"), [(False, 0.3), (True, 0.05)])
def test_killed_in_the_middle_of_a_transaction(
    own_neo4j: Server, monkeypatch: pytest.MonkeyPatch, full: bool, delay: float
) -> None:
    monkeypatch.setattr(sink, "TRANSACTION_ROWS", 200)
    monkeypatch.setattr(sink, "SORTED_ROWS", 200)
    monkeypatch.setattr(neo4j_server, "RETRY_SECONDS", 1.0)
    graph = graph_on(own_neo4j)
    graph.apply(change([Edge("gone", "gone")], version=1))
    killer = threading.Timer(delay, own_neo4j.kill)

    def batches() -> Iterator[pa.RecordBatch]:
        killer.start()
        # One server dies of one kill: the rows go on until that is felt.
        while True:
            yield from rows(EDGES).to_batches(max_chunksize=200)

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, batches())
    with pytest.raises(SinkError, match=f"127.0.0.1:{own_neo4j.port}"):
        graph.apply(change(reader, full=full, version=2))
    killer.join()
    own_neo4j.start()
    assert graph.progress(TABLE.name) is None
    graph.apply(change(EDGES, full=True, version=2))
    assert edges_in(own_neo4j) == HELD
    assert nodes_in(own_neo4j, "ssid", "name") == sorted({edge.ssid for edge in EDGES})
    assert nodes_in(own_neo4j, "source", "mac") == sorted({edge.mac for edge in EDGES})


def test_too_little_memory_for_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j_server, "RETRY_SECONDS", 1.0)
    server = start_or_skip(Server("neo4j", tmp_path / "data", env={"NEO4J_TX_MAX": "10m"}))
    try:
        many = [Edge(f"m{number}", f"network {number} {'x' * 900}") for number in range(10_000)]
        monkeypatch.setattr(sink, "TRANSACTION_ROWS", 10_000)
        with pytest.raises(SinkError, match=r"too little memory for a transaction .*OutOfMemory"):
            graph_on(server).apply(change(rows(many).to_reader()))
        assert graph_on(server).progress(TABLE.name) is None
        assert edges_in(server) == {}
        monkeypatch.setattr(sink, "TRANSACTION_ROWS", 100)
        graph_on(server).apply(change(many[:300]))
        assert len(edges_in(server)) == 300
    finally:
        server.stop()


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
@pytest.mark.parametrize("password", [SecretStr(SECRET), None])
def test_wrong_login_is_named_without_the_secret(
    neo4j: Server, caplog: pytest.LogCaptureFixture, scheme: str, password: SecretStr | None
) -> None:
    caplog.set_level(logging.DEBUG)
    graph = Neo4jGraph(SecretStr(f"{scheme}://127.0.0.1:{neo4j.port}"), "robin", password)
    for call in (lambda: graph.progress(TABLE.name), lambda: graph.apply(change([Edge("m", "n")]))):
        with pytest.raises(SinkError) as refused:
            call()
        assert f"Neo4j at 127.0.0.1:{neo4j.port}: refuses the login of user 'robin'" in str(refused.value)
        error: BaseException | None = refused.value
        while error is not None:
            assert SECRET not in repr(error) + str(error)
            error = error.__cause__ or error.__context__
    assert caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_nobody_listens(scheme: str) -> None:
    port = free_port()
    graph = Neo4jGraph(SecretStr(f"{scheme}://127.0.0.1:{port}"), "neo4j", SecretStr(SECRET))
    with pytest.raises(SinkError, match=rf"127.0.0.1:{port}: cannot be reached .*ConnectionRefusedError") as error:
        graph.progress(TABLE.name)
    assert "\n" not in str(error.value)


def test_name_that_nobody_knows() -> None:
    graph = Neo4jGraph(SecretStr("neo4j://nowhere.invalid"), "neo4j", None)
    with pytest.raises(SinkError, match=r"nowhere.invalid:7687: cannot be reached .*gaierror"):
        graph.progress(TABLE.name)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:7474", "names no Neo4j server"),
        ("127.0.0.1:7687", "names no Neo4j server"),
        ("bolt://", "names no Neo4j server"),
        ("bolt+x://host", "names no Neo4j server"),
        ("bolt://host:70000", "no number from 0 to 65535"),
        (f"bolt://neo4j:{SECRET}@host", "belong into WIFI_NEO4J_USER and WIFI_NEO4J_PASSWORD"),
    ],
)
def test_url_that_is_none_is_refused_without_its_text(address: str, words: str) -> None:
    with pytest.raises(SinkError, match=f"^WIFI_NEO4J_URL .*{words}") as error:
        Neo4jGraph(SecretStr(address), "neo4j", SecretStr(SECRET))
    assert SECRET not in str(error.value)


def test_plain_server_asked_for_tls(neo4j: Server) -> None:
    address = url(neo4j).get_secret_value().replace("bolt:", "bolt+s:")
    graph = Neo4jGraph(SecretStr(address), "neo4j", SecretStr(SECRET))
    with pytest.raises(SinkError, match=rf"127.0.0.1:{neo4j.port}: does not answer the TLS of bolt\+s://"):
        graph.apply(change([Edge("m", "n")]))
