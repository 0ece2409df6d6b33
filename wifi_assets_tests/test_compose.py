"""docker-compose.yml against the Compose Specification, against the settings, and against itself."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from dotenv import dotenv_values

from wifi_assets.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dotenv_values(ROOT / ".env.example")
ONE_SHOTS = {name for name, service in SERVICES.items() if service["restart"] == "no"}
# Innermost first: a default may hold another variable.
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:[-?])([^${}]*))?\}")


def interpolated(text: str, values: dict[str, str]) -> str:
    """The text with its variables as Compose fills them in."""

    def fill(found: re.Match[str]) -> str:
        name, operator, rest = found.groups()
        if values.get(name):
            return values[name]
        assert operator == ":-", f"{name} has neither a value nor a default"
        return rest

    while VARIABLE.search(text):
        text = VARIABLE.sub(fill, text)
    return text


@pytest.fixture
def filled() -> dict[str, dict[str, Any]]:
    """The services as Compose sees them with a filled .env."""
    values = {name: value or f"filledwithsomething{place}x" for place, (name, value) in enumerate(EXAMPLE.items())}
    values["UNIFI_MONGO_URL"] = ""
    services: dict[str, dict[str, Any]] = yaml.safe_load(interpolated(TEXT, values))["services"]
    return services


def settings_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in service.get("environment", {}).items() if name.startswith("WIFI_")}


def ports_of(name: str) -> set[str]:
    """The ports on which a service's containers are reached, by what it publishes and by its commands."""
    inside = {str(port).rpartition(":")[2] for port in SERVICES[name].get("ports", [])}
    return inside | set(re.findall(rf"\b{name}:(\d+)", TEXT))


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads((Path(__file__).parent / "compose_specification" / "compose-spec.json").read_text())
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    wrong = COMPOSE | {"services": {"kafka": {"image": "apache/kafka", "prots": []}}}
    assert [error.message for error in validator.iter_errors(wrong)] != []


def test_the_settings_are_those_that_the_code_reads() -> None:
    known = {f"WIFI_{name.upper()}" for name in Settings.model_fields}
    for name, service in SERVICES.items():
        assert settings_of(service).keys() <= known, name
    wanted = {
        "KAFKA_BOOTSTRAP",
        "KAFKA_TOPIC",
        "LAKE",
        "MONGO_URL",
        "SQL_URL",
        "ELASTICSEARCH_URL",
        "NEO4J_URL",
        "PSEUDONYMS",
        "PSEUDONYM_KEY",
        "HASH_SSIDS",
        "KEEP",
    }
    assert {f"WIFI_{name}" for name in wanted} <= settings_of(SERVICES["code-location"]).keys()
    assert "WIFI_KAFKA_BOOTSTRAP" in settings_of(SERVICES["capture"])


