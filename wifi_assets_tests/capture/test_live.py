"""pyshark's packets become the same messages, to the byte."""

from pathlib import Path

import pyshark
import pytest
from pyshark.packet.packet import Packet

from wifi_assets.capture.live import PYSHARK_OPTIONS, message_of
from wifi_assets.capture.tshark import messages_of


def _by_pyshark(path: Path) -> list[bytes]:
    capture = pyshark.FileCapture(str(path), keep_packets=False, **PYSHARK_OPTIONS)
    try:
        return [message_of(packet) for packet in capture]
    finally:
        capture.close()


@pytest.mark.parametrize("name", ["all.pcap", "all.pcapng"])
def test_pyshark_and_tshark_give_the_same_messages(generated: dict[str, Path], name: str) -> None:
    by_tshark = [message.value for message in messages_of(generated[name])]
    assert b'"wlan_tag_oui":["6130","20722","6130","9240048"]' in b"".join(by_tshark)
    assert _by_pyshark(generated[name]) == by_tshark


def test_real_captures_too(captures: Path) -> None:
    for name in ("lab-2023-10-20.pcap", "mixed-no-dbm.pcap.gz", "bad/Chinese-SSID-Name.pcap"):
        assert _by_pyshark(captures / name) == [message.value for message in messages_of(captures / name)], name


@pytest.mark.parametrize("sniffed", ["1666184476.519976000", "2022-10-19T13:01:16.519976000Z"])
def test_both_generations_of_tshark_give_the_same_time(sniffed: str) -> None:
    assert message_of(Packet(layers=[], sniff_time=sniffed)) == b'{"timestamp":"1666184476519","layers":{}}'
