"""Faults: nothing is recorded that was not written; one sentence names server and cause, and no secret."""

import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from pydantic import SecretStr

from wifi_assets.resources import sql_target
from wifi_assets.resources.change import Change, Progress, Written
from wifi_assets.resources.errors import SinkError
from wifi_assets.resources.sql_target import SqlTarget
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.resources.sql_support import (
    PACKETS,
    PROBES,
    Database,
    new_database,
    no_deletes,
    packets,
    part,
    probe_stats,
    reader,
    whole,
)
from wifi_assets_tests.services import Server, free_port

PASSWORD = "geheim-7f3a/@:%#"
QUOTED = "geheim-7f3a%2F%40%3A%25%23"


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database(f"sqlite:///{tmp_path}/wifi.db")
    return Database(new_database(request.getfixturevalue("postgres")))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a password and serves TLS only."""
    folder = tmp_path_factory.mktemp("guarded") / "data"
    server = Server("postgres", folder, env={"POSTGRES_PASSWORD": PASSWORD, "POSTGRES_TLS": "1"})
    yield start_or_skip(server)
    server.stop()


def refused(url: str) -> str:
    """The sentence with which a target that cannot connect says so, after a search for secrets."""
    said = []
    for call in (lambda: SqlTarget(SecretStr(url)).progress("packet_stats"), lambda: apply_to(url)):
        with pytest.raises(SinkError) as caught:
            call()
        said.append(str(caught.value))
        everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert "geheim" not in everything
        assert "\n" not in said[-1]
    assert said[0] == said[1]
    return said[0]


def apply_to(url: str) -> Written:
    return SqlTarget(SecretStr(url)).apply(whole(PACKETS, packets(3)))


# --- in the middle -------------------------------------------------------------------------------------


def test_a_lake_that_fails_in_the_middle_changes_nothing(database: Database) -> None:
    database.target.apply(whole(PACKETS, packets(5)))

    def failing() -> Iterator[pa.RecordBatch]:
        yield from reader(PACKETS, packets(4, more=9))
        raise OSError("the object store is away")

    rows = pa.RecordBatchReader.from_batches(PACKETS.schema, failing())
    with pytest.raises(OSError, match="the object store is away"):
        database.target.apply(Change(PACKETS, Progress("lake", 2), rows, no_deletes(PACKETS), full=True))
    assert database.rows(PACKETS) == packets(5)
    assert database.target.progress("packet_stats") == Progress("lake", 1)


def test_a_refused_row_leaves_rows_and_progress(database: Database) -> None:
    database.target.apply(whole(PACKETS, packets(5)))
    database.run("CREATE UNIQUE INDEX one_each ON packet_stats (packet_count)")
    equal = [{**row, "packet_count": 7} for row in packets(3)]
    with pytest.raises(SinkError, match=r"packet_stats was not written.*(?i:unique)"):
        database.target.apply(part(PACKETS, equal, gone=packets(5)[3:]))
    assert database.rows(PACKETS) == packets(5)
    assert database.target.progress("packet_stats") == Progress("lake", 1)
    database.run("DROP INDEX one_each")
    database.target.apply(part(PACKETS, equal, gone=packets(5)[3:]))
    assert database.rows(PACKETS) == equal


def test_two_rows_of_one_key_are_refused(database: Database) -> None:
    with pytest.raises(SinkError, match="packet_stats was not written"):
        database.target.apply(whole(PACKETS, packets(1) + packets(1, more=1)))
    assert database.rows(PACKETS) == []
    assert database.target.progress("packet_stats") is None


@pytest.mark.parametrize(
    "moment",
    ["COPY wifi_assets_stage", "DELETE FROM", "INSERT INTO public.packet_stats", "INSERT INTO public.wifi"],
)
def test_a_server_killed_in_the_middle(tmp_path: Path, moment: str) -> None:
    server = start_or_skip(Server("postgres", tmp_path / "data"))
    database = Database(new_database(server))
    before, after = packets(1_000), packets(900, more=5)
    database.target.apply(whole(PACKETS, before))

    def rows() -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(reader(PACKETS, after, chunk=100)):
            if number == 5 and moment.startswith("COPY"):
                server.kill()
            yield batch

    def change() -> Change:
        batches = pa.RecordBatchReader.from_batches(PACKETS.schema, rows())
        return Change(PACKETS, Progress("lake", 2), batches, no_deletes(PACKETS), full=True)

    with (
        database.before(moment, server.kill),
        pytest.raises(SinkError, match=rf"127\.0\.0\.1:{server.port}/sink_\d+: packet_stats was not written"),
    ):
        database.target.apply(change())
    assert "cannot connect" in refused(database.url)

    start_or_skip(server)
    assert database.rows(PACKETS) == before
    assert database.target.progress("packet_stats") == Progress("lake", 1)
    assert database.target.apply(whole(PACKETS, after, version=2)) == Written(900, 100)
    assert database.rows(PACKETS) == after
    server.kill()
    start_or_skip(server)
    assert database.rows(PACKETS) == after
    assert database.target.progress("packet_stats") == Progress("lake", 2)
    server.stop()


_DIES = """
import os, signal, sys
from wifi_assets_tests.resources.sql_support import Database, PACKETS, packets, whole
database = Database(sys.argv[1])
with database.before("INSERT INTO main.wifi_assets_progress", lambda: os.kill(os.getpid(), signal.SIGKILL)):
    database.target.apply(whole(PACKETS, packets(30_000, more=5), version=2))