def test_the_settings_are_valid_and_lead_to_the_services(
    filled: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    for name in ("code-location", "capture"):
        for variable, value in settings_of(filled[name]).items():
            monkeypatch.setenv(variable, value)
        settings = Settings()
        assert settings.first_day == Settings.model_fields["first_day"].default
        places = [settings.kafka_bootstrap]
        for url in (settings.mongo_url, settings.sql_url, settings.elasticsearch_url, settings.neo4j_url):
            if url is not None:
                parts = urlsplit(url.get_secret_value())
                places.append(f"{parts.hostname}:{parts.port}")
        for place in places:
            host, _, port = place.partition(":")
            assert host in SERVICES
            assert port in ports_of(host), place


def test_privacy_and_retention_reach_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    asked = {"PSEUDONYMS": "all", "HASH_SSIDS": "1", "PSEUDONYM_KEY": "k" * 32, "KEEP": '{"frames": 30, "probes": 90}'}
    for given in ({}, asked):
        values = {name: value or ("" if name == "PSEUDONYM_KEY" else "filled") for name, value in EXAMPLE.items()}
        services = yaml.safe_load(interpolated(TEXT, values | given))
        for variable, value in settings_of(services["services"]["code-location"]).items():
            monkeypatch.setenv(variable, value)
        settings = Settings()
        privacy = (settings.pseudonyms, settings.hash_ssids, settings.pseudonym_key is not None, settings.keep)
        expected = ("all", True, True, {"frames": 30, "probes": 90}) if given else ("none", False, False, {})
        assert privacy == expected


def test_one_password_for_a_login_on_both_sides(filled: dict[str, dict[str, Any]]) -> None:
    settings, postgres = settings_of(filled["code-location"]), filled["postgres"]["environment"]
    sql = urlsplit(settings["WIFI_SQL_URL"])
    assert (sql.username, sql.password, sql.path[1:]) == (
        postgres["POSTGRES_USER"],
        postgres["POSTGRES_PASSWORD"],
        postgres["POSTGRES_DB"],
    )
    dagster = urlsplit(filled["dagster-daemon"]["environment"]["DAGSTER_POSTGRES_URL"])
    assert dagster.scheme == "postgresql+psycopg2"
    assert (dagster.username, dagster.password) == (sql.username, sql.password)
    assert COMPOSE["configs"]["postgres-databases"]["content"] == f"CREATE DATABASE {dagster.path[1:]};"
    elastic = urlsplit(settings["WIFI_ELASTICSEARCH_URL"])
    assert elastic.password == filled["elasticsearch"]["environment"]["ELASTIC_PASSWORD"]
    neo4j = f"{settings['WIFI_NEO4J_USER']}/{settings['WIFI_NEO4J_PASSWORD']}"
    assert neo4j == filled["neo4j"]["environment"]["NEO4J_AUTH"]
    mongo = urlsplit(settings["WIFI_MONGO_URL"])
    assert mongo.password == filled["mongo-replica-set"]["environment"]["MONGO_PASSWORD"]
    assert "replicaSet=rs0" in mongo.query
    assert "--replSet rs0" in SERVICES["mongo"]["entrypoint"][-1]
    kibana = filled["kibana"]["environment"]["ELASTICSEARCH_PASSWORD"]
    assert kibana == filled["elasticsearch-users"]["environment"]["KIBANA_PASSWORD"]


def test_secrets_come_from_the_env_file_alone() -> None:
    used = {name: operator for name, operator, _ in re.findall(r"(?<!\$)\$\{(\w+)(:[-?])?([^${}]*)", TEXT)}
    assert used.keys() == EXAMPLE.keys()
    for name, operator in used.items():
        secret = name.endswith(("PASSWORD", "KEY"))
        # Without pseudonyms there is no key to be set.
        assert operator == (":?" if secret and name != "PSEUDONYM_KEY" else ":-"), name
        assert not (secret and EXAMPLE[name]), f"{name} has a value that everybody knows"
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if (
                "PASSWORD" in name
                or name.endswith(("_AUTH", "_KEY", "_TOKEN"))
                or "@" in str(value).replace("1@kafka", "")
            ):
                assert "${" in value, name


def test_only_what_runs_our_code_knows_the_targets() -> None:
    for name, service in SERVICES.items():
        if name not in ("code-location", "dagster-daemon", "capture", "api"):
            assert not settings_of(service), name
    assert settings_of(SERVICES["api"]).keys() == {"WIFI_LAKE", "WIFI_API_TOKEN"}


def test_the_api_reads_the_lake_that_is_filled_and_cannot_write_it() -> None:
    assert settings_of(SERVICES["api"])["WIFI_LAKE"] == settings_of(SERVICES["code-location"])["WIFI_LAKE"]
    assert "lake:/data" in SERVICES["code-location"]["volumes"]
    assert SERVICES["api"]["volumes"] == ["lake:/data:ro"]


def test_the_daemon_whose_processes_the_runs_are_has_what_the_code_location_has() -> None:
    daemon, code = SERVICES["dagster-daemon"], SERVICES["code-location"]
    assert daemon["environment"] == code["environment"]
    assert daemon["volumes"] == code["volumes"]
    assert (
        yaml.safe_load((ROOT / "deploy/dagster.yaml").read_text())["run_launcher"]["module"] == "wifi_assets.launcher"
    )


def test_ports_are_for_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 9
    for port in published:
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    assert all("network_mode" not in service for service in SERVICES.values())


def test_images_are_pinned_and_are_what_the_tests_run() -> None:
    images = {service["image"] for service in SERVICES.values()}
    images |= set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for image in images:
        assert re.fullmatch(r"[a-z0-9/-]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?", image), image
    versions = {image.partition(":")[0]: image.partition(":")[2].partition("-")[0] for image in images}
    poms = {
        name: (ROOT / f"wifi_assets_tests/services/{name}/pom.xml").read_text()
        for name in ("kafka", "elasticsearch", "neo4j")
    }
    assert f"<version>{versions['apache/kafka']}</version>" in poms["kafka"]
    assert f"<elasticsearch.version>{versions['elasticsearch']}</" in poms["elasticsearch"]
    assert versions["kibana"] == versions["elasticsearch"]
    assert f"<neo4j.version>{versions['neo4j']}</" in poms["neo4j"]


def test_each_waits_for_what_it_needs() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if other in ONE_SHOTS:
                assert how == {"condition": "service_completed_successfully"}, (name, other)
            else:
                assert how == {"condition": "service_healthy"}, (name, other)
                assert "healthcheck" in SERVICES[other], other
    for name in SERVICES.keys() - ONE_SHOTS:
        assert SERVICES[name]["restart"] == "unless-stopped", name
        assert "healthcheck" in SERVICES[name], name
    assert "dagster-migrate" in SERVICES["code-location"]["depends_on"]
    assert SERVICES["dagster-migrate"]["command"] == ["dagster", "instance", "migrate"]
    assert SERVICES["capture"]["profiles"] == ["capture"]


def test_scripts_are_whole() -> None:
    scripts = [
        command[2].replace("$$", "$")
        for service in SERVICES.values()
        for command in (service.get("entrypoint", []), service.get("command", []))
        if command[:2] in (["bash", "-c"], ["sh", "-c"])
    ]
    assert len(scripts) == 5
    for script in scripts:
        subprocess.run(["bash", "-n", "-c", script], check=True)


def mounts() -> Iterator[str]:
    for service in SERVICES.values():
        yield from service.get("volumes", [])


def test_volumes_are_named_and_files_are_there() -> None:
    named = {mount.partition(":")[0] for mount in mounts() if re.match(r"\w[\w-]*:", mount)}
    assert named == COMPOSE["volumes"].keys()
    for mount in mounts():
        if mount.startswith("./"):
            assert (ROOT / mount.partition(":")[0]).is_file()


def test_the_topic_keeps_old_captures() -> None:
    assert "--config=retention.ms=-1" in SERVICES["kafka-topic"]["command"]
    assert "--topic=pcap" in SERVICES["kafka-topic"]["command"]
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_workspace_finds_the_code_location() -> None:
    (server,) = yaml.safe_load((ROOT / "deploy/workspace.yaml").read_text())["load_from"]
    assert server["grpc_server"]["host"] == "code-location"
    command = SERVICES["code-location"]["command"]
    assert f"--port={server['grpc_server']['port']}" in command
    assert "--module-name=wifi_assets.definitions" in command
    assert f"--port={server['grpc_server']['port']}" in SERVICES["code-location"]["healthcheck"]["test"]


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = [source for line in copies for source in line.split()]
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.partition("/")[0] in kept, source
    assert kept == {source.partition("/")[0] for source in sources}
