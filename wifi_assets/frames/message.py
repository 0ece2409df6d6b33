"""The fate of one message: a frame, or a refusal with its reason. This is the definition.

Here belongs what a message means, written to be read, one message at a time. Not here: speed. The
drain reads whole batches (``parse.py``) and turns to this definition for every message that is not
plain; a test holds the two against each other.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Any

from wifi_assets.frames.address import normal_address
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.frames.ssid import ssid_bytes, ssid_text


class Reason(StrEnum):
    """Why a message is no row. The list is fixed: what is stored in ``quarantine`` comes from here."""

    TOMBSTONE = "tombstone"
    BLANK = "blank"
    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not JSON"
    SEVERAL_DOCUMENTS = "several documents in one message"
    NOT_AN_OBJECT = "not an object"
    DUPLICATE_KEY = "duplicate key"
    LONE_SURROGATE = "lone surrogate"
    NO_TIMESTAMP = "no timestamp"
    TIMESTAMP_OUT_OF_RANGE = "timestamp out of range"
    BEFORE_FIRST_DAY = "before the first day"
    AHEAD_OF_KAFKA = "more than a day ahead of its Kafka timestamp"
    NO_FRAME_TYPE = "no frame type"
    OUT_OF_RANGE = "value out of range"


@dataclass(frozen=True)
class Refused(Exception):
    """A message that is no row."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Rules:
    """What a user's settings add to the definition.

    Attributes:
        first_day: Frames before this day (UTC) are refused.
        ssid_encoding: ``hex``, ``text``, or ``auto``: hex where the subtype is written in hex, as
            tshark 3 and later do both and tshark 2 neither.
        privacy: What is hidden once the message is read, before it is stored.
    """

    first_day: date = date(1970, 1, 1)
    ssid_encoding: str = "auto"
    privacy: Privacy = CLEAR

    def ssid_is_hex(self, subtype: str) -> bool:
        """Whether the message that writes its subtype so writes its SSID in hex."""
        return subtype.startswith("0x") if self.ssid_encoding == "auto" else self.ssid_encoding == "hex"


#: 9899-12-31T23:59:59.999Z, a century before Python's calendar ends: the steps look at days after a frame's, the
#: farther the longer a session lasts.
LAST_MILLISECOND = 250_246_627_199_999
#: How far a sniffer's clock may run ahead of Kafka's.
AHEAD = timedelta(days=1)
#: Objects and lists within each other; a frame has three. Python's own limit would count from wherever the parser was
#: called, so that a message could be a row in one run and none in the next.
DEPTH = 100

#: lake column -> (message field, lowest, highest value): radiotap's dBm is a signed byte.
NUMBERS: Mapping[str, tuple[str, int, int]] = {
    "radio_channel": ("wlan_radio_channel", 0, 65_535),
    "signal_percentage": ("wlan_radio_signal_percentage", 0, 100),
    "signal_dbm": ("wlan_radio_signal_dbm", -128, 127),
    "duration_us": ("wlan_radio_duration", 0, 2**31 - 1),
    "tagged_all": ("wlan_tagged_all", 0, 2**63 - 1),
}
ADDRESSES: Mapping[str, str] = {
    "receiver_address": "wlan_ra",
    "destination_address": "wlan_da",
    "transmitter_address": "wlan_ta",
    "source_address": "wlan_sa",
    "station_address": "wlan_staa",
}
TEXTS: Mapping[str, str] = {
    **{f"{column}_resolved": f"{field}_resolved" for column, field in ADDRESSES.items()},
    "country_code": "wlan_country_info_code",
    "wps_device_name": "wps_device_name",
}
#: Column -> (message field, highest value): in hex as the subtype is, or decimal from tshark 2.
HEX_NUMBERS: Mapping[str, tuple[str, int]] = {"ht_capabilities": ("wlan_ht_capabilities", 0xFFFF)}
NUMBER_LISTS: Mapping[str, str] = {
    "tag_number": "wlan_tag_number",
    "ext_tag_number": "wlan_ext_tag_number",
    "tag_vendor_oui_type": "wlan_tag_vendor_oui_type",
    "tag_oui": "wlan_tag_oui",
}
HEX_LIST = ("tag_vendor_data", "wlan_tag_vendor_data")

#: One that nothing ends reaches to the document's end: else each quotation mark in it would be tried anew.
_JSON_TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_HEX_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,4}|[0-9]{1,5}", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F:]*", re.ASCII)


def read_message(value: bytes | None, kafka_timestamp: datetime, rules: Rules) -> dict[str, Any]:
    """The frame in a message: lake column -> value, without day, position and Kafka timestamp.

    Both shapes are read, flat and ``{"timestamp": …, "layers": {…}}``. Where a list belongs, a text
    or number counts as a list of one; a number counts as its text; null and [] as absent; of several
    values where one belongs the first counts (the outermost, in tshark's order).

    Raises:
        Refused: With the reason.
    """
    document = _document(value)
    layers = document.get("layers", document)
    if not isinstance(layers, dict):
        raise Refused(Reason.NOT_AN_OBJECT, "layers")
    event_time = _event_time(document, kafka_timestamp, rules)
    written, subtype = _subtype(layers)
    frame: dict[str, Any] = {"event_time": event_time, "frame_type": subtype >> 4, "frame_subtype": subtype}
    for column, (field, low, high) in NUMBERS.items():
        frame[column] = _first(layers, field, lambda text, low=low, high=high: _number(text, low, high))  # type: ignore[misc]
    for column, (field, high) in HEX_NUMBERS.items():
        frame[column] = _first(layers, field, lambda text, high=high: _hex_number(text, high))  # type: ignore[misc]
    for column, field in ADDRESSES.items():
        frame[column] = _first(layers, field, normal_address)
    for column, field in TEXTS.items():
        frame[column] = _first(layers, field, str)
    for column, field in NUMBER_LISTS.items():
        frame[column] = _each(layers, field, lambda text: _number(text, 0, 2**63 - 1))
    frame[HEX_LIST[0]] = _each(layers, HEX_LIST[1], _hex)
    is_hex = rules.ssid_is_hex(written)
    raw = _first(layers, "wlan_ssid", lambda text: ssid_bytes(text, is_hex=is_hex))
    return frame | {"ssid": None if raw is None else ssid_text(raw), "ssid_bytes": raw}


