"""However the messages come, the same tables come out, and they say what the truth file says."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from wifi_assets import router as module
from wifi_assets.demo.broker import embedded_broker
from wifi_assets.demo.publish import Topic
from wifi_assets.frames.message import LAST_MILLISECOND, Reason
from wifi_assets.from_settings import lake_of
from wifi_assets.ingest import ingest
from wifi_assets.lake import Lake
from wifi_assets.resources.device_files import DeviceFiles
from wifi_assets.router import store_devices
from wifi_assets.schemas import TABLES
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import (
    BROKEN,
    ask,
    check_account,
    contents,
    differences,
    household,
    ingested,
    settings_of,
    topic_with,
)

ISO = "strftime({}, '%Y-%m-%dT%H:%M:%S.%gZ')"


@pytest.fixture(scope="module")
def lake(kafka: Server, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The household over one partition, in one go."""
    folder = tmp_path_factory.mktemp("one-go")
    home = household()
    topic = topic_with(kafka, home.messages)
    return ingested(settings_of(topic, folder / "lake", devices_path=home.devices(folder)))


def test_every_message_is_a_row_or_a_refusal_with_its_own_reason(lake: Lake) -> None:
    home = household()
    assert check_account(lake) == [len(home.messages)]
    assert ask(lake, "SELECT count(*) AS n FROM frames") == [{"n": home.truth["frames"]}]
    refused = ask(lake, "SELECT reason, value FROM quarantine ORDER BY kafka_offset")
    assert [row["value"] for row in refused] == list(BROKEN)
    assert {row["reason"] for row in refused} == set(Reason)


def test_a_run_that_finds_nothing_new_commits_nothing(kafka: Server, tmp_path: Path) -> None:
    home = household()
    topic = topic_with(kafka, home.messages[:1000])
    settings = settings_of(topic, tmp_path / "lake", devices_path=home.devices(tmp_path))
    lake = ingested(settings)
    versions = {name: lake.open(name).version for name in TABLES}
    drained, steps = ingest(settings)
    assert (drained.rows, drained.quarantined, drained.start, drained.end) == (0, 0, [1000], [1000])
    assert {name: lake.open(name).version for name in TABLES} == versions
    assert {name for name, done in steps.items() if done.commits} == set()


@pytest.mark.parametrize("partitions", [1, 4])
def test_shuffled_messages_in_many_small_batches_give_the_same_tables(
    kafka: Server, lake: Lake, tmp_path: Path, partitions: int
) -> None:
    home = household()
    messages = list(home.messages)
    random.Random(partitions).shuffle(messages)
    topic = topic_with(kafka, partitions=partitions)
    settings = settings_of(topic, tmp_path / "lake", devices_path=home.devices(tmp_path), batch=997)
    for start in range(0, len(messages), 1700):
        topic.publish(messages[start : start + 1700])
        ingested(settings)
    assert sum(check_account(lake_of(settings))) == len(messages)
    assert differences(contents(lake_of(settings), positions=False), contents(lake, positions=False)) == {}


def test_four_partitions_in_one_go_give_the_same_tables(kafka: Server, lake: Lake, tmp_path: Path) -> None:
    home = household()
    topic = topic_with(kafka, home.messages, partitions=4)
    four = ingested(settings_of(topic, tmp_path / "lake", devices_path=home.devices(tmp_path)))
    assert min(check_account(four)) > 0
    assert differences(contents(four, positions=False), contents(lake, positions=False)) == {}


