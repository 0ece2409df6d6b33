r"""The router's devices: from the controller's documents to the rows of the table ``devices``.

Here belong the rules that make a row out of a document, which of two documents of the same address
counts, and what differs between two states of the table. Not here: where the documents come from
(``resources/mongo.py``, ``resources/device_files.py``).
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from bson import DatetimeMS, ObjectId

from wifi_assets.frames.address import normal_address
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.schemas import TABLES

COLLECTIONS = ("ace.device", "ace.user")

#: The only fields that count; a source needs to read no others.
FIELDS = ("_id", "mac", "name", "hostname", "ip", "last_ip", "model", "type", "oui", "is_guest", "last_seen")

#: What became of a document. Its fates add up to the documents read.
ROW = "row"
OLDER = "an older document of the same address"
UBIQUITI = "oui is Ubiquiti"
NO_OUI = "no oui"
NO_OBJECT = "not an object"
NO_MAC = "no mac"
BAD_MAC = "mac is not a MAC address"

#: A moment from here on is none: ``datetime`` knows no later year.
_LATEST = datetime.max.replace(tzinfo=UTC).timestamp()
#: Names of devices over time, one row an event; ``renamed`` makes them.
NAME_EVENTS = TABLES["device_names"].schema


@dataclass(frozen=True)
class Document:
    """One document of the controller's database.

    Attributes:
        collection: ``ace.device`` or ``ace.user``.
        fields: The document as pymongo, BSON or extended JSON decode it: anything, it is hostile.
    """

    collection: str
    fields: object


def devices_table(
    documents: Iterable[Document], fates: Counter[tuple[str, str]] | None = None, privacy: Privacy = CLEAR
) -> pa.Table:
    """The rows of ``devices``, one a MAC, sorted by MAC.

    From ``ace.device``: mac, ip, name, model, type; it is no guest. From ``ace.user``, only where oui
    is there and is not ``Ubiquiti``: model is the oui, ip the last one given; with name and hostname
    the name is ``name (hostname)``, with one of them that one, with neither ``guest_`` or ``nonguest_``
    and the oui. Empty text is no name.

    Of several documents with the same MAC, of whatever collection, the latest counts: the later
    ``last_seen``, or where there is none the time at which ``_id`` was made, or where that says nothing
    either the beginning of time. At the same moment ``ace.device`` counts, since the controller itself
    runs that device, and then the greater row, so that no order of the documents plays a part.

    Args:
        documents: Documents of both collections in any order.
        fates: Counts, by (collection, fate), what became of each document, and, by (collection,
            ``field: …``), each field whose value was none of its kind and is NULL in the row.
        privacy: What is hidden of the rows.

    Returns:
        Rows of ``schemas.TABLES["devices"]``.
    """
    fates = Counter() if fates is None else fates
    latest: dict[str, tuple[tuple[float, bool, str], dict[str, Any]]] = {}
    for document in documents:
        row = _row(document, fates)
        if row is None:
            continue
        moment = _moment(document.fields)
        candidates = [((moment, row["source"] == "ace.device", repr(row)), row)]
        if row["mac"] in latest:
            candidates.append(latest[row["mac"]])
            candidates.sort(key=lambda candidate: candidate[0])
            fates[candidates[0][1]["source"], OLDER] += 1
        latest[row["mac"]] = candidates[-1]
    for _, row in latest.values():
        fates[row["source"], ROW] += 1
    rows = [latest[mac][1] for mac in sorted(latest)]
    return privacy.devices(pa.Table.from_pylist(rows, schema=TABLES["devices"].schema))


def newest_changes(documents: Iterable[Document]) -> dict[str, datetime]:
    """When each collection was last written, as far as its documents say: ``last_seen``, else the time of ``_id``.

    Returns:
        Collection -> the newest moment, aware. A collection in which no document tells one is not there.
    """
    newest: dict[str, float] = {}
    for document in documents:
        if isinstance(document.fields, Mapping) and 0 < (moment := _moment(document.fields)) < _LATEST:
            newest[document.collection] = max(moment, newest.get(document.collection, 0))
    return {collection: datetime.fromtimestamp(moment, UTC) for collection, moment in newest.items()}


def content_hash(devices: pa.Table) -> str:
    """SHA-256, in hex, of the rows; equal tables, equal text, whatever order or chunks they are in."""
    rows = sorted(repr(tuple(row.values())) for row in devices.select(list(TABLES["devices"].columns)).to_pylist())
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def renamed(old: pa.Table, new: pa.Table, at: datetime) -> pa.Table:
    """What happened to the names between two states of ``devices``.

    Args:
        old: ``mac`` and ``name`` of each device as it was; none at first, then every device appears.
        new: The table as it is.
        at: When ``new`` was read, aware.

    Returns:
        ``NAME_EVENTS``, sorted by MAC. ``event`` is ``appeared`` (old_name is NULL), ``renamed`` (one of
        both names may be NULL) or ``vanished`` (new_name is NULL). A device that keeps its name has no
        row.
    """
    before = dict(zip(old["mac"].to_pylist(), old["name"].to_pylist(), strict=True))
    after = dict(zip(new["mac"].to_pylist(), new["name"].to_pylist(), strict=True))
    return pa.Table.from_pylist(list(_events(before, after, at)), schema=NAME_EVENTS)


def _events(before: dict[str, str | None], after: dict[str, str | None], at: datetime) -> Iterator[dict[str, Any]]:
    for mac in sorted(before.keys() | after.keys()):
        old_name, new_name = before.get(mac), after.get(mac)
        if mac not in before:
            event = "appeared"
        elif mac not in after:
            event = "vanished"
        elif old_name != new_name:
            event = "renamed"
        else:
            continue
        yield {"mac": mac, "at": at, "event": event, "old_name": old_name, "new_name": new_name}


def _row(document: Document, fates: Counter[tuple[str, str]]) -> dict[str, Any] | None:
    source, fields = document.collection, document.fields
    if source not in COLLECTIONS:
        raise ValueError(f"a document of {source}, expected one of {' and '.join(COLLECTIONS)}")
    if not isinstance(fields, Mapping):
        fates[source, NO_OBJECT] += 1
        return None

    def text(name: str) -> str | None:
        value = fields.get(name)
        # Someone who names a device 42 in a shell gets a number; it is meant as the text.
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            fates[source, f"field: {name} is not text"] += 1
            return None
        return value and _printable(value)

    if fields.get("mac") is None:
        fates[source, NO_MAC] += 1
        return None
    try:
        if not isinstance(fields["mac"], str):
            raise ValueError
        mac = normal_address(fields["mac"])
    except ValueError:
        fates[source, BAD_MAC] += 1
        return None
    if source == "ace.device":
        return {
            "mac": mac,
            "source": source,
            "name": text("name") or None,
            "ip": text("ip"),
            "model": text("model"),
            "type": text("type"),
            "is_guest": False,
        }
    oui = text("oui")
    if oui is None or oui == "Ubiquiti":
        fates[source, NO_OUI if oui is None else UBIQUITI] += 1
        return None
    is_guest = fields.get("is_guest")
    if not isinstance(is_guest, bool):
        if is_guest is not None:
            fates[source, "field: is_guest is not true or false"] += 1
        is_guest = None
    return {
        "mac": mac,
        "source": source,
        "name": _user_name(text("name"), text("hostname"), is_guest, oui),
        "ip": text("ip") or text("last_ip"),
        "model": oui,
        "type": None,
        "is_guest": is_guest,
    }


def _user_name(name: str | None, hostname: str | None, is_guest: bool | None, oui: str) -> str:
    if name and hostname:
        return f"{name} ({hostname})"
    # SQL's CASE WHEN: an unknown is_guest is not true.
    return name or hostname or ("guest_" if is_guest else "nonguest_") + oui


def _moment(fields: Any) -> float:
    """When the document last spoke, in epoch seconds; 0 if nothing says."""
    value = fields.get("last_seen")
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, DatetimeMS):
        return int(value) / 1000
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e14:
        return value / 1000 if value > 1e11 else float(value)  # some controllers write milliseconds
    made = fields.get("_id")
    return made.generation_time.timestamp() if isinstance(made, ObjectId) else 0.0


def _printable(text: str) -> str:
    r"""The text with control characters and what is no UTF-8 as ``\xNN``: not every store takes them."""
    if text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char) in ("Cc", "Cs") else char for char in text)


def _escaped(char: str) -> str:
    handler = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", handler))
