"""What ``make services`` and ``make services-stop`` call, on the servers that start fastest."""

import json
import socket
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource
from pydantic import SecretStr

from wifi_assets.resources.mongo import MongoDevices
from wifi_assets.settings import Settings
from wifi_assets_tests.services import NAMES, Server
from wifi_assets_tests.services.__main__ import SETTINGS, is_running, servers, start, stop


def settings_in(lines: str) -> Settings:
    pairs = dict(line.split("=", 1) for line in lines.splitlines())
    known = {f"WIFI_{name.upper()}": name for name in Settings.model_fields}
    return Settings(_env_file=None, **{known[name]: value for name, value in pairs.items()})  # type: ignore[call-arg]


def test_started_again_stopped_and_begun_where_it_ended(
    kafka: Server, mongo: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("kafka", "mongo")
    try:
        assert start(tmp_path / "all", names) == 0
        first = capsys.readouterr()
        assert f"kafka runs on {settings_in(first.out).kafka_bootstrap}" in first.err
        assert start(tmp_path / "all", names) == 0
        again = capsys.readouterr()
        assert again.out == first.out
        assert again.err.count("was running") == 2

        settings = settings_in(first.out)
        client = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
        assert len(client.list_topics(settings.kafka_topic, timeout=10).topics["pcap"].partitions) == 4
        resource = ConfigResource(ConfigResource.Type.TOPIC, "pcap")
        assert client.describe_configs([resource])[resource].result(10)["retention.ms"].value == "-1"
        assert settings.mongo_url is not None
        assert '"resume": {"_data"' in MongoDevices(settings.mongo_url).read().token

        kafka_server, mongo_server = servers(tmp_path / "all")
        mongo_server.kill()
        assert start(tmp_path / "all", names) == 0
        mended = capsys.readouterr()
        assert "kafka was running" in mended.err
        assert "mongo runs" in mended.err
        assert mended.out == first.out
    finally:
        assert stop(tmp_path / "all") == 0
    assert not is_running(kafka_server)
    assert not is_running(mongo_server)


def test_one_that_fails_is_named_and_the_others_stay(
    mongo: Server, postgres: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (_, database) = servers(tmp_path, ("mongo", "postgres"))
        ports = {"mongo": taken.getsockname()[1], "postgres": database.port}
        (tmp_path / "ports.json").write_text(json.dumps(ports))
        try:
            assert start(tmp_path) == 1
            said = capsys.readouterr()
            assert (
                f"mongo does not run: mongo: start ended with 1: mongo: something else listens on port {ports['mongo']}"
                in said.err
            )
            assert settings_in(said.out).sql_url == SecretStr(
                f"postgresql+psycopg://wifi@127.0.0.1:{database.port}/wifi"
            )
            assert is_running(database)
        finally:
            assert stop(tmp_path) == 0
    assert not is_running(database)


def test_nothing_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stop(tmp_path) == 0
    assert f"no servers were started from {tmp_path}" in capsys.readouterr().err


def test_every_server_has_its_settings() -> None:
    assert tuple(SETTINGS) == NAMES
    settings = settings_in("\n".join(line for lines in SETTINGS.values() for line in lines(4711)))
    assert settings.neo4j_url == SecretStr("bolt://127.0.0.1:4711")
