"""A wrong password, or a right one, is in nothing that a run leaves behind; what is wrong is said in one sentence."""

import base64
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import dagster as dg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError
from pymongo import MongoClient

from wifi_assets.cli import main
from wifi_assets.definitions import build_defs
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import everything_told, failure, materialise, run_job
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.resources.elasticsearch_front import Front, front
from wifi_assets_tests.resources.neo4j_support import PASSWORD as NEO4J_PASSWORD
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import FIRST_DAY

RIGHT = "right-geheim-5c1e"
WRONG = "wrong-geheim-7f3a/@:%#+é"


def forms(secret: str) -> set[str]:
    """The secret as it may be written anywhere, also within a login."""
    logins = (f"{user}:{secret}" for user in ("anna", "wifi", "neo4j", "elastic"))
    encoded = {base64.b64encode(login.encode()).decode() for login in logins}
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]} | encoded


def check_silent(where: dict[str, str], *secrets: str) -> None:
    """None of these texts holds a secret."""
    for name, text in where.items():
        for secret in secrets:
            for form in forms(secret):
                assert form not in text, f"{form} is in {name}"


def settings_for(folder: Path, **values: object) -> Settings:
    return Settings(_env_file=None, lake=str(folder / "lake"), **values)  # type: ignore[arg-type]


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def refused(
    settings: Settings,
    job: str,
    instance: dg.DagsterInstance,
    capfd: pytest.CaptureFixture[str],
    *secrets: str,
) -> set[str]:
    """Run a job that must fail with one sentence a step; search all that it left for the secrets."""
    run = run_job(settings, job, instance, *([FIRST_DAY] if job == "lake" else []), run_config={"loggers": LOUD})
    assert not run.success
    out, err = capfd.readouterr()
    assert err, "the console log is what is searched"
    defs = build_defs(settings)
    told = everything_told(instance, [run])
    check_silent(
        {
            "the events": told,
            "stdout": out,
            "stderr": err,
            "the settings": f"{settings!r} {settings}",
            "the metadata": "".join(repr(node.metadata) for node in defs.resolve_asset_graph().asset_nodes),
            "the definitions": repr(defs),
        },
        *secrets,
    )
    said = [event.step_failure_data.user_failure_data for event in run.all_events if event.is_step_failure]
    sentences = {one.description or "" for one in said if one is not None}
    assert len(sentences) == 1
    assert said.count(None) == 0
    return sentences


LOUD = {"console": {"config": {"log_level": "DEBUG"}}}


def told_by_command(arguments: Iterable[str], folder: Path, **environment: str) -> str:
    """What a command that fails prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WIFI_")}
    done = subprocess.run(
        [sys.executable, "-c", "from wifi_assets.cli import main; main()", *arguments],
        env=clean | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


# ---------------------------------------------------------------- Kafka


@pytest.fixture(scope="module")
def guarded_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker that asks for a login."""
    port = free_port()
    env = {"KAFKA_SASL_PORT": str(port), "KAFKA_USERS": f"anna:{RIGHT}"}
    server = start_or_skip(Server("kafka", tmp_path_factory.mktemp("guarded") / "data", env=env))
    yield port
    server.stop()


def login(password: str) -> dict[str, str]:
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "anna",
        "sasl.password": password,
    }


