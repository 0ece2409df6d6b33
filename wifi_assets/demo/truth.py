"""What a correct platform must find in the simulated frames: computed slowly and obviously, without SQL.

Here belongs only this second opinion; it shares no code with the parsers, the rules for devices and the
SQL that it judges, but for the text of an SSID (``frames/ssid.py``, which has its own tests). Not here:
the comparison; it is one query for each part of the file, as ``Truth.found`` says.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from wifi_assets.demo.frame import PROBE_REQUEST, Frame
from wifi_assets.demo.messages import DISSECTED, resolved
from wifi_assets.frames.ssid import ssid_text

#: The longest gap between two probe requests of one session.
LONGEST_GAP_MS = 5 * 60 * 1000
#: A session is a row if it has at least this many addresses.
FEWEST_ADDRESSES = 3

_HOUR_MS = 3_600_000

Fingerprint = tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]


class Probe(NamedTuple):
    """What the truth keeps of a probe request."""

    time_ms: int
    source: str
    fingerprint: Fingerprint
    ssid: bytes | None
    signal_dbm: int | None
    sender: str | None = None


def fingerprint(frame: Frame) -> Fingerprint:
    """(tag_vendor_data, tag_vendor_oui_type, tag_oui), in the order of the frame, with repeats."""
    tags = frame.elements.vendor_tags if frame.elements else ()
    return (
        tuple((bytes((tag.oui_type,)) + tag.data).hex() for tag in tags if tag.oui not in DISSECTED),
        tuple(tag.oui_type for tag in tags),
        tuple(tag.oui for tag in tags),
    )


def expected_devices(documents: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of the table ``devices`` that the controller's documents stand for, by MAC."""
    rows: dict[str, dict[str, Any]] = {}
    for document in sorted(documents["ace.user"], key=lambda document: document["last_seen"]):
        if document.get("oui") in (None, "Ubiquiti"):
            continue
        name, hostname = document.get("name") or "", document.get("hostname") or ""
        if name and hostname:
            shown = f"{name} ({hostname})"
        elif name or hostname:
            shown = name or hostname
        else:
            shown = ("guest_" if document["is_guest"] else "nonguest_") + document["oui"]
        mac = document["mac"].lower()
        rows[mac] = {"mac": mac, "source": "ace.user", "name": shown, "ip": document["last_ip"],
                     "model": document["oui"], "type": None, "is_guest": document["is_guest"]}  # fmt: skip
    for document in documents["ace.device"]:
        mac = document["mac"].lower()
        rows[mac] = {"mac": mac, "source": "ace.device", "is_guest": False,
                     **{key: document[key] for key in ("name", "ip", "model", "type")}}  # fmt: skip
    return [rows[mac] for mac in sorted(rows)]


def sessions(probes: Iterable[Probe]) -> list[list[Probe]]:
    """The probe requests of each session, by its first: those with more than two source addresses."""
    by_fingerprint: dict[Fingerprint, list[Probe]] = defaultdict(list)
    for probe in probes:
        by_fingerprint[probe.fingerprint].append(probe)
    found = []
    for same in by_fingerprint.values():
        same.sort(key=lambda probe: probe.time_ms)
        session = [same[0]]
        for probe in same[1:]:
            if probe.time_ms - session[-1].time_ms > LONGEST_GAP_MS:
                found.append(session)
                session = []
            session.append(probe)
        found.append(session)
    rows = [session for session in found if len({probe.source for probe in session}) >= FEWEST_ADDRESSES]
    return sorted(rows, key=lambda session: (session[0].time_ms, session[0].fingerprint))


