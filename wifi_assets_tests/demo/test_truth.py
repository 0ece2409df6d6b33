"""The truth holds together, and SQL over the parsed messages finds the same."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wifi_assets.demo.air import Air
from wifi_assets.demo.frame import Frame
from wifi_assets.demo.household import documents, write_documents
from wifi_assets.demo.messages import message
from wifi_assets.demo.truth import LONGEST_GAP_MS, Probe, Truth, expected_devices, sessions
from wifi_assets.frames.message import Rules, read_message
from wifi_assets.resources.device_files import DeviceFiles
from wifi_assets.schemas import TABLES
from wifi_assets_tests.demo.conftest import FIRST_HOUR, SEED

LAST_SEEN = (FIRST_HOUR + 72) * 3600


@pytest.fixture(scope="module")
def three_days() -> list[Frame]:
    return [frame for _, frame in Air(SEED, 1100, FIRST_HOUR, 72).arrivals()]


@pytest.fixture(scope="module")
def found(three_days: list[Frame]) -> dict[str, Any]:
    truth = Truth(documents(LAST_SEEN))
    for frame in three_days:
        truth.observe(frame)
    return truth.found()


@pytest.fixture(scope="module")
def lake(three_days: list[Frame]) -> duckdb.DuckDBPyConnection:
    rows = [read_message(message(frame).value, datetime(2027, 1, 1, tzinfo=UTC), Rules()) for frame in three_days]
    columns = TABLES["frames"].schema
    schema = pa.schema([columns.field(name) for name in rows[0]])
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("frames", pa.Table.from_pylist(rows, schema=schema))
    return connection


def _rows(lake: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return lake.execute(sql).fetchall()


ISO = "strftime({}, '%Y-%m-%dT%H:%M:%S.%gZ')"


def test_packet_stats_equal_sql(found: dict[str, Any], lake: duckdb.DuckDBPyConnection) -> None:
    sql = f"""SELECT CAST(CAST(event_time AS DATE) AS VARCHAR), frame_subtype, count(*),
        {ISO.format("min(event_time)")}, {ISO.format("max(event_time)")}
        FROM frames GROUP BY ALL ORDER BY 1, 2"""
    assert _rows(lake, sql) == [tuple(row.values()) for row in found["packet_stats"]]
    assert found["frames"] == sum(row["packet_count"] for row in found["packet_stats"])


def test_networks_looked_for_equal_sql(found: dict[str, Any], lake: duckdb.DuckDBPyConnection) -> None:
    sql = f"""SELECT source_address, lower(hex(ssid_bytes)), ssid, count(*),
        {ISO.format("min(event_time)")}, {ISO.format("max(event_time)")}
        FROM frames WHERE frame_subtype = 4 AND ssid <> '' GROUP BY ALL"""
    assert set(_rows(lake, sql)) == {
        (
            row["source_address"],
            row["ssid_hex"],
            row["ssid"],
            row["probes"],
            row["first_seen"],
            row["last_seen"],
        )
        for row in found["networks_looked_for"]
    }


def test_sessions_equal_sql(found: dict[str, Any], lake: duckdb.DuckDBPyConnection) -> None:
    sql = f"""WITH probes AS (
            SELECT event_time, source_address, signal_dbm,
                CAST((tag_vendor_data, tag_vendor_oui_type, tag_oui) AS VARCHAR) AS tags
            FROM frames WHERE frame_subtype = 4),
        marked AS (
            SELECT *, coalesce(event_time - lag(event_time) OVER w > INTERVAL '5' MINUTE, true) AS begins
            FROM probes WINDOW w AS (PARTITION BY tags ORDER BY event_time, source_address)),
        numbered AS (
            SELECT *, count(*) FILTER (begins) OVER (PARTITION BY tags ORDER BY event_time, source_address
                ROWS UNBOUNDED PRECEDING) AS session FROM marked)
        SELECT {ISO.format("min(event_time)")}, {ISO.format("max(event_time)")}, count(*),
            count(DISTINCT source_address), min(signal_dbm), max(signal_dbm)
        FROM numbered GROUP BY tags, session HAVING count(DISTINCT source_address) > 2"""
    assert sorted(_rows(lake, sql)) == sorted(
        (row["first_probe"], row["last_probe"], row["probe_count"], row["source_address_count"],
         row["min_signal_dbm"], row["max_signal_dbm"])
        for row in found["sessions"] + found["sessions_without_tags"]
    )  # fmt: skip


def test_sources_add_up_to_the_probes(found: dict[str, Any], lake: duckdb.DuckDBPyConnection) -> None:
    assert sum(source["probes"] for source in found["sources"]) == found["probes"]
    assert sorted(address for source in found["sources"] for address in source["addresses"]) == [
        row[0] for row in _rows(lake, "SELECT DISTINCT source_address FROM frames WHERE frame_subtype = 4 ORDER BY 1")
    ]
    for source in found["sources"]:
        assert source["probes"] == sum(source["probes_by_day"].values())
        assert (source["name"] is None) == (source["resolved"] is not None)
        assert len(source["probed_ssids"]) == source["unique_ssids"]


def test_devices_equal_what_the_exported_files_give(found: dict[str, Any], tmp_path: Path) -> None:
    write_documents(tmp_path, LAST_SEEN)
    snapshot = DeviceFiles(tmp_path).read()
    assert snapshot.table.to_pylist() == found["devices"] == expected_devices(documents(LAST_SEEN))


def test_the_devices_show_every_rule(found: dict[str, Any]) -> None:
    names = {device["mac"]: device["name"] for device in found["devices"]}
    assert names["94:b8:6d:1a:2b:3c"] == "Nadia's laptop (nadia-x1)"
    assert names["dc:a6:32:12:34:56"] == "weather-station"
    assert names["d6:0b:44:9e:21:77"] == "Tom's iPhone"
    assert names["24:0a:c4:77:77:77"] == "nonguest_Espressi"
    assert names["48:8e:ef:cd:b7:50"] == "guest_HuaweiTe"
    assert "24:5a:4c:ca:3e:7a" not in names  # oui Ubiquiti
    assert "98:b6:e9:00:ba:be" not in names  # no oui
    assert names["24:5a:4c:00:07:01"] == "Attic access point"


def test_what_the_household_is_there_to_show(found: dict[str, Any]) -> None:
    assert "24:0a:c4:d0:0b:e1" in found["one_network_only"]
    hotel = next(row for row in found["shared_networks"] if row["ssid"] == "Hotel Lindenhof")
    assert hotel["known"] == ["Nadia's laptop (nadia-x1)"]
    assert len(hotel["strangers"]) > 10
    over_midnight = [row for row in found["sessions"] if row["first_probe"][:10] != row["last_probe"][:10]]
    longest = max(over_midnight, key=lambda row: row["session_seconds"])
    assert longest["session_seconds"] > 2.9 * 86_400
    assert {row["day"] for row in over_midnight} == {"2026-03-01", "2026-03-02"}
    # The metronome: three addresses five minutes apart are a row, the two after a millisecond more are not.
    metronome = [row for row in found["sessions"] if row["tag_oui"] == [0x8CFDF0, 0x8CFDF0]]
    assert [(row["probe_count"], row["session_seconds"]) for row in metronome] == [(3, 600.0)] * 3
    assert found["sessions_without_tags"]


TIMES = st.lists(st.integers(0, 40), max_size=40)


@settings(max_examples=200)
@given(TIMES, st.randoms(use_true_random=False))
def test_sessions_need_three_addresses_and_gaps_of_five_minutes_at_most(times: list[int], rng: Any) -> None:
    nothing: tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]] = ((), (), ())
    probes = [Probe(time * 100_000, f"{number % 5}", nothing, None, None) for number, time in enumerate(times)]
    expected = sessions(probes)
    rng.shuffle(probes)
    assert [sorted(session) for session in sessions(probes)] == [sorted(session) for session in expected]
    for session in expected:
        assert len({probe.source for probe in session}) > 2
        steps = pairwise(session)
        assert all(later.time_ms - earlier.time_ms <= LONGEST_GAP_MS for earlier, later in steps)
        others = [probe for probe in probes if probe not in session]
        for edge in (session[0], session[-1]):
            assert all(abs(probe.time_ms - edge.time_ms) > LONGEST_GAP_MS for probe in others)


@settings(max_examples=8, deadline=None)
@given(st.integers())
def test_any_seed_gives_a_truth_that_holds_together(seed: int) -> None:
    truth = Truth(documents(LAST_SEEN))
    count = 0
    for _, frame in Air(seed, 200, FIRST_HOUR, 27).arrivals():
        truth.observe(frame)
        count += 1
    found = truth.found()
    assert found["frames"] == count
    probes = [row["packet_count"] for row in found["packet_stats"] if row["frame_subtype"] == 4]
    assert found["probes"] == sum(probes) == sum(source["probes"] for source in found["sources"])
    for row in found["sessions"] + found["sessions_without_tags"]:
        assert row["source_address_count"] == len(row["source_addresses"]) > 2
        assert sum(row["signal_dbm_distribution"].values()) <= row["probe_count"]
    shared = {row["ssid_hex"] for row in found["shared_networks"]}
    assert shared <= {row["ssid_hex"] for row in found["networks_looked_for"]}


def test_the_file_says_how_it_was_simulated(three_days: list[Frame], tmp_path: Path) -> None:
    truth = Truth(documents(LAST_SEEN))
    for frame in three_days[:1000]:
        truth.observe(frame)
    truth.write(tmp_path / "truth.json", {"seed": SEED})
    written = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert written == {"simulation": {"seed": SEED}, **truth.found()}
