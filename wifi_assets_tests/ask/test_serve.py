"""The command as a process: where it listens, what it refuses, how it ends."""

import re
import signal
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from wifi_assets.cli import main
from wifi_assets.lake import Lake
from wifi_assets_tests.ask.running import running
from wifi_assets_tests.ask.served import get
from wifi_assets_tests.processes import until

TOKEN = "0123456789abcdef0123456789abcdef"


def port_of(folder: Path, host: str) -> int:
    """The port that the server in this folder says it listens on."""
    found = until(lambda: re.search(rf"^http://{re.escape(host)}:(\d+)/docs$", (folder / "said").read_text(), re.M))
    return int(found[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_this_machine_until_it_is_told_to_end(home: Lake, tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "serve", "--port=0", WIFI_LAKE=home.url) as process:
        port = port_of(tmp_path, "127.0.0.1")
        assert get(port, "/lookup/asgard03").body["device"]["probes"] == 3
        assert get(port, "/stats", Host="evil.example").status == 421
        process.send_signal(number)
        assert process.wait(300) == 0
    # Neither what was asked for nor a trace.
    assert (tmp_path / "said").read_text() == f"http://127.0.0.1:{port}/docs\n"


def test_with_a_token_it_serves_others_too_and_shows_it_nowhere(tmp_path: Path) -> None:
    lake = tmp_path / "none"
    with running(tmp_path, "serve", "--host=0.0.0.0", "--port=0", WIFI_LAKE=str(lake), WIFI_API_TOKEN=TOKEN) as process:
        port = port_of(tmp_path, "0.0.0.0")
        assert get(port, "/stats").status == 401
        answer = get(port, "/stats", Authorization=f"Bearer {TOKEN}")
        assert (answer.status, "run wifi-assets ingest" in answer.body["detail"]) == (503, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
    assert TOKEN not in (tmp_path / "said").read_text()


def invoked(*arguments: str, **settings: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["serve", *arguments], env=settings)
    return result.exit_code, result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "wifi.example.org", "127.0.0.1.example.org"])
def test_without_a_token_it_listens_to_no_other_machine(host: str) -> None:
    code, said = invoked(f"--host={host}", WIFI_API_TOKEN="")
    assert code == 2
    assert f"others can reach --host {host}: set WIFI_API_TOKEN first" in said


@pytest.mark.parametrize("token", ["short", "fifteen letters", "with a blank in it", "m\u00fc" * 16])
def test_a_token_that_is_guessed_or_cannot_be_sent_is_refused(token: str) -> None:
    code, said = invoked(WIFI_API_TOKEN=token)
    assert code == 2
    assert "WIFI_API_TOKEN: a token has 16 letters" in said
    assert token not in said


def test_a_port_that_is_taken_is_said(home: Lake) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = invoked(f"--port={port}", WIFI_LAKE=home.url)
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"Error: cannot listen on 127.0.0.1, port {port}: Address already in use")


def test_a_lake_that_cannot_be_read_is_said_and_tried_again(lake: Lake, tmp_path: Path) -> None:
    log = Path(lake.url) / "devices" / "_delta_log" / f"{0:020}.json"
    whole = log.read_text()
    log.write_text("{")
    with running(tmp_path, "serve", "--port=0", WIFI_LAKE=lake.url):
        port = port_of(tmp_path, "127.0.0.1")
        assert (tmp_path / "said").read_text().startswith(f"the lake at {lake.url} cannot be read: ")
        assert get(port, "/lookup/asgard03").status == 503
        log.write_text(whole)
        until(lambda: get(port, "/lookup/asgard03").status == 200)
