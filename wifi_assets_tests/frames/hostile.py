"""Messages of all kinds for property tests: plain ones, and what little changes make of them.

Here belongs only how they are made. Not here: what must become of them.
"""

import random
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from wifi_assets.frames.message import ADDRESSES, HEX_NUMBERS, NUMBER_LISTS, NUMBERS, TEXTS
from wifi_assets_tests.frames.messages import HEARD, OLD_PROBE, PROBE, compact, document

_HEARD_MS = int(HEARD.timestamp() * 1000)
_DAY_MS = 86_400_000

_TEXTS = [
    "Broadcast",
    "",
    "layers",
    "timestamp",
    ",",
    "[]",
    "{}",
    ":",
    "null",
    "5",
    "é" * 16,
    "\U0001f600",
    "\u202e",
    "\x7f",
]
#: What JSON writes as it is: no control character, no quotation mark, no backslash, no surrogate.
_PLAIN_TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters={chr(code) for code in range(32)} | {'"', "\\"}),
    max_size=16,
)


def _plain_message(chance: random.Random) -> bytes:
    """A frame of any subtype as some tshark prints it, in either shape, heard near midnight or long ago."""
    subtype = chance.randrange(64)
    old = chance.random() < 0.5
    fields = {
        "wlan_fc_type": [str(subtype // 16)],
        "wlan_fc_type_subtype": [str(subtype) if old else f"0x{subtype:04x}"],
    }
    for field, low, high in NUMBERS.values():
        fields[field] = [str(chance.choice([low, high, chance.randint(low, high)]))]
    for field, high in HEX_NUMBERS.values():
        number = chance.choice([0, high, chance.randint(0, high)])
        fields[field] = [str(number) if old else f"0x{number:04x}"]
    for field in ADDRESSES.values():
        fields[field] = [chance.choice(["ff:ff:ff:ff:ff:ff", chance.randbytes(6).hex(":")])]
    for field in TEXTS.values():
        fields[field] = [chance.choice(_TEXTS)]
    for field in NUMBER_LISTS.values():
        fields[field] = chance.choices(["0", "4120", "20722", "5271450", "999999999999999999"], k=chance.randint(1, 4))
    data = [chance.randbytes(chance.randint(0, 6)) for _ in range(chance.randint(1, 3))]
    fields["wlan_tag_vendor_data"] = [one.hex(":") if old else one.hex() for one in data]
    printed = chance.choice(_TEXTS) if old else chance.randbytes(chance.randint(0, 32)).hex()
    fields["wlan_ssid"] = [chance.choice([printed, "<MISSING>"])]
    names = list(fields)
    chance.shuffle(names)
    share = chance.random()
    kept = {name: fields[name] for name in names if name.startswith("wlan_fc") or chance.random() < share}
    at = chance.choice([0, 1, 10**12, _HEARD_MS - _DAY_MS, _HEARD_MS // _DAY_MS * _DAY_MS, _HEARD_MS])
    return compact(document(kept, layered=chance.random() < 0.5, timestamp=str(at)))


#: Made beforehand: drawn field by field, a batch would take longer to make than to read.
_POOL = [_plain_message(random.Random(seed)) for seed in range(1000)]


def plain_messages() -> st.SearchStrategy[bytes]:
    """Messages of which everything is as tshark writes it; some with an SSID that is any text or any bytes."""
    texts = _PLAIN_TEXT.map(lambda text: compact(document(OLD_PROBE | {"wlan_ssid": [text]}, layered=True)))
    octets = st.binary(max_size=32).map(lambda raw: compact(document(PROBE | {"wlan_ssid": [raw.hex()]}, layered=True)))
    return st.one_of(st.sampled_from(_POOL), st.sampled_from(_POOL), texts, octets)


@dataclass(frozen=True)
class Edit:
    """A change of a message's bytes.

    Attributes:
        kind: What is done.
        place: Where, in thousandths of the message.
        text: What is put there.
    """

    kind: str
    place: int
    text: bytes


_PIECES = [
    b'"', b"\\", b",", b":", b"[", b"]", b"{", b"}", b" ", b"\n", b"\t", b"0", b"-", b"+", b".", b"e", b"x", b"A",
    b"\0", b"\x7f", b"\xff", b"\xed\xa0\x80", "é".encode(), b"\xef\xbb\xbf", b"\\u0041", b"\\u0000", b"\\n", b"\\/",
    b"\\ud800", b"\\ud83d\\ude00",
]  # fmt: skip
_MEMBERS = [
    b'"x":1', b'"x":""', b'"":[]', b'"wlan_sa":["00:00:00:00:00:01"]', b'"wlan_sa":null', b'"wlan\\u005fsa":["x"]',
    b'"wlan_ssid":[]', b'"wlan_fc_type":["0"]', b'"wlan_fc_type_subtype":["4"]', b'"timestamp":"1"',
    b'"timestamp":null', b'"layers":{}', b'"layers":null', b'"x":{"wlan_sa":["x"]}', b'"x":{"y":1,"y":1}',
    b'"x":[1,]', b'"x":NaN', b'"wlan_tag_oui":["1"]', b'"wps_device_name":[["x"]]', b'"wps_device_name":[{"x":5}]',
    b'"wps_device_name":"a"', b'"x":' + b"[" * 98 + b"]" * 98, b'"x":' + b"[" * 99 + b"]" * 99,
    b'"x":' + b"[" * 99 + b'"\\ud800"' + b"]" * 99,
]  # fmt: skip
_HARMLESS = [
    b'"x":1',
    b'"":[]',
    b'"y":{"wlan_sa":["x"]}',
    b'"wlan_seq":["12"]',
    b'"wlan_staa":null',
    b'"wps_device_name":5.0',
]
_VALUES = [
    b"5", b"-5", b"5.0", b"+5", b"007", b"0x5", b"1e3", b"10e19", b"NaN", b"Infinity", b"true", b"null", b"9" * 30,
    b"-0", b'"5"', b'"abcd"', b"[]", b"{}", b"[5]", b"[5 ]", b"[ 5 ]", b'["5",]', b'[["5"]]', b'[{"x":5}]',
    b'[ {"x":5} ]', b'["5",null]', b'["5","6"]', b'["007"]', b'["5.0"]', b'["+5"]', b'[" 5"]', b'["0x5"]', b'["NaN"]',
    b'["-0"]', b'[""]', b'["999999999999999999999"]', b'["0x0160"]', b'["0x001B"]', b'["0X04"]',
    b'["AA:BB:CC:DD:EE:FF"]', b'["AA-BB-CC-DD-EE-FF"]', b'["aa:bb-cc:dd:ee:ff"]', b'["<MISSING>"]', b'["ab:cd"]',
    b'["ABCD"]', b'["abc"]', '["٣"]'.encode(), b'["\\u0031"]', b"['5']",
]  # fmt: skip


def edits() -> st.SearchStrategy[list[Edit]]:
    """None for half of the messages, else one to three."""
    edit = st.one_of(
        *(
            st.builds(Edit, st.just(kind), st.integers(0, 1000), st.sampled_from(texts))
            for kind, texts in (
                ("insert", _PIECES),
                ("overwrite", _PIECES),
                ("delete", [b""]),
                ("repeat", [b""]),
                ("truncate", [b""]),
                ("member", _MEMBERS),
                ("value", _VALUES),
                ("escape", [b""]),
                ("blank", [b" ", b"\r\n", b"\t"]),
                ("member", _HARMLESS),
            )
        )
    )
    return st.just([]) | st.lists(edit, min_size=1, max_size=3)


def edited(message: bytes, changes: list[Edit]) -> bytes:
    """The message after the changes, in their order."""
    for change in changes:
        message = _edited(message, change)
    return message


def _edited(message: bytes, change: Edit) -> bytes:
    at = change.place * len(message) // 1000
    match change.kind:
        case "insert":
            return message[:at] + change.text + message[at:]
        case "overwrite":
            return message[:at] + change.text + message[at + len(change.text) :]
        case "delete":
            return message[:at] + message[at + 1 :]
        case "truncate":
            return message[:at]
        case "repeat":
            # A whole member, so that its key is there twice.
            start, end = message.rfind(b'],"', 0, at) + 1, message.find(b'],"', at) + 1
            return message[:end] + message[start:end] + message[end:] if start and end else message
        case "blank":
            colon = message.find(b'":', at) + 2
            return message[:colon] + change.text + message[colon:] if colon > 1 else message + change.text
        case "member":
            opened = (message.find(b"{", 1) if change.place % 3 else message.find(b"{")) + 1
            return message[:opened] + change.text + b"," + message[opened:]
        case "value":
            start, end = message.find(b":[", at) + 1, message.find(b"]", message.find(b":[", at)) + 1
            return message[:start] + change.text + message[end:] if start else message
        case _:
            # A letter within a key or value, as JSON may also write it.
            letter: Any = message[at : at + 1]
            return message[:at] + b"\\u%04x" % letter[0] + message[at + 1 :] if letter.isalpha() else message
