"""One frame in the air: its fields, and the bytes that an antenna receives.

Here belongs 802.11 (IEEE 802.11-2020, clause 9) as far as the simulated household speaks it. Not here:
who speaks (``household.py``), when (``air.py``), how a file (``pcap.py``) or a message
(``messages.py``) holds a frame.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

PROBE_REQUEST = 4
PROBE_RESPONSE = 5
BEACON = 8
AUTHENTICATION = 11
BLOCK_ACK = 25
RTS = 27
CTS = 28
ACK = 29
NULL = 36
QOS_DATA = 40

MANAGEMENT, CONTROL, DATA = range(3)

BROADCAST = "ff:ff:ff:ff:ff:ff"

#: The rates in use here, in units of 500 kbit/s: one of DSSS, three of OFDM.
DSSS_1, OFDM_6, OFDM_24, OFDM_54 = 2, 12, 48, 108

#: An element of this number has an extended number as its first octet.
EXTENDED = 255
HE_CAPABILITIES = 35

_TYPES_WITH_ELEMENTS = (PROBE_REQUEST, PROBE_RESPONSE, BEACON)
_WPS_DEVICE_NAME = 0x1011
_WPS_VERSION = 0x104A


@dataclass(frozen=True, slots=True)
class VendorTag:
    """A vendor specific element (IEEE 802.11-2020, 9.4.2.25).

    Attributes:
        oui: The organisation, 24 bits.
        oui_type: First octet after the OUI.
        data: What follows.
        device_name: The device's name, if this is a WPS element that has one.
    """

    oui: int
    oui_type: int
    data: bytes
    device_name: str | None = None


def wps_tag(device_name: str) -> VendorTag:
    """The Wi-Fi Protected Setup element by which a printer or television gives its name."""
    attributes = ((_WPS_VERSION, b"\x10"), (_WPS_DEVICE_NAME, device_name.encode()))
    data = b"".join(struct.pack(">HH", kind, len(value)) + value for kind, value in attributes)
    return VendorTag(0x0050F2, 4, data, device_name)


@dataclass(frozen=True, slots=True)
class Elements:
    """The elements of a probe request, probe response or beacon that the platform looks at.

    Attributes:
        ssid: 0-32 octets; empty is the wildcard (a hidden network in a beacon); None: no such element.
        vendor_tags: In the order of the frame.
        country: Two letters of the country element.
        ht_capabilities: HT Capability Information, 16 bits; None: no HT (802.11n) capabilities.
        has_he: Whether there are HE (802.11ax) capabilities, an element with an extended number.
    """

    ssid: bytes | None
    vendor_tags: tuple[VendorTag, ...] = ()
    country: str | None = None
    ht_capabilities: int | None = None
    has_he: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as the sniffer hears it.

    Attributes:
        time_us: When, microseconds since 1970 (UTC).
        subtype: type x 16 + subtype, 0-63.
        channel: Channel number.
        signal_dbm: Signal at the sniffer; None where the driver gave none.
        rate: In units of 500 kbit/s.
        receiver: RA.
        transmitter: TA; None in CTS and ACK.
        third: Address 3: the BSSID, or in data frames the end of the way behind the access point.
        from_access_point: The From DS bit, in data frames; else To DS is set.
        elements: In probe requests, probe responses and beacons.
        payload: Octets of encrypted payload, in data frames.
        sender: Who sent it, which no sniffer hears: the truth counts devices by it.
    """

    time_us: int
    subtype: int
    channel: int
    signal_dbm: int | None
    rate: int
    receiver: str
    transmitter: str | None = None
    third: str | None = None
    from_access_point: bool = False
    elements: Elements | None = None
    payload: int = 0
    sender: str | None = None

    @property
    def time_ms(self) -> int:
        """When, milliseconds since 1970: what tshark's JSON keeps of the time."""
        return self.time_us // 1000

    @property
    def kind(self) -> int:
        """``MANAGEMENT``, ``CONTROL`` or ``DATA``."""
        return self.subtype >> 4

    @property
    def destination(self) -> str | None:
        """DA; None in control frames."""
        if self.kind == CONTROL:
            return None
        return self.receiver if self.kind == MANAGEMENT or self.from_access_point else self.third

    @property
    def source(self) -> str | None:
        """SA; None in control frames."""
        if self.kind == CONTROL:
            return None
        return self.third if self.from_access_point else self.transmitter

    @property
    def station(self) -> str | None:
        """The station's address in a data frame (tshark's STAA); else None."""
        if self.kind != DATA:
            return None
        return self.receiver if self.from_access_point else self.transmitter

    @property
    def is_ofdm(self) -> bool:
        """True for OFDM, false for DSSS."""
        return self.rate >= OFDM_6

    @property
    def duration_us(self) -> int:
        """Time on air in microseconds.

        DSSS with long preamble: 192 µs and the bits (IEEE 802.11-2020, 15.2.2). OFDM: 20 µs and symbols
        of 4 µs that hold 16 service bits, the octets and 6 tail bits (17.4.3).
        """
        bits = 8 * len(self.octets())
        if not self.is_ofdm:
            return 192 + -(-bits * 2 // self.rate)
        bits_a_symbol = self.rate * 2
        return 20 + 4 * -(-(16 + bits + 6) // bits_a_symbol)

    def octets(self) -> bytes:
        """The frame without its check sequence."""
        control = (self.subtype & 15) << 4 | self.kind << 2
        if self.kind == CONTROL:
            addresses = _octets(self.receiver) + (_octets(self.transmitter) if self.transmitter else b"")
            return struct.pack("<HH", control, 0 if self.subtype == ACK else 44) + addresses + self._body()
        if self.kind == DATA:
            control |= 0x0200 if self.from_access_point else 0x0100
            control |= 0x4000 if self.payload else 0
        assert self.transmitter  # noqa: S101
        assert self.third  # noqa: S101
        addresses = _octets(self.receiver) + _octets(self.transmitter) + _octets(self.third)
        sequence = (self.time_us // 1000 & 0xFFF) << 4
        return struct.pack("<HH", control, 44) + addresses + struct.pack("<H", sequence) + self._body()

    def _body(self) -> bytes:
        if self.subtype == PROBE_REQUEST:
            fixed = b""
        elif self.subtype in (PROBE_RESPONSE, BEACON):
            fixed = struct.pack("<QHH", self.time_us, 100, 0x0411)
        elif self.subtype == AUTHENTICATION:
            fixed = struct.pack("<HHH", 0, 1, 0)
        elif self.subtype == BLOCK_ACK:
            fixed = struct.pack("<HHQ", 0x0005, 0, 2**64 - 1)
        elif self.subtype == QOS_DATA:
            # QoS control, then the CCMP header with key id 0 and a packet number from the time.
            number = self.time_us & 0xFFFFFFFFFFFF
            header = struct.pack("<HBBI", number & 0xFFFF, 0, 0x20, number >> 16)
            fixed = struct.pack("<H", 0) + header + bytes(self.payload)
        else:
            fixed = b""
        return fixed if self.elements is None else fixed + _elements(self.elements, self.channel)


@lru_cache(maxsize=100_000)
def _octets(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


def _element(number: int, data: bytes) -> bytes:
    return bytes((number, len(data))) + data


def numbered(elements: Elements, channel: int) -> list[tuple[int, bytes]]:
    """The elements on a channel as they follow each other in the frame: number and what it holds."""
    parts = [] if elements.ssid is None else [(0, elements.ssid)]
    if channel <= 14:
        parts.append((1, bytes((0x82, 0x84, 0x8B, 0x96, 0x0C, 0x12, 0x18, 0x24))))
        parts.append((3, bytes((channel,))))
    else:
        parts.append((1, bytes((0x8C, 0x12, 0x98, 0x24, 0xB0, 0x48, 0x60, 0x6C))))
    if elements.country:
        first = bytes((1, 13, 20)) if channel <= 14 else bytes((36, 8, 23))
        parts.append((7, elements.country.encode() + b" " + first))
    if elements.ht_capabilities is not None:
        # A-MPDU parameters, one spatial stream, and nothing of the rest (IEEE 802.11-2020, 9.4.2.55).
        parts.append((45, struct.pack("<HBB22x", elements.ht_capabilities, 0x17, 0xFF)))
    if elements.has_he:
        # MAC and PHY capabilities, one spatial stream (IEEE 802.11ax-2021, 9.4.2.248).
        parts.append((EXTENDED, bytes((HE_CAPABILITIES,)) + bytes(17) + b"\xfe\xff\xfe\xff"))
    for tag in elements.vendor_tags:
        parts.append((221, tag.oui.to_bytes(3, "big") + bytes((tag.oui_type,)) + tag.data))
    return parts


@lru_cache(maxsize=10_000)
def _elements(elements: Elements, channel: int) -> bytes:
    return b"".join(_element(number, data) for number, data in numbered(elements, channel))
