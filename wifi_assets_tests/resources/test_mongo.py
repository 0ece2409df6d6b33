import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from wifi_assets.resources.devices import DeviceSourceError
from wifi_assets.resources.mongo import MongoDevices
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.services import Server

PASSWORD = "p@ss/word:%"
ENCODED = "p%40ss%2Fword%3A%25"


def source_of(server: Server, login: str = "", options: str = "") -> MongoDevices:
    options = "&".join(filter(None, ["serverSelectionTimeoutMS=900", options]))
    return MongoDevices(SecretStr(f"mongodb://{login}127.0.0.1:{server.port}/?{options}"))


def client_of(server: Server) -> MongoClient[dict[str, Any]]:
    return MongoClient("127.0.0.1", server.port, directConnection=True)


@contextmanager
def variant(folder: Path, *arguments: str) -> Iterator[Server]:
    server = Server("mongo", folder / "data")
    start_or_skip(server, *arguments)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with variant(tmp_path_factory.mktemp("standalone"), "--standalone") as server:
        yield server


@pytest.fixture
def ace(mongo: Server) -> Iterator[Any]:
    with client_of(mongo) as client:
        client.drop_database("ace")
        yield client.ace


def fill(ace: Any) -> None:
    ace.device.insert_one({"mac": "f0:9f:c2:00:00:01", "name": "attic", "type": "uap", "last_seen": 1_584_802_202})
    ace.user.insert_many(
        [
            {"mac": "aa:bb:cc:00:00:01", "oui": "Apple", "name": "a\0b", "hostname": "h", "is_guest": False},
            {"mac": "aa:bb:cc:00:00:02", "oui": "Ubiquiti", "name": "camera"},
            {"mac": "no", "oui": "Apple"},
        ]
    )


def test_read(mongo: Server, ace: Any) -> None:
    fill(ace)
    snapshot = source_of(mongo).read()
    assert [tuple(row.values()) for row in snapshot.table.to_pylist()] == [
        ("aa:bb:cc:00:00:01", "ace.user", r"a\x00b (h)", None, "Apple", None, False),
        ("f0:9f:c2:00:00:01", "ace.device", "attic", None, None, "uap", False),
    ]
    assert dict(snapshot.fates) == {
        ("ace.device", "row"): 1,
        ("ace.user", "row"): 1,
        ("ace.user", "oui is Ubiquiti"): 1,
        ("ace.user", "mac is not a MAC address"): 1,
    }
    assert snapshot.origin == f"MongoDB at 127.0.0.1:{mongo.port}"
    assert snapshot.newest["ace.device"] == datetime.fromtimestamp(1_584_802_202, UTC)
    # The users tell no time; the server noted when it took them.
    assert timedelta(0) <= datetime.now(UTC) - snapshot.newest["ace.user"] < timedelta(minutes=10)


CHANGES: dict[str, Any] = {
    "renamed": lambda ace: ace.device.update_one({}, {"$set": {"name": "cellar"}}),
    "inserted": lambda ace: ace.user.insert_one({"mac": "aa:bb:cc:00:00:03", "oui": "Apple"}),
    "replaced": lambda ace: ace.device.replace_one({}, {"mac": "f0:9f:c2:00:00:01"}),
    "deleted": lambda ace: ace.user.delete_one({"mac": "aa:bb:cc:00:00:01"}),
    "dropped": lambda ace: ace.user.drop(),
    "all gone": lambda ace: ace.client.drop_database("ace"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["mongo", "standalone"])
def test_a_change_is_seen_once(request: pytest.FixtureRequest, kind: str, change: str) -> None:
    server = request.getfixturevalue(kind)
    with client_of(server) as client:
        client.drop_database("ace")
        fill(client.ace)
        source = source_of(server)
        changed, first = source.changed(None)
        assert changed
        changed, idle = source.changed(first)
        assert not changed
        CHANGES[change](client.ace)
        changed, after = source.changed(idle)
        assert changed
        assert source.changed(after)[0] is False
        # A look is only a look: the earlier token still tells of the change.
        assert source.changed(first)[0] is True
        snapshot = source.read()
        assert source.changed(snapshot.token)[0] is False
        assert source.changed(first)[1].rpartition("content")[2] == snapshot.token.rpartition("content")[2]


@pytest.mark.parametrize("kind", ["mongo", "standalone"])
def test_what_makes_no_other_row_is_no_change(request: pytest.FixtureRequest, kind: str) -> None:
    server = request.getfixturevalue(kind)
    with client_of(server) as client:
        client.drop_database("ace")
        fill(client.ace)
        source = source_of(server)
        token = source.read().token
        client.ace.device.update_one({}, {"$set": {"last_seen": 1_584_802_999}})
        client.ace.user.insert_one({"mac": "aa:bb:cc:00:00:07", "oui": "Ubiquiti"})
        client.ace.event.insert_one({"mac": "aa:bb:cc:00:00:08"})
        client.other.device.insert_one({"mac": "aa:bb:cc:00:00:08"})
        changed, token = source.changed(token)
        assert not changed
        assert source.changed(token)[0] is False


def test_only_a_server_with_change_streams_gives_a_resume_token(mongo: Server, standalone: Server, ace: Any) -> None:
    assert '"resume": {"_data"' in source_of(mongo).read().token
    assert '"resume": null' in source_of(standalone).read().token


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "junk",
        "[]",
        "{}",
        '{"content": 7}',
        '{"content": "x"}',
        '{"resume": {"_data": "00"}, "content": "x"}',
        '{"resume": {"a": {"$oid": "zz"}}, "content": "x"}',
        '{"resume": 7, "content": "x"}',
        "\0",
    ],
)
def test_a_broken_token_means_read_again(mongo: Server, ace: Any, broken: str) -> None:
    fill(ace)
    source = source_of(mongo)
    changed, token = source.changed(broken)
    assert changed
    assert source.changed(token)[0] is False


