"""Steps follow their upstream: packet and source statistics against plain Python, days rebuilt, windows, orphans."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from wifi_assets import steps
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA
from wifi_assets.steps import catch_up, drop_before, rebuild
from wifi_assets_tests.support import ask, contents, differences, rows_of

DAYS = [date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)]
FOLLOWERS = [name for name, table in TABLES.items() if table.upstream]
SOURCES = ("3c:a6:f6:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", None)

Frame = dict[str, Any]


def some_frames(count: int, seed: int = 1) -> list[Frame]:
    """Rows of ``frames``: two partitions, any order of times, subtypes of every split and others."""
    rng = random.Random(seed)
    frames = []
    for number in range(count):
        day = rng.choice(DAYS)
        time = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(milliseconds=rng.randrange(86_400_000))
        subtype = rng.choice((4, 4, 4, 8, 27, 28, 29, 36, 40))
        source = rng.choice(SOURCES)
        ssid = rng.choice((None, "", "home", "café", "hotel"))
        frames.append(
            {
                "day": day, "topic_generation": 0, "kafka_partition": number % 2, "kafka_offset": number // 2,
                "kafka_timestamp": time, "event_time": time, "frame_type": subtype >> 4, "frame_subtype": subtype,
                "signal_dbm": rng.choice((None, -40, -50, -90)), "source_address": source,
                "source_address_resolved": source and rng.choice((None, f"Vendor_{source[9:]}")),
                "destination_address": rng.choice((None, "ff:ff:ff:ff:ff:ff", "24:5a:4c:00:07:01")),
                "tag_oui": rng.choice((None, [0x001018])), "ssid": ssid, "ssid_bytes": ssid and ssid.encode(),
            }
        )  # fmt: skip
    return frames


def lake_with(folder: Path, frames: list[Frame]) -> Lake:
    lake = Lake(str(folder))
    append(lake, frames)
    return lake


def append(lake: Lake, frames: list[Frame]) -> None:
    """What a drain does: the rows, and how far they reach in each partition."""
    own = lake.open("frames")
    reached = own.positions(KAFKA) or [0, 0]
    for frame in frames:
        reached[frame["kafka_partition"]] = max(reached[frame["kafka_partition"]], frame["kafka_offset"] + 1)
    lake.append(own, pa.Table.from_pylist(frames, TABLES["frames"].schema), {KAFKA: reached})


def set_devices(lake: Lake, **names: str) -> None:
    """The router knows these by name; the key is the address's last digit."""
    devices = [
        {"mac": next(s for s in SOURCES if s and s.endswith(key[1:])), "source": "ace.user", "name": name,
         "is_guest": name.startswith("guest")}
        for key, name in names.items()
    ]  # fmt: skip
    lake.replace(lake.open("devices"), pa.Table.from_pylist(devices, TABLES["devices"].schema), None, {})


def catch_up_all(lake: Lake) -> dict[str, steps.Done]:
    return {name: catch_up(lake, name) for name in FOLLOWERS}


def test_packet_stats_equal_plain_python(tmp_path: Path) -> None:
    frames = some_frames(600)
    lake = lake_with(tmp_path, frames)
    catch_up(lake, "packet_stats")
    times = defaultdict(list)
    for frame in frames:
        times[frame["day"], frame["frame_subtype"]].append(frame["event_time"])
    expected = [
        {"day": day, "frame_subtype": subtype, "packet_count": len(heard), "earliest_time": min(heard),
         "latest_time": max(heard)}
        for (day, subtype), heard in times.items()
    ]  # fmt: skip
    schema = TABLES["packet_stats"].schema
    assert rows_of(lake.open("packet_stats").rows().to_table()) == rows_of(pa.Table.from_pylist(expected, schema))


def test_statistics_by_source_equal_plain_python(tmp_path: Path) -> None:
    frames = some_frames(600)
    lake = lake_with(tmp_path, frames)
    set_devices(lake, _1="Tablet")
    catch_up_all(lake)
    by_source = defaultdict(list)
    for frame in frames:
        if frame["frame_subtype"] == 4 and frame["source_address"]:
            address = frame["source_address"]
            name = "Tablet" if address == SOURCES[0] else frame["source_address_resolved"] or address
            by_source[name].append(frame)
    assert len(by_source) == 5
    expected = []
    for source, probes in by_source.items():
        signals = [one["signal_dbm"] for one in probes if one["signal_dbm"] is not None]
        ssids = sorted({one["ssid"] for one in probes} - {None, ""})
        destinations = sorted({one["destination_address"] for one in probes} - {None})
        expected.append(
            {
                "source": source, "probes": len(probes),
                "earliest_probe": min(one["event_time"] for one in probes),
                "latest_probe": max(one["event_time"] for one in probes),
                "min_signal_dbm": min(signals), "max_signal_dbm": max(signals),
                "avg_signal_dbm": sum(signals) / len(signals), "probed_ssids": ssids, "unique_ssids": len(ssids),
                "destinations": destinations, "unique_destinations": len(destinations),
                "source_addresses": sorted({one["source_address"] for one in probes}),
                "signal_dbm_sum": sum(signals), "signal_dbm_count": len(signals),
                "latest_day": max(one["event_time"] for one in probes).date(),
            }
        )  # fmt: skip
    name = "probe_stats_by_source_device"
    assert rows_of(lake.open(name).rows().to_table()) == rows_of(pa.Table.from_pylist(expected, TABLES[name].schema))


