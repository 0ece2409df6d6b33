"""What the tests of charts and page share: lakes of frames that a test writes itself, without Kafka."""

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA
from wifi_assets.steps import catch_up

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
KNOWN = {"24:0a:c4:00:00:01": "Doorbell", "24:0a:c4:00:00:02": "Anna's phone"}
#: What the charts read, in the order in which it comes about.
FOLLOWERS = ("probes", "probes_enriched", "packet_stats", "networks_looked_for_day")
Fill = Callable[..., Lake]


def probe(
    at: datetime, source: str, dbm: int | None = -60, ssid: bytes = b"", text: str | None = None
) -> dict[str, Any]:
    """A probe request as a row of ``frames``; ``text`` where a test wants an SSID's text to be hostile itself."""
    return {
        "event_time": at, "frame_type": 0, "frame_subtype": 4, "source_address": source, "signal_dbm": dbm,
        "ssid_bytes": ssid, "ssid": ssid.decode() if text is None else text,
    }  # fmt: skip


def lake_of(
    folder: Path,
    frames: Iterable[dict[str, Any]],
    devices: Mapping[str, str | None],
    followers: Iterable[str] = FOLLOWERS,
) -> Lake:
    """A lake of these frames and devices (address -> name), with what follows from them."""
    lake = Lake(str(folder / "lake"))
    known = [{"mac": mac, "name": name, "is_guest": False} for mac, name in devices.items()]
    lake.append(lake.open("devices"), pa.Table.from_pylist(known, TABLES["devices"].schema), {})
    place = {"topic_generation": 0, "kafka_partition": 0}
    rows = [
        row | place | {"day": row["event_time"].date(), "kafka_offset": number} for number, row in enumerate(frames)
    ]
    lake.append(lake.open("frames"), pa.Table.from_pylist(rows, TABLES["frames"].schema), {KAFKA: [len(rows)]})
    for name in followers:
        catch_up(lake, name)
    return lake


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """``lake_of`` in a folder of this test."""

    def make(
        frames: Iterable[dict[str, Any]], devices: dict[str, str] = KNOWN, followers: Iterable[str] = FOLLOWERS
    ) -> Lake:
        return lake_of(tmp_path, frames, devices, followers)

    return make


@pytest.fixture(scope="session")
def heard() -> list[dict[str, Any]]:
    """Two days of two known devices, a stranger and random addresses; some frames have no signal."""
    chance = random.Random(5)  # noqa: S311
    sources = [*KNOWN, "8c:79:f5:00:00:01", *(f"0a:00:00:00:00:{number:02x}" for number in range(6))]
    return [
        probe(
            BEGIN + timedelta(milliseconds=chance.randrange(2 * 86_400_000)),
            chance.choice(sources),
            chance.choice([None, *range(-90, -30)]),
            chance.choice([b"", b"home", b"cafe", b"train"]),
        )
        for _ in range(600)
    ] + [{"event_time": BEGIN, "frame_type": 1, "frame_subtype": 29}] * 200


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, heard: list[dict[str, Any]]) -> Lake:
    """The lake of what was heard; to be read only."""
    return lake_of(tmp_path_factory.mktemp("home"), heard, KNOWN)