def test_a_token_of_the_other_kind_of_server_compares(mongo: Server, standalone: Server, ace: Any) -> None:
    fill(ace)
    with client_of(standalone) as client:
        client.drop_database("ace")
        fill(client.ace)
    assert source_of(standalone).changed(source_of(mongo).read().token)[0] is False
    assert source_of(mongo).changed(source_of(standalone).read().token)[0] is False


def test_an_expired_token_compares(tmp_path: Path) -> None:
    with variant(tmp_path, "--oplog-max-entries", "200") as server, client_of(server) as client:
        fill(client.ace)
        source = source_of(server)
        token = source.read().token
        client.ace.event.insert_many([{"_id": ObjectId()} for _ in range(4_000)])
        with pytest.raises(OperationFailure) as lost:
            client.ace.watch(start_after=json.loads(token)["resume"])
        assert lost.value.code == 286
        changed, newer = source.changed(token)
        assert not changed
        client.ace.device.update_one({}, {"$set": {"name": "cellar"}})
        client.ace.event.insert_many([{"_id": ObjectId()} for _ in range(4_000)])
        assert source.changed(newer)[0] is True


def test_whatever_code_refuses_the_stream_the_contents_are_compared(tmp_path: Path) -> None:
    with variant(tmp_path, "--enable-test-commands") as server, client_of(server) as client:
        fill(client.ace)
        source = source_of(server)
        token = source.read().token
        for code in (238, 9, 59, 13, 136, 40324):
            fault = {"failCommands": ["aggregate"], "errorCode": code}
            client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=fault)
            with pytest.raises(OperationFailure) as refused:
                client.ace.watch()
            assert refused.value.code == code
            changed, token = source.changed(token)
            assert not changed
            assert '"resume": null' in token
            client.ace.device.update_one({}, {"$set": {"name": f"by {code}"}})
            changed, token = source.changed(token)
            assert changed
            assert source.read().table["name"].to_pylist()[-1] == f"by {code}"
        client.admin.command("configureFailPoint", "failCommand", mode="off")
        changed, token = source.changed(token)
        assert not changed
        assert '"resume": {"_data"' in token


