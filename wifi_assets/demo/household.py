r"""Who lives at Birkenweg 7 and who is near: devices, networks, and what the router knows of them.

Here belongs the cast, which is the same for every seed, and the controller's documents about it. Not
here: what the cast sends and when (``air.py``). The people never existed; the vendors do, since their
names are part of what the platform shows.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from wifi_assets.demo.frame import VendorTag, wps_tag

#: OUI -> the short name that tshark 4.0 prints for it.
TSHARK_NAMES = {
    "24:5a:4c": "Ubiquiti",
    "3c:a6:f6": "Apple",
    "8c:79:f5": "SamsungE",
    "94:b8:6d": "IntelCor",
    "54:2a:1b": "Sonos",
    "24:0a:c4": "Espressi",
    "f0:27:2d": "AmazonTe",
    "dc:a6:32": "Raspberr",
    "3c:52:82": "HewlettP",
    "28:6c:07": "XIAOMIEl",
    "48:8e:ef": "HuaweiTe",
    "3c:a6:2f": "AVMAudio",
    "50:c7:bf": "Tp-LinkT",
    "98:b6:e9": "Nintendo",
    "a8:23:fe": "LGElectr",
}

WILDCARD = b""
HOME = b"Birkenweg7"
HOME_GUESTS = "Birkenweg7 Gäste".encode()
HOTEL = b"Hotel Lindenhof"
TRAIN = b"Zugnetz"
CAFE = "咖啡馆".encode("gbk")
CIRCUS = "🎪 Zirkus".encode()

#: What people and troublemakers call their networks: every one goes through every table and target.
HOSTILE_SSIDS = (
    CAFE,
    CIRCUS,
    bytes((n * 37 + 5) % 256 for n in range(32)),
    b"\x00",
    b"before\x00after",
    b"\xff\xfe\x00\x00",
    "שלום 123".encode(),
    "\u202egnp.exe\u202c".encode(),
    "e\u0301 \u200b zero".encode(),
    b'Bob\'s "WLAN"',
    b"`$(reboot)`",
    b'"></script><script>alert(1)//',
    b"'; DROP TABLE frames; --",
    b"'}) MATCH (n) DETACH DELETE n //",
    b"${jndi:ldap://x}",
    b"{{7*7}} %s%n",
    b"=1+1",
    b"back\\slash\\x41",
    b"two\r\nlines\tand a tab",
    b"\x1b[31mred",
    b" leading and trailing ",
    b" ",
    b"NULL",
    b"[]",
    b"cafe",
    b"<MISSING>",
    b"A" * 32,
)

#: Networks that passers-by look for; the first three are the household's too.
STRANGERS_SSIDS = (
    HOTEL,
    TRAIN,
    CIRCUS,
    b"AirportFree",
    b"eduroam",
    b"MyPhone",
    b"FRITZ!Box 7590 QX",
    b"Stadtbibliothek",
    "Café Öl".encode(),
    b"TP-LINK_4F2A",
)

_BROADCOM = VendorTag(0x001018, 2, bytes.fromhex("0000001c0000"))
_MICROSOFT = VendorTag(0x0050F2, 8, bytes.fromhex("001700"))
_MBO = VendorTag(0x506F9A, 22, bytes.fromhex("030101"))
_WMM = VendorTag(0x0050F2, 2, bytes.fromhex("000100"))
_SAMSUNG = VendorTag(0x0000F0, 33, bytes.fromhex("0700"))
_HUAWEI = VendorTag(0x00E0FC, 128, bytes.fromhex("0001"))
_QUALCOMM = VendorTag(0x8CFDF0, 1, bytes.fromhex("010101"))
_MEDIATEK = VendorTag(0x000CE7, 8, bytes.fromhex("0a000000"))
_GOOGLE = VendorTag(0xF4F5E8, 1, bytes.fromhex("02"))
_APPLE = VendorTag(0x0017F2, 10, bytes.fromhex("00010400000000"))


class Model(NamedTuple):
    """What the probe requests of one model of phone say of it.

    Attributes:
        tags: Vendor tags, in order.
        ht_capabilities: As in ``Elements``.
        has_he: As in ``Elements``.
    """

    tags: tuple[VendorTag, ...]
    ht_capabilities: int | None
    has_he: bool


#: Phones that may pass by. An iPhone has no vendor tags; a newer one tells by its HE capabilities.
PASSING_MODELS = (
    Model((), 0x402D, False),
    Model((), 0x402D, True),
    Model((_BROADCOM, _MICROSOFT, _MBO), 0x002D, True),
    Model((_QUALCOMM, _MBO), 0x01EF, True),
    Model((_MEDIATEK, _MICROSOFT), 0x016F, False),
    Model((_MICROSOFT, _MBO), 0x09E7, False),
    Model((_HUAWEI, _BROADCOM), 0x012D, False),
    Model((_GOOGLE, _GOOGLE, _MBO), 0x01EF, True),
)


@dataclass(frozen=True)
class Device:
    """Something that sends probe requests.

    Attributes:
        label: Its name in this simulation.
        mac: The address it has on its network; None: it has only random ones.
        tags: Its vendor tags, in order.
        networks: SSIDs of its probe requests; empty is the wildcard, None a request without SSID element.
        changes_address: With each scan burst.
        signal_dbm: Mean signal at the sniffer.
        ht_capabilities: As in ``Elements``.
        has_he: As in ``Elements``.
        hours: Hours of the day (UTC) at which it may be here.
        away: (modulus, remainder): it is away on days, counted since 1970, that leave this remainder.
    """

    label: str
    mac: str | None
    tags: tuple[VendorTag, ...] = ()
    networks: tuple[bytes | None, ...] = (WILDCARD,)
    changes_address: bool = False
    signal_dbm: int = -55
    ht_capabilities: int | None = None
    has_he: bool = False
    hours: frozenset[int] = frozenset(range(24))
    away: tuple[int, int] | None = None

    def is_here(self, hour: int) -> bool:
        """Whether it may be here in the hour, counted since 1970 (UTC)."""
        is_away = self.away is not None and hour // 24 % self.away[0] == self.away[1]
        return hour % 24 in self.hours and not is_away


@dataclass(frozen=True)
class AccessPoint:
    """A network's access point.

    Attributes:
        bssid: Its address.
        ssid: Name in its beacons; empty if hidden.
        channel: Channel number.
        signal_dbm: Mean signal at the sniffer.
        country: Code in its beacons; None: no country element.
        stations: Addresses that talk with it.
        tags: Vendor tags of its beacons.
    """

    bssid: str
    ssid: bytes
    channel: int
    signal_dbm: int
    country: str | None
    stations: tuple[str, ...]
    tags: tuple[VendorTag, ...] = (_WMM,)


_AWAKE = frozenset(range(5, 23))
_HOME_FROM_WORK = frozenset((0, 5, 6, 16, 17, 18, 19, 20, 21, 22, 23))

NADIAS_PHONE = Device(
    "Nadia's phone", "ae:31:7c:02:5d:10", (_SAMSUNG, _BROADCOM, _MICROSOFT), (WILDCARD, HOME),
    changes_address=True, signal_dbm=-48, ht_capabilities=0x002D, has_he=True, hours=_HOME_FROM_WORK,
)  # fmt: skip
RESIDENTS = (
    NADIAS_PHONE,
    # Away on one day of three.
    Device("Tom's iPhone", "d6:0b:44:9e:21:77", changes_address=True, signal_dbm=-52, ht_capabilities=0x402D,
           has_he=True, hours=_HOME_FROM_WORK, away=(3, 1)),
    Device("Nadia's laptop", "94:b8:6d:1a:2b:3c", (_MICROSOFT,), (WILDCARD, HOME, HOTEL, TRAIN),
           signal_dbm=-45, hours=_HOME_FROM_WORK),
    Device("Kitchen speaker", "54:2a:1b:07:70:01", (_WMM,), (WILDCARD, HOME), signal_dbm=-60),
    Device("Doorbell", "24:0a:c4:d0:0b:e1", (), (HOME,), signal_dbm=-71),
    Device("Printer", "3c:52:82:99:00:42", (wps_tag('HP "Büro" 42'), _WMM), (WILDCARD, HOME), signal_dbm=-63),
    Device("Mila's tablet", "f0:27:2d:5e:4d:3c", (_MEDIATEK,), (WILDCARD, HOME, CIRCUS, CAFE),
           signal_dbm=-57, hours=_AWAKE),
    Device("Weather station", "dc:a6:32:12:34:56", (), (WILDCARD, HOME), signal_dbm=-66),
    Device("Thermostat", "24:0a:c4:77:77:77", (), (HOME,), signal_dbm=-69),
)  # fmt: skip
GUESTS = (
    Device("Grandma's phone", "28:6c:07:0a:0b:0c", (_QUALCOMM,), (WILDCARD, HOME_GUESTS, HOTEL),
           signal_dbm=-58, hours=frozenset(range(13, 20)), away=(2, 0)),
    Device("Mila's friend", "3c:a6:f6:fe:ed:01", (_APPLE, _BROADCOM), (WILDCARD, HOME_GUESTS, CIRCUS),
           signal_dbm=-61, hours=frozenset(range(14, 18))),
    Device("Plumber", "48:8e:ef:cd:b7:50", (_HUAWEI,), (WILDCARD, HOME_GUESTS), signal_dbm=-64,
           hours=frozenset((9, 10, 11)), away=(2, 1)),
)  # fmt: skip
NEIGHBOURS = (
    # In the router's database, but with no oui: it is no row of the devices, and so unknown.
    Device("Console", "98:b6:e9:00:ba:be", (), (WILDCARD, HOME, b"Nachbar 5G"), signal_dbm=-74,
           hours=frozenset(range(14, 22))),
    Device("Television next door", "a8:23:fe:31:41:59", (wps_tag("[TV] LG Wohnzimmer"),), (b"Nachbar 5G",),
           signal_dbm=-78),
    Device("Laptop next door", "94:b8:6d:de:ad:01", (_MICROSOFT,), (WILDCARD, b"Nachbar 5G", HOTEL),
           signal_dbm=-80, hours=_AWAKE),
    Device("Phone next door", None, (_MEDIATEK, _BROADCOM), changes_address=True, signal_dbm=-76,
           ht_capabilities=0x016F, hours=_AWAKE),
    # Asks without an SSID element: some drivers do.
    Device("Light bulb next door", "50:c7:bf:0f:0f:0f", (), (None,), signal_dbm=-83),
)  # fmt: skip
#: Scans once in four minutes with another address, day and night: one session over all midnights.
ROBOT = Device("Robot next door", None, (_GOOGLE, _WMM), changes_address=True, signal_dbm=-79, ht_capabilities=0x006E)
#: Probes of this one stand exactly 5 minutes apart, and then a millisecond more.
METRONOME = Device("Metronome", None, (_QUALCOMM, _QUALCOMM), changes_address=True, signal_dbm=-70)
#: Passes once a day and looks for every hostile SSID.
COLLECTOR = Device("Collector", "8c:79:f5:c0:11:ec", (_SAMSUNG, _MBO), HOSTILE_SSIDS, signal_dbm=-67)

REGULARS = RESIDENTS + GUESTS + NEIGHBOURS

HOME_ACCESS_POINT = AccessPoint(
    "24:5a:4c:00:07:01", HOME, 6, -40, "DE", tuple(device.mac for device in RESIDENTS if device.mac)
)
ACCESS_POINTS = (
    HOME_ACCESS_POINT,
    AccessPoint("26:5a:4c:00:07:02", HOME_GUESTS, 6, -40, "DE",
                tuple(guest.mac for guest in GUESTS if guest.mac)),
    AccessPoint("3c:a6:2f:88:99:aa", b"Nachbar 5G", 1, -72, "DE", ("a8:23:fe:31:41:59", "94:b8:6d:de:ad:01"),
                (_WMM, VendorTag(0x00037F, 1, b"\x01\x00\x00"))),
    AccessPoint("50:c7:bf:11:22:33", b"", 11, -81, None, ("50:c7:bf:0f:0f:0f",)),
    AccessPoint("52:c7:bf:11:22:44", b"\x00" * 8, 36, -84, "AT", ()),
)  # fmt: skip


def documents(last_seen: int) -> dict[str, list[dict[str, Any]]]:
    """The controller's documents, by collection, as of ``last_seen`` (epoch seconds).

    Some addresses are upper case. There is gear of the maker's own among the users (oui ``Ubiquiti``), a
    user without oui, users with a name, a hostname, both and neither, and a user with two documents, of
    which the one with the later ``last_seen`` counts.
    """
    gear = (
        ("24:5A:4C:00:07:00", "Gateway", "UGW3", "ugw", "10.7.0.1"),
        (HOME_ACCESS_POINT.bssid, "Attic access point", "U7PG2", "uap", "10.7.0.2"),
        ("24:5a:4c:00:07:0a", "Cellar switch", "US8P60", "usw", "10.7.0.3"),
    )
    users: tuple[dict[str, Any], ...] = (
        # A private address has no vendor: the controller writes an empty oui.
        {"mac": NADIAS_PHONE.mac, "name": "Nadia's phone", "hostname": "Galaxy-S21", "oui": ""},
        {"mac": "d6:0b:44:9e:21:77", "name": "Tom's iPhone", "oui": ""},
        {"mac": "94:B8:6D:1A:2B:3C", "name": "Old laptop", "oui": "IntelCor",
         "last_seen": last_seen - 90_000_000},
        {"mac": "94:b8:6d:1a:2b:3c", "name": "Nadia's laptop", "hostname": "nadia-x1", "oui": "IntelCor"},
        {"mac": "54:2A:1B:07:70:01", "name": "Kitchen speaker", "hostname": "SonosZP", "oui": "SonosInc"},
        {"mac": "24:0a:c4:d0:0b:e1", "name": "Doorbell", "hostname": "", "oui": "Espressi"},
        {"mac": "3c:52:82:99:00:42", "name": "Drucker <Büro> 🖨", "hostname": "HP42", "oui": "HewlettP"},
        {"mac": "F0:27:2D:5E:4D:3C", "name": 'Mila\'s "tablet"', "oui": "AmazonTe"},
        {"mac": "dc:a6:32:12:34:56", "hostname": "weather-station", "oui": "Raspberr"},
        {"mac": "24:0a:c4:77:77:77", "oui": "Espressi"},
        {"mac": "28:6c:07:0a:0b:0c", "name": "Grandma's phone", "hostname": "Redmi", "oui": "XiaomiCo",
         "is_guest": True},
        {"mac": "3c:a6:f6:fe:ed:01", "hostname": "iPad-von-Jo", "oui": "Apple", "is_guest": True},
        {"mac": "48:8E:EF:CD:B7:50", "oui": "HuaweiTe", "is_guest": True},
        {"mac": "98:b6:e9:00:ba:be", "name": "Console", "hostname": "Switch"},
        {"mac": "24:5a:4c:ca:3e:7a", "name": "Garden camera", "hostname": "UVC-G4", "oui": "Ubiquiti"},
    )  # fmt: skip
    return {
        "ace.device": [
            {"_id": {"$oid": f"5e7a{number:020x}"}, "mac": mac, "ip": ip, "name": name, "model": model,
             "type": kind, "adopted": True, "last_seen": last_seen}
            for number, (mac, name, model, kind, ip) in enumerate(gear, 1)
        ],
        "ace.user": [
            {"_id": {"$oid": f"5e7b{number:020x}"}, "site_id": "5e7a", "is_guest": False, "is_wired": False,
             "first_seen": last_seen - 100_000_000, "last_seen": last_seen,
             "last_ip": f"10.7.1.{number}"} | user
            for number, user in enumerate(users, 1)
        ],
    }  # fmt: skip


def write_documents(folder: Path, last_seen: int) -> None:
    """Write the documents as ``mongoexport`` does: ``ace.device.json`` and ``ace.user.json``, one a line.

    Args:
        folder: Made if it is not there.
        last_seen: As in ``documents``.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for collection, found in documents(last_seen).items():
        lines = (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n" for document in found)
        (folder / f"{collection}.json").write_text("".join(lines), encoding="utf-8")
