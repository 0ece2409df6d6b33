"""Following a table as a process: its rows as they come, and how it ends."""

import itertools
import json
import select
import signal
import subprocess
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets_tests.ask.conftest import ASGARD, HOSTILE, NOON, THOR, device, set_devices
from wifi_assets_tests.ask.running import running
from wifi_assets_tests.processes import until

DAY = date(2026, 3, 1)


def stats(subtype: int, count: int, latest: datetime = NOON) -> dict[str, Any]:
    return {
        "day": DAY, "frame_subtype": subtype, "packet_count": count, "earliest_time": NOON, "latest_time": latest,
    }  # fmt: skip


def count(lake: Lake, *rows: dict[str, Any]) -> None:
    """``packet_stats`` of the day is this."""
    table = pa.Table.from_pylist(list(rows), TABLES["packet_stats"].schema)
    lake.replace(lake.open("packet_stats"), table, {DAY}, {})


def lines(process: "subprocess.Popen[str]", number: int) -> list[str]:
    """The next lines, as soon as they are there."""
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(number)]


def read(texts: Iterable[str]) -> set[tuple[str, int, int | None]]:
    """Op, subtype and count of rows as JSON."""
    changed = [json.loads(text) for text in texts]
    return {(one["op"], one["row"]["frame_subtype"], one["row"].get("packet_count")) for one in changed}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_rows_come_change_and_go(lake: Lake, tmp_path: Path) -> None:
    count(lake, stats(4, 1))
    arguments = ("changes", "packet_stats", "--from-beginning", "--json", "--poll=0.1")
    with running(tmp_path, *arguments, WIFI_LAKE=lake.url) as process:
        assert read(lines(process, 1)) == {("upsert", 4, 1)}
        count(lake, stats(4, 2), stats(8, 1))
        assert read(lines(process, 2)) == {("upsert", 4, 2), ("upsert", 8, 1)}
        # What is merged is no change.
        lake.compact("packet_stats", at_least=1)
        count(lake, stats(4, 2))
        assert read(lines(process, 1)) == {("delete", 8, None)}
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0
    assert (tmp_path / "said").read_text() == ""


def test_a_table_that_is_not_there_is_waited_for(lake: Lake, tmp_path: Path) -> None:
    with running(tmp_path, "changes", "packet_stats", "--poll=0.1", WIFI_LAKE=lake.url) as process:
        told = f"packet_stats is not in the lake at {lake.url} yet: waiting for the first ingest\n"
        until(lambda: (tmp_path / "said").read_text() == told)
        assert not (tmp_path / "lake").exists()
        count(lake, stats(4, 1, NOON + timedelta(minutes=1)))
        assert lines(process, 1) == [
            "+ day=2026-03-01  frame_subtype=4  packet_count=1  earliest_time=2026-03-01 12:00:00+00:00  "
            "latest_time=2026-03-01 12:01:00+00:00"
        ]
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0


def test_what_was_there_before_is_not_told_and_commands_no_terminal(lake: Lake, tmp_path: Path) -> None:
    set_devices(lake, [device(ASGARD, "Asgard03")])
    with running(tmp_path, "changes", "devices", "--poll=0.1", WIFI_LAKE=lake.url) as process:
        # When it looked first is not to be seen: the device is renamed until one name is told.
        numbers = itertools.count()
        while not select.select([process.stdout], [], [], 1)[0]:
            set_devices(lake, [device(ASGARD, "Asgard03"), device(THOR, f"{HOSTILE}{next(numbers)}")])
        (line,) = lines(process, 1)
        assert line.startswith(f"+ mac={THOR}  source=ace.user  name=\\x1b[2J\\x1b]0;owned\\x07")
        assert line.isprintable()


@pytest.mark.parametrize("rows", [1, 20_000])
def test_a_reader_that_is_gone_ends_it(lake: Lake, tmp_path: Path, rows: int) -> None:
    """While it has more to say than a pipe takes, and while it waits for something to say."""
    count(lake, *(stats(subtype, 1) for subtype in range(rows)))
    arguments = ("changes", "packet_stats", "--from-beginning", "--poll=0.1")
    with running(tmp_path, *arguments, WIFI_LAKE=lake.url) as process:
        lines(process, 1)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(300) == 0
    assert (tmp_path / "said").read_text() == ""


def test_a_table_that_there_is_none_of_is_wrong_use(tmp_path: Path) -> None:
    with running(tmp_path, "changes", "packets") as process:
        assert process.wait(300) == 2
    assert "'packets' is not one of 'frames', 'quarantine'" in (tmp_path / "said").read_text()


def test_a_lake_that_cannot_be_read_is_said(lake: Lake, tmp_path: Path) -> None:
    count(lake, stats(4, 1))
    for log in (tmp_path / "lake" / "packet_stats" / "_delta_log").glob("*.json"):
        log.write_text("{")
    with running(tmp_path, "changes", "packet_stats", WIFI_LAKE=lake.url) as process:
        assert process.wait(300) == 1
    said = (tmp_path / "said").read_text()
    assert said.startswith("Error: ")
    assert "Traceback" not in said