def _document(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise Refused(Reason.TOMBSTONE, "")
    if not value.strip(b" \t\r\n"):
        raise Refused(Reason.BLANK, f"{len(value)} bytes")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Refused(Reason.NOT_UTF8, f"byte {error.start}") from None
    if _is_deep(text):
        raise Refused(Reason.NOT_JSON, "nested too deep")
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        reason = Reason.SEVERAL_DOCUMENTS if error.msg == "Extra data" else Reason.NOT_JSON
        raise Refused(reason, f"{error.msg} at character {error.pos}") from None
    if not isinstance(document, dict):
        raise Refused(Reason.NOT_AN_OBJECT, type(document).__name__)
    if "\\u" in text:
        try:
            json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Refused(Reason.LONE_SURROGATE, "") from None
    return document


def _is_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= DEPTH:
        return False
    steps = ((mark in "[{") - (mark in "]}") for mark in _JSON_TEXT.sub("", text))
    return any(depth > DEPTH for depth in accumulate(steps))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Refused(Reason.DUPLICATE_KEY, ascii(twice[:80]))
    return made


def _constant(name: str) -> None:
    raise Refused(Reason.NOT_JSON, f"{name} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=_constant)


def _values(layers: dict[str, Any], field: str) -> list[str]:
    value = layers.get(field)
    values = value if isinstance(value, list) else [] if value is None else [value]
    for one in values:
        if not isinstance(one, str):
            raise Refused(Reason.OUT_OF_RANGE, f"{field}: {type(one).__name__} where text belongs")
    return values


def _convert(field: str, text: str, convert: Callable[[str], Any]) -> Any:
    try:
        return convert(text)
    except ValueError:
        raise Refused(Reason.OUT_OF_RANGE, f"{field}: {text[:80]!a}") from None


def _first(layers: dict[str, Any], field: str, convert: Callable[[str], Any]) -> Any:
    values = _values(layers, field)
    return _convert(field, values[0], convert) if values else None


def _each(layers: dict[str, Any], field: str, convert: Callable[[str], Any]) -> list[Any] | None:
    values = _values(layers, field)
    return [_convert(field, text, convert) for text in values] if values else None


def _number(text: str, low: int, high: int) -> int:
    # Length first: int() refuses very long texts with the same ValueError, but only after a second of work.
    if len(text) > 20 or not _INTEGER.fullmatch(text) or not low <= (number := int(text)) <= high:
        raise ValueError(text)
    return number


def _hex_number(text: str, high: int) -> int:
    if not _HEX_NUMBER.fullmatch(text):
        raise ValueError(text)
    number = int(text, 0) if text.startswith("0x") else int(text)
    if number > high:
        raise ValueError(text)
    return number


def _hex(text: str) -> str:
    if not _HEX.fullmatch(text):
        raise ValueError(text)
    return text.replace(":", "").lower()


def _event_time(document: dict[str, Any], kafka_timestamp: datetime, rules: Rules) -> datetime:
    values = document.get("timestamp")
    text = values[0] if isinstance(values, list) and values else values
    if text in (None, "", []):
        raise Refused(Reason.NO_TIMESTAMP, "")
    try:
        milliseconds = _number(text, 0, LAST_MILLISECOND) if isinstance(text, str) else None
    except ValueError:
        milliseconds = None
    if milliseconds is None:
        raise Refused(Reason.TIMESTAMP_OUT_OF_RANGE, ascii(text)[:80])
    event_time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    if event_time.date() < rules.first_day:
        raise Refused(Reason.BEFORE_FIRST_DAY, event_time.isoformat())
    if event_time - kafka_timestamp > AHEAD:
        raise Refused(Reason.AHEAD_OF_KAFKA, event_time.isoformat())
    return event_time


def _subtype(layers: dict[str, Any]) -> tuple[str, int]:
    """The subtype as written and as a number."""
    values = _values(layers, "wlan_fc_type_subtype")
    if not values:
        raise Refused(Reason.NO_FRAME_TYPE, "")
    written = values[0]

    def number(text: str) -> int:
        subtype = _hex_number(text, 0xFFFF)
        # tshark writes the control frame extensions (IEEE 802.11-2020, 9.2.4.1.3) as 0x0160 + extension.
        if 0x160 <= subtype <= 0x16F:
            return 22
        if subtype > 63:
            raise ValueError(text)
        return subtype

    subtype = _convert("wlan_fc_type_subtype", written, number)
    frame_type = _first(layers, "wlan_fc_type", lambda text: _number(text, 0, 3))
    if frame_type not in (None, subtype >> 4):
        raise Refused(Reason.OUT_OF_RANGE, f"wlan_fc_type: {frame_type} with subtype {written}")
    return written, subtype
