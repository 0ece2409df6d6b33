"""Pictures in the metadata: of a rebuilt day, and in each hour's first run; not of every run of a live stream."""

import base64
import io
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from wifi_assets.assets import metadata as told
from wifi_assets.from_settings import lake_of
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import materialise, metadata
from wifi_assets_tests.report.conftest import BEGIN, KNOWN, probe
from wifi_assets_tests.report.conftest import lake_of as filled

DAY = BEGIN.date()
PICTURES: dict[str, set[str]] = {
    "probes_enriched": {
        "signal of known devices",
        "addresses a day",
        "probes over time",
        "signal of each address",
        "signal distribution",
    },
    "packet_stats": {"subtype shares"},
    "devices_estimated": {"devices over time"},
    "networks_looked_for_day": set(),
    "networks_looked_for": {"who looks for which network"},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a lake with one probe request a minute in two days."""
    frames = [probe(BEGIN + timedelta(minutes=n), [*KNOWN][n % 2], -40 - n % 30, b"home") for n in range(2880)]
    lake = filled(tmp_path, frames, KNOWN, ("probes",))
    return Settings(_env_file=None, lake=lake.url, first_day=DAY)


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def drawn(found: dict[str, Any]) -> set[str]:
    return {title for title, value in found.items() if isinstance(value, str) and value.startswith("![")}


def test_a_day_that_somebody_rebuilds_is_pictured_each_time(settings: Settings, instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        for asset, titles in PICTURES.items():
            found = metadata(materialise(settings, asset, instance, DAY), asset)
            assert drawn(found) == titles
            for title in titles:
                head, _, image = found[title].removesuffix(")").partition(",")
                assert head == f"![{title}](data:image/png;base64"
                octets = base64.b64decode(image, validate=True)
                assert len(octets) < 12_000
                assert Image.open(io.BytesIO(octets)).size[0] > 300


def test_a_live_stream_is_pictured_once_an_hour(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_of(settings)

    def run() -> set[str]:
        # What is new: the whole table, so that the run has days to draw.
        frames = lake.open("frames")
        lake.append(frames, frames.rows().to_table().slice(0, 1), {})
        return drawn(metadata(materialise(settings, "packet_stats", instance, DAY, rebuild=False), "packet_stats"))

    now = time.time()
    hour = now - now % 3600
    clock = SimpleNamespace(time=lambda: now)
    monkeypatch.setattr(told, "time", clock)
    assert run() == PICTURES["packet_stats"]
    (last,) = instance.fetch_materializations(dg.AssetKey("packet_stats"), limit=1).records
    clock.time = lambda: last.timestamp
    assert run() == set()
    clock.time = lambda: hour + 2 * 3600
    assert run() == PICTURES["packet_stats"]


def test_a_run_without_anything_new_draws_nothing(settings: Settings, instance: dg.DagsterInstance) -> None:
    first = materialise(settings, "packet_stats", instance, DAY, rebuild=False)
    assert drawn(metadata(first, "packet_stats")) == PICTURES["packet_stats"]
    assert told.pictures(lake_of(settings), "packet_stats", set()) == {}
    assert told.pictures(lake_of(settings), "acks", {DAY}) == {}
