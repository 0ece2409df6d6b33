"""The command as a process: how it starts, what it survives, how it ends."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from wifi_assets.cli import main
from wifi_assets_tests.bot.telegram import HANG_UP, TOKEN, StandIn, refusal
from wifi_assets_tests.processes import BIN, until


@contextmanager
def running(telegram: StandIn, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    environment = {
        "WIFI_TELEGRAM_URL": telegram.url,
        "WIFI_TELEGRAM_TOKEN": TOKEN,
        "WIFI_TELEGRAM_CHATS": "42",
        "WIFI_LAKE": str(folder / "lake"),
    }
    code = "from wifi_assets.cli import main; main()"
    command = [str(BIN / "python"), "-c", code, "bot", "--state", str(folder / "bot.json")]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_survives_and_ends(telegram: StandIn, tmp_path: Path, number: signal.Signals) -> None:
    telegram.fail("getMe", HANG_UP)
    telegram.fail("getUpdates", (502, b""), refusal(409, "Conflict"))
    telegram.fail("sendMessage", refusal(429, "Too Many Requests", retry_after=0))
    telegram.write("/help")
    with running(telegram, tmp_path) as process:
        until(lambda: telegram.said)
        process.send_signal(number)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0
    assert len(telegram.said) == 1
    assert f"@wifi_test_bot at 127.0.0.1:{telegram.port} answers 1 chat and follows the lake at {tmp_path}/lake" in said
    assert "409 Conflict: end the other program" in said
    assert "Telegram answers again" in said
    assert said.endswith("ended\n")
    assert TOKEN not in said


def _invoked(**environment: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["bot"], env=environment)
    return result.exit_code, result.output


def test_a_wrong_token_ends_it(telegram: StandIn) -> None:
    code, said = _invoked(WIFI_TELEGRAM_URL=telegram.url, WIFI_TELEGRAM_TOKEN="4711:wrong")
    assert code == 1
    assert said == (
        f"Error: Telegram at 127.0.0.1:{telegram.port}: getMe: answered 401 Unauthorized: check WIFI_TELEGRAM_TOKEN "
        "and WIFI_TELEGRAM_URL\n"
    )


def test_no_token_and_wrong_chats_are_wrong_use() -> None:
    assert _invoked(WIFI_TELEGRAM_TOKEN="")[0] == 2
    code, said = _invoked(WIFI_TELEGRAM_TOKEN=TOKEN, WIFI_TELEGRAM_CHATS="Ann")
    assert code == 2
    assert "WIFI_TELEGRAM_CHATS" in said
