"""What pyshark's tshark prints becomes the same messages, to the byte."""

from pathlib import Path

import pyshark
import pytest

from wifi_assets.capture.live import PYSHARK_OPTIONS, read_lines
from wifi_assets.capture.tshark import Message, messages_of


def _by_pyshark(path: Path) -> list[Message]:
    capture = pyshark.FileCapture(str(path), keep_packets=False, **PYSHARK_OPTIONS)
    read_lines(capture)
    try:
        return list(capture)
    finally:
        capture.close()


@pytest.mark.parametrize("name", ["all.pcap", "all.pcapng"])
def test_pyshark_and_tshark_give_the_same_messages(generated: dict[str, Path], name: str) -> None:
    by_tshark = list(messages_of(generated[name]))
    printed = b"".join(message.value for message in by_tshark)
    assert b'"wlan_tag_oui":["6130","20722","6130","9240048"]' in printed
    assert b'"wlan_tag_number":["0","255","221"],"wlan_ext_tag_number":["35"]' in printed
    assert _by_pyshark(generated[name]) == by_tshark


def test_real_captures_too(captures: Path) -> None:
    for name in ("lab-2023-10-20.pcap", "mixed-no-dbm.pcap.gz", "bad/Chinese-SSID-Name.pcap"):
        assert _by_pyshark(captures / name) == list(messages_of(captures / name)), name
