"""What is folded in equals what is counted whole, whatever happens in between and whoever looks when."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from wifi_assets import recompute
from wifi_assets.lake import Lake, LakeError, OvertakenError
from wifi_assets.schemas import TABLES
from wifi_assets.steps import catch_up, rebuild
from wifi_assets_tests.support import contents, differences
from wifi_assets_tests.test_changes import Follower, stored
from wifi_assets_tests.test_steps import (
    DAYS,
    FOLLOWERS,
    Frame,
    append,
    catch_up_all,
    lake_with,
    set_devices,
    some_frames,
)

COUNTED = [name for name in FOLLOWERS if TABLES[name].kind != "append"]
SINKS = ("packet_stats", "oui_fingerprint_sessions", "probe_stats_by_source_device", "networks_looked_for")
FOLDED = [name for name in COUNTED if TABLES[name].folds]


def check_counts(lake: Lake, folder: Path) -> None:
    """Every table of counts is what one go over the stored frames and probe requests makes."""
    whole = Lake(str(folder))
    for name in ("frames", "probes_enriched"):
        whole.append(whole.open(name), lake.open(name).rows().to_table(), {})
    for name in COUNTED:
        catch_up(whole, name)
    found, expected = contents(lake), contents(whole)
    assert differences({name: found[name] for name in COUNTED}, {name: expected[name] for name in COUNTED}) == {}


def data_files(lake: Lake, name: str) -> set[str]:
    return lake.open(name).paths()


def test_a_batch_is_folded_in_and_other_days_files_stay(tmp_path: Path) -> None:
    frames = some_frames(500)
    lake = lake_with(tmp_path / "lake", [frame for frame in frames[:400] if frame["day"] != DAYS[2]])
    done = catch_up_all(lake)
    assert all(done[name].whole == {DAYS[0], DAYS[1]} for name in FOLDED)
    before = {name: data_files(lake, name) for name in FOLDED}
    append(lake, [frame for frame in frames[400:] if frame["day"] == DAYS[2]])
    done = catch_up_all(lake)
    for name in FOLDED:
        assert done[name].days == {DAYS[2]}
        assert done[name].whole == set()
        assert done[name].commits == 1
        if TABLES[name].partitioned:
            assert before[name] < data_files(lake, name)
    check_counts(lake, tmp_path / "whole")
    catch_up_all(lake)
    assert all(step.commits == 0 for step in catch_up_all(lake).values())


def test_a_source_that_comes_back_leaves_the_files_of_days_without_it(tmp_path: Path) -> None:
    """Only the latest day of a source that is heard again is written anew, and the day on which it is."""
    name = "probe_stats_by_source_device"
    frames = [frame | {"frame_subtype": 4, "source_address_resolved": None} for frame in some_frames(40)]
    of = {
        day: [frame | {"source_address": f"02:00:00:00:01:0{place}"} for frame in frames if frame["day"] == day]
        for place, day in enumerate(DAYS)
    }
    lake = lake_with(tmp_path / "lake", of[DAYS[0]] + of[DAYS[1]])
    catch_up_all(lake)
    first = {path for path in data_files(lake, name) if str(DAYS[0]) in path}
    second = {path for path in data_files(lake, name) if str(DAYS[1]) in path}
    assert first
    assert second
    append(lake, [of[DAYS[2]][0] | {"kafka_offset": 900, "source_address": "02:00:00:00:01:01"}])
    catch_up_all(lake)
    assert first < data_files(lake, name)
    assert not second & data_files(lake, name)
    assert lake.open(name).rows().to_table().sort_by("source")["latest_day"].to_pylist() == [DAYS[0], DAYS[2]]
    check_counts(lake, tmp_path / "whole")


def test_merged_files_are_no_news(tmp_path: Path) -> None:
    frames = some_frames(400)
    lake = lake_with(tmp_path / "lake", frames[:300])
    catch_up_all(lake)
    for portion in (frames[300:330], frames[330:360]):
        append(lake, portion)
        for name in ("frames", *FOLLOWERS):
            done = catch_up(lake, name) if name != "frames" else None
            lake.compact(name, at_least=2)
            assert done is None or name not in FOLDED or done.whole == set()
    check_counts(lake, tmp_path / "whole")


def test_files_that_were_merged_and_removed_mean_whole_days(tmp_path: Path) -> None:
    frames = some_frames(400)
    lake = lake_with(tmp_path / "lake", frames[:300])
    catch_up_all(lake)
    append(lake, frames[300:])
    seen = lake.open("frames").version - 1
    lake.compact("frames", at_least=2)
    assert lake.open("frames").since(seen) is not None
    lake.open("frames").delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert lake.open("frames").since(seen) is None
    assert catch_up_all(lake)["packet_stats"].whole == set(DAYS)
    check_counts(lake, tmp_path / "whole")


def test_much_that_is_new_is_counted_day_by_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = some_frames(400)
    lake = lake_with(tmp_path / "lake", frames[:100])
    catch_up_all(lake)
    monkeypatch.setattr(recompute, "_FOLDED", 20)
    append(lake, frames[100:])
    done = catch_up_all(lake)
    assert all(done[name].whole == set(DAYS) for name in FOLDED)
    check_counts(lake, tmp_path / "whole")


def test_a_run_between_two_replaced_days_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To go on would write an old progress over a newer one, and count rows twice later."""
    frames = some_frames(300)
    lake = lake_with(tmp_path / "lake", frames[:200])
    replace = Lake.replace

    def and_another_run(self: Lake, *others: object, **more: object) -> None:
        replace(self, *others, **more)  # type: ignore[arg-type]
        monkeypatch.setattr(Lake, "replace", replace)
        append(lake, frames[200:])
        catch_up(lake, "packet_stats")

    monkeypatch.setattr(Lake, "replace", and_another_run)
    with pytest.raises(OvertakenError, match="table packet_stats: another run wrote between two days"):
        recompute.recompute(lake, "packet_stats", recompute.Done())
    catch_up_all(lake)
    check_counts(lake, tmp_path / "whole")


