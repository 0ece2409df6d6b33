"""pyshark's packets as the messages that tshark prints.

Here belongs only the conversion and what pyshark must be told for it. Not here: reading files, which
tshark does ten times faster without pyshark (``tshark.py``).

pyshark takes tshark's whole dissection (``-T ek`` without ``-e``) and this picks the fields. What is printed
there in another way is put right: octets come with colons, an empty SSID comes as '' and not as
``<MISSING>``, a subtree without a value (``wlan.tagged.all``) as null and not as "1". The outcome is the same
to the byte.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pyshark.packet.packet import Packet

from wifi_assets.capture.tshark import RESOLVING
from wifi_assets.frames.fields import TSHARK_FIELDS

#: Arguments of a pyshark capture whose packets ``message_of`` understands.
PYSHARK_OPTIONS: dict[str, Any] = {"use_ek": True, "custom_parameters": list(RESOLVING)}

_OCTETS = {"wlan.ssid", "wlan.tag.vendor.data"}
#: In a dissection each name stands behind its protocol's: ``wlan_wlan_fc_type``.
_NAMES = {f"{field.split('.')[0]}_{field.replace('.', '_')}": field for field in TSHARK_FIELDS}


def message_of(packet: Packet) -> bytes:
    """The message for one packet, as ``tshark.messages_of`` yields it for the same frame.

    Args:
        packet: From a pyshark capture made with ``PYSHARK_OPTIONS``.
    """
    found: dict[str, list[str]] = {}
    for layer in packet.layers:
        # Not get_field(): it turns numbers into other text and knows no types for the layer of elements.
        for name, value in _walk(layer._fields_dict):
            found.setdefault(_NAMES[name], []).extend(_texts(_NAMES[name], value))
    layers = {field.replace(".", "_"): found[field] for field in TSHARK_FIELDS if field in found}
    document = {"timestamp": _milliseconds(packet.sniff_timestamp), "layers": layers}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _walk(node: Any) -> Iterator[tuple[str, Any]]:
    """Our fields at any depth, in order; a layer may be a list of layers, or nothing but its name."""
    if isinstance(node, list):
        for one in node:
            yield from _walk(one)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in _NAMES:
                yield name, value
            yield from _walk(value)


def _texts(field: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if field in _OCTETS:
        return [one.replace(":", "") or "<MISSING>" for one in values]
    if field == "wlan.tagged.all":
        return [str(len(values))]
    return [str(one) for one in values]


def _milliseconds(sniffed: str) -> str:
    """Milliseconds since 1970, cut and not rounded, as tshark prints them."""
    if "T" in sniffed:  # tshark 4.2 and later
        moment = datetime.fromisoformat(sniffed)
        return str(int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000)
    seconds, _, fraction = sniffed.partition(".")
    return f"{seconds}{fraction:0<3.3}"