@pytest.mark.parametrize("portions", [2, 7])
def test_portions_of_any_size_give_what_one_go_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portions: int
) -> None:
    frames = some_frames(700)
    whole = lake_with(tmp_path / "whole", frames)
    catch_up_all(whole)
    lake = Lake(str(tmp_path / "portions"))
    monkeypatch.setattr(steps, "WINDOW", 60)
    parts: list[list[Frame]] = [[] for _ in range(portions)]
    for frame in frames:
        # One partition lags behind the other, as when a broker is slow.
        share = frame["kafka_offset"] / 350
        parts[int(portions * (share if frame["kafka_partition"] else share**2))].append(frame)
    for part in parts:
        append(lake, part)
        catch_up_all(lake)
    assert differences(contents(lake), contents(whole)) == {}


def test_a_table_far_behind_takes_bounded_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = lake_with(tmp_path, some_frames(500))
    monkeypatch.setattr(steps, "WINDOW", 100)
    sizes: list[int] = []
    write = Lake.append

    def counted(self: Lake, at: Any, rows: pa.Table, *others: Any) -> None:
        sizes.append(len(rows))
        write(self, at, rows, *others)

    monkeypatch.setattr(Lake, "append", counted)
    done = catch_up(lake, "probes")
    assert len(sizes) == done.commits >= 5
    assert max(sizes) <= 100
    assert sum(sizes) == done.rows == lake.open("probes").rows().count_rows()
    assert lake.open("probes").positions("frames") == [250, 250]


def test_a_window_reads_no_file_beyond_it(tmp_path: Path) -> None:
    frames = some_frames(400)
    lake = lake_with(tmp_path, frames[:200])
    append(lake, frames[200:])
    source = lake.open("frames")
    near = source.beyond([0, 0], [100, 100]).to_table(columns=["kafka_offset"])["kafka_offset"].to_pylist()
    assert sorted(near) == sorted(frame["kafka_offset"] for frame in frames[:200])
    assert source.beyond([100, 100]).count_rows() == 200
    assert 200 < source.beyond([0, 0], [100, 101]).count_rows() < source.beyond([0, 0]).count_rows() == 400


def test_a_table_far_behind_skips_offsets_that_hold_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [frame | {"kafka_offset": frame["kafka_offset"] + 1_000_000} for frame in some_frames(500)]
    lake = lake_with(tmp_path, frames)
    monkeypatch.setattr(steps, "WINDOW", 100)
    done = catch_up(lake, "probes")
    assert done.commits == 5
    assert done.rows == sum(frame["frame_subtype"] == 4 for frame in frames)


def test_late_rows_touch_their_day_and_no_other(tmp_path: Path) -> None:
    frames = some_frames(400)
    late = [frame | {"day": DAYS[0], "event_time": datetime(2026, 3, 1, 12, tzinfo=UTC)} for frame in frames[-4:]]
    lake = lake_with(tmp_path, frames[:-4])
    assert catch_up_all(lake)["packet_stats"].days == set(DAYS)
    append(lake, late)
    done = catch_up_all(lake)
    assert done["packet_stats"].days == {DAYS[0]}
    assert all(step.days <= {DAYS[0]} for step in done.values())