@contextmanager
def ended_after(days: int) -> Iterator[None]:
    """Something ends a pass that counts day by day after so many of them."""
    replace, done = Lake.replace, list[None]()

    def ending(self: Lake, *others: object, **more: object) -> None:
        if len(done) == days:
            raise KeyboardInterrupt
        replace(self, *others, **more)  # type: ignore[arg-type]
        done.append(None)

    with patch.object(recompute, "_FOLDED", 5), patch.object(Lake, "replace", ending), suppress(KeyboardInterrupt):
        yield


@pytest.mark.parametrize("days", [1, 2])
def test_days_that_an_ended_pass_counted_are_not_counted_twice(tmp_path: Path, days: int) -> None:
    frames = some_frames(300)
    lake = lake_with(tmp_path / "lake", frames[:200])
    catch_up_all(lake)
    append(lake, frames[200:])
    catch_up(lake, "probes")
    catch_up(lake, "probes_enriched")
    for name in COUNTED:
        with ended_after(days):
            catch_up(lake, name)
    # What is left is few enough to be folded in.
    rebuild(lake, "probes_enriched", {DAYS[2]})
    catch_up_all(lake)
    check_counts(lake, tmp_path / "whole")


def test_the_end_of_a_rebuild_does_not_hide_that_a_pass_was_ended(tmp_path: Path) -> None:
    frames = some_frames(300)
    lake = lake_with(tmp_path / "lake", frames[:200])
    catch_up_all(lake)
    append(lake, frames[200:])
    for name in ("probes", "probes_enriched"):
        catch_up(lake, name)
    for name in FOLDED:
        if TABLES[name].kind == "recompute":
            with ended_after(1):
                catch_up(lake, name)
            # That of a backfill, which began before.
            recompute.recompute_days(lake, name, {DAYS[2]}, recompute.Done())
    catch_up_all(lake)
    check_counts(lake, tmp_path / "whole")


@pytest.mark.parametrize("merged", [False, True])
def test_totals_know_what_came_and_went_between_two_looks(tmp_path: Path, *, merged: bool) -> None:
    frames = some_frames(300)
    lake = lake_with(tmp_path / "lake", frames[:200])
    catch_up_all(lake)
    append(lake, frames[200:])
    parts = ("probe_stats_by_source_day", "networks_looked_for_day")
    for name in ("probes", "probes_enriched", *parts):
        catch_up(lake, name)
    if merged:
        # Its files are gone, the log is not.
        lake.compact("probes_enriched", at_least=2)
        lake.open("probes_enriched").delta.vacuum(0, enforce_retention_duration=False, dry_run=False)
    else:
        lake.delete_before(lake.open("probes_enriched"), DAYS[1])
        for name in parts:
            catch_up(lake, name)
    for part, total in zip(parts, ("probe_stats_by_source_device", "networks_looked_for"), strict=True):
        catch_up(lake, total)
        counted = [sum(lake.open(name).rows().to_table()["probes"].to_pylist()) for name in (part, total)]
        assert counted[0] == counted[1] > 0, total


