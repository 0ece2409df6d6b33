"""What the lake found, held against the truth of the simulation.

Here belong the comparisons, one query each, as ``Truth.found`` describes them. Not here: the truth.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wifi_assets.engine import Engine, engine
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES


@dataclass(frozen=True)
class Finding:
    """One part of the truth.

    Attributes:
        what: What was compared.
        expected: Rows of the truth.
        found: Rows of the lake.
        different: Rows that are in only one of the two, or differ.
    """

    what: str
    expected: int
    found: int
    different: int


def compare(lake: Lake, truth: Mapping[str, Any]) -> list[Finding]:
    """Every part of the truth against the lake's tables."""
    with engine() as run:
        for name in TABLES:
            run.view(name, lake.open(name).rows())
        sessions = truth["sessions"] + truth["sessions_without_tags"]
        return [
            _finding(
                "frames by day and type",
                [(r["day"], r["frame_subtype"], r["packet_count"], _time(r["earliest_time"]), _time(r["latest_time"]))
                 for r in truth["packet_stats"]],
                _rows(run, "SELECT CAST(day AS STRING), frame_subtype, packet_count, earliest_time, latest_time "
                           "FROM packet_stats"),
            ),
            _finding(
                "devices of the router",
                [(r["mac"], r["name"], r["is_guest"]) for r in truth["devices"]],
                _rows(run, "SELECT mac, name, is_guest FROM devices"),
            ),
            _finding(
                "sources of probe requests",
                [(r["name"] or r["addresses"][0], r["probes"], _time(r["latest_probe"])) for r in truth["sources"]],
                _rows(run, "SELECT coalesce(source_device_name, source_address), count(*), max(event_time) "
                           "FROM probes_enriched GROUP BY 1"),
            ),
            _finding(
                "networks that each source looks for",
                [(r["source_address"], r["source_device_name"], r["is_known_device"], r["ssid"], r["probes"])
                 for r in truth["networks_looked_for"]],
                _rows(run, "SELECT source_address, source_device_name, is_known_device, ssid, probes "
                           "FROM networks_looked_for"),
            ),
            _finding(
                "sessions behind random addresses",
                [(r["day"], tuple(r["source_addresses"]), r["probe_count"], _time(r["first_probe"]),
                  _time(r["last_probe"]), r["min_signal_dbm"], r["max_signal_dbm"]) for r in sessions],
                _rows(run, "SELECT CAST(day AS STRING), source_addresses, probe_count, first_probe, last_probe, "
                           "min_signal_dbm, max_signal_dbm FROM oui_fingerprint_sessions"),
            ),
            _finding(
                "random addresses of each hour",
                [(_time(r["hour"]), r["probe_count"], r["random_addresses"])
                 for r in truth["behind_random_addresses"]],
                _rows(run, "SELECT hour, probe_count, random_addresses FROM devices_estimated"),
            ),
        ]  # fmt: skip


def _rows(run: Engine, text: str) -> list[tuple[Any, ...]]:
    columns = run.query(text).to_pydict().values()
    return [tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in zip(*columns, strict=True)]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _finding(what: str, expected: list[tuple[Any, ...]], found: list[tuple[Any, ...]]) -> Finding:
    wanted, had = Counter(expected), Counter(found)
    different = max(((wanted - had).total(), (had - wanted).total()))
    return Finding(what, len(expected), len(found), different)
