"""The sink when the server is killed, full, busy, away, or refuses the login.

The real server that the tests run has no security module: login and TLS are tested against a front that
answers as Elasticsearch does (``elasticsearch_front.py``).
"""

import base64
import logging
import socket
import ssl
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from elasticsearch import Elasticsearch
from pydantic import SecretStr

from wifi_assets.resources import elasticsearch_bulk, elasticsearch_server
from wifi_assets.resources.change import Progress, Written
from wifi_assets.resources.elasticsearch import ElasticsearchSink
from wifi_assets.resources.errors import SinkError
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.resources.elasticsearch_front import Answer, error, front
from wifi_assets_tests.resources.elasticsearch_rows import (
    TABLE_ID,
    change,
    documents,
    frame,
    rows_of,
    streamed,
    wipe,
)
from wifi_assets_tests.services import Server, free_port


@pytest.fixture
def client(elasticsearch: Server) -> Iterator[Elasticsearch]:
    with Elasticsearch(f"http://127.0.0.1:{elasticsearch.port}") as client:
        wipe(client)
        yield client


def sink_at(port: int, login: str = "", scheme: str = "http", **more: object) -> ElasticsearchSink:
    return ElasticsearchSink(SecretStr(f"{scheme}://{login}127.0.0.1:{port}"), **more)


def test_killed_in_mid_apply_and_started_again(tmp_path: Path) -> None:
    server = Server("elasticsearch", tmp_path / "data")
    start_or_skip(server)
    try:
        sink = sink_at(server.port)
        first = [frame(offset) for offset in range(1000)]
        sink.apply(change("frames", first, 1, full=True))
        more = [frame(offset, signal_dbm=-40) for offset in range(500, 30_000)]
        for died_after in (1, 5, 13):

            def dying(died_after: int = died_after) -> Iterator[pa.RecordBatch]:
                for number, batch in enumerate(rows_of("frames", more).to_batches(2000)):
                    if number == died_after:
                        server.kill()
                    yield batch

            with pytest.raises(SinkError, match=f"Elasticsearch at 127.0.0.1:{server.port}: cannot be reached"):
                sink.apply(streamed(change("frames", [], 2, deletes=first[:10]), dying()))
            server.start()
            assert sink.progress("frames") == Progress(TABLE_ID, 1, (2,))
        sink.apply(change("frames", more, 2, deletes=first[:10]))
        assert sink.progress("frames") == Progress(TABLE_ID, 2)
        with Elasticsearch(f"http://127.0.0.1:{server.port}") as client:
            assert client.count(index="pcap-*")["count"] == 30_000 - 10
            changed = {"term": {"signal_dbm": -40}}
            assert client.count(index="pcap-*", query=changed)["count"] == len(more)
    finally:
        server.stop()


def test_a_full_disk_ends_it_at_once(
    client: Elasticsearch, elasticsearch: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch_bulk, "FIRST_WAIT_SECONDS", 0.01)
    sink = sink_at(elasticsearch.port)
    sink.apply(change("frames", [frame(0)], 1, full=True))
    # What the server does to its indices when less than 5 % of the disk are left.
    blocked = {"index.blocks.read_only_allow_delete": True}
    client.indices.put_settings(index="pcap-*", settings=blocked)
    with pytest.raises(SinkError, match=r"(blocked|flood-stage|disk)") as refused:
        sink.apply(change("frames", [frame(offset) for offset in range(1, 20)], 2))
    assert f"Elasticsearch at 127.0.0.1:{elasticsearch.port}" in str(refused.value)
    assert sink.progress("frames") == Progress(TABLE_ID, 1, (2,))
    client.indices.put_settings(index="pcap-*", settings={"index.blocks.read_only_allow_delete": None})
    sink.apply(change("frames", [frame(offset) for offset in range(1, 20)], 2))
    assert len(documents(client, "frames")) == 20


def test_a_block_on_the_whole_server(client: Elasticsearch, elasticsearch: Server) -> None:
    sink = sink_at(elasticsearch.port)
    client.cluster.put_settings(persistent={"cluster.blocks.read_only": True})
    try:
        with pytest.raises(SinkError, match=r"its writes are blocked .*cluster_block_exception"):
            sink.apply(change("frames", [frame(0)], 1, full=True))
    finally:
        client.cluster.put_settings(persistent={"cluster.blocks.read_only": None})
    assert sink.progress("frames") is None