def test_a_session_that_ends_with_the_last_day_is_in_every_table(tmp_path: Path) -> None:
    minute = 60_000
    times = range(LAST_MILLISECOND - 6 * 24 * 60 * minute, LAST_MILLISECOND + 1, 4 * minute)
    with embedded_broker("pcap") as bootstrap:
        settings = settings_of(Topic(bootstrap, "pcap"), tmp_path / "lake")
        producer = Producer({"bootstrap.servers": bootstrap})
        # The later ones make the sessions of days anew that are stored.
        for part in times[:-5], times[-5:]:
            for time in part:
                frame = {"wlan_fc_type_subtype": "4", "wlan_sa": f"02:00:00:00:00:0{time // minute % 16:x}"}
                producer.produce("pcap", json.dumps({"timestamp": str(time), "layers": frame}), timestamp=time)
            producer.flush()
            lake = ingested(settings)
    found = ask(lake, "SELECT probe_count, last_probe FROM oui_fingerprint_sessions")
    last = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=LAST_MILLISECOND)
    assert found == [{"probe_count": len(times), "last_probe": last}]


# ---------------------------------------------------------------- names of devices


def test_each_change_of_a_name_is_told_once_though_the_clock_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, today = Lake(str(tmp_path / "lake")), datetime(2026, 3, 1, tzinfo=UTC)

    def hold(clock: datetime, **names: str) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:
                return clock

        monkeypatch.setattr(module, "datetime", Clock)
        users = [{"mac": f"02:00:00:00:00:0{mac}", "name": name, "oui": "Apple"} for mac, name in names.items()]
        (tmp_path / "ace.user.json").write_text("".join(json.dumps(one) + "\n" for one in users))
        store_devices(lake, DeviceFiles(tmp_path), allow_empty=True)

    hold(today, a="phone", b="tablet")
    for clock in (datetime(1970, 1, 1, tzinfo=UTC), today - timedelta(days=1), today):
        hold(clock, a="mobile", b="tablet", c=str(clock.year))
        hold(clock, a="mobile", c=str(clock.day))
        hold(clock, a="mobile", b="tablet")
    told = ask(lake, """SELECT mac[-1] AS d, event, new_name FROM device_names ORDER BY "at", mac""")
    again = [("c", "appeared"), ("b", "vanished"), ("c", "renamed"), ("b", "appeared"), ("c", "vanished")]
    assert [(row["d"], row["event"]) for row in told] == [
        ("a", "appeared"),
        ("b", "appeared"),
        ("a", "renamed"),
        *again * 3,
    ]
    assert ask(lake, """SELECT count(*) AS n FROM device_names WHERE "at" < TIMESTAMPTZ '2026-03-01 00:00Z'""") == [
        {"n": 0}
    ]


# ---------------------------------------------------------------- the truth file


def _same(found: Iterable[dict[str, Any]], expected: Iterable[dict[str, Any]]) -> None:
    """Equal as sets of rows; every row is compared on all that the expected one says."""
    wanted = list(expected)
    names = list(wanted[0])
    found_texts, wanted_texts = (
        sorted(repr([row[name] for name in names]) for row in rows) for rows in (found, wanted)
    )
    assert found_texts == wanted_texts


def test_packet_stats_are_those_of_the_truth(lake: Lake) -> None:
    found = ask(
        lake,
        f"""SELECT CAST(day AS VARCHAR) AS day, frame_subtype, packet_count,
        {ISO.format("earliest_time")} AS earliest_time, {ISO.format("latest_time")} AS latest_time FROM packet_stats""",
    )
    _same(found, household().truth["packet_stats"])


def test_devices_are_those_of_the_truth(lake: Lake) -> None:
    _same(ask(lake, "SELECT * FROM devices"), household().truth["devices"])


def test_sources_are_those_of_the_truth(lake: Lake) -> None:
    found = ask(
        lake,
        f"""SELECT source, probes, {ISO.format("earliest_probe")} AS earliest_probe,
        {ISO.format("latest_probe")} AS latest_probe, min_signal_dbm, max_signal_dbm, avg_signal_dbm,
        coalesce(probed_ssids, []) AS probed_ssids, unique_ssids, source_addresses AS addresses
        FROM probe_stats_by_source_device""",
    )
    left_out = ("name", "resolved", "probes_by_day")
    expected = [
        {"source": row["name"] or row["resolved"]} | {name: row[name] for name in row if name not in left_out}
        for row in household().truth["sources"]
    ]
    _same(found, expected)
    by_day = ask(lake, "SELECT source, CAST(day AS VARCHAR) AS day, probes FROM probe_stats_by_source_day")
    _same(
        by_day,
        [
            {"source": row["name"] or row["resolved"], "day": day, "probes": probes}
            for row in household().truth["sources"]
            for day, probes in row["probes_by_day"].items()
        ],
    )


