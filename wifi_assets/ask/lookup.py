"""Who is it: a name or an address, and what the lake holds of the device behind it.

Here belongs the one search that the command, the HTTP API and the bot share, and what it searches. It
searches a ``Directory``: what it needs of one version of the tables, in memory, sorted, as Arrow. Not here: when
a directory is read anew (``held.py``), and how an answer is shown (``commands.py``, ``api.py``).
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from wifi_assets.engine import engine
from wifi_assets.frames.address import is_randomised, mac_of, vendor_of_address
from wifi_assets.frames.privacy import CLEAR, Mode, Privacy
from wifi_assets.frames.ssid import printable
from wifi_assets.hidden import read_mode
from wifi_assets.lake import Lake
from wifi_assets.resources.change import Progress
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import Snapshot

#: Names that are listed where several match, and SSIDs of one answer: what bounds an answer, not a search.
CANDIDATES = 100
SSIDS = 1_000
#: The tables that lookups read.
LOOKED_UP = ("probe_stats_by_source_device", "devices")
#: Shown instead of a vendor where all octets are a pseudonym's: a match would be chance.
VENDOR_HIDDEN = "hidden by pseudonyms"

#: An address as tables have it.
_ADDRESS = "[0-9a-f]{2}(:[0-9a-f]{2}){5}"


class Device(BaseModel):
    """A device, or an address that nobody named, and what was heard of it."""

    name: str = Field(description="today's name in the router, else what it is counted as: resolved address or address")
    sources: list[str] = Field(description="sources of probe_stats_by_source_device that are added up here, sorted")
    is_known: bool = Field(description="true if the router knows one of its addresses and it is no guest")
    is_guest: bool | None = Field(description="whether the router has it as a guest; null: the router does not know it")
    model: str | None = Field(description="model, or the vendor for a user, by the router")
    type: str | None = Field(description="device type of the controller (uap, usw, …)")
    ip: str | None = Field(description="address that the router gave")
    vendor: str | None = Field(
        description=f"vendor of its addresses (IEEE registry), or '{VENDOR_HIDDEN}'; null if randomised or unknown"
    )
    is_randomised: bool = Field(description="true if its addresses are locally administered")
    first_seen: datetime | None = Field(description="first probe request, UTC; null: none was heard")
    last_seen: datetime | None = Field(description="last probe request, UTC; null: none was heard")
    probes: int = Field(description="probe requests")
    min_signal_dbm: int | None = Field(description="weakest signal, dBm")
    avg_signal_dbm: float | None = Field(description="mean signal, dBm")
    max_signal_dbm: int | None = Field(description="strongest signal, dBm")
    ssids: list[str] = Field(description=f"SSIDs looked for, sorted, the first {SSIDS:,}; without the wildcard")
    unique_ssids: int = Field(description="number of SSIDs looked for")
    addresses: list[str] = Field(description="addresses it was heard under or that the router has for it, sorted")


@dataclass(frozen=True)
class Candidates:
    """Several devices match.

    Attributes:
        count: How many.
        names: The first ``CANDIDATES``, sorted.
    """

    count: int
    names: list[str]


@dataclass(frozen=True)
class Directory:
    """What can be looked up, of one version of the tables. No Python object a row: a million sources are Arrow.

    Attributes:
        sources: Rows of ``probe_stats_by_source_device``, sorted by ``source``.
        addresses: ``address`` and ``row`` of ``sources``, sorted.
        devices: Rows of ``devices``, sorted by ``mac``.
        named: ``name`` and ``mac`` of ``devices``, sorted.
        names: Whatever has a name: sources and devices, distinct, with ``folded``, the name in lower case; sorted by
            that, then by name.
        words: Those of the names that are no address; nearly all sources are random addresses.
        mode: How the lake hides addresses.
        privacy: How an address that is asked for is hidden.
        versions: Each table that was read, and its version; None where it was never made.
    """

    sources: pa.Table
    addresses: pa.Table
    devices: pa.Table
    named: pa.Table
    names: pa.Table
    words: pa.Table
    mode: Mode
    privacy: Privacy
    versions: dict[str, Progress | None]


def find(directory: Directory, asked: str) -> Device | Candidates | None:
    """The device of this name or address; several names that match; or None.

    A name is taken as it is, else whatever its case, else as a part of names. An address may be written in any
    usual way: with colons, hyphens, Cisco's dots, or nothing in between, in either case; it is the one that was in the
    air, else, in a lake of pseudonyms, one of these.
    """
    asked = asked.strip()
    if not asked:
        return None
    address = mac_of(asked)
    if address is not None:
        hidden = directory.privacy.pseudonym(address)
        return _of_addresses(directory, {hidden}) or _of_addresses(directory, {address})
    if (exact := _of_name(directory, asked)) is not None:
        return exact
    folded = pc.utf8_lower(pa.scalar(asked)).as_py()
    same = _places(directory.names["folded"], folded)
    if same:
        matching = directory.names["name"].slice(same.start, len(same))
    else:
        # An address holds no other characters.
        searched = directory.names if re.fullmatch("[0-9a-f:]+", folded) else directory.words
        matching = searched["name"].filter(pc.match_substring(searched["folded"], folded))
    if not len(matching):
        return None
    if len(matching) == 1:
        return _of_name(directory, matching[0].as_py())
    return Candidates(len(matching), matching.slice(0, CANDIDATES).to_pylist())


def nobody(directory: Directory, asked: str) -> str:
    """One sentence: that nothing matches, and why that may be so."""
    told = f"no device and no address that was heard matches '{printable(asked)}'"
    if mac_of(asked.strip()) and directory.mode != "none" and directory.privacy.mode == "none":
        told += "; the lake holds pseudonyms: set WIFI_PSEUDONYMS and WIFI_PSEUDONYM_KEY as they are where it is filled"
    return told


def read_directory(lake: Lake, privacy: Privacy = CLEAR) -> Directory:
    """What can be looked up now. Tables that are not there yet hold nothing.

    Args:
        lake: Holds it.
        privacy: How an address that is asked for is hidden; it may be clear whatever the lake is.

    Raises:
        LakeError: A table cannot be used as it is, or hides addresses by other settings.
        DeltaError: A table cannot be read.
    """
    opened = {name: lake.look(name) for name in LOOKED_UP}
    with engine() as run:
        for name, at in opened.items():
            run.view(name, at.rows() if at is not None else TABLES[name].schema.empty_table())
        # Sets of addresses of lakes that are older than the column are NULL; a source that is an address is its own.
        sources = run.query(f"""
            SELECT source, probes, earliest_probe, latest_probe, min_signal_dbm, max_signal_dbm,
              signal_dbm_sum, signal_dbm_count, probed_ssids,
              coalesce(source_addresses, CASE WHEN regexp_full_match(source, '{_ADDRESS}')
                THEN [source] ELSE [] END) AS source_addresses
            FROM probe_stats_by_source_device ORDER BY source""").combine_chunks()
        run.view("sources", sources.append_column("row", pa.array(np.arange(len(sources)))))
        run.view("device", run.query("SELECT mac, name, ip, model, type, is_guest FROM devices ORDER BY mac"))
        names = run.query("SELECT source AS name FROM sources UNION SELECT name FROM device WHERE name <> ''")
        run.view("folded", names.append_column("folded", pc.utf8_lower(names["name"])))
        return Directory(
            sources=sources,
            addresses=run.query("SELECT unnest(source_addresses) AS address, row FROM sources ORDER BY ALL"),
            devices=run.query("SELECT * FROM device ORDER BY mac"),
            named=run.query("SELECT name, mac FROM device WHERE name <> '' ORDER BY ALL"),
            names=run.query("SELECT name, folded FROM folded ORDER BY folded, name").combine_chunks(),
            words=run.query(
                f"SELECT name, folded FROM folded WHERE NOT regexp_full_match(name, '{_ADDRESS}') ORDER BY folded, name"
            ),
            mode=read_mode(lake, privacy),
            privacy=privacy,
            versions={name: version_of(at) for name, at in opened.items()},
        )


def version_of(at: Snapshot | None) -> Progress | None:
    """Which table, and which of its versions: a table that was made anew under its name is another."""
    return Progress(at.table_id, at.version) if at is not None else None


def _of_name(directory: Directory, name: str) -> Device | None:
    """The source of this name, and the devices that the router calls so, under whatever name they were counted."""
    macs = {directory.named["mac"][at].as_py() for at in _places(directory.named["name"], name)}
    return _device(directory, {*_places(directory.sources["source"], name), *_rows(directory, macs)}, macs, name)


def _of_addresses(directory: Directory, addresses: set[str]) -> Device | None:
    rows = _rows(directory, addresses)
    if not rows:
        # Counted before sources knew their addresses: under the name that the router has now, at least.
        column = directory.devices["mac"]
        names = {directory.devices["name"][at].as_py() for one in addresses for at in _places(column, one)}
        rows = {row for name in names if name for row in _places(directory.sources["source"], name)}
    return _device(directory, rows, addresses)


def _vendor(directory: Directory, address: str) -> str | None:
    if directory.mode == "all" and not is_randomised(address):
        return VENDOR_HIDDEN
    return vendor_of_address(address)


def _rows(directory: Directory, addresses: Iterable[str]) -> set[int]:
    column = directory.addresses["address"]
    return {directory.addresses["row"][at].as_py() for address in addresses for at in _places(column, address)}


def _places(column: pa.ChunkedArray, value: str) -> range:
    """Where a sorted column holds the value. DuckDB sorts by UTF-8, which is Python's order of code points."""
    places = range(len(column))

    def at(place: int) -> str:
        return str(column[place].as_py())

    return range(bisect_left(places, value, key=at), bisect_right(places, value, key=at))