def test_a_busy_server_is_asked_again(
    client: Elasticsearch, elasticsearch: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch_bulk, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(elasticsearch_bulk, "CHUNK", 100)
    with front(elasticsearch.port) as busy:

        def refuse_each_second(method: str, path: str) -> Answer | None:
            bulks = sum(path.startswith("/_bulk") for _, path in busy.requests)
            if path.startswith("/_bulk") and bulks % 2:
                return error(429, "es_rejected_execution_exception", "rejected execution of coordinating operation")
            return None

        busy.refuse = refuse_each_second
        written = sink_at(busy.port).apply(change("frames", [frame(n) for n in range(1000)], 1, full=True))
    assert written == Written(upserted=1000)
    assert len(documents(client, "frames")) == 1000


def test_a_server_that_stays_busy_ends_it(
    client: Elasticsearch, elasticsearch: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch_bulk, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(elasticsearch_bulk, "WRITERS", 1)
    with front(elasticsearch.port) as busy:
        busy.refuse = lambda method, path: (
            error(429, "es_rejected_execution_exception", "rejected execution of coordinating operation")
            if path.startswith("/_bulk")
            else None
        )
        sink = sink_at(busy.port)
        with pytest.raises(SinkError, match=r"is overloaded and refused all attempts .*rejected execution"):
            sink.apply(change("frames", [frame(0)], 1, full=True))
        assert sum(path.startswith("/_bulk") for _, path in busy.requests) == 1 + elasticsearch_bulk.RETRIES
        assert sink.progress("frames") is None


def test_away() -> None:
    port = free_port()
    with pytest.raises(SinkError, match=f"Elasticsearch at 127.0.0.1:{port}: cannot be reached .*check that it runs"):
        sink_at(port).progress("frames")


def test_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elasticsearch_server, "GREETING_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SinkError, match=f"127.0.0.1:{port}: cannot be reached .*timed out"):
            sink_at(port).progress("frames")


def test_another_server_on_the_port() -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        Thread(target=server.handle_request).start()
        with pytest.raises(SinkError, match="does not answer as an Elasticsearch does"):
            sink_at(server.server_address[1]).progress("frames")


SECRET = "se/cret:päss@w"
BASIC = "Basic " + base64.b64encode(f"writer:{SECRET}".encode()).decode()
QUOTED = "se%2Fcret%3Ap%C3%A4ss%40w"


def everything_said(refused: pytest.ExceptionInfo[SinkError], caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join([*traceback.format_exception(refused.value), caplog.text])


def test_password(client: Elasticsearch, elasticsearch: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with front(elasticsearch.port) as guarded:
        guarded.login = BASIC
        assert sink_at(guarded.port, f"writer:{QUOTED}@").apply(change("frames", [frame(0)], 1, full=True))
        with pytest.raises(SinkError, match=r"refuses the login \(401\); check the user and password") as refused:
            sink_at(guarded.port, f"writer:{QUOTED}wrong@").progress("frames")
        with pytest.raises(SinkError, match=r"refuses the login \(401\); no login is set"):
            sink_at(guarded.port).progress("frames")
    said = everything_said(refused, caplog)
    assert f"Elasticsearch at 127.0.0.1:{guarded.port}" in said
    for secret in (SECRET, QUOTED, BASIC.split()[1]):
        assert secret not in said


def test_api_key(client: Elasticsearch, elasticsearch: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = base64.b64encode(b"id:topsecret").decode()
    with front(elasticsearch.port) as guarded:
        guarded.login = f"ApiKey {key}"
        sink_at(guarded.port, api_key=SecretStr(key)).apply(change("frames", [frame(0)], 1, full=True))
        wrong = SecretStr("wrong" + key)
        with pytest.raises(SinkError, match="check WIFI_ELASTICSEARCH_API_KEY") as refused:
            sink_at(guarded.port, api_key=wrong).apply(change("frames", [frame(0)], 1, full=True))
    assert key not in everything_said(refused, caplog)


def test_a_login_without_the_right_to_write(elasticsearch: Server) -> None:
    reason = "action [indices:admin/index_template/put] is unauthorized for user [reader]"
    with front(elasticsearch.port) as guarded:
        guarded.refuse = lambda method, path: error(403, "security_exception", reason) if method == "PUT" else None
        with pytest.raises(SinkError, match=r"the login may not do this .*unauthorized for user"):
            sink_at(guarded.port, "reader:x@").apply(change("frames", [frame(0)], 1, full=True))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own CA, and its key beside it."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "ca.pem"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder / "ca.pem"


def test_tls(client: Elasticsearch, elasticsearch: Server, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with front(elasticsearch.port, context) as guarded:
        sink = sink_at(guarded.port, scheme="https", ca=certificate)
        assert sink.apply(change("frames", [frame(0)], 1, full=True)) == Written(upserted=1)
        with pytest.raises(SinkError, match=r"certificate is not trusted \(self.signed certificate\); check WIFI_"):
            sink_at(guarded.port, scheme="https").progress("frames")
        with pytest.raises(SinkError, match="cannot be reached or went away"):
            sink_at(guarded.port, scheme="http").progress("frames")


def test_tls_to_a_server_without(elasticsearch: Server) -> None:
    with pytest.raises(SinkError, match=r"does not answer TLS .*check http or https"):
        sink_at(elasticsearch.port, scheme="https").progress("frames")


@pytest.mark.parametrize(
    ("url", "more", "words"),
    [
        ("127.0.0.1:9200", {}, "names no server"),
        ("ftp://host:9200", {}, "names no server"),
        ("http://", {}, "names no server"),
        ("http://u:hidden@host:port", {}, "its port is no number"),
        ("http://u:hidden/x@host", {}, "its port is no number .* write / as %2F"),
        ("http://u:hidden@host", {"api_key": SecretStr("hidden")}, "give one of them"),
        ("http://host", {"api_key": SecretStr("hidden hé")}, "is no API key"),
        ("http://host", {"ca": Path("ca.pem")}, "http:// checks no certificate"),
        ("https://host", {"ca": Path("/nowhere/ca.pem")}, r"/nowhere/ca\.pem is no readable PEM file"),
        ("https://host", {"ca": Path(__file__)}, "is no readable PEM file"),
    ],
)
def test_a_wrong_setting_is_named(url: str, more: dict, words: str) -> None:
    with pytest.raises(SinkError, match=words) as refused:
        ElasticsearchSink(SecretStr(url), **more)
    assert "WIFI_ELASTICSEARCH_" in str(refused.value)
    assert "hidden" not in "".join(traceback.format_exception(refused.value))
