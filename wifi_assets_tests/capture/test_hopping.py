"""Over the channels with iw, for which a program stands that takes its arguments and errors."""

import os
import time
from pathlib import Path

import pytest

from wifi_assets.capture.hopping import Hopper
from wifi_assets.capture.tshark import CaptureError

_BUSY, _INVALID = "command failed: Device or resource busy (-16)", "command failed: Invalid argument (-22)"
#: 14 and 165 are no channels; all others fail while ``fail`` is there, with its words.
_IW = """#!/bin/sh
echo "$*" >> {log}
case "$5" in 14|165) echo '{invalid}' >&2; exit 234;; esac
if cat {fail} >&2 2>/dev/null; then exit 240; fi
"""


@pytest.fixture
def iw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "iw"
    program.write_text(_IW.format(log=tmp_path / "log", fail=tmp_path / "fail", invalid=_INVALID))
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


def _round(folder: Path) -> None:
    """Wait until each channel was set once more, or failed to be."""
    count = len(_channels(folder))
    while len(_channels(folder)) < count + 3:
        pass


def _fail(folder: Path, words: str) -> None:
    (folder / "words").write_text(words)
    (folder / "words").rename(folder / "fail")


def test_a_channel_that_fails_at_the_start_is_said_and_left_out(iw: Path) -> None:
    said: list[str] = []
    hopper = Hopper("wlan0mon", [1, 14, 11], 0.01, said.append)
    hopper.start()
    _round(iw)
    hopper.finish()
    assert said == [f"wlan0mon: channel 14 is left out: {_INVALID}; left are 1, 11"]
    assert _channels(iw).count("14") == 1


def test_channels_that_fail_on_the_way_are_said_once_and_tried_again(iw: Path) -> None:
    said: list[str] = []
    hopper = Hopper("wlan0mon", [1, 11], 0.01, said.append)
    hopper.start()
    for _ in range(2):
        _fail(iw, _BUSY)
        _round(iw)
        _round(iw)
        (iw / "fail").unlink()
        _round(iw)
    hopper.finish()
    for channel in (1, 11):
        told = f"wlan0mon: channel {channel} fails: {_BUSY}; it is tried again in each round"
        assert said.count(told) == 2
    assert len(said) == 4


def test_a_channel_that_becomes_invalid_on_the_way_is_left_out(iw: Path) -> None:
    said: list[str] = []
    hopper = Hopper("wlan0mon", [1], 0.01, said.append)
    hopper.start()
    _fail(iw, _INVALID)
    while not said:
        pass
    hopper.finish()
    assert said == [f"wlan0mon: channel 1 is left out: {_INVALID}; none is left: no more hopping"]


@pytest.mark.usefixtures("iw")
def test_none_of_the_channels_is_an_error() -> None:
    with pytest.raises(CaptureError, match=r"wlan0mon: iw sets none of the channels of --hop: .*-22\); see `iw dev"):
        Hopper("wlan0mon", [14, 165], 0.5, pytest.fail)


def test_without_iw_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CaptureError, match="apt-get install iw"):
        Hopper("wlan0mon", [1], 0.5, pytest.fail)
