"""Real captures: every frame against what another tool found in it, and every count against tshark's own.

The captures are third parties' and not part of the project; where their folder is not there, these tests
are not either. Here belongs what only real air can show. Not here: made messages (``frames/``).
"""

import csv
import json
import subprocess
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from wifi_assets.capture.tshark import CaptureError, Message, find_tshark, messages_of
from wifi_assets.engine import engine
from wifi_assets.frames.message import Rules, read_message
from wifi_assets.frames.parse import messages_table, parse
from wifi_assets.lake import Lake, Topic
from wifi_assets.snapshot import KAFKA
from wifi_assets.steps import catch_up
from wifi_assets_tests.conftest import CAPTURES

#: The zone of the oracle's ``datetime``.
ORACLE_ZONE = ZoneInfo("Europe/Prague")
ORACLES = sorted(CAPTURES.glob("*.oracle.csv")) if CAPTURES else []
FILES = sorted(CAPTURES.glob("*cap*")) if CAPTURES else []


def decoded(capture: Path) -> list[Message]:
    """All whole frames, also of a file that is cut short."""
    messages = []
    whole = nullcontext() if "cut-short" not in capture.name else pytest.raises(CaptureError, match="cut short")
    with whole:
        for message in messages_of(capture):
            messages.append(message)
    return messages


def parsed(messages: list[Message]) -> tuple[pa.Table, pa.Table]:
    """Frames and refusals, the offsets in the file's order."""
    rows = (
        (0, 0, offset, datetime.fromtimestamp(message.timestamp_ms / 1000, UTC), message.key, message.value)
        for offset, message in enumerate(messages)
    )
    return parse(messages_table(rows), Rules())


def stored(lake: Lake, table: str) -> list[dict[str, Any]]:
    """The table's rows in the file's order."""
    rows: pa.Table = lake.open(table).rows().to_table()
    return rows.sort_by("kafka_offset").to_pylist()


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda path: path.name.split(".")[0])
def test_every_frame_is_what_another_tool_found(captures: Path, oracle: Path, tmp_path: Path) -> None:
    messages = decoded(captures / oracle.name.replace(".oracle.csv", ".pcap"))
    frames, refused = parsed(messages)
    assert len(refused) == 0
    lake = Lake(str(tmp_path))
    lake.set_topic(Topic("pcap", "an id", 0))
    lake.append(lake.open("frames"), frames, {KAFKA: [len(messages)]})
    catch_up(lake, "probes")
    catch_up(lake, "probes_enriched")
    probes, enriched = stored(lake, "probes"), stored(lake, "probes_enriched")

    with oracle.open(newline="") as file:
        expected = list(csv.DictReader(file, delimiter=";"))
    assert len(expected) == len(messages) == len(probes) == len(enriched) > 0
    for number, (row, probe, rich) in enumerate(zip(expected, probes, enriched, strict=True)):
        at = datetime.fromisoformat(row["datetime"]).replace(tzinfo=ORACLE_ZONE)
        wanted = {
            "event_time": at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000),
            "source_address": row["src"],
            "destination_address": row["dst"],
            "signal_dbm": int(row["rssi"]),
            "ssid": row["ssid"],
            "tag_oui": json.loads(row["oui"]) or None,
        }
        for found in (probe, rich):
            assert {column: found[column] for column in wanted} == wanted, f"frame {number}"
        assert rich["is_randomised"] == (row["randomized"] == "1"), f"frame {number}"
        assert probe["radio_channel"] == (int(row["ch_freq"]) - 2407) // 5, f"frame {number}"


@pytest.mark.parametrize("name", [path.name for path in FILES])
def test_counts_of_subtypes_are_tsharks_own(captures: Path, name: str, tmp_path: Path) -> None:
    frames, refused = parsed(decoded(captures / name))
    with engine() as run:
        run.view("frames", frames)
        counted = run.query("SELECT frame_subtype, count(*) AS n FROM frames GROUP BY frame_subtype").to_pydict()

    # Other words of tshark than the capture's: plain fields, its own numbers, no JSON.
    command = [find_tshark(), "-n", "-r", str(captures / name), "-T", "fields", "-e", "wlan.fc.type_subtype"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    own = Counter(line.split(",")[0] for line in lines)
    assert len(refused) == own.pop("", 0)
    # The control frame extensions, 0x0160 to 0x016f, are one subtype.
    wanted: Counter[int] = Counter()
    for written, count in own.items():
        number = int(written, 0)
        wanted[number if number < 64 else number >> 4] += count
    assert dict(zip(counted["frame_subtype"], counted["n"], strict=True)) == wanted


@pytest.mark.parametrize("name", [path.name for path in FILES])
def test_real_messages_are_read_as_one_by_one(captures: Path, name: str) -> None:
    messages = decoded(captures / name)
    frames, refused = parsed(messages)
    refused_at = set(refused["kafka_offset"].to_pylist())
    frames = frames.sort_by("kafka_offset")
    kept = [offset for offset in range(len(messages)) if offset not in refused_at]
    assert frames["kafka_offset"].to_pylist() == kept
    for offset, frame in zip(kept, frames.to_pylist(), strict=True):
        message = messages[offset]
        wanted = read_message(message.value, frame["kafka_timestamp"], Rules())
        assert {column: frame[column] for column in wanted} == wanted, message.value


def test_an_ssid_in_another_encoding_keeps_its_bytes(captures: Path) -> None:
    frames, refused = parsed(decoded(captures / "bad" / "Chinese-SSID-Name.pcap"))
    assert (len(frames), len(refused)) == (1, 0)
    frame = frames.to_pylist()[0]
    assert (frame["frame_subtype"], frame["ssid_bytes"].decode("gbk")) == (8, "测试")
    assert frame["ssid"] == "\\xb2\\xe2\\xca\\xd4"


@pytest.mark.parametrize("name", ["macos.pcapng.gz", "radiotap-heapoverflow.pcap"])
def test_a_frame_that_is_not_80211_is_quarantined(captures: Path, name: str) -> None:
    messages = decoded(captures / "bad" / name)
    frames, refused = parsed(messages)
    assert len(frames) == 0
    assert refused["reason"].to_pylist() == ["no frame type"] * len(messages) != []
    assert refused["value"].to_pylist() == [message.value for message in messages]
