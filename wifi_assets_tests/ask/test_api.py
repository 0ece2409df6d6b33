"""The API over real HTTP: what each path answers, who may ask, and that whatever is wrong is told in a sentence."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest

from wifi_assets.ask.lookup import VENDOR_HIDDEN
from wifi_assets.frames.privacy import Privacy
from wifi_assets.frames.ssid import ssid_text
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import Snapshot
from wifi_assets_tests.ask.conftest import (
    ASGARD,
    HOSTILE,
    LOKI,
    NOON,
    RANDOM,
    THOR,
    device,
    hear,
    household,
    probe,
    set_devices,
)
from wifi_assets_tests.ask.served import get, served
from wifi_assets_tests.browser import in_chromium
from wifi_assets_tests.processes import until

#: Every path that reads the lake.
PATHS = ("/lookup/asgard03", "/stats", "/sources", "/sessions", "/devices_estimated", "/health")
#: 32 octets: control characters, no UTF-8, half of a surrogate pair, what ends a string, and a bell.
ODD = bytes(range(8)) + b"\x9b2J\xff\xfe\xed\xa0\x80\"'\\</script>\x7f\r\n\x00"


@pytest.fixture(scope="module")
def port(home: Lake) -> Iterator[int]:
    with served(home) as port:
        yield port


# ---------------------------------------------------------------- what is answered


@pytest.mark.parametrize("asked", ["asgard03", "Asgard03", "24:0A:C4:00:00:01", "240a.c400.0001", "24-0a-c4-00-00-01"])
def test_a_device_by_name_or_address(port: int, asked: str) -> None:
    answer = get(port, f"/lookup/{asked}")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    found = answer.body["device"]
    assert (found["name"], found["is_known"], found["probes"]) == ("Asgard03", True, 3)
    assert (found["first_seen"], found["last_seen"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:02:00Z")
    assert (found["min_signal_dbm"], found["avg_signal_dbm"], found["max_signal_dbm"]) == (-70, -60.0, -50)
    assert (found["ssids"], found["addresses"]) == (sorted([HOSTILE, "home"]), [ASGARD])
    assert answer.body["newest_at"].endswith("Z")


def test_several_and_none(port: int) -> None:
    several = get(port, "/lookup/gard")
    assert (several.status, several.body) == (
        409,
        {"detail": "2 devices match 'gard'", "names": ["Asgard03", "asgard04"]},
    )
    nobody = get(port, "/lookup/no%2Fb%1bdy")
    assert (nobody.status, nobody.body) == (
        404,
        {"detail": r"no device and no address that was heard matches 'no/b\x1bdy'"},
    )


def test_the_stats_of_days(port: int) -> None:
    assert get(port, "/stats?from=2026-03-01&to=2026-03-02").body == {
        "rows": [
            {"day": "2026-03-01", "frame_subtype": 4, "packet_count": 5,
             "earliest_time": "2026-03-01T12:00:00Z", "latest_time": "2026-03-01T12:02:00Z"}
        ],
        "more": False, "note": None, "version": 2,
    }  # fmt: skip
    assert [row["day"] for row in get(port, "/stats").body["rows"]] == ["2026-03-01", "2026-03-02"]


def test_the_sources_by_probes_and_by_time(port: int) -> None:
    rows = get(port, "/sources").body["rows"]
    assert [(row["source"], row["probes"]) for row in rows] == [
        ("Asgard03", 3), (RANDOM, 1), ("Espressif_00:00:07", 1), ("Loki", 1)
    ]  # fmt: skip
    assert rows[0]["avg_signal_dbm"] == -60.0
    latest = get(port, "/sources?by=latest_probe&limit=1").body
    assert ([row["source"] for row in latest["rows"]], latest["more"]) == (["Espressif_00:00:07"], True)
    second = get(port, "/sources?from=2026-03-02").body["rows"]
    assert [row["source"] for row in second] == ["Espressif_00:00:07"]


def test_the_sessions_and_the_devices_behind_random_addresses(port: int) -> None:
    (session,) = get(port, "/sessions?from=2026-03-01&to=2026-03-02").body["rows"]
    assert (session["first_probe"], session["session_seconds"]) == ("2026-03-01T12:00:00Z", 120.0)
    assert session["source_addresses"] == sorted([ASGARD, LOKI, RANDOM])
    assert session["oui_names"] == ["MICROSOFT CORP."]
    (hour,) = get(port, "/devices_estimated").body["rows"]
    assert (hour["hour"], hour["random_addresses"], hour["devices_estimated"]) == ("2026-03-01T12:00:00Z", 1, 1)


def test_pages_fit_together(lake: Lake) -> None:
    hear(lake, [probe(NOON + timedelta(days=number), ASGARD) for number in range(2, 9)])
    with served(lake) as port:
        pages = [get(port, f"/stats?limit=2&offset={offset}").body for offset in range(0, 10, 2)]
    assert [page["more"] for page in pages] == [True, True, True, True, False]
    days = [row["day"] for page in pages for row in page["rows"]]
    assert days == [str(date(2026, 3, 1) + timedelta(days=number)) for number in range(9)]


def test_a_session_of_very_many_addresses_lists_the_first(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    addresses = [f"02:00:00:00:00:{number:02x}" for number in range(120)]
    hear(lake, [probe(NOON, address) for address in addresses])
    with served(lake) as port:
        (session,) = get(port, "/sessions").body["rows"]
    assert (session["source_address_count"], session["source_addresses"]) == (120, addresses[:100])


def test_the_health_says_which_versions(home: Lake, port: int) -> None:
    answer = get(port, "/health").body
    assert answer["versions"] == {name: home.open(name).version for name in answer["versions"]}
    assert len(answer["versions"]) == 5


# ---------------------------------------------------------------- what the air holds


def test_hostile_bytes_are_text_and_command_no_terminal(lake: Lake) -> None:
    assert len(ODD) == 32
    row = probe(NOON + timedelta(minutes=3), ASGARD) | {"ssid": ssid_text(ODD), "ssid_bytes": ODD}
    hear(lake, [row])
    names = [device(ASGARD, HOSTILE), device(THOR, "'; DROP TABLE sources; --")]
    set_devices(lake, names)
    with served(lake) as port:
        for path in (f"/lookup/{ASGARD}", "/sources", "/sessions", f"/lookup/{quote(HOSTILE, safe='')}"):
            octets = get(port, path).octets
            assert octets.isascii()
            assert octets.decode().isprintable()
        found = get(port, f"/lookup/{ASGARD}").body["device"]
        assert found["name"] == HOSTILE
        assert ssid_text(ODD) in found["ssids"]
        assert get(port, f"/lookup/{quote(names[1]['name'], safe='')}").body["device"]["addresses"] == [THOR]


# ---------------------------------------------------------------- who may ask


def test_whoever_has_the_token_may_ask_under_any_name(home: Lake) -> None:
    token = "0123456789abcdef"
    with served(home, token) as port:
        for given in ({}, {"Authorization": "Bearer 0123456789abcdeX"}, {"Authorization": f"Basic {token}"},
                      {"Authorization": "Bearer \xe9"}, {"Authorization": token}):  # fmt: skip
            for path in (*PATHS, "/stats?limit=0"):
                answer = get(port, path, **given)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert "WIFI_API_TOKEN" in answer.body["detail"]
                assert token not in str(answer)
        for path in PATHS:
            assert get(port, path, Authorization=f"Bearer {token}", Host="wifi.example.org").status == 200
        # The page that describes it says nothing of the lake.
        assert [get(port, path).status for path in ("/docs", "/openapi.json")] == [200, 200]


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example:8080", "testserver", "10.0.0.1", "[::1", "", "localhost@evil.example"],
)
def test_without_a_token_no_other_name_is_answered(port: int, host: str) -> None:
    for path in PATHS:
        assert get(port, path, Host=host).status == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:8080"])
def test_the_names_of_this_machine_itself_are_answered(port: int, host: str) -> None:
    assert get(port, "/stats", Host=host).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_written(port: int, method: str) -> None:
    for path in PATHS:
        answer = get(port, path, method=method)
        assert (answer.status, answer.body) == (405, {"detail": "the API is read only: GET"})


def test_an_address_is_asked_for_as_it_is_in_the_air(tmp_path: Path) -> None:
    privacy = Privacy("all", secret=b"a key of 16 or more")
    with served(household(tmp_path, privacy), privacy=privacy) as port:
        found = get(port, f"/lookup/{ASGARD}").body["device"]
        assert (found["name"], found["vendor"]) == ("Asgard03", VENDOR_HIDDEN)
        assert ASGARD not in str(get(port, "/sessions").body)


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from=yesterday", "from: "),
        ("to=2026-02-30", "to: "),
        ("from=2026-03-02&to=2026-03-02", "to: 2026-03-02 is not after from, 2026-03-02"),
        ("from=2026-03-02&to=2026-03-01", "to: 2026-03-01 is not after from, 2026-03-02"),
        ("limit=0", "limit: "),
        ("limit=1001", "limit: "),
        ("limit=many&offset=-1", "offset: "),
        ("offset=99999999999999999999", "offset: "),
        ("form=2026-03-01", "form: "),
        ("from=%00", "from: "),
    ],
)
def test_a_wrong_parameter_is_named(port: int, query: str, told: str) -> None:
    for path in ("/stats", "/sources", "/sessions", "/devices_estimated"):
        answer = get(port, f"{path}?{query}")
        assert answer.status == 422
        assert told in answer.body["detail"]
    assert get(port, "/sources?by=source").body["detail"].startswith("by: ")


def test_nothing_in_a_period_says_so(port: int) -> None:
    for path in ("/stats", "/sources", "/sessions", "/devices_estimated"):
        answer = get(port, f"{path}?from=2027-01-01&to=2027-02-01")
        assert (answer.status, answer.body["rows"], answer.body["more"]) == (200, [], False)
        assert re.search(r"holds nothing of these days; its first day is 2026-03-01, its last", answer.body["note"])
    assert get(port, "/stats?offset=9").body["note"] == "packet_stats holds fewer than 10 rows of these days"


def test_a_path_that_is_not_there(port: int) -> None:
    assert get(port, "/tables").body == {"detail": "there is no such path; /docs shows which there are"}


def test_a_lake_that_is_not_there_yet_and_one_that_comes(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    with served(lake) as port:
        for path in PATHS:
            answer = get(port, path)
            assert answer.status == 503
            assert "run wifi-assets ingest, or set WIFI_LAKE" in answer.body["detail"]
        assert not (tmp_path / "lake").exists()
        # One device, and nothing heard.
        set_devices(lake, [device(ASGARD, "Asgard03")])
        found = until(lambda: (answer := get(port, "/lookup/asgard03")).status == 200 and answer)
        assert (found.body["device"]["probes"], found.body["device"]["last_seen"]) == (0, None)
        assert get(port, "/sources").status == 503
        lake.open("packet_stats")
        assert get(port, "/stats").body["note"] == "packet_stats holds no rows yet"


def test_a_lake_that_goes_away_and_comes_back(lake: Lake, tmp_path: Path) -> None:
    with served(lake) as port:
        (tmp_path / "lake").rename(tmp_path / "away")
        until(lambda: get(port, "/lookup/asgard03").status == 503)
        assert {get(port, path).status for path in PATHS} == {503}
        (tmp_path / "away").rename(tmp_path / "lake")
        until(lambda: get(port, "/lookup/asgard03").status == 200)
        assert {get(port, path).status for path in PATHS} == {200}


def test_a_lake_that_cannot_be_read_is_told_and_lookups_say_their_age(lake: Lake) -> None:
    with served(lake) as port:
        for name in ("packet_stats", "devices"):
            for log in (Path(lake.url) / name / "_delta_log").glob("*.json"):
                log.write_text("{")
        stats = get(port, "/stats")
        assert stats.status == 503
        assert stats.body["detail"].startswith(f"the lake at {lake.url} cannot be read: ")
        assert "Traceback" not in stats.body["detail"]
        until(lambda: get(port, "/health").status == 503)
        assert get(port, "/lookup/asgard03").body["device"]["probes"] == 3


# ---------------------------------------------------------------- a lake that moves


def test_what_is_committed_is_answered(lake: Lake) -> None:
    with served(lake) as port:
        hear(lake, [probe(NOON + timedelta(days=2), ASGARD, -80, "work")])
        assert get(port, "/stats?from=2026-03-03").body["rows"][0]["packet_count"] == 1
        until(lambda: get(port, "/lookup/asgard03").body["device"]["probes"] == 4)
        assert "work" in get(port, "/lookup/asgard03").body["device"]["ssids"]


class Vacuumed(Lake):
    """A lake whose files are gone as soon as they are looked at, once."""

    armed = True

    def look(self, name: str) -> Snapshot | None:
        at = super().look(name)
        if name == "packet_stats" and self.armed:
            self.armed = False
            self.replace(self.open(name), self.open(name).rows().to_table(), None, {})
            gone = self.open(name).delta.vacuum(0, dry_run=False, enforce_retention_duration=False)
            assert gone
        return at


def test_files_that_are_vacuumed_while_they_are_read_do_no_harm(lake: Lake) -> None:
    before = lake.open("packet_stats").rows().to_table().num_rows
    vacuumed = Vacuumed(lake.url)
    with served(vacuumed) as port:
        answer = get(port, "/stats")
        assert not vacuumed.armed
        assert (answer.status, len(answer.body["rows"])) == (200, before)


def test_answers_are_of_one_version_while_the_lake_is_written_merged_and_vacuumed(lake: Lake) -> None:
    """Each commit moves frames from one subtype to the other; the sum tells whether an answer mixes two."""
    day, whole, ended = date(2027, 1, 1), 1000, Event()

    def rows(part: int) -> pa.Table:
        counted = {4: part, 8: whole - part}
        filled = [
            {"day": day, "frame_subtype": subtype, "packet_count": count, "earliest_time": NOON, "latest_time": NOON}
            for subtype, count in counted.items()
        ]
        return pa.Table.from_pylist(filled, TABLES["packet_stats"].schema)

    lake.replace(lake.open("packet_stats"), rows(0), {day}, {})
    with served(lake) as port, ThreadPoolExecutor(4) as pool:

        def ask() -> list[int]:
            seen = []
            while not ended.is_set() or len(seen) < 3:
                stats = get(port, "/stats?from=2027-01-01")
                assert stats.status == 200, stats.body
                assert sum(row["packet_count"] for row in stats.body["rows"]) == whole
                seen.append(stats.body["version"])
                found = get(port, "/lookup/asgard03")
                assert (found.status, found.body["device"]["name"]) == (200, "Asgard03")
                assert found.body["device"]["probes"] >= 3
            return seen

        asking = [pool.submit(ask) for _ in range(4)]
        for part in range(1, 9):
            lake.replace(lake.open("packet_stats"), rows(part), {day}, {})
            set_devices(lake, [device(ASGARD, "Asgard03"), device(THOR, f"asgard{part}")])
            lake.compact("packet_stats", at_least=2)
            lake.vacuum("packet_stats")
            lake.vacuum("devices")
        ended.set()
        for seen in (one.result() for one in asking):
            assert all(before <= after for before, after in pairwise(seen))


# ---------------------------------------------------------------- the page


def test_the_page_shows_the_operations_without_a_network(port: int, tmp_path: Path) -> None:
    page = get(port, "/docs").octets.decode()
    assert not [url for url in re.findall(r'(?:src|href)="([^"]*)"', page) if not url.startswith("/")]
    shown = in_chromium(f"http://127.0.0.1:{port}/docs", tmp_path)
    operations = {re.sub("\u200b|<wbr>", "", path) for path in re.findall(r'data-path="([^"]+)"', shown)}
    assert operations == {path.replace("asgard03", "{name_or_mac}") for path in PATHS}


def test_the_page_says_what_each_column_is(port: int) -> None:
    described: dict[str, Any] = get(port, "/openapi.json").body
    assert described["components"]["schemas"]["packet_stats"]["properties"]["packet_count"]["description"] == "frames"
    assert all(list(methods) == ["get"] for methods in described["paths"].values())