def test_a_table_kept_by_other_days_is_refused(tmp_path: Path) -> None:
    lake, name = Lake(str(tmp_path)), "networks_looked_for"
    write_deltalake(lake.uri(name), TABLES[name].schema.empty_table())
    told = (
        rf"table {name} at .* is partitioned by \[\], in this version of wifi_assets by latest_day: delete its folder"
    )
    with pytest.raises(LakeError, match=told):
        lake.open(name)


# ---------------------------------------------------------------- any interleaving

SOME_DAYS = st.sets(st.sampled_from(DAYS), min_size=1)
_TABLES = st.sampled_from(FOLLOWERS)


class Counting(RuleBasedStateMachine):
    """A lake to which anything happens, whose tables catch up or not, and sinks that look now and then."""

    @initialize(seed=st.integers(0, 3))
    def begin(self, seed: int) -> None:
        self.folder = TemporaryDirectory(prefix="wifi-assets-")
        self.lake = Lake(f"{self.folder.name}/lake")
        self.frames: Iterable[Frame] = iter(some_frames(1_000, seed))
        self.followers = {name: Follower(name) for name in SINKS}
        self.checked = 0

    def teardown(self) -> None:
        self.all_catch_up()
        self.folder.cleanup()

    @rule(count=st.integers(1, 60), late=st.none() | st.sampled_from(DAYS))
    def new_frames(self, count: int, late: date | None) -> None:
        frames = [frame for frame, _ in zip(self.frames, range(count), strict=False)]
        if late is not None:
            frames = [
                frame | {"day": late, "event_time": frame["event_time"].replace(day=late.day)} for frame in frames
            ]
        if frames:
            append(self.lake, frames)

    @rule(name=_TABLES)
    def one_catches_up(self, name: str) -> None:
        catch_up(self.lake, name)

    @rule(name=st.sampled_from(COUNTED), days=st.integers(0, 2))
    def one_is_ended_on_its_way(self, name: str, days: int) -> None:
        with ended_after(days):
            catch_up(self.lake, name)

    @rule(names=st.sets(st.sampled_from(["frames", *FOLLOWERS]), min_size=1, max_size=5))
    def files_are_merged(self, names: set[str]) -> None:
        for name in names:
            self.lake.compact(name, at_least=2)

    @rule(names=st.sets(st.sampled_from(["frames", *FOLLOWERS]), min_size=1, max_size=5))
    def old_files_go(self, names: set[str]) -> None:
        for name in names:
            delta = self.lake.open(name).delta
            delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    @rule(first=st.sampled_from(("Tablet", "Screen")), second=st.sampled_from(("guest_Phone", "Phone")), days=SOME_DAYS)
    def devices_are_renamed_and_days_relabelled(self, first: str, second: str, days: set[date]) -> None:
        set_devices(self.lake, _1=first, _2=second)
        rebuild(self.lake, "probes_enriched", days)

    @rule(day=st.sampled_from(DAYS), kept=st.integers(0, 3))
    def a_day_is_read_again_and_some_of_it_is_gone(self, day: date, kept: int) -> None:
        own = self.lake.open("frames")
        rows = own.rows(days={day}).to_table()
        left = rows.filter(pa.compute.less_equal(pa.compute.bit_wise_and(rows["kafka_offset"], 3), kept))
        self.lake.replace(own, left, {day}, {})

    @rule(name=st.sampled_from(COUNTED), days=SOME_DAYS)
    def counts_are_rebuilt(self, name: str, days: set[date]) -> None:
        rebuild(self.lake, name, days)

    @rule(name=st.sampled_from(SINKS))
    def a_sink_looks(self, name: str) -> None:
        self.followers[name].look(self.lake)
        assert self.followers[name].held == stored(self.lake, name)

    @rule()
    def all_catch_up(self) -> None:
        catch_up_all(self.lake)
        self.checked += 1
        check_counts(self.lake, Path(self.folder.name) / f"whole {self.checked}")
        for name in SINKS:
            self.a_sink_looks(name)


TestCounting = Counting.TestCase
TestCounting.settings = settings(
    max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
