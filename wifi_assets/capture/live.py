"""The messages of a pyshark capture: the same, to the byte, as ``tshark.py`` makes of a file.

Here belongs only what pyshark must be told for it. Not here: reading files, which needs no pyshark
(``tshark.py``), or where the messages go.

pyshark starts and ends tshark; its packets are not used. It asks for tshark's whole dissection, in which a
frame with extended elements has the key of the element numbers twice and their order is lost. So tshark is
asked for the fields alone, and each of its lines is taken as it is.
"""

from typing import Any

from pyshark.capture.capture import Capture
from pyshark.tshark.output_parser.tshark_ek import TsharkEkJsonParser

from wifi_assets.capture.tshark import RESOLVING, Message, message_of_line
from wifi_assets.frames.fields import TSHARK_FIELDS

#: Arguments of a pyshark capture for ``read_lines``.
PYSHARK_OPTIONS: dict[str, Any] = {
    "use_ek": True,
    "custom_parameters": [*RESOLVING, *(argument for field in TSHARK_FIELDS for argument in ("-e", field))],
}


class _Lines(TsharkEkJsonParser):
    """tshark's document lines in the place of packets."""

    def _parse_single_packet(self, packet: bytes) -> Message:
        return message_of_line(packet)


def read_lines(capture: Capture) -> None:
    """Make a pyshark capture yield ``Message`` in the place of its packets, however it is read.

    Args:
        capture: Made with ``PYSHARK_OPTIONS``; nothing was read from it yet.
    """
    capture._setup_tshark_output_parser = _Lines
