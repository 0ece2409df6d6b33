"""The simulated frames as the messages that tshark would print for them.

Here belongs what tshark prints, in the three shapes that a topic may hold. Not here: how messages
reach a broker (``publish.py``), or how the platform reads them (``frames/``): the two know nothing of
each other, so that one tests the other.
"""

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from wifi_assets.demo.frame import BROADCAST, CONTROL, EXTENDED, Frame, VendorTag, numbered
from wifi_assets.demo.household import TSHARK_NAMES


class Shape(StrEnum):
    """How a message holds a frame.

    ``EK`` is tshark 3 and later with ``-T ek``: ``{"timestamp": …, "layers": {…}}``, subtype and SSID in
    hex. ``FLAT`` is the same without ``layers``. ``TSHARK2`` is flat as tshark 2 wrote it: the subtype
    and the HT capabilities decimal, the SSID as text, colons in vendor data.
    """

    EK = "ek"
    FLAT = "flat"
    TSHARK2 = "tshark2"


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the topic.

    Attributes:
        key: Transmitter's address, or the receiver's where the frame names no transmitter.
        value: JSON.
        timestamp_ms: The event time, milliseconds since 1970.
    """

    key: bytes
    value: bytes
    timestamp_ms: int


#: Organisations whose tags tshark 4.0 dissects itself; it then prints no ``wlan.tag.vendor.data``.
#: (Microsoft, Wi-Fi Alliance, Epigram, Atheros; seen with ``tshark -T ek`` on one frame each.)
DISSECTED = (0x0050F2, 0x506F9A, 0x00904C, 0x00037F)


def message(frame: Frame, shape: Shape = Shape.EK) -> Message:
    """The frame as tshark's message.

    In ``TSHARK2`` octets of an SSID that are no UTF-8 become U+FFFD: use ``as_heard`` for what is left.
    """
    layers = _layers(frame, shape)
    document: dict[str, Any] = {"timestamp": str(frame.time_ms)}
    document |= {"layers": layers} if shape is Shape.EK else layers
    value = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return Message((frame.transmitter or frame.receiver).encode(), value, frame.time_ms)


def as_heard(frame: Frame, shape: Shape) -> Frame:
    """The frame that a reader can make of the message: another one where the shape loses octets.

    Only ``TSHARK2`` does: an SSID that is no UTF-8 holds U+FFFD, and one that spells ``<MISSING>`` is
    taken for the wildcard.
    """
    if shape is not Shape.TSHARK2 or frame.elements is None or frame.elements.ssid is None:
        return frame
    ssid = frame.elements.ssid.decode(errors="replace").encode()
    ssid = b"" if ssid == b"<MISSING>" else ssid
    return frame if ssid == frame.elements.ssid else replace(frame, elements=replace(frame.elements, ssid=ssid))


@lru_cache(maxsize=100_000)
def resolved(address: str) -> str:
    """The address as tshark 4.0 names it: the vendor's short name for a known OUI.

    Other versions print other names: good to look at, not to rely on.
    """
    if address == BROADCAST:
        return "Broadcast"
    if address.startswith("33:33:"):
        return f"IPv6mcast_{address[6:].removeprefix('00:').removeprefix('00:').removeprefix('00:')}"
    vendor = TSHARK_NAMES.get(address[:8])
    return f"{vendor}_{address[9:]}" if vendor else address


def _layers(frame: Frame, shape: Shape) -> dict[str, list[str]]:
    old = shape is Shape.TSHARK2
    layers: dict[str, list[str]] = {
        "wlan_fc_type": [str(frame.kind)],
        "wlan_fc_type_subtype": [_hex(frame.subtype, old=old)],
        "wlan_radio_channel": [str(frame.channel)],
    }
    if frame.signal_dbm is not None:
        layers["wlan_radio_signal_dbm"] = [str(frame.signal_dbm)]
    layers["wlan_radio_duration"] = [str(frame.duration_us)]
    for field, address in (
        ("wlan_ra", frame.receiver),
        ("wlan_da", frame.destination),
        ("wlan_ta", frame.transmitter),
        ("wlan_sa", frame.source),
        ("wlan_staa", frame.station),
    ):
        if address is not None:
            layers[field] = [address]
            layers[f"{field}_resolved"] = [resolved(address)]
    if frame.elements is None or frame.kind == CONTROL:
        return layers
    layers["wlan_tagged_all"] = ["1"]
    tags = frame.elements.vendor_tags
    elements = numbered(frame.elements, frame.channel)
    ht_capabilities = frame.elements.ht_capabilities
    fields = {
        "wlan_tag_number": [str(number) for number, _ in elements],
        "wlan_ext_tag_number": [str(data[0]) for number, data in elements if number == EXTENDED],
        "wlan_ht_capabilities": [] if ht_capabilities is None else [_hex(ht_capabilities, old=old)],
        "wlan_tag_vendor_data": [_data(tag, colons=old) for tag in tags if tag.oui not in DISSECTED],
        "wlan_tag_vendor_oui_type": [str(tag.oui_type) for tag in tags],
        "wlan_tag_oui": [str(tag.oui) for tag in tags],
        "wlan_country_info_code": [frame.elements.country] if frame.elements.country else [],
        # The WPS specification says UTF-8; tshark reads ASCII.
        "wps_device_name": [
            tag.device_name.encode().decode("ascii", "replace") for tag in tags if tag.device_name is not None
        ],
        "wlan_ssid": [] if frame.elements.ssid is None else [_ssid(frame.elements.ssid, old=old)],
    }
    return layers | {field: values for field, values in fields.items() if values}


def _hex(number: int, *, old: bool) -> str:
    return str(number) if old else f"0x{number:04x}"


def _data(tag: VendorTag, *, colons: bool) -> str:
    octets = bytes((tag.oui_type,)) + tag.data
    return octets.hex(":") if colons else octets.hex()


def _ssid(ssid: bytes, *, old: bool) -> str:
    if old:
        return ssid.decode(errors="replace")
    return ssid.hex() if ssid else "<MISSING>"
