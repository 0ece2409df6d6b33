"""``wifi-assets capture`` as its user meets it: what it does, says, and ends with."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from scapy.utils import RawPcapWriter

from wifi_assets.capture.commands import capture
from wifi_assets_tests.capture.conftest import START, length_of, probe, read_topic
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.services import Server, free_port

PROGRAM = [sys.executable, "-c", "from wifi_assets.capture.commands import capture; capture()"]


@pytest.fixture(scope="module")
def bootstrap(kafka: Server) -> str:
    return f"127.0.0.1:{kafka.port}"


def _run(bootstrap: str, *arguments: object, **settings: object) -> Result:
    env = {"WIFI_KAFKA_BOOTSTRAP": bootstrap, "WIFI_KAFKA_CONFIG": json.dumps(settings)}
    return CliRunner().invoke(capture, [str(one) for one in arguments], env=env)


def test_files_of_all_kinds_and_faults_in_one_go(bootstrap: str, generated: dict[str, Path], tmp_path: Path) -> None:
    cut, text, empty = tmp_path / "cut.pcap", tmp_path / "text", tmp_path / "empty"
    cut.write_bytes(generated["all.pcap"].read_bytes()[:-5])
    text.write_text("no capture")
    empty.touch()
    missing = tmp_path / "missing"
    done = _run(
        bootstrap, "--topic", "mixed", "--create-topic", 2, "--json",
        "--read", generated["all.pcap"], cut, text, empty, missing, generated["all.pcap.gz"],
    )  # fmt: skip
    assert done.exit_code == 1
    summary = json.loads(done.stdout)
    assert [(Path(one["file"]).name, one["frames"], one["problem"] is None) for one in summary["files"]] == [
        ("all.pcap", 58, True), ("cut.pcap", 57, False), ("text", 0, False),
        ("empty", 0, False), ("missing", 0, False), ("all.pcap.gz", 58, True),
    ]  # fmt: skip
    assert summary["frames"] == 173 == sum(map(len, read_topic(bootstrap, "mixed")))
    assert (summary["to"], summary["error"]) == (f"mixed on {bootstrap}", None)
    for file, words in (
        (
            cut,
            "appears to have been cut short in the middle of a packet; its 57 whole frames are on the topic",
        ),
        (text, "is no capture: neither pcap nor pcapng"),
        (empty, "is empty"),
        (missing, "cannot be read: No such file or directory"),
        ("tshark", "found no field of 802.11 in"),
    ):
        assert f"{file} {words}" in done.stderr


def test_all_went_well(bootstrap: str, generated: dict[str, Path]) -> None:
    done = subprocess.run(
        [*PROGRAM, "--topic", "well", "--create-topic", "1", "--read", generated["all.pcap"]],
        env=os.environ | {"WIFI_KAFKA_BOOTSTRAP": bootstrap},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{generated['all.pcap']}: 58 frames" in done.stdout
    assert f"58 frames to well on {bootstrap} in" in done.stdout
    # Neither tshark's warning to root nor librdkafka's log.
    assert done.stderr.splitlines() == [
        line for line in done.stderr.splitlines() if line.startswith("tshark found no field of 802.11 in")
    ]


def test_a_missing_topic_is_named_and_not_made(bootstrap: str, generated: dict[str, Path]) -> None:
    for _ in range(2):
        done = _run(bootstrap, "--topic", "nowhere", "--read", generated["all.pcap"])
        assert done.exit_code == 1
        assert f"Error: {bootstrap} has no topic nowhere; `wifi-assets capture --create-topic" in done.stderr
        assert f"{generated['all.pcap']} was not begun" in done.stderr


def test_no_broker_is_named_soon(generated: dict[str, Path]) -> None:
    port = free_port()
    done = _run(f"127.0.0.1:{port}", "--json", "--read", generated["all.pcap"])
    assert done.exit_code == 1
    assert f"Kafka at 127.0.0.1:{port} does not answer" in json.loads(done.stdout)["error"]
    assert "Connection refused; check that it runs, WIFI_KAFKA_BOOTSTRAP" in done.stderr


def test_a_wrong_password_and_an_unknown_ca_are_named(generated: dict[str, Path], tmp_path: Path) -> None:
    port = free_port()
    env = {"KAFKA_SASL_SSL_PORT": str(port), "KAFKA_USERS": "anna:right-password"}
    server = start_or_skip(Server("kafka", tmp_path / "data", env=env))
    login = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "anna",
        "sasl.password": "right-password",
        "ssl.ca.location": str(server.data / "certs" / "ca.pem"),
    }
    try:
        arguments = "--create-topic", 1, "--read", generated["all.pcap"]
        assert _run(f"127.0.0.1:{port}", *arguments, **login).exit_code == 0
        wrong = _run(f"127.0.0.1:{port}", *arguments, **login | {"sasl.password": "hunter2"})
        stranger = login | {"ssl.ca.location": str(server.data / "certs" / "other-ca.pem")}
        unknown = _run(f"127.0.0.1:{port}", *arguments, **stranger)
        (messages,) = read_topic(f"127.0.0.1:{server.port}", "pcap")
    finally:
        server.stop()
    assert (wrong.exit_code, unknown.exit_code) == (1, 1)
    assert "Authentication failed" in wrong.stderr
    assert "check sasl.username, sasl.password" in wrong.stderr
    assert "hunter2" not in wrong.output
    assert "certificate could not be verified" in unknown.stderr
    assert "check ssl.ca.location" in unknown.stderr
    assert len(messages) == 58


def test_wrong_use_ends_with_2(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "say which files to read" in _run(bootstrap).stderr
    assert _run(bootstrap).exit_code == 2
    assert _run(bootstrap, "a.pcap").exit_code == 2
    assert _run(bootstrap, "--create-topic", 0, "--read", "a.pcap").exit_code == 2
    monkeypatch.setenv("WIFI_KAFKA_CONFIG", '{"sasl.password": "hunter2"')
    done = CliRunner().invoke(capture, ["--read", "a.pcap"])
    assert done.exit_code == 2
    assert "kafka_config" in done.stderr
    assert "hunter2" not in done.output


def test_a_wrong_kafka_setting_is_named(bootstrap: str, generated: dict[str, Path]) -> None:
    done = _run(bootstrap, "--read", generated["all.pcap"], **{"sasl.pasword": "hunter2"})
    assert done.exit_code == 1
    assert 'Error: WIFI_KAFKA_CONFIG: No such configuration property: "sasl.pasword"' in done.stderr
    assert "hunter2" not in done.output


def test_without_tshark_nothing_is_begun(
    bootstrap: str, generated: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = _run(bootstrap, "--topic", "untouched", "--create-topic", 1, "--read", generated["all.pcap"])
    assert done.exit_code == 1
    assert "Error: tshark, which decodes captures, is not installed" in done.stderr


def test_ctrl_c_says_what_is_on_the_topic(bootstrap: str, tshark: str, tmp_path: Path) -> None:
    path, frame = tmp_path / "long.pcap", bytes(probe(b"home"))
    with RawPcapWriter(str(path), linktype=127) as writer:
        writer.write_header(None)
        for number in range(200_000):
            writer.write_packet(frame, sec=START, usec=number)
    process = subprocess.Popen(
        [*PROGRAM, "--topic", "stopped", "--create-topic", "1", "--json", "--read", path],
        env=os.environ | {"WIFI_KAFKA_BOOTSTRAP": bootstrap},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not length_of(bootstrap, "stopped"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    summary = json.loads(stdout)
    assert 0 < summary["frames"] < 200_000
    assert summary["frames"] == length_of(bootstrap, "stopped")
    assert summary["error"] == "interrupted"
    assert f"was interrupted: {summary['frames']:,} of its frames are on the topic, and would be there twice" in stderr