@dataclass
class Truth:
    """Watches the frames go by; memory grows with the probe requests only.

    Attributes:
        documents: The controller's documents by collection.
    """

    documents: Mapping[str, Iterable[Mapping[str, Any]]]
    _frames: Counter[tuple[str, int]] = field(default_factory=Counter)
    _spans: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    _probes: list[Probe] = field(default_factory=list)

    def observe(self, frame: Frame) -> None:
        """Take note of a frame, in any order."""
        key = (_day(frame.time_ms), frame.subtype)
        self._frames[key] += 1
        first, last = self._spans.get(key, (frame.time_ms, frame.time_ms))
        self._spans[key] = (min(first, frame.time_ms), max(last, frame.time_ms))
        if frame.subtype == PROBE_REQUEST:
            assert frame.source  # noqa: S101
            assert frame.elements  # noqa: S101
            self._probes.append(
                Probe(
                    frame.time_ms, frame.source, fingerprint(frame), frame.elements.ssid, frame.signal_dbm, frame.sender
                )
            )

    def found(self) -> dict[str, Any]:
        """What a correct platform finds. Times are ISO 8601, UTC, in milliseconds; signals are dBm.

        Each key with the table it is compared with; rows are equal as sets, lists of a row in order.

        - ``frames``: rows of ``frames``; none is quarantined.
        - ``packet_stats``: all of ``packet_stats``.
        - ``devices``: all of ``devices``.
        - ``sources``: ``probe_stats_by_source_device``, one row each. ``name`` is the device's name or
          null, ``addresses`` what it was heard under. The table's ``source`` is ``name``; without a
          name it is ``resolved``, as the simulator's own messages have it. A capture that went through
          tshark has that version's text there: compare on ``coalesce(source_device_name,
          source_address)`` of ``probes_enriched`` with ``name``, else the one address.
        - ``networks_looked_for``: all of ``networks_looked_for`` but the resolved text; ``ssid_hex`` are
          the octets.
        - ``shared_networks``: SSIDs that two or more addresses look for, with those addresses;
          ``known`` are those of devices of the router that are no guests, by name.
        - ``one_network_only``: addresses that look for exactly one network (the wildcard is none).
        - ``sessions``: all of ``oui_fingerprint_sessions`` with vendor tags; ``sessions_without_tags``:
          those whose three lists are all absent, iPhones for example, which a platform may leave out
          since they say nothing of one device. An empty list here is NULL there. A session that goes
          over midnights counts for the day it began.
        - ``behind_random_addresses``: hours of ``devices_estimated`` with their ``probe_count`` and
          ``random_addresses``, which are exact, and the ``devices`` that there were, which it estimates.
        """
        devices = expected_devices(self.documents)
        by_mac = {row["mac"]: row for row in devices}
        looked_for = self._networks_looked_for(by_mac)
        rows = [_session(session) for session in sessions(self._probes)]
        return {
            "frames": self._frames.total(),
            "probes": len(self._probes),
            "packet_stats": [
                {"day": day, "frame_subtype": subtype, "packet_count": number,
                 "earliest_time": _iso(self._spans[day, subtype][0]),
                 "latest_time": _iso(self._spans[day, subtype][1])}
                for (day, subtype), number in sorted(self._frames.items())
            ],
            "devices": devices,
            "sources": self._sources(by_mac),
            "networks_looked_for": looked_for,
            "shared_networks": _shared(looked_for),
            "one_network_only": sorted(
                address
                for address, networks in Counter(row["source_address"] for row in looked_for).items()
                if networks == 1
            ),
            "sessions": [row for row in rows if row["tag_oui"]],
            "sessions_without_tags": [row for row in rows if not row["tag_oui"]],
            "behind_random_addresses": self._behind_random_addresses(),
        }  # fmt: skip

    def write(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write ``found()`` as JSON, with ``about`` (how it was simulated) before it.

        Raises:
            OSError: The file cannot be written.
        """
        text = json.dumps({"simulation": dict(about), **self.found()}, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    def _sources(self, by_mac: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        grouped: dict[tuple[str | None, str], list[Probe]] = defaultdict(list)
        for probe in self._probes:
            name = by_mac[probe.source]["name"] if probe.source in by_mac else None
            grouped[name, name or probe.source].append(probe)
        rows = []
        for (name, label), probes in sorted(grouped.items(), key=lambda item: item[0][1]):
            signals = [probe.signal_dbm for probe in probes if probe.signal_dbm is not None]
            ssids = {probe.ssid for probe in probes if probe.ssid}
            rows.append(
                {
                    "name": name,
                    "addresses": sorted({probe.source for probe in probes}),
                    "resolved": None if name else resolved(label),
                    "probes": len(probes),
                    "earliest_probe": _iso(min(probe.time_ms for probe in probes)),
                    "latest_probe": _iso(max(probe.time_ms for probe in probes)),
                    "min_signal_dbm": min(signals, default=None),
                    "max_signal_dbm": max(signals, default=None),
                    "avg_signal_dbm": sum(signals) / len(signals) if signals else None,
                    "probed_ssids": sorted(ssid_text(ssid) for ssid in ssids),
                    "unique_ssids": len(ssids),
                    "probes_by_day": dict(sorted(Counter(_day(probe.time_ms) for probe in probes).items())),
                }
            )
        return rows

    def _behind_random_addresses(self) -> list[dict[str, Any]]:
        hours: dict[int, list[Probe]] = defaultdict(list)
        for probe in self._probes:
            if int(probe.source[:2], 16) & 2:
                hours[probe.time_ms // _HOUR_MS].append(probe)
        return [
            {
                "hour": _iso(hour * _HOUR_MS),
                "probe_count": len(probes),
                "random_addresses": len({probe.source for probe in probes}),
                "devices": len({probe.sender for probe in probes}),
            }
            for hour, probes in sorted(hours.items())
        ]

    def _networks_looked_for(self, by_mac: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        times: dict[tuple[str, bytes], list[int]] = defaultdict(list)
        for probe in self._probes:
            if probe.ssid:
                times[probe.source, probe.ssid].append(probe.time_ms)
        return [
            {
                "source_address": address,
                "source_device_name": by_mac[address]["name"] if address in by_mac else None,
                "is_known_device": address in by_mac and not by_mac[address]["is_guest"],
                "ssid": ssid_text(ssid),
                "ssid_hex": ssid.hex(),
                "probes": len(heard),
                "first_seen": _iso(min(heard)),
                "last_seen": _iso(max(heard)),
            }
            for (address, ssid), heard in sorted(times.items())
        ]


def _shared(looked_for: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_ssid: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in looked_for:
        by_ssid[row["ssid"], row["ssid_hex"]].append(row)
    return [
        {
            "ssid": ssid,
            "ssid_hex": octets,
            "source_addresses": sorted(row["source_address"] for row in rows),
            "known": sorted(row["source_device_name"] for row in rows if row["is_known_device"]),
            "strangers": sorted(row["source_address"] for row in rows if not row["is_known_device"]),
        }
        for (ssid, octets), rows in sorted(by_ssid.items())
        if len(rows) > 1
    ]


def _session(probes: list[Probe]) -> dict[str, Any]:
    signals = [probe.signal_dbm for probe in probes if probe.signal_dbm is not None]
    addresses = sorted({probe.source for probe in probes})
    data, types, ouis = probes[0].fingerprint
    return {
        "day": _day(probes[0].time_ms),
        "tag_vendor_data": list(data),
        "tag_vendor_oui_type": list(types),
        "tag_oui": list(ouis),
        "probe_count": len(probes),
        "source_address_count": len(addresses),
        "source_addresses": addresses,
        "first_probe": _iso(probes[0].time_ms),
        "last_probe": _iso(probes[-1].time_ms),
        "session_seconds": (probes[-1].time_ms - probes[0].time_ms) / 1000,
        "min_signal_dbm": min(signals, default=None),
        "max_signal_dbm": max(signals, default=None),
        "signal_dbm_distribution": {str(dbm): number for dbm, number in sorted(Counter(signals).items())},
    }


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).date().isoformat()


def _iso(time_ms: int) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"
