"""The axis of time: only the stretches in which something was heard, side by side.

Here belongs where a moment stands in a picture and how long a slice of time is. Not here: what is drawn there.
Captures of three years with some minutes each would else be three lines in an empty frame.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from wifi_assets.report.figures import DARK
from wifi_assets.report.period import Period

_HOUR, _DAY, _SECOND = 3600, 86_400, 1_000_000
#: Lengths of a slice of time, s, that a reader can count in.
_LENGTHS = (1, 5, 10, 30, 60, 300, 900, 1800, _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 7 * _DAY, 28 * _DAY)
#: Silence of this length, s, is left out.
_SILENCE = 6 * _HOUR
#: The least share of the axis of each stretch.
_LEAST = 1 / 40


@dataclass(frozen=True)
class TimeAxis:
    """Stretches of time side by side, in whole slices.

    Attributes:
        slice_seconds: Length of a slice, s.
        starts: Where each stretch begins, epoch µs.
        ends: Where it ends, epoch µs.
        edges: Where it stands on the axis: left and right, alternating.
    """

    slice_seconds: int
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    edges: NDArray[np.float64]

    @property
    def slice_sql(self) -> str:
        """SQL: the start of a row's slice, epoch µs."""
        step = self.slice_seconds * _SECOND
        return f"(epoch_us(event_time) // {step}) * {step}"

    @property
    def slice_words(self) -> str:
        """Length of a slice in words."""
        for seconds, unit in ((_DAY, "day"), (_HOUR, "hour"), (60, "minute"), (1, "second")):
            if self.slice_seconds % seconds == 0:
                many = self.slice_seconds // seconds
                return unit if many == 1 else f"{many} {unit}s"
        raise AssertionError

    def x(self, micros: NDArray[np.int64]) -> NDArray[np.float64]:
        """Where moments (epoch µs) stand on the axis."""
        times = np.column_stack([self.starts, self.ends]).ravel()
        return np.interp(micros, times, self.edges)

    def slices(self) -> NDArray[np.int64]:
        """Start of each slice of the axis, epoch µs."""
        step = self.slice_seconds * _SECOND
        return np.concatenate([np.arange(s, e, step) for s, e in zip(self.starts, self.ends, strict=True)])

    def mark_silence(self, axes: Axes) -> None:
        """A line wherever time was left out."""
        for right in self.edges[1:-1:2]:
            axes.axvline(right, color=DARK, linewidth=0.8, linestyle=(0, (2, 2)))

    def label(self, axes: Axes, ticks: int) -> None:
        """Limits and ticks in UTC."""
        axes.set_xlim(self.edges[0], self.edges[-1])
        moments, step = self._moments(ticks)
        years = sorted({datetime.fromtimestamp(int(at) / _SECOND, UTC).year for at in (*self.starts, *self.ends - 1)})
        words, before = [], ""
        for at in moments:
            moment = datetime.fromtimestamp(int(at) / _SECOND, UTC)
            day = f"{moment.day} {moment:%b}" + (f" {moment.year}" if len(years) > 1 else "")
            clock = "" if step >= _DAY else f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"
            words.append("\n".join(filter(None, [clock, day if day != before else ""])))
            before = day
        axes.set_xticks(self.x(moments), words)
        span = f"{years[0]}" if len(years) == 1 else f"{years[0]}–{years[-1]}"
        left_out = "; dashed: silence left out" if len(self.starts) > 1 else ""
        axes.set_xlabel(f"UTC, {span}{left_out}", fontsize=9)

    def _moments(self, most: int) -> tuple[NDArray[np.int64], int]:
        """Where ticks stand, epoch µs, and the seconds between two."""
        whole = self.edges[-1] - self.edges[0]
        step = _length(float(self.ends.sum() - self.starts.sum()) / _SECOND, most)
        found: list[int] = []
        for start, end in zip(self.starts, self.ends, strict=True):
            first = -(-start // (step * _SECOND)) * step * _SECOND
            inside = list(range(int(first), int(end), step * _SECOND))
            found.extend(inside or [int(start)])
        kept: list[int] = []
        last = -np.inf
        at = self.x(np.array(found, dtype=np.int64))
        for moment, x in zip(found, at, strict=True):
            if x - last >= 0.7 * whole / most:
                kept.append(moment)
                last = x
        return np.array(kept, dtype=np.int64), step


def time_axis(period: Period, table: str, slices: int, least_seconds: int = 1) -> TimeAxis | None:
    """The stretches of a period in which ``table`` has rows, in about so many slices; None if it has none.

    Args:
        period: The days.
        table: A table with ``event_time``.
        slices: Most slices, but for the part of one that each stretch adds.
        least_seconds: The shortest slice.
    """
    heard = period.query(f"""
        WITH minutes AS (
          SELECT epoch_us(min(event_time)) AS first, epoch_us(max(event_time)) AS last FROM {table}
          WHERE event_time IS NOT NULL GROUP BY epoch_us(event_time) // 60000000),
        marked AS (
          SELECT first, last,
            CASE WHEN first - lag(last) OVER (ORDER BY first) <= {_SILENCE * _SECOND} THEN 0 ELSE 1 END AS begins
          FROM minutes),
        numbered AS (
          SELECT first, last, sum(begins) OVER (ORDER BY first ROWS UNBOUNDED PRECEDING) AS stretch FROM marked)
        SELECT min(first) AS first, max(last) AS last FROM numbered GROUP BY stretch ORDER BY first
    """)
    if not len(heard):
        return None
    first, last = heard["first"].to_numpy(), heard["last"].to_numpy()
    seconds = max(least_seconds, _length(float((last - first).sum()) / _SECOND, slices))
    step = seconds * _SECOND
    starts, ends = first // step * step, (last // step + 1) * step
    # Stretches that whole slices have brought together are one.
    apart = np.concatenate([[True], starts[1:] > ends[:-1] + step])
    starts, ends = starts[apart], ends[np.concatenate([apart[1:], [True]])]
    widths = (ends - starts).astype(np.float64)
    widths = np.maximum(widths, widths.sum() * _LEAST)
    right = np.cumsum(widths)
    return TimeAxis(seconds, starts, ends, np.column_stack([right - widths, right]).ravel())


def _length(seconds: float, most: int) -> int:
    """The shortest slice of which ``most`` cover so many seconds."""
    for length in _LENGTHS:
        if seconds <= length * most:
            return length
    return _LENGTHS[-1] * -(-int(seconds) // (_LENGTHS[-1] * most))
