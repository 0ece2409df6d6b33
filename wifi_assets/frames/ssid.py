"""SSIDs: from what tshark prints to bytes, and from bytes to a text that is safe to show.

Here belongs all that is known about the SSID element. Not here: escaping for HTML, SQL or Cypher,
which each output does by its own means.
"""

import re

#: tshark 3 and later print this for an element of length 0 (wildcard in a probe request, hidden in a beacon).
MISSING = "<MISSING>"

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")


def ssid_bytes(printed: str, *, is_hex: bool) -> bytes:
    r"""The bytes of the SSID element.

    Args:
        printed: tshark's text for ``wlan.ssid``: hex (tshark 3 and later) or the text itself (tshark 2).
        is_hex: Which of the two ``printed`` is.

    Raises:
        ValueError: Hex is expected and ``printed`` is none.

    >>> ssid_bytes("686f6d65", is_hex=True), ssid_bytes("home", is_hex=False), ssid_bytes("<MISSING>", is_hex=True)
    (b'home', b'home', b'')
    """
    if printed == MISSING:
        return b""
    if not is_hex:
        return printed.encode()
    if not _HEX.fullmatch(printed):
        raise ValueError(f"an SSID that is not hex: {printed[:80]!r}")
    return bytes.fromhex(printed)


def ssid_text(raw: bytes) -> str:
    r"""The SSID as text in which everything but printable UTF-8 stands as ``\xNN``.

    The form is that of ``iw`` and wpa_supplicant (``printf_encode``): bytes in two hex digits. A
    backslash is doubled, so that two different SSIDs never have the same text.

    >>> print(ssid_text(b"caf\xc3\xa9"), ssid_text(b"\xd6\xd0\x00"), ssid_text(b"a\\x41"))
    café \xd6\xd0\x00 a\\x41
    """
    if raw.isascii() and (text := raw.decode()).isprintable() and "\\" not in text:
        return text
    parts = []
    for char in raw.decode("utf-8", "surrogateescape"):
        if char == "\\":
            parts.append("\\\\")
        elif char.isprintable():
            parts.append(char)
        else:
            parts.extend(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
    return "".join(parts)


def printable(text: str) -> str:
    r"""A text in which only printable characters are left; any other stands as its bytes, ``\xNN``.

    For what cannot be trusted to show itself: device names, and texts of SSIDs, which stay as they are.

    >>> print(printable("a\u202eb\x1b"))
    a\xe2\x80\xaeb\x1b
    """
    return "".join(c if c.isprintable() else ssid_text(c.encode("utf-8", "surrogateescape")) for c in text)
