"""Scapy, which shares nothing with the writer, reads each frame as it was meant."""

from pathlib import Path

from scapy.layers.dot11 import Dot11, Dot11Beacon, Dot11Elt, Dot11EltVendorSpecific, RadioTap
from scapy.utils import RawPcapReader

from wifi_assets.demo.frame import BEACON, CONTROL, DATA, PROBE_REQUEST, Frame


def test_scapy_reads_every_frame(day: list[Frame], capture: Path) -> None:
    with RawPcapReader(str(capture)) as packets:
        for number, (frame, (octets, about)) in enumerate(zip(day, packets, strict=True)):
            assert about.sec * 1_000_000 + about.usec == frame.time_us
            assert about.wirelen == about.caplen == len(octets)
            if number % 10:  # scapy takes half a millisecond for each
                continue
            packet = RadioTap(octets)
            assert bytes(packet) == octets
            radio, header = packet[RadioTap], packet[Dot11]
            assert radio.dBm_AntSignal == frame.signal_dbm
            assert radio.ChannelFrequency == (2407 if frame.channel <= 14 else 5000) + 5 * frame.channel
            assert radio.Rate * 2 == frame.rate
            assert header.type * 16 + header.subtype == frame.subtype
            assert header.addr1 == frame.receiver
            assert header.addr2 == frame.transmitter
            if frame.kind == DATA:
                assert header.FCfield.from_DS == frame.from_access_point
                assert header.FCfield.to_DS != frame.from_access_point
            if frame.kind != CONTROL:
                assert header.addr3 == frame.third
            if frame.subtype in (PROBE_REQUEST, BEACON):
                _check_elements(frame, packet)


def _check_elements(frame: Frame, packet: Dot11) -> None:
    assert frame.elements is not None
    element, ssid, tags = packet[Dot11Elt], None, []
    while isinstance(element, Dot11Elt):
        if element.ID == 0:
            ssid = element.info
        if isinstance(element, Dot11EltVendorSpecific):
            tags.append(element.oui)
        element = element.payload
    assert ssid == frame.elements.ssid
    assert tags == [tag.oui for tag in frame.elements.vendor_tags]
    if frame.subtype == BEACON:
        assert packet[Dot11Beacon].timestamp == frame.time_us
