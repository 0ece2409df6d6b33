"""The axis of time: every moment has its place, in order; silence has none."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from matplotlib.figure import Figure

from wifi_assets.report.period import Period
from wifi_assets.report.timeaxis import TimeAxis, time_axis
from wifi_assets_tests.report.conftest import BEGIN, Fill, probe

SOURCE = "24:0a:c4:00:00:01"
HOUR = timedelta(hours=1)


def axis_of(fill: Fill, moments: list[datetime], slices: int = 100, least_seconds: int = 1) -> TimeAxis:
    # Without the counts, which are a commit for each day.
    lake = fill([probe(at, SOURCE) for at in moments], followers=("probes", "probes_enriched"))
    axis = time_axis(Period(lake), "probes_enriched", slices, least_seconds)
    assert axis is not None
    return axis


def micros(moments: list[datetime]) -> np.ndarray:
    return np.array([round((at - datetime.fromtimestamp(0, at.tzinfo)) / timedelta(microseconds=1)) for at in moments])


def ticks(axis: TimeAxis, most: int = 8) -> list[str]:
    axes = Figure().subplots()
    axis.label(axes, most)
    return [label.get_text() for label in axes.get_xticklabels()]


def test_moments_of_many_days_and_years_stand_in_order_within_their_slices(fill: Fill) -> None:
    chance = np.random.default_rng(3)
    starts = [BEGIN + timedelta(days=int(days)) for days in chance.integers(-4000, 0, 30)]
    moments = sorted(
        start + timedelta(seconds=float(s)) for start in starts for s in chance.uniform(0, 20_000, 40).round(6)
    )
    axis = axis_of(fill, moments)
    at = micros(moments)
    x = axis.x(at)
    assert (np.diff(x) >= 0).all()
    slices = axis.slices()
    step = axis.slice_seconds * 1_000_000
    assert np.isin(at // step * step, slices).all()
    assert (np.diff(slices) >= step).all()
    assert (axis.x(slices + step) - axis.x(slices) > 0).all()
    assert len(slices) < 100 + 2 * len(axis.starts)
    assert 1 <= len(ticks(axis)) <= 12


def test_silence_takes_no_room_and_is_marked(fill: Fill) -> None:
    axis = axis_of(fill, [BEGIN, BEGIN + HOUR, BEGIN + 5000 * HOUR, BEGIN + 5001 * HOUR])
    assert len(axis.starts) == 2
    widths = np.diff(axis.edges)[::2]
    assert widths[0] == pytest.approx(widths[1], rel=0.1)
    axes = Figure().subplots()
    axis.mark_silence(axes)
    assert len(axes.lines) == 1
    axis.label(axes, 8)
    assert axes.get_xlabel() == "UTC, 2026; dashed: silence left out"


def test_a_pause_of_some_hours_stays(fill: Fill) -> None:
    axis = axis_of(fill, [BEGIN, BEGIN + 5 * HOUR])
    assert len(axis.starts) == 1
    assert ticks(axis)[0] == "00:00\n1 Mar"


def test_a_single_moment_has_a_slice(fill: Fill) -> None:
    axis = axis_of(fill, [BEGIN + timedelta(microseconds=1)])
    assert axis.slices().tolist() == micros([BEGIN]).tolist()
    assert axis.slice_words == "second"
    assert ticks(axis) == ["00:00:00\n1 Mar"]


@pytest.mark.parametrize(
    ("hours", "words"), [(1, "minute"), (24, "15 minutes"), (72, "hour"), (24 * 90, "day"), (24 * 3000, "56 days")]
)
def test_slices_are_as_long_as_a_reader_counts(fill: Fill, hours: int, words: str) -> None:
    # No pause is so long that it is left out.
    parts = max(60, hours // 5)
    axis = axis_of(fill, [BEGIN + HOUR * part * hours / parts for part in range(parts)])
    assert axis.slice_words == words


def test_three_hours_stay_three_hours_where_they_are_few(fill: Fill) -> None:
    assert axis_of(fill, [BEGIN, BEGIN + HOUR], least_seconds=3 * 3600).slice_words == "3 hours"


def test_years_are_told_where_there_are_several(fill: Fill) -> None:
    axis = axis_of(fill, [BEGIN - 9000 * HOUR, BEGIN])
    assert [label.split("\n")[-1] for label in ticks(axis)] == ["19 Feb 2025", "1 Mar 2026"]
