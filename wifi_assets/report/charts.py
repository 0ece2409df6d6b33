"""The report's charts: each a function of a period that returns a figure.

Here belongs what each chart asks and how it is drawn. Not here: graph (``graph.py``) and fields (``fields.py``),
the page (``page.py``). All counting is DuckDB's, and what comes back is bounded by the figure's size. A question over
many rows is asked for the widest figure; smaller ones take a part of the answer, so that it is asked once. Without
anything to show the figure is one sentence.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from wifi_assets.frames.subtypes import SUBTYPE_NAMES
from wifi_assets.report.figures import (
    DARK,
    FAINT,
    KNOWN,
    OTHER,
    RANDOM,
    SCALE,
    WIDE,
    Size,
    count,
    figure,
    legend,
    name,
    note,
    plain,
    sentence,
)
from wifi_assets.report.period import Period
from wifi_assets.report.timeaxis import time_axis

_THREE_HOURS = 3 * 3600
_NO_PROBES = "There are no probe requests in this period."
#: dBm that the axis of ``signal_by_address`` shows at least.
_WEAKEST, _STRONGEST = -95, -20
#: dB that an axis of signals shows at least: of one value alone the bar would fill the picture.
_LEAST_DB = 20


def signal_by_device(period: Period, size: Size = WIDE) -> Figure:
    """Heat map: mean signal (dBm) of each known device and three hours; longer slices where three are too many."""
    axis = time_axis(period, "probes_enriched", 2 * size.slices, _THREE_HOURS)
    if axis is None:
        return sentence(size, _NO_PROBES)
    known = "is_known_device AND signal_dbm IS NOT NULL"
    device = "coalesce(source_device_name, source_address)"
    devices = period.query(f"""
        SELECT {device} AS device, count(*) AS probes, count(*) OVER () AS devices
        FROM probes_enriched WHERE {known} GROUP BY device ORDER BY probes DESC, device LIMIT {WIDE.most}
    """).slice(0, size.most)
    if not len(devices):
        return sentence(size, "No known device sent a probe request with a signal in dBm in this period.")
    means = period.query(f"""
        WITH busiest AS (
          SELECT {device} AS device FROM probes_enriched WHERE {known}
          GROUP BY device ORDER BY count(*) DESC, device LIMIT {WIDE.most})
        SELECT {device} AS device, {axis.slice_sql} AS slice, avg(signal_dbm) AS dbm
        FROM probes_enriched WHERE {known} AND {device} IN (SELECT device FROM busiest) GROUP BY device, slice
    """)
    means = means.filter(pc.is_in(means["device"], devices["device"]))
    names, slices = devices["device"].to_pylist(), axis.slices()
    cells = np.full((len(names), len(slices)), np.nan)
    row = {device: number for number, device in enumerate(names)}
    rows = [row[device] for device in means["device"].to_pylist()]
    cells[rows, np.searchsorted(slices, means["slice"].to_numpy())] = means["dbm"].to_numpy()

    drawn = figure(size, 1.2 + 0.26 * len(names))
    axes = drawn.subplots()
    step = axis.slice_seconds * 1_000_000
    for start, end, left, right in zip(axis.starts, axis.ends, axis.edges[::2], axis.edges[1::2], strict=True):
        part = cells[:, np.searchsorted(slices, start) : np.searchsorted(slices, end - step) + 1]
        image = axes.imshow(
            np.ma.masked_invalid(part), extent=(left, right, len(names), 0), aspect="auto", cmap=SCALE,
            interpolation="nearest", vmin=np.nanmin(cells), vmax=max(np.nanmax(cells), np.nanmin(cells) + 1),
        )  # fmt: skip
    axes.set_ylim(len(names), 0)
    axes.set_facecolor(FAINT)
    axes.set_yticks(np.arange(len(names)) + 0.5, [name(one, size) for one in names], parse_math=False)
    axes.tick_params(labelsize=9, length=3)
    axis.mark_silence(axes)
    axis.label(axes, size.slices // 30)
    bar = drawn.colorbar(image, ax=axes, shrink=min(1, 2 / (0.26 * len(names) + 0.4)), pad=0.01)
    bar.set_label(f"mean dBm per {axis.slice_words}", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    _left_out(drawn, len(names), devices["devices"][0].as_py(), "known device")
    return drawn


def addresses_by_day(period: Period, size: Size = WIDE) -> Figure:
    """Bars: unique source addresses a day, random ones apart, beside probe requests a day."""
    counted = period.query("""
        SELECT day, CAST(sum(probes) AS BIGINT) AS probes, count(source_address) AS addresses,
          count(source_address) FILTER (WHERE randomised) AS randomised
        FROM (
          SELECT day, source_address, count(*) AS probes, bool_or(is_randomised) AS randomised
          FROM probes_enriched GROUP BY day, source_address)
        GROUP BY day ORDER BY day
    """)
    if not len(counted):
        return sentence(size, _NO_PROBES)
    most = 4 * size.slices
    shown = counted.slice(max(0, len(counted) - most))
    days, at = shown["day"].to_pylist(), np.arange(len(shown))
    randomised, addresses = shown["randomised"].to_numpy(), shown["addresses"].to_numpy()
    side_by_side = size.width > 6
    drawn = figure(size, 2.9 if side_by_side else 4.6)
    left, right = drawn.subplots(*((1, 2) if side_by_side else (2, 1)))
    left.bar(at, addresses - randomised, 0.8, color=KNOWN)
    if randomised.any():
        left.bar(at, randomised, 0.8, bottom=addresses - randomised, color=RANDOM)
        legend(left, [Patch(color=KNOWN, label="of a vendor"), Patch(color=RANDOM, label="randomised")], 2)
    left.set_ylabel("unique MACs a day", fontsize=9)
    right.bar(at, shown["probes"].to_numpy(), 0.8, color=DARK)
    right.set_ylabel("probe requests a day", fontsize=9)
    every = -(-len(days) // 6)
    years = len({day.year for day in days}) > 1
    for axes in (left, right):
        _thousands(plain(axes))
        axes.set_xlim(-0.6, max(len(days), 3) - 0.4)
        axes.set_xticks(
            at[::every], [f"{day.day} {day:%b}" + (f"\n{day.year}" if years else "") for day in days[::every]]
        )
        axes.set_xlabel("day, UTC" + ("" if years else f", {days[0].year}"), fontsize=9)
    if len(shown) < len(counted):
        note(drawn, f"The newest {len(shown):,} of {len(counted):,} days.")
    return drawn


def probes_over_time(period: Period, size: Size = WIDE) -> Figure:
    """Bars: probe requests of known devices, other vendor addresses and random addresses, over time."""
    axis = time_axis(period, "probes_enriched", size.slices)
    if axis is None:
        return sentence(size, _NO_PROBES)
    counted = period.query(f"""
        SELECT {axis.slice_sql} AS slice,
          CASE WHEN is_known_device THEN 0 WHEN is_randomised THEN 2 ELSE 1 END AS kind, count(*) AS probes
        FROM probes_enriched WHERE event_time IS NOT NULL GROUP BY slice, kind
    """)
    slices = axis.slices()
    probes = np.zeros((3, len(slices)), dtype=np.int64)
    probes[counted["kind"].to_numpy(), np.searchsorted(slices, counted["slice"].to_numpy())] = counted[
        "probes"
    ].to_numpy()
    kinds = ("known devices", KNOWN), ("others", OTHER), ("randomised", RANDOM)
    drawn = figure(size, 2.9)
    axes = _thousands(plain(drawn.subplots()))
    left, right = axis.x(slices), axis.x(slices + axis.slice_seconds * 1_000_000)
    under = np.zeros(len(slices), dtype=np.int64)
    for row, (_, colour) in zip(probes, kinds, strict=True):
        held = row > 0
        axes.bar(left[held], row[held], (right - left)[held], bottom=under[held], align="edge", color=colour)
        under += row
    axis.mark_silence(axes)
    axis.label(axes, size.slices // 30)
    axes.set_ylabel(f"probe requests per {axis.slice_words}", fontsize=9)
    legend(axes, [Patch(color=c, label=w) for (w, c), row in zip(kinds, probes, strict=True) if row.any()], 3)
    return drawn


def signal_by_address(period: Period, size: Size = WIDE) -> Figure:
    """Strips: mean signal (dBm) in 30 seconds of each of the busiest source addresses; longer slices over weeks."""
    heard = "source_address IS NOT NULL AND signal_dbm IS NOT NULL"
    busiest = period.query(f"""
        WITH counted AS (
          SELECT source_address AS address, count(*) AS frames, count(*) OVER () AS addresses
          FROM frames WHERE {heard} GROUP BY address ORDER BY frames DESC, address LIMIT {WIDE.most // 2})
        SELECT c.address AS address, d.name AS name, c.addresses AS addresses
        FROM counted AS c LEFT JOIN devices AS d ON d.mac = c.address ORDER BY c.frames DESC, c.address
    """)
    axis = time_axis(period, "frames", 100 * size.slices, 30)
    if axis is None or not len(busiest):
        return sentence(size, "No frame of this period has both a source address and a signal in dBm.")
    listed = ", ".join(f"'{address}'" for address in busiest["address"].to_pylist())
    means = period.query(f"""
        SELECT source_address AS address, {axis.slice_sql} AS slice, avg(signal_dbm) AS dbm
        FROM frames WHERE {heard} AND source_address IN ({listed}) GROUP BY address, slice
    """)
    busiest = busiest.slice(0, size.most // 2)
    addresses = busiest["address"].to_pylist()
    means = means.filter(pc.is_in(means["address"], busiest["address"]))
    drawn = figure(size, 0.8 + 0.62 * len(addresses))
    strips = drawn.subplots(len(addresses), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    who, at, dbm = (np.asarray(means[one].to_pylist()) for one in ("address", "slice", "dbm"))
    x = axis.x(at)
    for axes, address, device in zip(strips, addresses, busiest["name"].to_pylist(), strict=True):
        own = who == address
        plain(axes).scatter(x[own], dbm[own], s=3, color=KNOWN, linewidths=0, rasterized=True)
        axes.set_title(name(device or address, size), fontsize=9, loc="left", pad=2, parse_math=False)
        axes.tick_params(labelsize=8)
        axis.mark_silence(axes)
        axes.set_yticks([-90, -60, -30])
        axes.set_ylim(min(_WEAKEST, dbm.min()), max(_STRONGEST, dbm.max()))
    axis.label(strips[-1], size.slices // 30)
    drawn.supylabel(f"mean signal per {axis.slice_words}, dBm", fontsize=9)
    _left_out(drawn, len(addresses), busiest["addresses"][0].as_py(), "source address", "source addresses")
    return drawn


def devices_over_time(period: Period, size: Size = WIDE) -> Figure:
    """Line and band: devices behind random addresses, estimated of each hour, with the estimate's bounds."""
    rows = period.query("""
        SELECT epoch_us(hour) AS slice, devices_estimated AS estimated, devices_low AS low, devices_high AS high
        FROM devices_estimated ORDER BY hour
    """)
    axis = time_axis(period, "probes_enriched", 24 * 366, 3600)
    if axis is None or not len(rows):
        return sentence(size, "No random address was heard in this period.")
    slices = axis.slices()
    devices = np.zeros((3, len(slices)))
    at = np.searchsorted(slices, rows["slice"].to_numpy())
    inside = at < len(slices)
    for line, column in zip(devices, ("low", "estimated", "high"), strict=True):
        line[at[inside]] = rows[column].to_numpy()[inside]
    drawn = figure(size, 2.6)
    axes = _thousands(plain(drawn.subplots()))
    x = axis.x(slices)
    axes.fill_between(x, devices[0], devices[2], step="post", color=RANDOM, alpha=0.3, linewidth=0)
    axes.step(x, devices[1], where="post", color=RANDOM, linewidth=1.5)
    axes.set_ylim(0, None)
    axis.mark_silence(axes)
    axis.label(axes, size.slices // 30)
    axes.set_ylabel("devices per hour", fontsize=9)
    legend(axes, [Patch(color=RANDOM, label="estimate"), Patch(color=RANDOM, alpha=0.3, label="its bounds")], 2)
    return drawn


def signal_distribution(period: Period, size: Size = WIDE) -> Figure:
    """Bars: how many probe requests were heard at each dBm, known devices apart."""
    counted = period.query("""
        SELECT signal_dbm AS dbm, count(*) AS probes, count(*) FILTER (WHERE is_known_device) AS known
        FROM probes_enriched WHERE signal_dbm IS NOT NULL GROUP BY dbm ORDER BY dbm
    """)
    if not len(counted):
        return sentence(size, "No probe request of this period has a signal in dBm.")
    dbm, probes, known = (counted[one].to_numpy() for one in ("dbm", "probes", "known"))
    drawn = figure(size, 2.4)
    axes = _thousands(plain(drawn.subplots()))
    axes.bar(dbm, known, 0.9, color=KNOWN)
    others = probes - known
    if others.any():
        axes.bar(dbm, others, 0.9, bottom=known, color=OTHER)
    beside = max(1, (_LEAST_DB - (dbm[-1] - dbm[0])) / 2)
    axes.set_xlim(dbm[0] - beside, dbm[-1] + beside)
    axes.set_xlabel("signal, dBm", fontsize=9)
    axes.set_ylabel("probe requests", fontsize=9)
    kinds = (KNOWN, "known devices", known), (OTHER, "others", others)
    legend(axes, [Patch(color=colour, label=words) for colour, words, bars in kinds if bars.any()], 2)
    return drawn


def subtype_shares(period: Period, size: Size = WIDE) -> Figure:
    """Bars: the share of each subtype in all frames."""
    counted = subtype_counts(period)
    if not len(counted):
        return sentence(size, "There are no frames in this period.")
    frames = counted["frames"].to_numpy()
    shown = counted.slice(0, size.most)
    words = [subtype_name(one) for one in shown["frame_subtype"].to_pylist()]
    shares = 100 * shown["frames"].to_numpy() / frames.sum()
    drawn = figure(size, 0.5 + 0.22 * max(len(shown), 2))
    axes = plain(drawn.subplots(), "x")
    bars = axes.barh(np.arange(len(shown)), shares, 0.7, color=KNOWN)
    axes.bar_label(bars, [_percent(share) for share in shares], padding=3, fontsize=8)
    axes.set_yticks(np.arange(len(shown)), words)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set_xlabel("share of frames, %", fontsize=9)
    _left_out(drawn, len(shown), len(counted), "subtype")
    return drawn


def subtype_counts(period: Period) -> pa.Table:
    """Frames of each subtype, most first."""
    return period.query("""
        SELECT frame_subtype, CAST(sum(packet_count) AS BIGINT) AS frames, count(DISTINCT day) AS days,
          min(earliest_time) AS earliest_time, max(latest_time) AS latest_time
        FROM packet_stats GROUP BY frame_subtype ORDER BY frames DESC, frame_subtype
    """)


def subtype_name(subtype: int) -> str:
    """The standard's name of a subtype, with its number."""
    return f"{SUBTYPE_NAMES.get(subtype, 'subtype')} ({subtype})"


def _percent(share: float) -> str:
    return f"{share:.0f}" if share >= 10 else f"{share:.1f}" if share >= 0.05 else "<0.1"


def _left_out(drawn: Figure, shown: int, there_are: int, thing: str, things: str | None = None) -> None:
    if shown < there_are:
        note(drawn, f"The busiest {shown} of {count(there_are, thing, things)}.")


def _thousands(axes: Axes) -> Axes:
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    return axes
