"""MAC addresses: their one written form, whether they are random, and whose they are.

Here belongs what an address or an OUI says by itself. Not here: which device of the household it is
(``devices.py``).
"""

import re
from functools import lru_cache

from netaddr import EUI, OUI
from netaddr.core import NotRegisteredError

#: Second hex digits of a random address, for query languages: those with the bit that ``is_randomised`` looks at.
RANDOM_DIGITS = ("2", "3", "6", "7", "a", "b", "e", "f")

_MAC = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}")
#: As people write it: with colons, hyphens, Cisco's dots, or nothing in between.
_WRITTEN = re.compile(
    r"[0-9a-f]{2}([:-]?)[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}", re.IGNORECASE
)


def normal_address(text: str) -> str:
    """The address in lower case with colons.

    Raises:
        ValueError: ``text`` is no EUI-48 written as six pairs with colons or hyphens.
    """
    if not _MAC.fullmatch(text):
        raise ValueError(f"not a MAC address: {text[:40]!r}")
    return text.lower().replace("-", ":")


def mac_of(text: str) -> str | None:
    """The address that a person wrote, lower case with colons; None if it is none.

    >>> mac_of("DC-A6-32-01-02-03"), mac_of("dca6.3201.0203"), mac_of("dca632010203"), mac_of("dc:a6")
    ('dc:a6:32:01:02:03', 'dc:a6:32:01:02:03', 'dc:a6:32:01:02:03', None)
    """
    if not _WRITTEN.fullmatch(text):
        return None
    digits = re.sub("[:.-]", "", text).lower()
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def is_randomised(address: str) -> bool:
    """True if the address is locally administered (IEEE 802-2014, 8.4: the U/L bit, 0x02 of octet 0)."""
    return bool(int(address[:2], 16) & 2)


@lru_cache(maxsize=100_000)
def vendor_of_address(address: str) -> str | None:
    """The organisation behind a universally administered address, by the IEEE registry; None if unknown."""
    if is_randomised(address):
        return None
    return vendor_of_oui(int(EUI(address)) >> 24)


@lru_cache(maxsize=100_000)
def vendor_of_oui(oui: int) -> str | None:
    """The organisation of a 24-bit OUI, by the IEEE registry that netaddr carries; None if unknown.

    >>> vendor_of_oui(20722)
    'MICROSOFT CORP.'
    """
    if not 0 <= oui < 1 << 24:
        return None
    try:
        return str(OUI(oui).registration().org)
    except NotRegisteredError:
        return None
