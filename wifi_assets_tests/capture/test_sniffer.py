"""dumpcap on a pipe and on an interface: every frame whole, and its end explained."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from threading import Event

import psutil
import pytest

from wifi_assets.capture.sniffer import Sniffer
from wifi_assets.capture.tshark import CaptureError
from wifi_assets_tests.capture.feeding import CAN_MAKE_INTERFACES, HEADER, Feeder, packets, radio_interface, records


def _dumpcap() -> psutil.Process:
    (child,) = [child for child in psutil.Process().children() if child.name() == "dumpcap"]
    return child


def test_a_pipe_to_its_end(tmp_path: Path) -> None:
    feeder = Feeder(tmp_path / "air", 5_000, most=500)
    feeder.start()
    feeder.end()
    sniffer = Sniffer(str(tmp_path / "air"))
    heard = [record for record in sniffer.records(Event()) if record]
    assert heard == records(500, 5_000)
    assert sniffer.header[-4:] == HEADER[-4:]
    assert sniffer.problem is None


def test_asked_to_end_it_gives_what_it_has(tmp_path: Path) -> None:
    fed = records(100, 1000)
    os.mkfifo(tmp_path / "air")
    sniffer, stop, heard = Sniffer(str(tmp_path / "air")), Event(), []
    with (tmp_path / "air").open("wb", buffering=0) as pipe:
        pipe.write(HEADER + b"".join(fed) + fed[0][:30])
        for record in sniffer.records(stop):
            heard += [record] if record else []
            if len(heard) == 100:
                stop.set()
    assert heard == fed
    assert sniffer.problem is None


def test_killed_it_says_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "air")
    sniffer, heard = Sniffer(str(tmp_path / "air")), []
    with (tmp_path / "air").open("wb", buffering=0) as pipe:
        pipe.write(HEADER + b"".join(records(3, 1)))
        for record in sniffer.records(Event()):
            heard += [record] if record else []
            if len(heard) == 3:
                _dumpcap().send_signal(signal.SIGKILL)
    assert sniffer.problem == f"{tmp_path}/air: dumpcap ended with signal 9"
    assert not sniffer.refused


def test_a_wrong_interface_is_named_with_the_remedy() -> None:
    sniffer = Sniffer("nowhere0")
    assert not [record for record in sniffer.records(Event()) if record]
    assert sniffer.refused
    assert sniffer.problem is not None
    assert sniffer.problem.startswith('nowhere0: dumpcap ended with status 1: There is no device named "nowhere0"')
    assert sniffer.problem.endswith("`dumpcap -D` lists the interfaces, `iw dev` those of Wi-Fi")


def test_what_is_no_pcap_in_the_pipe_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "air")
    sniffer = Sniffer(str(tmp_path / "air"))
    with (tmp_path / "air").open("wb", buffering=0) as pipe:
        pipe.write(b"no capture at all " * 10)
        assert not [record for record in sniffer.records(Event()) if record]
    assert sniffer.refused
    assert sniffer.problem is not None
    assert sniffer.problem.startswith(
        f"{tmp_path}/air: dumpcap ended with status 1: Data written to the pipe is neither"
    )


def test_without_permission_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # who may always
        program = tmp_path / "dumpcap"
        dumpcap = shutil.which("dumpcap")
        program.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {dumpcap} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sniffer = Sniffer("lo")
    assert not [record for record in sniffer.records(Event()) if record]
    assert sniffer.refused
    assert sniffer.problem is not None
    assert sniffer.problem.startswith(
        "lo: dumpcap ended with status 1: You do not have permission to capture on device"
    )
    assert sniffer.problem.endswith("then add this user to the group wireshark")


def test_without_dumpcap_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CaptureError, match="apt-get install tshark"):
        Sniffer("lo")


if CAN_MAKE_INTERFACES:

    def test_an_interface_gives_its_frames_and_is_missed_when_it_goes() -> None:
        sent, heard = packets(50), list[bytes]()
        with radio_interface("wtest0") as radio:
            sniffer = Sniffer("wtest0")
            for record in sniffer.records(Event()):
                if record is not None:
                    heard.append(record[16:])
                elif len(heard) < 50:
                    # From when on it listens dumpcap does not tell: all again, until it has heard them.
                    heard.clear()
                    for packet in sent:
                        os.write(radio, packet)
                else:
                    subprocess.run(["ip", "link", "delete", "wtest0"], check=True)
        assert sniffer.header[20:] == HEADER[20:]
        assert heard == sent
        assert sniffer.problem is not None
        assert sniffer.problem.startswith("wtest0: dumpcap ended with ")
        assert not sniffer.refused
