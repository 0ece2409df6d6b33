"""One message for one frame, whatever happens to tshark."""

import os
import signal
import sys
import time
from pathlib import Path
from threading import Event

import psutil
import pytest
from scapy.utils import RawPcapReader

from wifi_assets.capture import decoder as under_test
from wifi_assets.capture.decoder import Decoder
from wifi_assets.capture.tshark import CaptureError, Message, messages_of
from wifi_assets_tests.capture.feeding import HEADER, START, records
from wifi_assets_tests.processes import until

#: Answers each frame with its time alone, and dies before one that holds this word.
_STAND_IN = """#!{python}
import os, struct, sys
if "-v" in sys.argv:
    print("TShark (Wireshark) 4.0.17")
    sys.exit()
octets = sys.stdin.buffer
octets.read(24)
while header := octets.read(16):
    seconds, micros, length, _ = struct.unpack("<IIII", header)
    if b"poison" in octets.read(length):
        sys.exit("tshark: cannot stand it")
    print('{{"timestamp":"%d","layers":{{"a":["1"]}}}}' % (seconds * 1000 + micros // 1000), flush=True)
"""


def _record(number: int, octets: bytes = b"frame") -> bytes:
    size = len(octets).to_bytes(4, "little")
    return (START + number).to_bytes(4, "little") + bytes(4) + size + size + octets


def _tsharks() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.name() == "tshark"]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tshark"
    program.write_text(_STAND_IN.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_the_same_messages_as_from_the_file(generated: dict[str, Path]) -> None:
    path = generated["all.pcap"]
    header = path.read_bytes()[:24]
    taken: list[Message] = []
    decoder = Decoder(header, taken.append, pytest.fail, Event())
    for packet, of in RawPcapReader(str(path)):
        numbers = (of.sec, of.usec, of.caplen, of.wirelen)
        decoder.put(b"".join(number.to_bytes(4, "little") for number in numbers) + packet)
    decoder.finish()
    assert taken == list(messages_of(path))
    assert decoder.restarts == 0


def test_tshark_killed_again_and_again_loses_nothing() -> None:
    taken, said = list[Message](), list[str]()
    decoder = Decoder(HEADER, taken.append, said.append, Event())
    for number, record in enumerate(records(600, 100)):
        if number in (5, 200, 400):
            while len(taken) < number - 3:
                decoder.check()
                time.sleep(0.01)
            (tshark,) = _tsharks()
            tshark.send_signal(signal.SIGKILL)
        decoder.put(record)
    decoder.finish()
    assert [message.timestamp_ms for message in taken] == [START * 1000 + 10 * number for number in range(600)]
    assert decoder.restarts == 3
    assert len(said) == 3
    assert said[0].startswith("tshark ended with signal 9; started again in 0.5 s, ")


def test_killed_while_the_air_is_quiet() -> None:
    taken: list[Message] = []
    decoder = Decoder(HEADER, taken.append, [].append, Event())
    (tshark,) = until(_tsharks)
    tshark.send_signal(signal.SIGSTOP)
    decoder.put(records(1, 1)[0])
    tshark.send_signal(signal.SIGKILL)
    tshark.wait()
    while not taken:
        decoder.check()
        time.sleep(0.05)
    decoder.finish()
    assert len(taken) == 1


def test_it_is_replaced_before_it_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "RENEW_AFTER", 40)
    taken: list[Message] = []
    decoder = Decoder(HEADER, taken.append, pytest.fail, Event())
    for record in records(100, 100):
        decoder.put(record)
    decoder.finish()
    assert [message.timestamp_ms for message in taken] == [START * 1000 + 10 * number for number in range(100)]
    assert decoder.restarts == 0


@pytest.mark.usefixtures("stand_in")
def test_a_frame_that_kills_tshark_goes_undecoded() -> None:
    taken, said = list[Message](), list[str]()
    stop = Event()
    decoder = Decoder(HEADER, taken.append, said.append, stop)
    for number in range(9):
        decoder.put(_record(number, b"poison" if number in (0, 4, 5) else b"frame"))
    decoder.finish()
    assert [message.timestamp_ms for message in taken] == [(START + number) * 1000 for number in range(9)]
    assert [message.decoded for message in taken] == [number not in (0, 4, 5) for number in range(9)]
    assert taken[4] == Message(
        None, b'{"timestamp":"%d","layers":{}}' % ((START + 4) * 1000), (START + 4) * 1000, False
    )
    assert sum("tshark died 3 times over the same frame: it goes undecoded" in text for text in said) == 3
    assert any("tshark ended with status 1: tshark: cannot stand it; started again" in text for text in said)


def test_a_tshark_that_never_works_ends_the_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tshark"
    program.write_text(
        "#!/bin/sh\ntest \"$1\" = -v && echo 'TShark (Wireshark) 4.0.17' && exit\necho no such library >&2\nexit 127\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    stop = Event()
    stop.set()  # nothing is waited for
    decoder = Decoder(HEADER, [].append, [].append, stop)

    def feed() -> None:
        for number in range(5):
            decoder.put(_record(number))
        decoder.finish()

    with pytest.raises(CaptureError, match=r"tshark ended with status 127: no such library; 8 times in a row without"):
        feed()
