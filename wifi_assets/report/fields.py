"""What each field of the frames holds: top values, missing share, count of each day.

Here belongs that table and its figure, as a data visualiser shows an index. Not here: charts of one question
(``charts.py``).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from wifi_assets.report.figures import (
    INK,
    KNOWN,
    LIGHT,
    PALE,
    WIDE,
    Size,
    count,
    figure,
    legend,
    note,
    plain,
    sentence,
    short,
)
from wifi_assets.report.period import Period
from wifi_assets.schemas import TABLES

#: Values told one by one.
_TOP = 5
#: Rows that are counted; of more, a sample of about so many: each row has 26 fields, and shares hardly change.
_COUNTED = 100_000
#: Columns that say where a row came from, or are the axis.
_BESIDE = ("day", "topic_generation", "kafka_partition", "kafka_offset", "kafka_timestamp", "event_time")
#: Lightness of the first values, so that neighbours differ; the letters on it stay readable.
SHADES = ("#0072B2", "#4C9CCB", "#2E86BF", "#7FB8DA", "#A5CDE5")
#: A letter's width in a row, as a part of the width of the figure.
_LETTER = 0.011


@dataclass(frozen=True)
class Field:
    """What one field holds.

    Attributes:
        name: Column of ``frames``.
        present: Rows with a value.
        different: How many different values.
        top: The most frequent values as text, each with its number of rows.
        by_day: Rows with a value, by day of the period.
    """

    name: str
    present: int
    different: int
    top: list[tuple[str, int]]
    by_day: list[int]


def fields(period: Period) -> tuple[int, list[Field]]:
    """The rows that were counted, and what each field holds in them; bytes and positions are left out."""
    names = [f.name for f in TABLES["frames"].schema if f.name not in _BESIDE and not pa.types.is_binary(f.type)]
    # One reading of the lake for all of them.
    present = ", ".join(f"count({name}) AS {name}" for name in names)
    counts = ", ".join(
        f"""
        (SELECT {{different: any_value(different), top: list({{value: value, rows: rows}} ORDER BY rows DESC, value)}}
         FROM (
          SELECT CAST({name} AS VARCHAR) AS value, count(*) AS rows, count(*) OVER () AS different
          FROM counted WHERE {name} IS NOT NULL GROUP BY {name} ORDER BY rows DESC, value LIMIT {_TOP})) AS {name}"""
        for name in names
    )
    told = period.query(f"""
        WITH counted AS MATERIALIZED (
          SELECT day, {", ".join(names)} FROM frames WHERE hash(kafka_partition, kafka_offset) % {_every(period)} = 0),
        by_day AS (SELECT day, count(*) AS frames, {present} FROM counted GROUP BY day)
        SELECT (SELECT list(by_day) FROM by_day) AS by_day, {counts}
    """).to_pylist()[0]
    by_day = {row["day"]: row for row in told["by_day"] or []}
    found = []
    for name in names:
        days = [by_day[day][name] if day in by_day else 0 for day in period.days]
        top = [(one["value"], one["rows"]) for one in told[name]["top"] or []]
        found.append(Field(name, sum(days), told[name]["different"] or 0, top, days))
    frames = sum(row["frames"] for row in by_day.values())
    return frames, found if frames else []


def sampled(period: Period) -> str:
    """How many of the rows were counted, in words; "" if all were."""
    if _every(period) == 1:
        return ""
    return f"Counted in a sample of {fields(period)[0]:,} of {_frames(period):,} frames."


def _frames(period: Period) -> int:
    return int(period.query("SELECT count(*) AS frames FROM frames")["frames"][0].as_py())


def _every(period: Period) -> int:
    """Of so many rows one is counted."""
    return max(1, -(-_frames(period) // _COUNTED))


def field_distribution(period: Period, size: Size = WIDE) -> Figure:
    """A bar of 100 % for each field of ``frames``, most frequent values first, what is missing at the end."""
    frames, found = fields(period)
    if not found:
        return sentence(size, "There are no frames in this period.")
    held = [field for field in found if field.present]
    drawn = figure(size, 0.7 + 0.34 * len(held))
    wide = size.width > 6
    bars, days = drawn.subplots(1, 2, sharey=True, width_ratios=(5, 1)) if wide else (drawn.subplots(), None)
    plain(bars, "x")
    for row, field in enumerate(held):
        at = 0.0
        for number, (value, rows) in enumerate(field.top):
            share = 100 * rows / frames
            bars.barh(row, share, 0.5, left=at, color=SHADES[number], edgecolor="white", linewidth=0.5)
            letters = int(share / 100 / _LETTER * size.width / WIDE.width)
            if letters >= 4:
                ink = "white" if number in (0, 2) else INK
                bars.text(at + 0.6, row, short(value, letters), va="center", fontsize=7, color=ink, parse_math=False)
            at += share
        present = 100 * field.present / frames
        bars.barh(row, present - at, 0.5, left=at, color=PALE)
        bars.barh(row, 100 - present, 0.5, left=present, color="none", edgecolor=LIGHT, hatch="////", linewidth=0)
    bars.set_yticks(np.arange(len(held)), [field.name for field in held])
    if not wide:
        # Beside bars as narrow as a telephone the names would take half of the width.
        bars.set_yticks(np.arange(len(held)) - 0.38, [""] * len(held))
        for row, field in enumerate(held):
            bars.text(0, row - 0.28, field.name, va="bottom", fontsize=8)
    bars.tick_params(axis="y", length=0, labelsize=8)
    bars.set_ylim(len(held) - 0.4, -0.9)
    bars.set_xlim(0, 100)
    bars.set_xlabel("share of frames, %", fontsize=9)
    entries = [
        Patch(color=KNOWN, label=f"most frequent {_TOP}"),
        Patch(color=PALE, label="other values"),
        Patch(facecolor="none", edgecolor=LIGHT, hatch="////", label="missing"),
    ]
    legend(bars, entries, 3)
    if days is not None:
        _count_by_day(days, held)
    notes = [sampled(period)]
    if len(held) < len(found):
        empty = [field.name for field in found if not field.present]
        words = ", ".join(empty) if len(empty) <= 4 else count(len(empty), "field")
        notes.append(f"Without any value: {words}.")
    if any(notes):
        note(drawn, " ".join(filter(None, notes)))
    return drawn


def _count_by_day(axes: Axes, held: list[Field]) -> None:
    """Rows with a value by day, as small bars, each field against its own highest."""
    plain(axes, "x")
    for row, field in enumerate(held):
        counts = np.asarray(field.by_day)
        at = np.arange(len(counts))
        top = row + 0.35
        axes.bar(at, -0.7 * counts / max(counts.max(), 1), 0.9, bottom=top, color=KNOWN)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-0.6, max(len(held[0].by_day), 3) - 0.4)
    axes.set_xlabel("count of each day", fontsize=9)