def test_a_renamed_device_leaves_no_orphan_when_its_days_are_rebuilt(tmp_path: Path) -> None:
    lake = lake_with(tmp_path, some_frames(300))
    set_devices(lake, _1="Tablet", _2="guest_Phone")
    catch_up_all(lake)
    sources = "SELECT source FROM probe_stats_by_source_device ORDER BY 1"
    names = {row["source"] for row in ask(lake, sources)}
    assert {"Tablet", "guest_Phone"} <= names
    progress = lake.open("probes_enriched").positions("probes")
    before = ask(lake, "SELECT * FROM probes_enriched ORDER BY kafka_partition, kafka_offset")

    set_devices(lake, _1="Mila's tablet", _2="Phone")
    assert rebuild(lake, "probes_enriched", {DAYS[1]}).days == {DAYS[1]}
    after = ask(lake, "SELECT * FROM probes_enriched ORDER BY kafka_partition, kafka_offset")
    new = {"Tablet": "Mila's tablet", "guest_Phone": "Phone"}
    assert after == [
        row | {"source_device_name": new[row["source_device_name"]], "is_known_device": True}
        if row["day"] == DAYS[1] and row["source_device_name"]
        else row
        for row in before
    ]
    assert lake.open("probes_enriched").positions("probes") == progress

    catch_up_all(lake)
    assert {row["source"] for row in ask(lake, sources)} == names | {"Mila's tablet", "Phone"}
    rebuild(lake, "probes_enriched", set(DAYS))
    catch_up_all(lake)
    assert {row["source"] for row in ask(lake, sources)} == names - {"Tablet", "guest_Phone"} | {
        "Mila's tablet",
        "Phone",
    }
    fresh = lake_with(tmp_path / "fresh", some_frames(300))
    set_devices(fresh, _1="Mila's tablet", _2="Phone")
    catch_up_all(fresh)
    assert differences(contents(lake), contents(fresh)) == {}


def test_rebuilding_every_table_changes_nothing_and_keeps_the_progress(tmp_path: Path) -> None:
    lake = lake_with(tmp_path, some_frames(300))
    set_devices(lake, _1="Tablet")
    catch_up_all(lake)
    before = contents(lake)
    for name in FOLLOWERS:
        rebuild(lake, name, {*DAYS, date(2026, 4, 1)})
    assert differences(contents(lake), before) == {}
    catch_up_all(lake)
    assert differences(contents(lake), before) == {}
    append(lake, some_frames(310)[300:])
    catch_up_all(lake)
    whole = lake_with(tmp_path / "whole", some_frames(310))
    set_devices(whole, _1="Tablet")
    catch_up_all(whole)
    assert differences(contents(lake), contents(whole)) == {}


def test_days_that_were_deleted_do_not_come_back_with_the_next_rows(tmp_path: Path) -> None:
    frames = some_frames(300)
    lake = lake_with(tmp_path, frames[:200])
    catch_up_all(lake)
    kept = ask(lake, "SELECT * FROM packet_stats ORDER BY ALL")
    for name in ("frames", "probes", "acks"):
        lake.delete_before(lake.open(name), DAYS[1])
    assert lake.open("frames").days() == {DAYS[1], DAYS[2]}
    append(lake, [frame for frame in frames[200:] if frame["day"] != DAYS[0]])
    done = catch_up(lake, "probes")
    assert done.days == {DAYS[1], DAYS[2]}
    assert lake.open("probes").days() == {DAYS[1], DAYS[2]}
    assert {row["day"] for row in kept} == set(DAYS)


def test_what_was_counted_of_days_that_retention_took_stays(tmp_path: Path) -> None:
    frames = some_frames(300)
    lake = lake_with(tmp_path, frames[:200])
    catch_up_all(lake)
    counted = [name for name in FOLLOWERS if TABLES[name].kind != "append"]
    of_first_day = f"WHERE day = DATE '{DAYS[0]}' ORDER BY ALL"
    by_day = [name for name in counted if TABLES[name].partitioned]
    before = {name: ask(lake, f"SELECT * FROM {name} {of_first_day}") for name in by_day}
    totals = ask(lake, "SELECT sum(probes) AS n FROM probe_stats_by_source_device")[0]["n"]
    for name, table in TABLES.items():
        if table.kind == "append" and table.partitioned:
            lake.delete_before(lake.open(name), DAYS[1])
    new = [frame for frame in frames[200:] if frame["day"] != DAYS[0]]
    append(lake, new)
    catch_up_all(lake)
    for name in counted:
        rebuild(lake, name, set(DAYS))
    assert {name: ask(lake, f"SELECT * FROM {name} {of_first_day}") for name in by_day} == before
    assert before["packet_stats"]
    new_probes = sum(frame["frame_subtype"] == 4 and frame["source_address"] is not None for frame in new)
    assert ask(lake, "SELECT sum(probes) AS n FROM probe_stats_by_source_device")[0]["n"] == totals + new_probes


#: Retention of which table closes its first day for which others. Those that append still pass on what comes late.
CLOSED = {
    "frames": {"packet_stats"},
    "probes": set(),
    "probes_enriched": {
        "session_fragments", "oui_fingerprint_sessions", "devices_estimated", "probe_stats_by_source_day",
        "networks_looked_for_day",
    },
    "networks_looked_for_day": set(),
}  # fmt: skip


