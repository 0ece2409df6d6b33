"""Stored rows that were replaced upstream are followed, by tables that only append too; and who is behind is known."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from wifi_assets import steps
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA, Snapshot
from wifi_assets.steps import behind, catch_up, drop_before, rebuild
from wifi_assets_tests.support import ask, contents, differences
from wifi_assets_tests.test_steps import (
    DAYS,
    FOLLOWERS,
    append,
    catch_up_all,
    lake_with,
    set_devices,
    some_frames,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = lake_with(tmp_path / "lake", some_frames(300))
    set_devices(lake, _1="Tablet")
    catch_up_all(lake)
    return lake


def parse_again(lake: Lake, day: date, channel: int) -> None:
    """What a reparse does: other rows of a day, the same progress."""
    own = lake.open("frames")
    rows = own.rows(days={day}).to_table()
    changed = [row | {"radio_channel": channel} for row in rows.to_pylist()][1:]
    lake.replace(own, rows.from_pylist(changed, rows.schema), {day}, {KAFKA: own.positions(KAFKA)})


def fresh(lake: Lake, folder: Path) -> Lake:
    """A new lake over the same frames and devices."""
    new = Lake(str(folder))
    for name in ("frames", "devices"):
        new.append(new.open(name), lake.open(name).rows().to_table(), {KAFKA: lake.open(name).positions(KAFKA)})
    catch_up_all(new)
    return new


def stale(lake: Lake, folder: Path) -> dict[str, str]:
    """Tables that are others than computed anew."""
    held, expected = contents(lake), contents(fresh(lake, folder))
    return differences({name: held[name] for name in FOLLOWERS}, {name: expected[name] for name in FOLLOWERS})


def test_a_day_parsed_again_is_followed_with_what_is_new(lake: Lake, tmp_path: Path) -> None:
    append(lake, [frame | {"kafka_offset": frame["kafka_offset"] + 150} for frame in some_frames(100, seed=2)])
    parse_again(lake, DAYS[1], 11)
    append(lake, [frame | {"kafka_offset": frame["kafka_offset"] + 200} for frame in some_frames(50, seed=3)])
    assert set(behind(lake)) >= {"probes", "acks", "packet_stats"}
    catch_up_all(lake)
    assert stale(lake, tmp_path / "fresh") == {}
    assert ask(lake, f"SELECT DISTINCT radio_channel AS c FROM acks WHERE day = DATE '{DAYS[1]}' AND c IS NOT NULL")
    assert behind(lake) == []
    versions = {name: lake.open(name).version for name in FOLLOWERS}
    catch_up_all(lake)
    assert {name: lake.open(name).version for name in FOLLOWERS} == versions


def test_what_comes_late_of_a_closed_day_is_passed_on_although_another_day_was_parsed_again(lake: Lake) -> None:
    of_first_day = f"SELECT count(*) AS n FROM probes WHERE day = DATE '{DAYS[0]}'"
    before = ask(lake, of_first_day)[0]["n"]
    assert drop_before(lake, "frames", DAYS[1]) == {DAYS[0]}
    parse_again(lake, DAYS[1], 11)
    late = [frame | {"kafka_offset": frame["kafka_offset"] + 150} for frame in some_frames(100, seed=2)]
    append(lake, late)
    catch_up_all(lake)
    came = sum(frame["frame_subtype"] == 4 and frame["day"] == DAYS[0] for frame in late)
    assert came
    assert ask(lake, of_first_day)[0]["n"] == before + came


def test_a_day_that_retention_takes_while_it_is_rebuilt_stays(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before, repeat = contents(lake)["probes"], steps.repeat_when_overtaken

    def maintenance_first(again: Callable[[], None], *, more: int) -> None:
        lake.delete_before(lake.open("frames"), DAYS[1])
        repeat(again, more=more)

    monkeypatch.setattr(steps, "repeat_when_overtaken", maintenance_first)
    # Without the pass before it, which is repeated in the same way.
    monkeypatch.setattr(steps, "catch_up", lambda *arguments: steps.Done())
    rebuild(lake, "probes", set(DAYS))
    assert contents(lake)["probes"] == before


def test_a_day_that_was_emptied_is_empty_downstream_though_the_log_does_not_know_when(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = lake.open("frames")
    lake.replace(own, own.table.schema.empty_table(), {DAYS[1]}, {KAFKA: own.positions(KAFKA)})
    monkeypatch.setattr(Snapshot, "since", lambda *arguments: None)
    catch_up_all(lake)
    assert stale(lake, tmp_path / "fresh") == {}
    assert DAYS[1] not in lake.open("probes").days() | lake.open("packet_stats").days()


def test_a_day_relabelled_alone_is_followed(lake: Lake, tmp_path: Path) -> None:
    set_devices(lake, _1="Telephone")
    # New names are for what comes.
    assert behind(lake) == []
    for day in DAYS:
        rebuild(lake, "probes_enriched", {day})
    late = behind(lake)
    assert set(late) == {name for name in FOLLOWERS if TABLES[name].upstream == "probes_enriched"}
    catch_up_all(lake)
    assert stale(lake, tmp_path / "fresh") == {}
    assert behind(lake) == []


def test_who_has_no_table_yet_is_behind_where_there_are_rows(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert behind(lake) == []
    lake.open("frames")
    assert behind(lake) == []
    append(lake, some_frames(10))
    assert set(behind(lake)) == {name for name in FOLLOWERS if TABLES[name].upstream == "frames"}
    assert not lake.exists("probes")


def test_years_without_a_frame_cost_no_commit(lake: Lake) -> None:
    years = {date.fromordinal(DAYS[0].toordinal() - number) for number in range(1, 2000)}
    for name in FOLLOWERS:
        before = lake.open(name).version
        rebuild(lake, name, years)
        assert lake.open(name).version - before <= 1, name


def test_a_run_that_appends_between_two_days_is_not_written_over(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run's progress stays, else its rows would come again."""
    more = [frame | {"kafka_offset": frame["kafka_offset"] + 150} for frame in some_frames(100, seed=2)]
    replace, news = Lake.replace, [more]

    def overtaken(self: Lake, at: Snapshot, *arguments: object) -> None:
        replace(self, at, *arguments)  # type: ignore[arg-type]
        if news and at.table.name == "acks":
            append(lake, news.pop())
            catch_up(lake, "acks")

    monkeypatch.setattr(Lake, "replace", overtaken)
    rebuild(lake, "acks", set(DAYS))
    assert not news
    catch_up(lake, "acks")
    frames = ask(lake, "SELECT count(*) AS n FROM frames WHERE frame_subtype = 29")
    assert ask(lake, "SELECT count(*) AS n FROM acks") == frames


def test_a_backfill_of_many_days_outlasts_many_runs(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each day may lose a race: what is done stays done."""
    monkeypatch.setattr(steps, "_TRIES", 2)
    replace, taken = Lake.replace, []

    def overtaken(self: Lake, at: Snapshot, *arguments: object) -> None:
        if len(taken) < len(DAYS):
            taken.append(at.version)
            own = self.open(at.table.name)
            self.append(own, own.table.schema.empty_table(), {})
        replace(self, at, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "replace", overtaken)
    for name in ("acks", "packet_stats"):
        taken.clear()
        rebuild(lake, name, set(DAYS))
        assert len(taken) == len(DAYS)