def test_kafka(
    guarded_kafka: int, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    where = f"127.0.0.1:{guarded_kafka}"
    wrong = settings_for(tmp_path, kafka_bootstrap=where, kafka_config=login(WRONG))
    (sentence,) = refused(wrong, "lake", instance, capfd, WRONG)
    assert sentence.startswith(f"Kafka at {where}, topic pcap: ")
    assert "check sasl.username, sasl.password and sasl.mechanism in WIFI_KAFKA_CONFIG" in sentence
    # With the right one it is the topic that is missing; that sentence keeps the secret too.
    right = settings_for(tmp_path, kafka_bootstrap=where, kafka_config=login(RIGHT))
    (sentence,) = refused(right, "lake", instance, capfd, RIGHT)
    assert sentence.startswith(f"Kafka at {where} has no topic pcap")


def test_kafka_by_the_command(guarded_kafka: int, tmp_path: Path) -> None:
    environment = {"WIFI_KAFKA_BOOTSTRAP": f"127.0.0.1:{guarded_kafka}", "WIFI_LAKE": str(tmp_path / "lake")}
    said = told_by_command(["ingest"], tmp_path, WIFI_KAFKA_CONFIG=json.dumps(login(WRONG)), **environment)
    check_silent({"the output": said}, WRONG)
    assert f"Kafka at 127.0.0.1:{guarded_kafka}, topic pcap: " in said
    assert "check sasl.username, sasl.password" in said


@pytest.mark.parametrize(
    "config",
    [json.dumps([WRONG]), json.dumps(login(WRONG))[:-1], json.dumps(login(RIGHT) | {"sasl.pasword": WRONG})],
)
def test_a_kafka_config_that_is_none(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WIFI_KAFKA_CONFIG", config)
    monkeypatch.setenv("WIFI_LAKE", str(tmp_path / "lake"))
    done = CliRunner().invoke(main, ["ingest"])
    assert done.exit_code in (1, 2)
    assert "WIFI_KAFKA_CONFIG" in done.output or "kafka_config" in done.output
    check_silent({"the output": done.output}, WRONG, RIGHT)


def test_settings_that_cannot_be_read_do_not_quote_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster shows the whole traceback of definitions that can't be loaded."""
    for name in ("WIFI_KAFKA_CONFIG", "WIFI_LAKE_OPTIONS"):
        for value in (json.dumps([WRONG]), json.dumps({"password": WRONG})[:-1]):
            with monkeypatch.context() as patched:
                patched.setenv(name, value)
                with pytest.raises((ValidationError, SettingsError)) as error:
                    Settings(_env_file=None)  # type: ignore[call-arg]
            assert name.removeprefix("WIFI_").lower() in str(error.value)
            check_silent({"the traceback": "".join(traceback.format_exception(error.value))}, WRONG)


# ---------------------------------------------------------------- MongoDB


def test_mongo(instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    server = start_or_skip(Server("mongo", tmp_path / "data"))
    try:
        with MongoClient("127.0.0.1", server.port, directConnection=True) as client:
            client.ace.command("createUser", "anna", pwd=RIGHT, roles=[{"role": "read", "db": "ace"}])
        server.stop()
        server.start("--auth")
        url = f"mongodb://anna:{quote_plus(WRONG)}@127.0.0.1:{server.port}/?authSource=ace"
        settings = settings_for(tmp_path, mongo_url=SecretStr(url))
        capfd.readouterr()
        (sentence,) = refused(settings, "refresh_devices", instance, capfd, WRONG)
        assert f"MongoDB at 127.0.0.1:{server.port} (WIFI_MONGO_URL) refused the login of user anna" in sentence
    finally:
        server.stop()


# ---------------------------------------------------------------- the targets


def test_postgres(instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    server = start_or_skip(Server("postgres", tmp_path / "data", env={"POSTGRES_PASSWORD": RIGHT}))
    try:
        capfd.readouterr()
        url = f"postgresql://wifi:{quote_plus(WRONG)}@127.0.0.1:{server.port}/wifi"
        (sentence,) = refused(settings_for(tmp_path, sql_url=SecretStr(url)), "sink_postgres", instance, capfd, WRONG)
        assert sentence.startswith(f"postgresql://127.0.0.1:{server.port}/wifi: cannot connect: ")
        assert "password authentication failed" in sentence
    finally:
        server.stop()


@pytest.fixture
def guarded_elasticsearch(elasticsearch: Server) -> Iterator[Front]:
    with front(elasticsearch.port) as guard:
        guard.login = "Basic " + base64.b64encode(f"elastic:{RIGHT}".encode()).decode()
        yield guard


def test_elasticsearch(
    guarded_elasticsearch: Front, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    url = f"http://elastic:{quote(WRONG, safe='')}@127.0.0.1:{guarded_elasticsearch.port}"
    by_password = settings_for(tmp_path, elasticsearch_url=SecretStr(url))
    (sentence,) = refused(by_password, "sink_elasticsearch", instance, capfd, WRONG)
    where = f"Elasticsearch at 127.0.0.1:{guarded_elasticsearch.port}: "
    assert sentence == f"{where}refuses the login (401); check the user and password in WIFI_ELASTICSEARCH_URL"

    key = base64.b64encode(b"id:wrong-geheim-7f3a").decode()
    by_key = settings_for(
        tmp_path,
        elasticsearch_url=SecretStr(f"http://127.0.0.1:{guarded_elasticsearch.port}"),
        elasticsearch_api_key=SecretStr(key),
    )
    (sentence,) = refused(by_key, "sink_elasticsearch", instance, capfd, key)
    assert sentence == f"{where}refuses the login (401); check WIFI_ELASTICSEARCH_API_KEY"


def test_neo4j(neo4j: Server, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    settings = settings_for(
        tmp_path, neo4j_url=SecretStr(f"bolt://127.0.0.1:{neo4j.port}"), neo4j_password=SecretStr(WRONG)
    )
    (sentence,) = refused(settings, "sink_neo4j", instance, capfd, WRONG)
    assert sentence.startswith(f"Neo4j at 127.0.0.1:{neo4j.port}: refuses the login of user 'neo4j' (")
    assert "check WIFI_NEO4J_USER and WIFI_NEO4J_PASSWORD" in sentence


def test_right_logins_are_as_silent(
    neo4j: Server,
    guarded_elasticsearch: Front,
    instance: dg.DagsterInstance,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    settings = settings_for(
        tmp_path,
        elasticsearch_url=SecretStr(f"http://elastic:{RIGHT}@127.0.0.1:{guarded_elasticsearch.port}"),
        neo4j_url=SecretStr(f"bolt://127.0.0.1:{neo4j.port}"),
        neo4j_password=SecretStr(NEO4J_PASSWORD),
    )
    runs = [
        run_job(settings, job, instance, run_config={"loggers": LOUD}) for job in ("sink_elasticsearch", "sink_neo4j")
    ]
    assert all(run.success for run in runs)
    out, err = capfd.readouterr()
    check_silent({"the events": everything_told(instance, runs), "stdout": out, "stderr": err}, RIGHT, NEO4J_PASSWORD)


def test_a_failure_is_found_where_it_is_searched(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The search itself: a word that a sentence holds is found in the events."""
    settings = settings_for(tmp_path, sql_url=SecretStr(f"sqlite:////nowhere/{RIGHT}"))
    run = materialise(settings, "postgres_packet_stats", instance)
    assert RIGHT in failure(run)
    with pytest.raises(AssertionError, match="is in the events"):
        check_silent({"the events": everything_told(instance, [run])}, RIGHT)