@pytest.mark.parametrize("dropped", CLOSED)
def test_a_day_that_retention_took_stays_closed_for_late_rows_and_for_rebuilding(tmp_path: Path, dropped: str) -> None:
    frames = some_frames(400)
    lake, whole = lake_with(tmp_path / "kept", frames[:300]), lake_with(tmp_path / "whole", frames)
    catch_up_all(lake)
    catch_up_all(whole)
    by_day = [name for name in FOLLOWERS if TABLES[name].partitioned]
    before = {name: ask(lake, f"SELECT * FROM {name} WHERE day = DATE '{DAYS[0]}' ORDER BY ALL") for name in by_day}
    assert drop_before(lake, dropped, DAYS[1]) == {DAYS[0]}
    for name in FOLLOWERS:
        rebuild(lake, name, set(DAYS))
    # A hundred come late, a third of them for the day that is gone.
    append(lake, frames[300:])
    catch_up_all(lake)
    for name in FOLLOWERS:
        done = rebuild(lake, name, set(DAYS))
        # What came late is itself in a table that appends.
        closed = name == dropped or TABLES[name].upstream == dropped
        assert done.closed == ({DAYS[0]} if closed and TABLES[name].partitioned and lake_holds(lake, name) else set())
    for name in by_day:
        if name == dropped:
            continue
        of_day = f"SELECT * FROM {name} WHERE day = DATE '{DAYS[0]}' ORDER BY ALL"
        assert ask(lake, of_day) == (before[name] if name in CLOSED[dropped] else ask(whole, of_day)), name
        later = f"SELECT * FROM {name} WHERE day > DATE '{DAYS[0]}' ORDER BY ALL"
        assert ask(lake, later) == ask(whole, later), name
    assert {day for day in lake.open(dropped).days() if day >= DAYS[1]} == {DAYS[1], DAYS[2]}
    # Dropped again, late rows are gone.
    drop_before(lake, dropped, DAYS[1])
    assert lake.open(dropped).days() == {DAYS[1], DAYS[2]}


def lake_holds(lake: Lake, name: str) -> bool:
    """Whether the table, or the one that it is made from, has rows of the first day."""
    return DAYS[0] in lake.open(name).days() | lake.open(str(TABLES[name].upstream)).days()


@pytest.mark.parametrize("anew", [False, True])
def test_totals_forget_what_their_daily_parts_forget(tmp_path: Path, *, anew: bool) -> None:
    frames = some_frames(300)
    lake = lake_with(tmp_path / "kept", frames)
    catch_up_all(lake)
    for name in ("networks_looked_for_day", "probe_stats_by_source_day"):
        drop_before(lake, name, DAYS[1])
    if anew:
        append(lake, some_frames(320)[300:])
        frames = some_frames(320)
    later = lake_with(tmp_path / "later", [frame for frame in frames if frame["day"] > DAYS[0]])
    catch_up_all(later)
    catch_up_all(lake)
    for name in ("networks_looked_for", "probe_stats_by_source_device"):
        assert ask(lake, f"SELECT * FROM {name} ORDER BY ALL") == ask(later, f"SELECT * FROM {name} ORDER BY ALL")


def test_what_is_dropped_was_counted_before(tmp_path: Path) -> None:
    frames = some_frames(200)
    lake = lake_with(tmp_path / "kept", frames)
    for name in ("frames", "probes", "probes_enriched"):
        drop_before(lake, name, DAYS[1])
    catch_up_all(lake)
    whole = lake_with(tmp_path / "whole", frames)
    catch_up_all(whole)
    for name in FOLLOWERS:
        if name not in ("probes", "probes_enriched"):
            assert ask(lake, f"SELECT * FROM {name} ORDER BY ALL") == ask(whole, f"SELECT * FROM {name} ORDER BY ALL")


def test_what_comes_while_the_followers_catch_up_is_not_dropped_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = some_frames(300)
    lake = lake_with(tmp_path, frames[:200])
    caught_up = steps.catch_up

    def and_a_drain(lake: Lake, name: str) -> steps.Done:
        done = caught_up(lake, name)
        if name == "probes" and lake.open("frames").positions(KAFKA) == [100, 100]:
            append(lake, frames[200:])
        return done

    monkeypatch.setattr(steps, "catch_up", and_a_drain)
    assert drop_before(lake, "frames", DAYS[1]) == {DAYS[0]}
    catch_up_all(lake)
    assert lake.open("frames").days() == {DAYS[1], DAYS[2]}
    probes = sum(frame["frame_subtype"] == 4 for frame in frames)
    assert ask(lake, "SELECT count(*) AS n FROM probes") == [{"n": probes}]