def test_a_server_too_old_for_the_driver_points_to_the_files(mongo: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # The other way round it is the same: a driver too new for the server.
    monkeypatch.setattr("pymongo.common.MIN_SUPPORTED_WIRE_VERSION", 999)
    source = source_of(mongo)
    for call in (source.read, lambda: source.changed(None)):
        with pytest.raises(DeviceSourceError, match=r"is older than 4\.4.*mongodump.*WIFI_DEVICES_PATH"):
            call()


def test_killed_and_started_again(tmp_path: Path) -> None:
    with variant(tmp_path) as server:
        source = source_of(server)
        with client_of(server) as client:
            fill(client.ace)
        token = source.read().token
        with client_of(server) as client:
            client.ace.device.update_one({}, {"$set": {"name": "cellar"}})
        server.kill()
        with pytest.raises(DeviceSourceError, match=rf"127\.0\.0\.1:{server.port} .*gave no usable answer"):
            source.changed(token)
        server.start()
        changed, newer = source.changed(token)
        assert changed
        assert source.changed(newer)[0] is False
        assert "cellar" in source.read().table["name"].to_pylist()


def test_logins(tmp_path: Path) -> None:
    with variant(tmp_path) as server:
        logins(server)


def logins(server: Server) -> None:
    with client_of(server) as client:
        fill(client.ace)
        client.ace.command("createUser", "unifi", pwd=PASSWORD, roles=[{"role": "read", "db": "ace"}])
        client.ace.command("createUser", "other", pwd=PASSWORD, roles=[{"role": "read", "db": "another"}])
    server.stop()
    server.start("--auth")
    source = source_of(server, f"unifi:{ENCODED}@", "authSource=ace")
    token = source.read().token
    assert '"resume": {"_data"' in token
    assert source.changed(token)[0] is False
    for login, options, expected in [
        (f"unifi:{ENCODED}x@", "authSource=ace", "refused the login of user unifi"),
        (f"unifi:{ENCODED}@", "", "refused the login of user unifi: wrong user, password or authSource"),
        (f"other:{ENCODED}@", "authSource=ace", r"does not let user other read ace\.device and ace\.user"),
        ("", "", "does not let a client without login read"),
    ]:
        refused = source_of(server, login, options)
        for call in (refused.read, lambda refused=refused: refused.changed(token)):
            with pytest.raises(DeviceSourceError, match=expected) as error:
                call()
            assert f"127.0.0.1:{server.port}" in str(error.value)
            assert PASSWORD not in str(error.value)
            assert ENCODED not in str(error.value)
            assert error.value.__suppress_context__


def test_tls(tmp_path: Path) -> None:
    pem = {name: tmp_path / f"{name}.pem" for name in ("key", "certificate", "other")}
    for certificate, key in (("certificate", "key"), ("other", "unused")):
        command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
        files = ["-out", tmp_path / f"{certificate}.pem", "-keyout", tmp_path / f"{key}.pem"]
        subprocess.run([*command.split(), *files], check=True, capture_output=True)
    with variant(tmp_path, "--tls-cert-file", str(pem["certificate"]), "--tls-key-file", str(pem["key"])) as server:
        good = source_of(server, options=f"tls=true&tlsCAFile={pem['certificate']}")
        assert good.read().table.num_rows == 0
        with pytest.raises(DeviceSourceError, match=r"gave no usable answer: .*certificate verify failed"):
            source_of(server, options=f"tls=true&tlsCAFile={pem['other']}").read()
        with pytest.raises(DeviceSourceError, match=f"127.0.0.1:{server.port} "):
            source_of(server).read()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "mongodb://u:{password}@127.0.0.1:1/?serverSelectionTimeoutMS=500",
            "MongoDB at 127.0.0.1:1 .*Connection refused",
        ),
        (
            "mongodb://u:{password}@127.0.0.1:1/?tls=true&tlsCAFile=/nowhere.pem",
            "tlscafile file is not readable",
        ),
        (
            "mongodb://u:{password}@127.0.0.1:1/?tls=true&tlsCAFile=/dev/null",
            r"WIFI_MONGO_URL \(127.0.0.1:1\): ",
        ),
        ("mongodb://u:x:{password}@127.0.0.1:1/", "is no MongoDB URL"),
        ("mongodb://u:/{password}@127.0.0.1:1/", "is no MongoDB URL"),
        ("mongodb://u:{password}@127.0.0.1:99999/", "is no MongoDB URL"),
        ("mongodb://u:{password}@127.0.0.1/?authMechanism={password}", "is no MongoDB URL"),
        ("http://u:{password}@127.0.0.1/", "is no MongoDB URL"),
        ("{password}", "is no MongoDB URL"),
    ],
)
def test_a_wrong_url_is_one_sentence_without_its_password(url: str, expected: str) -> None:
    source = MongoDevices(SecretStr(url.format(password="geheim77")))
    for call in (source.read, lambda: source.changed(None)):
        with pytest.raises(DeviceSourceError, match=expected) as error:
            call()
        assert "geheim77" not in str(error.value)
        assert "WIFI_MONGO_URL" in str(error.value)
    assert "geheim77" not in repr(source)


def test_the_replica_set_is_another(mongo: Server) -> None:
    with pytest.raises(DeviceSourceError, match=f'127.0.0.1:{mongo.port} .*replica set name "rs0"'):
        source_of(mongo, options="replicaSet=rs0").read()