def test_networks_looked_for_are_those_of_the_truth(lake: Lake) -> None:
    truth = household().truth
    found = ask(
        lake,
        f"""SELECT source_address, source_device_name, is_known_device, ssid, probes,
        {ISO.format("first_seen")} AS first_seen, {ISO.format("last_seen")} AS last_seen FROM networks_looked_for""",
    )
    left_out = "ssid_hex"
    _same(found, [{k: v for k, v in row.items() if k != left_out} for row in truth["networks_looked_for"]])
    octets = ask(lake, "SELECT DISTINCT ssid, lower(hex(ssid_bytes)) AS ssid_hex FROM probes_enriched WHERE ssid <> ''")
    assert {(row["ssid"], row["ssid_hex"]) for row in octets} == {
        (row["ssid"], row["ssid_hex"]) for row in truth["networks_looked_for"]
    }


def test_who_shares_a_network_and_who_looks_for_one_only_is_that_of_the_truth(lake: Lake) -> None:
    truth = household().truth
    shared = ask(
        lake,
        """SELECT ssid, array_sort(array_agg(source_address)) AS source_addresses,
        coalesce(array_sort(array_agg(source_device_name) FILTER (WHERE is_known_device)), []) AS known,
        coalesce(array_sort(array_agg(source_address) FILTER (WHERE NOT is_known_device)), []) AS strangers
        FROM networks_looked_for GROUP BY ssid HAVING count(*) > 1""",
    )
    _same(shared, [{k: v for k, v in row.items() if k != "ssid_hex"} for row in truth["shared_networks"]])
    one = ask(lake, "SELECT source_address AS a FROM networks_looked_for GROUP BY 1 HAVING count(*) = 1 ORDER BY 1")
    assert [row["a"] for row in one] == truth["one_network_only"]


def test_known_devices_are_those_of_the_truth(lake: Lake) -> None:
    found = ask(
        lake,
        "SELECT DISTINCT source_address AS mac, source_device_name AS name, is_known_device AS known "
        "FROM probes_enriched WHERE source_device_name IS NOT NULL",
    )
    heard = {row["mac"] for row in found}
    devices = [row for row in household().truth["devices"] if row["mac"] in heard]
    assert len(devices) > 7
    assert any(row["is_guest"] for row in devices)
    _same(found, [{"mac": row["mac"], "name": row["name"], "known": not row["is_guest"]} for row in devices])
    strangers = ask(
        lake, "SELECT count(*) AS n FROM probes_enriched WHERE source_device_name IS NULL AND is_known_device"
    )
    assert strangers == [{"n": 0}]


def test_sessions_are_those_of_the_truth(lake: Lake) -> None:
    truth = household().truth
    found = ask(
        lake,
        f"""SELECT CAST(day AS VARCHAR) AS day, coalesce(tag_vendor_data, []) AS tag_vendor_data,
        coalesce(tag_vendor_oui_type, []) AS tag_vendor_oui_type, coalesce(tag_oui, []) AS tag_oui,
        probe_count, source_address_count, source_addresses,
        {ISO.format("first_probe")} AS first_probe, {ISO.format("last_probe")} AS last_probe, session_seconds,
        min_signal_dbm, max_signal_dbm, signal_dbm_distribution FROM oui_fingerprint_sessions""",
    )
    for row in found:
        row["signal_dbm_distribution"] = {str(dbm): count for dbm, count in sorted(row["signal_dbm_distribution"])}
    _same(found, truth["sessions"] + truth["sessions_without_tags"])
    assert any(row["first_probe"][:10] < row["last_probe"][:10] for row in found)
