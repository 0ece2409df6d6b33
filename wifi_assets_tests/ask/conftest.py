"""What the tests of lookups, following and the API share: a small lake that a test writes itself, without Kafka."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.hidden import claim
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA
from wifi_assets.steps import catch_up

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASGARD, THOR, LOKI = "24:0a:c4:00:00:01", "24:0a:c4:00:00:02", "24:0a:c4:00:00:03"
RANDOM = "02:00:00:00:00:99"
#: Would clear a terminal, name a window, turn text round, and end a line.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202eevil\r\n<script>"


def probe(
    at: datetime, source: str, dbm: int | None = -60, ssid: str = "", resolved: str | None = None
) -> dict[str, Any]:
    """A probe request as a row of ``frames``."""
    return {
        "event_time": at, "frame_type": 0, "frame_subtype": 4, "source_address": source, "signal_dbm": dbm,
        "ssid": ssid, "ssid_bytes": ssid.encode(), "source_address_resolved": resolved,
        "destination_address": "ff:ff:ff:ff:ff:ff", "tag_oui": [20722],
    }  # fmt: skip


def device(mac: str, name: str | None, is_guest: bool = False) -> dict[str, Any]:
    """A row of ``devices``."""
    return {
        "mac": mac,
        "name": name,
        "is_guest": is_guest,
        "ip": "10.0.0.1",
        "model": "Espressif",
        "source": "ace.user",
    }


def set_devices(lake: Lake, rows: Iterable[dict[str, Any]], privacy: Privacy = CLEAR) -> None:
    claim(lake, privacy)
    devices = privacy.devices(pa.Table.from_pylist(list(rows), TABLES["devices"].schema))
    lake.replace(lake.open("devices"), devices, None, {})


def hear(lake: Lake, rows: Iterable[dict[str, Any]], privacy: Privacy = CLEAR) -> None:
    """Frames into the lake, and into every table."""
    claim(lake, privacy)
    frames = lake.open("frames")
    start = (frames.positions(KAFKA) or [0])[0]
    place = {"topic_generation": 0, "kafka_partition": 0}
    new = [
        row | place | {"day": row["event_time"].date(), "kafka_offset": number}
        for number, row in enumerate(rows, start)
    ]
    table = privacy.frames(pa.Table.from_pylist(new, TABLES["frames"].schema), pa.array([], pa.string()))
    lake.append(frames, table, {KAFKA: [start + len(new)]})
    for name, table in TABLES.items():
        if table.upstream:
            catch_up(lake, name)


def household(folder: Path, privacy: Privacy = CLEAR) -> Lake:
    """Two known devices, a guest, one without a name, and a random address."""
    lake = Lake(str(folder / "lake"))
    known = [device(ASGARD, "Asgard03"), device(THOR, "asgard04"), device(LOKI, "Loki", is_guest=True)]
    set_devices(lake, known, privacy)
    minute = timedelta(minutes=1)
    hear(
        lake,
        [
            probe(NOON, ASGARD, -50, "home", "Espressif_00:00:01"),
            probe(NOON + minute, ASGARD, -70, HOSTILE, "Espressif_00:00:01"),
            probe(NOON + 2 * minute, ASGARD, None, "", "Espressif_00:00:01"),
            probe(NOON + minute, LOKI, -61, "caf\u00e9", "Espressif_00:00:03"),
            probe(NOON + minute, RANDOM, -62, "home", RANDOM),
            probe(NOON + timedelta(days=1), "24:0a:c4:00:00:07", -63, "", "Espressif_00:00:07"),
        ],
        privacy,
    )
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A household's."""
    return household(tmp_path)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A household's; to be read only."""
    return household(tmp_path_factory.mktemp("home"))
