"""The demo as a newcomer runs it, and the comparison with the truth that it ends with."""

import copy
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from wifi_assets.demo.compare import compare
from wifi_assets.lake import Lake
from wifi_assets_tests.processes import BIN
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import household, ingested, settings_of, topic_with

PARTS = 6


def test_the_demo_finds_what_the_simulation_did(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "wifi-assets", "demo", "--folder", "demo"],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = re.findall(r"^│ (\S.*?) +│ ([\d,]+) +│ ([\d,]+) +│ ([\d,]+) +│$", done.stdout, re.MULTILINE)
    assert len(table) == PARTS, done.stdout
    for what, truth, lake, different in table:
        assert truth == lake != "0", what
        assert different == "0", what


@pytest.fixture(scope="module")
def lake(kafka: Server, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    home, folder = household(), tmp_path_factory.mktemp("compared")
    topic = topic_with(kafka, home.messages)
    return ingested(settings_of(topic, folder / "lake", devices_path=home.devices(folder / "devices")))


@pytest.mark.parametrize(
    ("part", "column", "what"),
    [
        ("packet_stats", "packet_count", "frames by day and type"),
        ("devices", "name", "devices of the router"),
        ("sources", "probes", "sources of probe requests"),
        ("networks_looked_for", "ssid", "networks that each source looks for"),
        ("sessions", "probe_count", "sessions behind random addresses"),
        ("behind_random_addresses", "random_addresses", "random addresses of each hour"),
    ],
)
def test_one_wrong_value_and_one_row_less_are_seen_where_they_are(
    lake: Lake, part: str, column: str, what: str
) -> None:
    def differs(truth: dict[str, Any]) -> dict[str, int]:
        return {one.what: one.different for one in compare(lake, truth) if one.different}

    truth = copy.deepcopy(dict(household().truth))
    assert differs(truth) == {}
    row = truth[part].pop()
    assert differs(truth) == {what: 1}
    truth[part].append(row | {column: -1})
    assert differs(truth) == {what: 1}
