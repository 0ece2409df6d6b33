"""The commands that fill and ask the lake: what they print, and their exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from wifi_assets.cli import main
from wifi_assets.demo.household import HOSTILE_SSIDS
from wifi_assets.frames.ssid import ssid_text
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import FIRST_DAY, check_account, household, make_again, topic_with


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of this test alone, away from any .env."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WIFI_")]:
        monkeypatch.delenv(name)
    return {"WIFI_LAKE": str(tmp_path / "lake"), "WIFI_FIRST_DAY": str(FIRST_DAY)}


def run(environment: dict[str, str], *arguments: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, arguments, env=environment)


def test_ingest_tells_what_it_did_in_words_and_as_json(
    kafka: Server, tmp_path: Path, environment: dict[str, str]
) -> None:
    home = household()
    topic = topic_with(kafka, home.messages[:2000])
    environment |= {
        "WIFI_KAFKA_BOOTSTRAP": topic.bootstrap,
        "WIFI_KAFKA_TOPIC": topic.name,
        "WIFI_DEVICES_PATH": str(home.devices(tmp_path / "devices")),
    }
    first = run(environment, "ingest", "--json")
    assert first.exit_code == 0
    told = json.loads(first.output)
    assert told["rows"] + told["quarantined"] == 2000
    assert told["quarantined"] == sum(told["reasons"].values()) == 6
    assert (told["from"], told["to"], told["lag"], told["days"]) == ([0], [2000], 0, ["2026-03-01"])
    assert told["tables"]["devices"] == len(home.truth["devices"])
    assert check_account(Lake(environment["WIFI_LAKE"])) == [2000]
    topic.publish(home.messages[2000:2500])
    second = run(environment, "ingest")
    assert second.exit_code == 0
    assert second.output.startswith("500 messages: 498 rows, 2 quarantined, over 1 days; ")
    assert second.output.splitlines()[1:] == ["  quarantined: not an object: 1", "  quarantined: duplicate key: 1"]
    counts = run(environment, "sql", "--json", "SELECT frame_subtype AS s, count(*) AS n FROM frames GROUP BY 1")
    assert sum(json.loads(line)["n"] for line in counts.output.splitlines()) == told["rows"] + 498


def test_a_run_that_fails_says_why_in_one_sentence_with_exit_code_1(kafka: Server, environment: dict[str, str]) -> None:
    environment |= {"WIFI_KAFKA_BOOTSTRAP": f"127.0.0.1:{kafka.port}", "WIFI_KAFKA_TOPIC": "nowhere"}
    missing = run(environment, "ingest")
    assert missing.exit_code == 1
    assert missing.output.startswith(f"Error: Kafka at 127.0.0.1:{kafka.port} has no topic nowhere")
    assert missing.output.count("\n") == 1
    assert not Path(environment["WIFI_LAKE"]).exists()


def test_a_lake_that_cannot_be_written_is_told_in_one_sentence(kafka: Server, environment: dict[str, str]) -> None:
    topic = topic_with(kafka, household().messages[:20])
    environment |= {"WIFI_KAFKA_BOOTSTRAP": topic.bootstrap, "WIFI_KAFKA_TOPIC": topic.name}
    Path(environment["WIFI_LAKE"]).write_text("no folder")
    refused = run(environment, "ingest")
    assert refused.exit_code == 1
    assert refused.output.startswith(f"Error: the lake at {environment['WIFI_LAKE']} cannot be read or written: ")
    assert refused.output.count("\n") == 1


def test_a_lake_that_is_not_there_is_named(environment: dict[str, str]) -> None:
    asked = run(environment, "sql", "SELECT count(*) FROM frames")
    assert asked.exit_code == 1
    where = environment["WIFI_LAKE"]
    assert asked.output == f"Error: the lake at {where} has no table yet: run wifi-assets ingest, or set WIFI_LAKE\n"
    assert not Path(where).exists()


def test_a_topic_that_was_made_again_is_taken_when_told_so(kafka: Server, environment: dict[str, str]) -> None:
    topic = topic_with(kafka, household().messages[:20])
    environment |= {"WIFI_KAFKA_BOOTSTRAP": topic.bootstrap, "WIFI_KAFKA_TOPIC": topic.name}
    assert run(environment, "ingest").exit_code == 0
    make_again(topic, 1)
    topic.publish(household().messages[20:25])
    refused = run(environment, "ingest")
    assert refused.exit_code == 1
    assert "go on with accept_loss" in refused.output
    taken = run(environment, "ingest", "--accept-loss", "--json")
    assert taken.exit_code == 0
    assert json.loads(taken.output)["rows"] + json.loads(taken.output)["quarantined"] == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WIFI_BATCH", "many"),
        ("WIFI_BATCH", "0"),
        ("WIFI_FIRST_DAY", "yesterday"),
        ("WIFI_SSID_ENCODING", "utf-8"),
        ("WIFI_KAFKA_CONFIG", '{"sasl.password": "hunter2"'),
        ("WIFI_KAFKA_CONFIG", '["hunter2"]'),
    ],
)
def test_a_broken_setting_is_named_without_its_value(environment: dict[str, str], name: str, value: str) -> None:
    for command in (("ingest",), ("sql", "SELECT 1")):
        wrong = run(environment | {name: value}, *command)
        assert wrong.exit_code == 2
        assert name.lower().removeprefix("wifi_") in wrong.output.lower()
        assert "hunter2" not in wrong.output
        assert "Traceback" not in wrong.output


def test_wrong_use_is_exit_code_2_and_help_says_what_a_command_needs(environment: dict[str, str]) -> None:
    assert run(environment, "sql").exit_code == 2
    assert run(environment, "ingest", "--nonsense").exit_code == 2
    shown = run(environment, "ingest", "--help")
    assert shown.exit_code == 0
    assert "WIFI_KAFKA_BOOTSTRAP" in shown.output
    assert "WIFI_LAKE" in run(environment, "sql", "--help").output


# ---------------------------------------------------------------- sql


@pytest.fixture
def hostile(environment: dict[str, str]) -> dict[str, str]:
    """A lake whose frames hold every hostile SSID, and names that are escapes."""
    lake = Lake(environment["WIFI_LAKE"])
    rows = [
        {
            "day": FIRST_DAY, "topic_generation": 0, "kafka_partition": 0, "kafka_offset": number,
            "ssid": ssid_text(ssid), "ssid_bytes": ssid, "wps_device_name": "\x1b]0;owned\x07\x9b31m\u202eevil\r\n",
            "tag_vendor_data": ["\x1b[2J"],
        }
        for number, ssid in enumerate(HOSTILE_SSIDS)
    ]  # fmt: skip
    lake.append(lake.open("frames"), pa.Table.from_pylist(rows, TABLES["frames"].schema), {})
    return environment


@pytest.mark.parametrize(
    "columns",
    [
        "ssid",
        "ssid_bytes",
        "wps_device_name",
        "tag_vendor_data",
        "[ssid_bytes] AS b",
        "{'b': [ssid_bytes], 't': [now()]} AS s",
    ],
)
def test_what_is_printed_cannot_command_the_terminal(hostile: dict[str, str], columns: str) -> None:
    for options in ((), ("--json",)):
        shown = run(hostile, "sql", *options, f"SELECT {columns}, kafka_offset FROM frames ORDER BY kafka_offset")
        assert shown.exit_code == 0
        assert all(char.isprintable() for line in shown.output.split("\n") for char in line)
        assert len(shown.output.splitlines()) == len(HOSTILE_SSIDS) + (0 if options else 4)


def test_json_gives_each_ssid_back(hostile: dict[str, str]) -> None:
    shown = run(hostile, "sql", "--json", "SELECT ssid, ssid_bytes FROM frames ORDER BY kafka_offset")
    rows = [json.loads(line) for line in shown.output.splitlines()]
    assert [row["ssid"] for row in rows] == [row["ssid_bytes"] for row in rows] == list(map(ssid_text, HOSTILE_SSIDS))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT * FROM nothing_here", "nothing_here does not exist"),
        ("SELEKT 1", "syntax error"),
        ("SELECT no_such_column FROM frames", "no_such_column"),
        ("", "has no result"),
        (";", "has no result"),
    ],
)
def test_a_statement_that_is_wrong_is_told_with_the_tables_there_are(
    hostile: dict[str, str], statement: str, words: str
) -> None:
    wrong = run(hostile, "sql", statement)
    assert wrong.exit_code == 1
    assert words in wrong.output
    assert "oui_fingerprint_sessions" in wrong.output
    assert "Traceback" not in wrong.output


def test_a_statement_changes_nothing(hostile: dict[str, str]) -> None:
    lake = Lake(hostile["WIFI_LAKE"])
    before = lake.open("frames").version
    for statement in ("DROP TABLE frames", "DELETE FROM frames", "INSERT INTO frames SELECT * FROM frames"):
        assert run(hostile, "sql", statement).exit_code == 1
    assert lake.open("frames").version == before
    assert lake.open("frames").rows().count_rows() == len(HOSTILE_SSIDS)


def test_the_command_itself_ends_with_one_sentence_not_a_traceback(environment: dict[str, str]) -> None:
    environment |= {"WIFI_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}", "PATH": os.environ["PATH"]}
    command = Path(sys.executable).with_name("wifi-assets")
    done = subprocess.run([command, "ingest"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "Connection refused" in done.stderr
