"""Files become tshark's own documents, with the right key; what is no whole capture says so."""

import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from scapy.utils import RawPcapWriter, wrpcap

from wifi_assets.capture.tshark import CaptureError, Message, TsharkMissingError, messages_of
from wifi_assets_tests.capture.conftest import START, device_name, probe

Printed = Callable[[Path], list[bytes]]


def _until_error(path: Path) -> tuple[list[Message], str]:
    """The messages, and the error after them."""
    messages: list[Message] = []
    try:
        for message in messages_of(path):
            messages.append(message)
    except CaptureError as error:
        return messages, str(error)
    raise AssertionError(f"{path} raised no error")


@pytest.mark.parametrize("name", ["all.pcap", "all.pcapng", "all.pcap.gz"])
def test_messages_are_tsharks_documents_byte_for_byte(generated: dict[str, Path], printed: Printed, name: str) -> None:
    documents = printed(generated["all.pcap"])
    messages = list(messages_of(generated[name]))
    assert len(documents) == 58
    assert [message.value for message in messages] == documents


def test_key_time_and_decoded_are_the_documents_own(generated: dict[str, Path]) -> None:
    seen = set()
    for message in messages_of(generated["all.pcap"]):
        document = json.loads(message.value)
        layers = document["layers"]
        address = (layers.get("wlan_ta") or layers.get("wlan_ra") or [None])[0]
        assert message.key == (address and address.lower().encode())
        assert message.timestamp_ms == int(document["timestamp"])
        assert message.decoded == bool(layers)
        seen.add((message.key is None, "wlan_ta" in layers, message.decoded))
    assert seen >= {(False, True, True), (False, False, True), (True, False, False)}


def test_a_frame_before_2001_and_after_2038_has_its_time(tmp_path: Path) -> None:
    path = tmp_path / "times.pcap"
    with RawPcapWriter(str(path), linktype=127, sync=True) as writer:
        writer.write_header(None)
        for second in (0, 1, 2**31, 2**32 - 1):
            writer.write_packet(bytes(probe(b"home")), sec=second, usec=999_999)
    times = [message.timestamp_ms for message in messages_of(path)]
    assert times == [999, 1_999, 2**31 * 1000 + 999, (2**32 - 1) * 1000 + 999]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path, frame = tmp_path / "long.pcap", bytes(probe(b"home", device_name(b"x" * 200)))
    with RawPcapWriter(str(path), linktype=127) as writer:
        writer.write_header(None)
        for number in range(20_000):
            writer.write_packet(frame, sec=START + number, usec=0)
    tracemalloc.start()
    octets = sum(len(message.value) for message in messages_of(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert octets > 12_000_000
    assert peak < 3_000_000


def test_a_reader_that_stops_early_ends_tshark(generated: dict[str, Path]) -> None:
    messages = messages_of(generated["all.pcap"])
    next(messages)
    messages.close()
    with pytest.raises(StopIteration):
        next(messages)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_short_gives_all_its_whole_frames(
    generated: dict[str, Path], printed: Printed, tmp_path: Path, *, packed: bool
) -> None:
    octets = generated["all.pcap"].read_bytes()[:-5]
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(gzip.compress(octets) if packed else octets)
    messages, error = _until_error(cut)
    assert [message.value for message in messages] == printed(generated["all.pcap"])[:-1]
    assert error == "appears to have been cut short in the middle of a packet"


def test_a_gzip_file_cut_short_and_a_damaged_one_say_so(generated: dict[str, Path], tmp_path: Path) -> None:
    whole = generated["all.pcap.gz"].read_bytes()
    cut = tmp_path / "cut.pcap.gz"
    cut.write_bytes(whole[:-100])
    messages, error = _until_error(cut)
    assert len(messages) > 20
    assert "cut short" in error
    cut.write_bytes(whole[:12])
    assert _until_error(cut) == ([], "is cut short before the first frame")
    cut.write_bytes(whole[:-8] + b"ABCD" + whole[-4:])
    messages, error = _until_error(cut)
    assert len(messages) == len(list(messages_of(generated["all.pcap"])))
    assert "damaged" in error


def test_what_is_no_capture_says_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for octets in (
        b"no capture at all\n",
        b'{"a": 1}',
        b"\x89PNG\r\n\x1a\n" + bytes(99),
        gzip.compress(b"text text"),
    ):
        file.write_bytes(octets)
        messages, error = _until_error(file)
        assert not messages
        assert error.startswith("is no capture: neither pcap nor pcapng")
    file.write_bytes(b"")
    assert _until_error(file) == ([], "is empty")
    file.write_bytes(b"\x1f\x8bnonsense")
    assert "cannot be read" in _until_error(file)[1]
    wrpcap(str(file), [], linktype=127)
    assert _until_error(file) == ([], "holds no frame")
    assert _until_error(tmp_path) == ([], "cannot be read: Is a directory")
    assert _until_error(tmp_path / "missing") == ([], "cannot be read: No such file or directory")


def test_a_file_that_may_not_be_read_says_so(generated: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "mine.pcap"
    file.write_bytes(generated["all.pcap"].read_bytes())
    file.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:  # whom no mode keeps out
        os.seteuid(65534)
    try:
        assert _until_error(file) == ([], "cannot be read: Permission denied")
    finally:
        if is_root:
            os.seteuid(0)


def test_without_tshark_it_says_how_to_get_it(generated: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TsharkMissingError, match="apt-get install tshark"):
        next(messages_of(generated["all.pcap"]))


def test_every_real_capture_gives_what_tshark_prints(captures: Path, printed: Printed) -> None:
    faults = {}
    for file in sorted(path for path in captures.rglob("*") if ".oracle" not in path.name and path.is_file()):
        messages: list[bytes] = []
        try:
            for message in messages_of(file):
                messages.append(message.value)
        except CaptureError as error:
            faults[file.name] = str(error)
        assert messages == printed(file), file.name
    assert faults.keys() == {"empty.pcap", "not-a-capture.cap", "mixed-20-subtypes-cut-short.cap"}
