"""The assets of a target, on a file of SQLite: what they write, what they say, what they refuse."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from pydantic import SecretStr

from wifi_assets.assets import sinks
from wifi_assets.from_settings import lake_of
from wifi_assets.lake import Lake
from wifi_assets.resources.change import Progress
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import failure, materialise, metadata, run_job
from wifi_assets_tests.support import FIRST_DAY

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, lake=str(tmp_path / "lake"), sql_url=SecretStr(f"sqlite:///{tmp_path}/wifi.db"))


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def count(lake: Lake, *counts: int) -> None:
    """Replace the day's packet_stats, one row for each count."""
    rows = [
        {"day": FIRST_DAY, "frame_subtype": n, "packet_count": c, "earliest_time": NOON, "latest_time": NOON}
        for n, c in enumerate(counts)
    ]
    table = pa.Table.from_pylist(rows, TABLES["packet_stats"].schema)
    lake.replace(lake.open("packet_stats"), table, {FIRST_DAY}, {})


def stored(tmp_path: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(tmp_path / "wifi.db") as database:
        return database.execute("SELECT subtype, packet_count FROM packet_stats ORDER BY 1").fetchall()


def test_it_says_what_it_wrote(settings: Settings, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    lake = lake_of(settings)
    for counts, written, deleted in [((1, 2, 3), 3, 0), ((1, 5), 1, 1), ((1, 5), 0, 0), ((), 0, 2)]:
        count(lake, *counts)
        told = metadata(materialise(settings, "postgres_packet_stats", instance), "postgres_packet_stats")
        assert (told["rows written"], told["rows deleted"]) == (written, deleted)
        assert told["lake version"] == lake.open("packet_stats").version
        assert told["seconds"] > 0
        assert stored(tmp_path) == list(enumerate(counts))


def test_every_table_of_a_target_is_its_own_asset(settings: Settings, instance: dg.DagsterInstance) -> None:
    count(lake_of(settings), 7)
    run = run_job(settings, "sink_postgres", instance)
    assert {name: metadata(run, name)["rows written"] for name in sinks.SINKS["postgres"]} == {
        "postgres_packet_stats": 1,
        "postgres_probe_stats_by_source_device": 0,
        "postgres_oui_fingerprint_sessions": 0,
    }


def test_a_failed_write_is_taken_again(
    settings: Settings, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(lake_of(settings), 1, 2)
    with sqlite3.connect(tmp_path / "wifi.db") as database:
        database.execute("CREATE TABLE packet_stats (window_day TEXT, subtype TEXT, packet_count INTEGER)")
    run = run_job(settings, "sink_postgres", instance)
    sentence = failure(run)
    assert f"sqlite:///{tmp_path}/wifi.db: " in sentence
    assert "packet_stats" in sentence
    # The other tables of the target are written all the same.
    assert {event.asset_key.path[-1] for event in run.get_asset_materialization_events()} == {
        "postgres_probe_stats_by_source_device",
        "postgres_oui_fingerprint_sessions",
    }
    with sqlite3.connect(tmp_path / "wifi.db") as database:
        database.execute("DROP TABLE packet_stats")
    assert run_job(settings, "sink_postgres", instance).success
    assert stored(tmp_path) == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("setting", "url", "asset", "words"),
    [
        ("sql_url", "oracle://nowhere", "postgres_packet_stats", "WIFI_SQL_URL is no database URL that serves"),
        ("elasticsearch_url", "nowhere", "elasticsearch_frames", "WIFI_ELASTICSEARCH_URL names no server"),
        ("neo4j_url", "http://nowhere", "neo4j_device_graph", "WIFI_NEO4J_URL names no Neo4j server"),
    ],
)
def test_a_url_that_is_none_is_one_sentence(
    settings: Settings, instance: dg.DagsterInstance, setting: str, url: str, asset: str, words: str
) -> None:
    wrong = settings.model_copy(update={setting: SecretStr(url)})
    assert failure(materialise(wrong, asset, instance)).startswith(words)


def test_sync_asks_the_target_how_far_it_is(settings: Settings) -> None:
    lake = lake_of(settings)
    count(lake, 1, 2)
    sink = sinks.targets(settings)["postgres"]()
    assert sink.progress("packet_stats") is None
    assert sinks.sync(lake, "packet_stats", sink).written.upserted == 2
    now = lake.open("packet_stats")
    assert sink.progress("packet_stats") == Progress(now.table_id, now.version)
    # Two targets of one kind are two places: neither knows of the other.
    other = settings.model_copy(update={"sql_url": SecretStr(f"sqlite:///{settings.lake}-other.db")})
    assert sinks.sync(lake, "packet_stats", sinks.targets(other)["postgres"]()).written.upserted == 2


def test_progress_is_told_while_a_target_takes_rows_and_no_row_is_lost() -> None:
    rows, told = pa.table({"n": range(250_000)}), list[int]()
    taken = sinks._watched(rows.to_reader(20_000), told.append, set()).read_all()
    assert taken.equals(rows)
    assert told == [100_000, 200_000]