def _device(directory: Directory, rows: set[int], asked: set[str], name: str | None = None) -> Device | None:
    """These sources added up, with what the router says of their addresses."""
    sources = directory.sources.take(pa.array(sorted(rows), pa.int64())).to_pylist()
    heard = {address for row in sources for address in row["source_addresses"]}
    listed = [
        directory.devices.slice(at.start, 1).to_pylist()[0]
        for address in sorted(heard | asked)
        if (at := _places(directory.devices["mac"], address))
    ]
    if not sources and not listed:
        return None
    addresses = sorted(heard | {row["mac"] for row in listed})
    first = next((row for row in listed if row["mac"] in asked), listed[0] if listed else {})
    measured = sum(row["signal_dbm_count"] or 0 for row in sources)
    ssids = sorted({ssid for row in sources for ssid in row["probed_ssids"] or []})
    vendors = sorted({vendor for address in addresses if (vendor := _vendor(directory, address))})
    return Device(
        name=name or first.get("name") or (sources[0]["source"] if sources else addresses[0]),
        sources=[row["source"] for row in sources],
        is_known=any(row["is_guest"] is False for row in listed),
        is_guest=first.get("is_guest"),
        model=first.get("model"),
        type=first.get("type"),
        ip=first.get("ip"),
        vendor=", ".join(vendors) or None,
        is_randomised=bool(addresses) and all(map(is_randomised, addresses)),
        first_seen=min((row["earliest_probe"] for row in sources), default=None),
        last_seen=max((row["latest_probe"] for row in sources), default=None),
        probes=sum(row["probes"] for row in sources),
        min_signal_dbm=min(
            (row["min_signal_dbm"] for row in sources if row["min_signal_dbm"] is not None), default=None
        ),
        avg_signal_dbm=sum(row["signal_dbm_sum"] or 0 for row in sources) / measured if measured else None,
        max_signal_dbm=max(
            (row["max_signal_dbm"] for row in sources if row["max_signal_dbm"] is not None), default=None
        ),
        ssids=ssids[:SSIDS],
        unique_ssids=len(ssids),
        addresses=addresses,
    )
