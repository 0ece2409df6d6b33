"""Messages for the tests of this folder: one plain frame of each shape, and what is changed about it.

Here belongs only what several of these tests make their messages from.
"""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from wifi_assets.frames.message import Refused, Rules, read_message

#: Kafka's timestamp of the messages: when the frame of ``PROBE`` was heard.
HEARD = datetime(2020, 3, 21, 14, 50, 2, 655000, tzinfo=UTC)
TIMESTAMP = "1584802202655"

#: A probe request as tshark 4 prints it.
PROBE: dict[str, list[str]] = {
    "wlan_fc_type": ["0"],
    "wlan_fc_type_subtype": ["0x0004"],
    "wlan_radio_channel": ["6"],
    "wlan_radio_signal_percentage": ["54"],
    "wlan_radio_signal_dbm": ["-73"],
    "wlan_radio_duration": ["1024"],
    "wlan_ra": ["ff:ff:ff:ff:ff:ff"],
    "wlan_ra_resolved": ["Broadcast"],
    "wlan_da": ["ff:ff:ff:ff:ff:ff"],
    "wlan_da_resolved": ["Broadcast"],
    "wlan_ta": ["94:04:9c:cd:b7:50"],
    "wlan_ta_resolved": ["HuaweiTe_cd:b7:50"],
    "wlan_sa": ["94:04:9c:cd:b7:50"],
    "wlan_sa_resolved": ["HuaweiTe_cd:b7:50"],
    "wlan_tagged_all": ["1"],
    "wlan_tag_vendor_data": ["00904c0408bf0c", "08"],
    "wlan_tag_vendor_oui_type": ["4", "8", "8"],
    "wlan_tag_oui": ["4120", "20722", "20722"],
    "wlan_ssid": ["686f6d65"],
}

#: The same from tshark 2: the subtype decimal, the SSID as text, colons between the bytes of vendor data.
OLD_PROBE = PROBE | {
    "wlan_fc_type_subtype": ["4"],
    "wlan_ssid": ["home"],
    "wlan_tag_vendor_data": ["00:90:4c:04:08:bf:0c", "08"],
}

#: The row of either.
ROW = {
    "event_time": HEARD,
    "frame_type": 0,
    "frame_subtype": 4,
    "radio_channel": 6,
    "signal_percentage": 54,
    "signal_dbm": -73,
    "duration_us": 1024,
    "receiver_address": "ff:ff:ff:ff:ff:ff",
    "receiver_address_resolved": "Broadcast",
    "destination_address": "ff:ff:ff:ff:ff:ff",
    "destination_address_resolved": "Broadcast",
    "transmitter_address": "94:04:9c:cd:b7:50",
    "transmitter_address_resolved": "HuaweiTe_cd:b7:50",
    "source_address": "94:04:9c:cd:b7:50",
    "source_address_resolved": "HuaweiTe_cd:b7:50",
    "station_address": None,
    "station_address_resolved": None,
    "tagged_all": 1,
    "tag_vendor_data": ["00904c0408bf0c", "08"],
    "tag_vendor_oui_type": [4, 8, 8],
    "tag_oui": [4120, 20722, 20722],
    "country_code": None,
    "wps_device_name": None,
    "ssid": "home",
    "ssid_bytes": b"home",
}


def compact(document: Any) -> bytes:
    """JSON as tshark writes it, without blanks."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def document(fields: dict[str, Any], *, layered: bool, timestamp: Any = TIMESTAMP) -> dict[str, Any]:
    """The fields as a document of either shape; a field that is ``...`` is left out."""
    kept = {name: value for name, value in fields.items() if value is not ...}
    return {"timestamp": timestamp, "layers": kept} if layered else {"timestamp": timestamp, **kept}


def probe(*, layered: bool = True, timestamp: Any = TIMESTAMP, old: bool = False, **changes: Any) -> bytes:
    """The probe request as a message, with some fields changed or (``...``) left out."""
    return compact(document((OLD_PROBE if old else PROBE) | changes, layered=layered, timestamp=timestamp))


def read(value: bytes | None, kafka_timestamp: datetime = HEARD, rules: Rules | None = None) -> dict[str, Any]:
    """The message's row."""
    return read_message(value, kafka_timestamp, rules or Rules())


def refusal(value: bytes | None, kafka_timestamp: datetime = HEARD, rules: Rules | None = None) -> Refused:
    """Why the message has none."""
    with pytest.raises(Refused) as caught:
        read_message(value, kafka_timestamp, rules or Rules())
    return caught.value