"""


def test_a_process_killed_in_the_middle_of_sqlite(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/wifi.db")
    database.target.apply(whole(PACKETS, packets(1_000)))
    done = subprocess.run([sys.executable, "-c", _DIES, database.url], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    assert database.rows(PACKETS) == packets(1_000)
    assert database.target.progress("packet_stats") == Progress("lake", 1)
    database.target.apply(whole(PACKETS, packets(500, more=5), version=2))
    assert database.rows(PACKETS) == packets(500, more=5)


def test_a_lock_of_somebody_else_is_waited_for_and_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_target, "LOCK_SECONDS", 1)
    database = Database(database.url)
    database.target.apply(whole(PACKETS, packets(3)))
    holder = database.engine.connect()
    lock = {"postgresql": "LOCK TABLE packet_stats", "sqlite": "BEGIN EXCLUSIVE"}[database.kind]
    holder.exec_driver_sql(lock)
    with pytest.raises(SinkError, match=r"packet_stats was not written.*lock"):
        database.target.apply(part(PACKETS, packets(3, more=1)))
    holder.close()
    database.target.apply(part(PACKETS, packets(3, more=1)))
    assert database.rows(PACKETS) == packets(3, more=1)


def test_a_database_that_cannot_hold_a_character(postgres: Server) -> None:
    url = new_database(postgres)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    database = Database(url.rpartition("/")[0] + "/latin")
    database.target.apply(whole(PROBES, [probe_stats("Zoë")]))
    with pytest.raises(SinkError, match="LATIN1"):
        database.target.apply(whole(PROBES, [probe_stats("☕")], version=2))
    assert database.rows(PROBES) == [probe_stats("Zoë")]


# --- logins, addresses, TLS ----------------------------------------------------------------------------


def test_a_server_that_is_not_there() -> None:
    port = free_port()
    said = refused(f"postgresql://wifi:{QUOTED}@127.0.0.1:{port}/wifi")
    assert f"postgresql://127.0.0.1:{port}/wifi: cannot connect" in said
    assert "Connection refused" in said
    assert "WIFI_SQL_URL" in said


def test_a_host_that_is_not_there() -> None:
    assert "nowhere.invalid" in refused(f"postgresql://wifi:{QUOTED}@nowhere.invalid/wifi")


def test_a_right_password_by_tls(guarded: Server) -> None:
    login = f"postgresql://wifi:{QUOTED}@127.0.0.1:{guarded.port}/wifi"
    encrypted_key = f"{login}?sslpassword=geheim-for-a-key"
    for url in (login, encrypted_key, f"{login}?sslmode=verify-full&sslrootcert={guarded.data}/ca.pem"):
        assert apply_to(url) == Written(3, 0)
    target = SqlTarget(SecretStr(encrypted_key))
    assert target.name == f"postgresql://127.0.0.1:{guarded.port}/wifi"
    assert "geheim" not in repr(vars(target))


@pytest.mark.parametrize("login", ["wifi:geheim-but-wrong@", "wifi@", f"nobody-of-that-name:{QUOTED}@"])
def test_a_wrong_login(guarded: Server, login: str) -> None:
    said = refused(f"postgresql://{login}127.0.0.1:{guarded.port}/wifi?sslmode=require")
    assert f"127.0.0.1:{guarded.port}/wifi: cannot connect" in said
    assert "password" in said


def test_a_missing_database(postgres: Server) -> None:
    said = refused(f"postgresql://wifi:{QUOTED}@127.0.0.1:{postgres.port}/never_made")
    assert 'database "never_made" does not exist' in said


def test_a_ca_that_did_not_sign_it(guarded: Server, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", "2"),
            *("-keyout", tmp_path / "other.key", "-out", other),
        ],
        check=True,
        capture_output=True,
    )
    url = f"postgresql://wifi:{QUOTED}@127.0.0.1:{guarded.port}/wifi?sslmode=verify-full&sslrootcert={other}"
    assert "certificate verify failed" in refused(url)
    assert "does not exist" in refused(f"{url}.gone")


def test_a_server_without_tls(postgres: Server) -> None:
    said = refused(f"postgresql://wifi:{QUOTED}@127.0.0.1:{postgres.port}/wifi?sslmode=require")
    assert "does not support SSL" in said


def test_a_password_among_the_parameters(guarded: Server) -> None:
    url = f"postgresql://wifi@127.0.0.1:{guarded.port}/wifi?sslmode=require&password="
    assert apply_to(url + QUOTED) == Written(3, 0)
    assert "password" in refused(url + "geheim-but-wrong")


def test_a_parameter_that_libpq_does_not_know(postgres: Server) -> None:
    assert "sslmod" in refused(f"postgresql://wifi:{QUOTED}@127.0.0.1:{postgres.port}/wifi?sslmod=require")


def test_a_login_that_may_not_make_tables(postgres: Server) -> None:
    database = Database(new_database(postgres))
    database.run("CREATE ROLE reader LOGIN")
    url = database.url.replace("wifi@", "reader@")
    with pytest.raises(SinkError, match=r"packet_stats was not written.*permission denied for schema public"):
        apply_to(url)
    database.target.apply(whole(PACKETS, packets(1)))
    with pytest.raises(SinkError, match=r"progress of packet_stats was not read.*permission denied for table"):
        SqlTarget(SecretStr(url)).progress("packet_stats")
    database.run("GRANT CREATE ON SCHEMA public TO reader")


def test_a_sqlite_file_in_no_folder(tmp_path: Path) -> None:
    said = refused(f"sqlite:///{tmp_path}/none/wifi.db")
    assert f"sqlite:///{tmp_path}/none/wifi.db: cannot connect: unable to open database file" in said


def test_a_file_that_is_no_sqlite_database(tmp_path: Path) -> None:
    (tmp_path / "wifi.db").write_text("some other file, longer than a header of SQLite's own would be" * 20)
    with pytest.raises(SinkError, match=r"wifi\.db: .*file is not a database"):
        apply_to(f"sqlite:///{tmp_path}/wifi.db")


def test_a_full_disk_of_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(f"sqlite:///{tmp_path}/wifi.db")
    database.target.apply(whole(PACKETS, packets(100)))

    def small(*arguments: object, **named: object) -> sqlite3.Connection:
        connection = connect(*arguments, **named)
        connection.execute("PRAGMA max_page_count = 8")
        return connection

    connect = sqlite3.connect
    monkeypatch.setattr(database.target._engine.dialect.loaded_dbapi, "connect", small)
    with pytest.raises(SinkError, match=r"packet_stats was not written.*disk is full"):
        database.target.apply(whole(PACKETS, packets(2_000), version=2))
    monkeypatch.undo()
    assert database.rows(PACKETS) == packets(100)
    assert database.target.progress("packet_stats") == Progress("lake", 1)


@pytest.mark.parametrize(
    "url",
    [
        "geheim",
        "",
        "postgresql://wifi:geheim/1@127.0.0.1:5432/wifi",
        "postgresql://wifi:geheim@127.0.0.1:geheim/wifi",
        "mysql://wifi:geheim@127.0.0.1/wifi",
        "postgresql+nodriver://wifi:geheim@127.0.0.1:1/wifi",
    ],
)
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(SinkError) as caught:
        SqlTarget(SecretStr(url)).progress("packet_stats")
    assert "WIFI_SQL_URL" in str(caught.value)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
