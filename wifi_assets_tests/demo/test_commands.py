"""The commands as a user calls them: what they print, what they write, how they end."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka.admin import AdminClient

from wifi_assets.demo.broker import embedded_broker
from wifi_assets.demo.commands import simulate

DAY = ["--days", "1", "--start", "2026-03-01", "--frames-per-hour", "200"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with embedded_broker() as address:
        monkeypatch.setenv("WIFI_KAFKA_BOOTSTRAP", address)
        yield address


def _simulate(*arguments: str) -> Result:
    return CliRunner().invoke(simulate, arguments)


def test_kafka_truth_and_documents_in_one_go(bootstrap: str, tmp_path: Path) -> None:
    done = _simulate(*DAY, "--truth", "truth.json", "--devices", "router", "--json")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert (summary["to"], summary["partitions"], summary["shape"]) == (f"pcap on {bootstrap}", 4, "ek")
    assert (summary["first_day"], summary["days"], summary["seed"]) == ("2026-03-01", 1, 1)
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert truth["simulation"] == summary
    assert truth["frames"] == summary["frames"]
    assert {row["day"] for row in truth["packet_stats"]} == {"2026-03-01"}
    assert sorted(path.name for path in (tmp_path / "router").iterdir()) == [
        "ace.device.json",
        "ace.user.json",
    ]


def test_the_same_seed_and_start_write_the_same_capture(tmp_path: Path) -> None:
    for name in ("one.pcap", "two.pcap"):
        assert _simulate(*DAY, "--to", name).exit_code == 0
    assert _simulate(*DAY, "--to", "three.pcap", "--seed", "2").exit_code == 0
    one, two, three = ((tmp_path / f"{name}.pcap").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_tshark2_truth_holds_what_is_left_of_an_ssid(bootstrap: str, tmp_path: Path) -> None:
    done = _simulate(*DAY, "--shape", "tshark2", "--truth", "truth.json")
    assert done.exit_code == 0, done.output
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    octets = {row["ssid_hex"] for row in truth["networks_looked_for"]}
    assert "\ufffd".encode().hex() in "".join(octets)
    assert "咖啡馆".encode("gbk").hex() not in octets


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "frames.txt"], "neither kafka nor a path that ends with .pcap"),
        (["--to", "x.pcap", "--shape", "flat"], "a capture file has neither"),
        (["--to", "x.pcap", "--partitions", "2"], "a capture file has neither"),
        (["--start", "1999-12-31"], "before WIFI_FIRST_DAY (2000-01-01)"),
        (["--start", "2999-01-01"], "reach into the future"),
        (["--frames-per-hour", "10"], "x>=200"),
        (["--shape", "xml"], "'ek', 'flat', 'tshark2'"),
    ],
)
def test_wrong_use_ends_with_2(arguments: list[str], said: str) -> None:
    done = _simulate(*arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_a_setting_of_the_wrong_kind_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIFI_KAFKA_CONFIG", '["hunter2"]')
    done = _simulate(*DAY, "--to", "x.pcap")
    assert done.exit_code == 2
    assert "WIFI_KAFKA_CONFIG" in done.stderr
    assert "hunter2" not in done.output


@pytest.mark.parametrize("option", ["--to", "--truth", "--devices"])
def test_a_file_that_cannot_be_written_ends_with_1(option: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = [*DAY, option, "file/x.pcap"] + ([] if option == "--to" else ["--to", "good.pcap"])
    done = _simulate(*arguments)
    assert done.exit_code == 1
    assert "file/x.pcap cannot be written" in done.stderr


def test_too_many_partitions_for_an_embedded_broker_end_with_1(bootstrap: str) -> None:
    done = _simulate(*DAY, "--partitions", "6")
    assert done.exit_code == 1
    assert "topic pcap is there and has 4 partitions, not 6" in done.stderr


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_broker_serves_other_processes_until_it_is_told_to_end(end: signal.Signals) -> None:
    program = "from wifi_assets.demo.commands import broker; broker()"
    with subprocess.Popen([sys.executable, "-c", program, "--json"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        metadata = AdminClient({"bootstrap.servers": told["bootstrap"], "log_level": 0}).list_topics(timeout=10)
        assert len(metadata.topics[told["topic"]].partitions) == told["partitions"]
        process.send_signal(end)
        assert process.wait(30) == 0
