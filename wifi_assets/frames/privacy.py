"""Pseudonyms: how the people behind the frames are hidden before anything is stored.

Here belongs what is replaced by what: addresses, their resolved names, vendor tags, SSIDs, devices. Not
here: refused messages, and that a lake holds rows hidden in one way only (``hidden.py``); the settings
(``settings.py``).

A pseudonym is a keyed hash: who has no key can neither undo it nor try all addresses. It is made of the address and
the key alone, so that it is the same in each column, each batch and on each machine. Only distinct values are
hashed; a batch repeats each of them many times.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import blake2b
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wifi_assets.schemas import TABLES

Mode = Literal["none", "device", "all"]

#: The columns that hold an address; each has its resolved name beside it.
_ADDRESSES = tuple(name for name in TABLES["frames"].columns if name.endswith("_address"))
#: Frames whose SSID an access point announces to all: probe responses and beacons.
_ANNOUNCED = pa.array([5, 8], pa.int32())
#: An address as a name may carry it.
_ADDRESS = re.compile(r"(?<![0-9a-f])[0-9a-f]{2}([:._-]?)(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![0-9a-f])", re.IGNORECASE)


@dataclass(frozen=True)
class Privacy:
    """What is hidden of those who were heard; by default nothing.

    Attributes:
        mode: ``none``; ``device``: the last three octets of an address, and of a locally administered one all six,
            since its first three name no vendor but are drawn with the rest; ``all``: all six. The bits for group
            and locally administered addresses always stay, and so do group addresses: they tell nobody.
        hash_ssids: SSIDs that unknown devices look for are hashed.
        secret: What the hashes are keyed by.
    """

    mode: Mode = "none"
    hash_ssids: bool = False
    secret: bytes = field(default=b"", repr=False)

    @property
    def on(self) -> bool:
        """Whether anything is hidden."""
        return self.mode != "none" or self.hash_ssids

    @property
    def mark(self) -> str:
        """What a lake remembers of these settings: enough to tell others from them, and nothing of the key."""
        if not self.on:
            return "none"
        return f"{self.mode}, {'SSIDs hashed' if self.hash_ssids else 'SSIDs clear'}, key {self._hash('mark', b'', 8)}"

    def pseudonym(self, address: str) -> str:
        """The pseudonym of an address.

        Args:
            address: Lower case with colons, as ``normal_address`` gives it.

        >>> privacy = Privacy("device", secret=b"sixteen bytes it is")
        >>> privacy.pseudonym("78:67:d7:48:1e:ee")[:9], privacy.pseudonym("ff:ff:ff:ff:ff:ff")
        ('78:67:d7:', 'ff:ff:ff:ff:ff:ff')
        """
        first = int(address[:2], 16)
        if self.mode == "none" or first & 1:
            return address
        octets = self._hash("address", address.encode(), 6)
        if self.mode == "device" and not first & 2:
            return f"{address[:9]}{octets[6:8]}:{octets[8:10]}:{octets[10:]}"
        kept = int(octets[:2], 16) & ~3 | first & 3
        return f"{kept:02x}:{octets[2:4]}:{octets[4:6]}:{octets[6:8]}:{octets[8:10]}:{octets[10:]}"

    def frames(self, frames: pa.Table, known: pa.Array) -> pa.Table:
        """The frames as they may be stored.

        Args:
            frames: Rows of the table ``frames`` in clear text.
            known: Addresses, as stored, of the devices that are known and no guests; their SSIDs stay.
        """
        if self.mode != "none":
            frames = self._with_pseudonyms(frames)
        return self._with_hashed_ssids(frames, known) if self.hash_ssids else frames

    def devices(self, devices: pa.Table) -> pa.Table:
        """The router's devices as they may be stored.

        Their names stay, since they are what a household asks for, but not an address in a name. The IP address
        goes: with the router's list of leases it would tell the device.
        """
        if self.mode == "none":
            return devices
        rows = devices.to_pylist()
        for row in rows:
            clear = row["mac"]
            row["mac"] = self.pseudonym(clear)
            row["ip"] = None
            for name in ("name", "model", "type"):
                row[name] = row[name] and self._without_address(row[name], clear)
        # Two addresses whose pseudonyms collide are one device from here on: the first of them.
        unique = {row["mac"]: row for row in reversed(rows)}
        return pa.Table.from_pylist([unique[mac] for mac in sorted(unique)], schema=devices.schema)

    # ------------------------------------------------------------------ how

    @cached_property
    def _key(self) -> bytes:
        """blake2b takes keys of at most 64 bytes."""
        return blake2b(self.secret, person=b"wifi_assets").digest()

    def _hash(self, kind: str, value: bytes, octets: int) -> str:
        """Keyed hash in hex; of another kind another one, so that no column tells about a second."""
        return blake2b(value, digest_size=octets, key=self._key, person=kind.encode()).hexdigest()

    def _without_address(self, text: str, own: str) -> str:
        """A device's name in which whole addresses, and the end of its own, are pseudonyms'."""

        def whole(found: re.Match[str]) -> str:
            digits = re.sub("[^0-9a-f]", "", found[0].lower())
            return self.pseudonym(":".join(re.findall("..", digits))).replace(":", found[1])

        text = _ADDRESS.sub(whole, text)
        octets, hidden = own.split(":"), self.pseudonym(own).split(":")
        # Its end, from the longest to the last two octets: "ESP-1EEE".
        for first in (1, 2, 3, 4):
            end = octets[first] + "(?P<by>[:._-]?)" + "(?P=by)".join(octets[first + 1 :])
            alone = re.compile(f"(?<![0-9a-f]){end}(?![0-9a-f])", re.IGNORECASE)
            text = alone.sub(partial(_joined, hidden[first:]), text)
        return text

    def _with_pseudonyms(self, frames: pa.Table) -> pa.Table:
        columns = {name: _coded(frames[name]) for name in _ADDRESSES}
        distinct = pa.concat_arrays([coded.dictionary for coded in columns.values()]).unique()
        pseudonyms = [self.pseudonym(address) for address in distinct.to_pylist()]
        hidden = pa.array(pseudonyms, pa.string())
        for name, coded in columns.items():
            at = pc.index_in(coded.dictionary, distinct)
            frames = _with(frames, name, hidden.take(at).take(coded.indices))
            resolved = f"{name}_resolved"
            frames = _with(frames, resolved, self._resolved(coded, hidden.take(at), _coded(frames[resolved])))
        # What a vendor tag holds nobody knows: serial numbers, UUIDs. Equal tags stay equal, so do fingerprints.
        tags = _mapped_lists(frames["tag_vendor_data"], lambda text: self._hash("tag", text.encode(), 8))
        frames = _with(frames, "tag_vendor_data", tags)
        return _with(frames, "wps_device_name", pa.nulls(len(frames), pa.string()))

    def _resolved(self, addresses: pa.DictionaryArray, hidden: pa.Array, names: pa.DictionaryArray) -> pa.Array:
        """The resolved names: the vendor's where the vendor part stays, followed by the pseudonym's octets."""
        clear, pseudonyms, texts = (array.to_pylist() for array in (addresses.dictionary, hidden, names.dictionary))
        # Each pair of address and name once.
        at = pc.fill_null(addresses.indices, len(clear)).to_numpy(zero_copy_only=False).astype(np.int64)
        named = pc.fill_null(names.indices, len(texts)).to_numpy(zero_copy_only=False)
        pairs, places = np.unique(at * (len(texts) + 1) + named, return_inverse=True)
        made: list[str | None] = []
        for one, name in zip(*np.divmod(pairs, len(texts) + 1), strict=True):
            if name == len(texts) or one == len(clear):
                # A name without an address can't be told to be no person's.
                made.append(None)
            elif pseudonyms[one] == clear[one]:
                made.append(texts[name])
            elif pseudonyms[one][:8] == clear[one][:8] and texts[name].endswith(f"_{clear[one][9:]}"):
                made.append(f"{texts[name][:-9]}_{pseudonyms[one][9:]}")
            else:
                made.append(pseudonyms[one])
        return pa.array(made, pa.string()).take(pa.array(places))

    def _with_hashed_ssids(self, frames: pa.Table, known: pa.Array) -> pa.Table:
        stays = pc.or_(
            pc.is_in(frames["frame_subtype"], _ANNOUNCED),
            pc.is_in(frames["source_address"], known.drop_null()),
        )
        # The wildcard asks for no network; NULL is none.
        stays = pc.or_(stays, pc.fill_null(pc.equal(pc.binary_length(frames["ssid_bytes"]), 0), True))
        coded = _coded(frames["ssid_bytes"])
        texts = pa.array([f"ssid-{self._hash('ssid', raw, 8)}" for raw in coded.dictionary.to_pylist()], pa.string())
        hidden = texts.take(coded.indices)
        frames = _with(frames, "ssid", pc.if_else(stays, frames["ssid"], hidden))
        return _with(frames, "ssid_bytes", pc.if_else(stays, frames["ssid_bytes"], hidden.cast(pa.binary())))


#: Nothing is hidden.
CLEAR = Privacy()


def _joined(octets: list[str], found: re.Match[str]) -> str:
    """The octets, separated as the found ones are."""
    return found["by"].join(octets)


def _coded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return column.combine_chunks().dictionary_encode()


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.field(place), values)


def _mapped_lists(column: pa.ChunkedArray, convert: Callable[[str], str]) -> pa.Array:
    """The lists with each distinct text converted once."""
    lists = column.combine_chunks()
    coded = lists.flatten().dictionary_encode()
    texts = pa.array([text and convert(text) for text in coded.dictionary.to_pylist()], pa.string())
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, texts.take(coded.indices), mask=lists.is_null())
