"""Over the channels with iw, for which a program stands that takes its arguments and errors."""

import os
import time
from pathlib import Path

import pytest

from wifi_assets.capture.hopping import Hopper
from wifi_assets.capture.tshark import CaptureError

_IW = """#!/bin/sh
echo "$*" >> {log}
case "$5" in 14|165) echo 'command failed: Invalid argument (-22)' >&2; exit 234;; esac
test "$5" != "$(cat {fail} 2>/dev/null)" || {{ echo 'command failed: Device or resource busy (-16)' >&2; exit 240; }}
"""


@pytest.fixture
def iw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "iw"
    program.write_text(_IW.format(log=tmp_path / "log", fail=tmp_path / "fail"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def _channels(folder: Path) -> list[str]:
    lines = (folder / "log").read_text().splitlines()
    assert all(line.startswith("dev wlan0mon set channel ") for line in lines)
    return [line.split()[-1] for line in lines]


def test_one_after_the_other_and_round_again(iw: Path) -> None:
    hopper = Hopper("wlan0mon", [1, 6, 11], 0.01, pytest.fail)
    hopper.start()
    while len(_channels(iw)) < 12:
        pass
    hopper.finish()
    assert _channels(iw)[:12] == ["1", "6", "11"] * 4
    count = len(_channels(iw))
    time.sleep(0.1)
    assert len(_channels(iw)) == count


def test_a_channel_that_fails_is_said_once_and_left_out(iw: Path) -> None:
    said: list[str] = []
    hopper = Hopper("wlan0mon", [1, 14, 11], 0.01, said.append)
    assert said == ["wlan0mon: channel 14 is left out: command failed: Invalid argument (-22); left are 1, 11"]
    hopper.start()
    while len(_channels(iw)) < 7:
        pass
    (iw / "fail").write_text("11")
    while len(said) < 2:
        pass
    hopper.finish()
    assert said[1] == "wlan0mon: channel 11 is left out: command failed: Device or resource busy (-16); left are 1"
    assert _channels(iw).count("14") == 1


@pytest.mark.usefixtures("iw")
def test_none_of_the_channels_is_an_error() -> None:
    with pytest.raises(CaptureError, match=r"wlan0mon: iw sets none of the channels of --hop: .*-22\); see `iw dev"):
        Hopper("wlan0mon", [14, 165], 0.5, pytest.fail)


def test_without_iw_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CaptureError, match="apt-get install iw"):
        Hopper("wlan0mon", [1], 0.5, pytest.fail)
