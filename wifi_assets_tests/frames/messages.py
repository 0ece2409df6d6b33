"""Messages for the tests of this folder: one plain frame of each shape, and what is changed about it.

Here belongs only what several of these tests make their messages from.
"""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from wifi_assets.frames.message import LAST_MILLISECOND, Reason, Refused, Rules, read_message

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
    "wlan_tag_number": ["0", "1", "50", "3", "45", "127", "255", "221", "221", "221"],
    "wlan_ext_tag_number": ["35"],
    "wlan_ht_capabilities": ["0x402d"],
    "wlan_tag_vendor_data": ["00904c0408bf0c", "08"],
    "wlan_tag_vendor_oui_type": ["4", "8", "8"],
    "wlan_tag_oui": ["4120", "20722", "20722"],
    "wlan_ssid": ["686f6d65"],
}

#: The same from tshark 2: hex numbers decimal, the SSID as text, colons between the bytes of vendor data.
OLD_PROBE = PROBE | {
    "wlan_fc_type_subtype": ["4"],
    "wlan_ht_capabilities": ["16429"],
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
    "tag_number": [0, 1, 50, 3, 45, 127, 255, 221, 221, 221],
    "ext_tag_number": [35],
    "ht_capabilities": 0x402D,
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


def nested(levels: int, deepest: bytes = b"") -> bytes:
    """The probe request with a member that makes it so many objects and lists within each other."""
    return probe()[:-2] + b',"x":' + b"[" * (levels - 2) + deepest + b"]" * (levels - 2) + b"}}"


def read(value: bytes | None, kafka_timestamp: datetime = HEARD, rules: Rules | None = None) -> dict[str, Any]:
    """The message's row."""
    return read_message(value, kafka_timestamp, rules or Rules())


def refusal(value: bytes | None, kafka_timestamp: datetime = HEARD, rules: Rules | None = None) -> Refused:
    """Why the message has none."""
    with pytest.raises(Refused) as caught:
        read_message(value, kafka_timestamp, rules or Rules())
    return caught.value


_FIELDS = b'"wlan_fc_type":["0"],"wlan_fc_type_subtype":["0x0004"]'
_START = b'{"timestamp":"%s","layers":{' % TIMESTAMP.encode()

#: What is no row: value, reason, a part of the detail.
MALFORMED: list[tuple[bytes | None, Reason, str]] = [
    (None, Reason.TOMBSTONE, ""),
    (b"", Reason.BLANK, "0 bytes"),
    (b" \t\r\n", Reason.BLANK, "4 bytes"),
    (b"\xff{}", Reason.NOT_UTF8, "byte 0"),
    (probe(wlan_sa_resolved="@").replace(b"@", b"caf\xe9"), Reason.NOT_UTF8, "byte "),
    (probe(wlan_sa_resolved="@").replace(b"@", b"\xed\xa0\x80"), Reason.NOT_UTF8, "byte "),
    (probe()[:-1], Reason.NOT_JSON, "at character"),
    (probe()[:-40], Reason.NOT_JSON, "at character"),
    (b"\xef\xbb\xbf" + probe(), Reason.NOT_JSON, "at character 0"),
    (probe()[:-2] + b",}}", Reason.NOT_JSON, "at character"),
    (probe().replace(b'["-73"]', b'["-73",]'), Reason.NOT_JSON, "at character"),
    (probe().replace(b'["-73"]', b"[NaN]"), Reason.NOT_JSON, "NaN is no JSON value"),
    (probe().replace(b'["-73"]', b"[-Infinity]"), Reason.NOT_JSON, "-Infinity is no JSON value"),
    (probe().replace(b'["-73"]', b"[-073]"), Reason.NOT_JSON, "at character"),
    (probe().replace(b'["-73"]', b"[0x5]"), Reason.NOT_JSON, "at character"),
    (probe().replace(b'"-73"', b"'-73'"), Reason.NOT_JSON, "at character"),
    (probe().replace(b"Broadcast", b"Broad\ncast"), Reason.NOT_JSON, "Invalid control character"),
    (probe().replace(b"Broadcast", b"Broad\0cast"), Reason.NOT_JSON, "Invalid control character"),
    (probe().replace(b"Broadcast", b"Broad\\xcast"), Reason.NOT_JSON, "Invalid \\escape"),
    (b'{"index":{"_index":"packets-2020-03-21"', Reason.NOT_JSON, "at character"),
    (b"hello", Reason.NOT_JSON, "at character 0"),
    (b"[" * 100_000, Reason.NOT_JSON, "nested too deep"),
    (nested(100_000), Reason.NOT_JSON, "nested too deep"),
    (nested(101), Reason.NOT_JSON, "nested too deep"),
    (nested(101, b'"\\ud800"'), Reason.NOT_JSON, "nested too deep"),
    (b'{"x":' * 100_000, Reason.NOT_JSON, "nested too deep"),
    (probe(wlan_sa="@").replace(b'"@"', b"[" * 99 + b"]" * 99), Reason.NOT_JSON, "nested too deep"),
    (nested(100, b'"\\ud800"'), Reason.LONE_SURROGATE, ""),
    (b"[" * 100 + b"]" * 100, Reason.NOT_AN_OBJECT, "list"),
    (b'"' + b'\\"[' * 100_000, Reason.NOT_JSON, "Unterminated string"),
    (probe() + probe(), Reason.SEVERAL_DOCUMENTS, "Extra data"),
    (probe() + b"\n" + probe(), Reason.SEVERAL_DOCUMENTS, "Extra data"),
    (probe() + b" x", Reason.SEVERAL_DOCUMENTS, "Extra data"),
    (b"[" + probe() + b"]", Reason.NOT_AN_OBJECT, "list"),
    (b'"text"', Reason.NOT_AN_OBJECT, "str"),
    (b"null", Reason.NOT_AN_OBJECT, "NoneType"),
    (b"true", Reason.NOT_AN_OBJECT, "bool"),
    (compact({"timestamp": TIMESTAMP, "layers": []}), Reason.NOT_AN_OBJECT, "layers"),
    (compact({"timestamp": TIMESTAMP, "layers": None}), Reason.NOT_AN_OBJECT, "layers"),
    (_START + b'"wlan_sa":["a"],"wlan_sa":["b"],' + _FIELDS + b"}}", Reason.DUPLICATE_KEY, "'wlan_sa'"),
    (_START + b'"x":1,"x":1,' + _FIELDS + b"}}", Reason.DUPLICATE_KEY, "'x'"),
    (_START + b'"x":[{"y":{"z":0,"z":0}}],' + _FIELDS + b"}}", Reason.DUPLICATE_KEY, "'z'"),
    (_START + b'"wlan_sa":null,"wlan\\u005fsa":null,' + _FIELDS + b"}}", Reason.DUPLICATE_KEY, "'wlan_sa'"),
    (probe()[:-1] + b',"timestamp":"1"}', Reason.DUPLICATE_KEY, "'timestamp'"),
    (probe()[:-1] + b',"layers":{}}', Reason.DUPLICATE_KEY, "'layers'"),
    (probe(wlan_ssid="@").replace(b"@", b"\\ud800"), Reason.LONE_SURROGATE, ""),
    (probe(unknown="@").replace(b"@", b"\\udfff\\ud800"), Reason.LONE_SURROGATE, ""),
    (probe(unknown="@").replace(b'"unknown"', b'"\\ud800"'), Reason.LONE_SURROGATE, ""),
    (probe(timestamp=None), Reason.NO_TIMESTAMP, ""),
    (probe(timestamp=""), Reason.NO_TIMESTAMP, ""),
    (probe(timestamp=[]), Reason.NO_TIMESTAMP, ""),
    (compact({"layers": PROBE}), Reason.NO_TIMESTAMP, ""),
    (b"{}", Reason.NO_TIMESTAMP, ""),
    (b'{"index":{"_index":"packets-2020-03-21"}}', Reason.NO_TIMESTAMP, ""),
    (probe(timestamp="-1"), Reason.TIMESTAMP_OUT_OF_RANGE, "'-1'"),
    (probe(timestamp="1584802202.655"), Reason.TIMESTAMP_OUT_OF_RANGE, "'1584802202.655'"),
    (probe(timestamp="1e12"), Reason.TIMESTAMP_OUT_OF_RANGE, "'1e12'"),
    (probe(timestamp=" 1584802202655"), Reason.TIMESTAMP_OUT_OF_RANGE, "' 1584802202655'"),
    (probe(timestamp="2020-03-21"), Reason.TIMESTAMP_OUT_OF_RANGE, "'2020-03-21'"),
    (probe(timestamp=str(LAST_MILLISECOND + 1)), Reason.TIMESTAMP_OUT_OF_RANGE, str(LAST_MILLISECOND + 1)),
    (probe(timestamp="9" * 5000), Reason.TIMESTAMP_OUT_OF_RANGE, "999"),
    (probe(timestamp="١٥٨٤"), Reason.TIMESTAMP_OUT_OF_RANGE, "\\u0661"),
    (probe(timestamp=True), Reason.TIMESTAMP_OUT_OF_RANGE, "True"),
    (probe(timestamp={"at": "1"}), Reason.TIMESTAMP_OUT_OF_RANGE, "{'at': '1'}"),
    (probe(timestamp=[None]), Reason.NO_TIMESTAMP, ""),
    (_START + b"}}", Reason.NO_FRAME_TYPE, ""),
    (probe(wlan_fc_type_subtype=...), Reason.NO_FRAME_TYPE, ""),
    (probe(wlan_fc_type_subtype=None), Reason.NO_FRAME_TYPE, ""),
    (probe(wlan_fc_type_subtype=[]), Reason.NO_FRAME_TYPE, ""),
]  # fmt: skip
