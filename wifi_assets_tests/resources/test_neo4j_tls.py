"""The device graph over TLS: a real server with a certificate of a CA of our own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from wifi_assets.resources.change import Progress
from wifi_assets.resources.errors import SinkError
from wifi_assets.resources.neo4j import Neo4jGraph
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.resources.neo4j_support import PASSWORD, TABLE, Edge, change
from wifi_assets_tests.services import Server


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_ca(folder: Path, name: str) -> Path:
    """A CA; returns its certificate."""
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.crt")  # fmt: skip
    return folder / f"{name}.crt"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and certificate for localhost (not for 127.0.0.1), the CA that signed it, another CA."""
    folder = tmp_path_factory.mktemp("certificates")
    make_ca(folder, "ours")
    make_ca(folder, "theirs")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", "private.key", "-out", "request")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", "request", "-CA", "ours.crt", "-CAkey", "ours.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "public.crt")  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def tls_neo4j(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes TLS only."""
    data = tmp_path_factory.mktemp("neo4j-tls") / "data"
    server = start_or_skip(Server("neo4j", data, env={"NEO4J_TLS": str(certificates)}))
    yield server
    server.stop()


def graph(scheme: str, host: str, server: Server, ca: Path | None) -> Neo4jGraph:
    return Neo4jGraph(SecretStr(f"{scheme}://{host}:{server.port}"), "neo4j", SecretStr(PASSWORD), ca)


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
def test_right_ca(tls_neo4j: Server, certificates: Path, scheme: str) -> None:
    ours = graph(scheme, "localhost", tls_neo4j, certificates / "ours.crt")
    ours.apply(change([Edge("m", "n")], full=True, version=3))
    assert ours.progress(TABLE.name) == Progress("table-1", 3)


def test_any_certificate_where_that_is_asked_for(tls_neo4j: Server) -> None:
    graph("bolt+ssc", "127.0.0.1", tls_neo4j, None).apply(change([Edge("m", "n")]))


@pytest.mark.parametrize("scheme", ["bolt+s", "neo4j+s"])
@pytest.mark.parametrize("ca", ["theirs.crt", None])
def test_ca_that_did_not_sign(tls_neo4j: Server, certificates: Path, scheme: str, ca: str | None) -> None:
    wrong = graph(scheme, "localhost", tls_neo4j, certificates / ca if ca else None)
    words = f"localhost:{tls_neo4j.port}: its certificate is not trusted .*check WIFI_NEO4J_CA"
    with pytest.raises(SinkError, match=words) as error:
        wrong.apply(change([Edge("m", "n")]))
    assert PASSWORD not in str(error.value)


def test_certificate_of_another_host(tls_neo4j: Server, certificates: Path) -> None:
    with pytest.raises(SinkError, match=r"not trusted \(.*127\.0\.0\.1.*\); check WIFI_NEO4J_CA and the host name"):
        graph("bolt+s", "127.0.0.1", tls_neo4j, certificates / "ours.crt").progress(TABLE.name)


def test_plain_words_to_a_tls_server(tls_neo4j: Server) -> None:
    with pytest.raises(SinkError, match=r"closed bolt:// at the first word; .*bolt\+s://"):
        graph("bolt", "localhost", tls_neo4j, None).progress(TABLE.name)


def test_ca_without_tls_in_the_url(tls_neo4j: Server, certificates: Path) -> None:
    with pytest.raises(SinkError, match=r"WIFI_NEO4J_CA is set, but neo4j:// checks .* write neo4j\+s://"):
        graph("neo4j", "localhost", tls_neo4j, certificates / "ours.crt")


@pytest.mark.parametrize("name", ["not-there.crt", "ours.key", "names"])
def test_ca_file_that_is_none(tls_neo4j: Server, certificates: Path, name: str) -> None:
    with pytest.raises(SinkError, match=rf"WIFI_NEO4J_CA: .*{name} is no readable PEM file"):
        graph("bolt+s", "localhost", tls_neo4j, certificates / name)
