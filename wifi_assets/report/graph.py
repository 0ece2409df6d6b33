"""Devices and the networks that they look for, as a graph.

Here belongs that one figure. Not here: the graph in Neo4j (``resources/neo4j.py``).
"""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from wifi_assets.frames.address import RANDOM_DIGITS
from wifi_assets.report.figures import DARK, KNOWN, OTHER, RANDOM, WIDE, Size, count, figure, name, note, sentence
from wifi_assets.report.period import Period

#: The two sides from left to right, as parts of the width; the names stand outside.
_LEFT, _RIGHT = 0.0, 1.0
#: Rounds after which the order of both sides hardly changes any more (*measured* with 60 names a side).
_ROUNDS = 12


def networks_looked_for(period: Period, size: Size = WIDE) -> Figure:
    """Graph: who (left) looked for which networks (right), the busiest of each; a thicker line is more probes.

    The sources are those that look for most networks: what a single network was looked for says less of a device.
    """
    most = size.most + size.most // 2
    source = "coalesce(source_device_name, source_address)"
    pairs = f"""
        SELECT {source} AS source, ssid, CAST(sum(probes) AS BIGINT) AS probes,
          max(CASE WHEN is_known_device THEN 0 WHEN substr(source_address, 2, 1) IN {RANDOM_DIGITS} THEN 2
            ELSE 1 END) AS kind
        FROM networks_looked_for_day GROUP BY source, ssid"""
    totals = period.query(f"""
        WITH pairs AS ({pairs}) SELECT count(DISTINCT source) AS sources, count(DISTINCT ssid) AS ssids FROM pairs
    """).to_pylist()[0]
    if not totals["sources"]:
        return sentence(size, "No probe request of this period names a network.")
    edges = period.query(f"""
        WITH pairs AS ({pairs}),
        sources AS (
          SELECT source FROM pairs GROUP BY source ORDER BY count(*) DESC, sum(probes) DESC, source LIMIT {most}),
        among AS (SELECT source, ssid, probes, kind FROM pairs WHERE source IN (SELECT source FROM sources)),
        ssids AS (
          SELECT ssid FROM among GROUP BY ssid ORDER BY count(*) DESC, sum(probes) DESC, ssid LIMIT {most})
        SELECT source, ssid, probes, kind FROM among WHERE ssid IN (SELECT ssid FROM ssids) ORDER BY source, ssid
    """)
    sources, left = np.unique(np.asarray(edges["source"].to_pylist(), dtype=object), return_inverse=True)
    ssids, right = np.unique(np.asarray(edges["ssid"].to_pylist(), dtype=object), return_inverse=True)
    kinds = np.zeros(len(sources), dtype=np.int64)
    kinds[left] = edges["kind"].to_numpy()
    probes = edges["probes"].to_numpy()
    left_at, right_at = _ordered(left, right, len(sources), len(ssids))

    drawn = figure(size, 0.8 + 0.22 * max(len(sources), len(ssids), 3))
    axes = drawn.subplots()
    axes.set_axis_off()
    colours = np.array([KNOWN, OTHER, RANDOM])
    axes.add_collection(
        LineCollection(
            [[(_LEFT, left_at[a]), (_RIGHT, right_at[b])] for a, b in zip(left, right, strict=True)],
            colors=list(colours[kinds[left]]),
            linewidths=0.5 + 2.5 * np.log1p(probes) / np.log1p(probes.max()),
            alpha=0.55,
        )
    )
    axes.scatter(np.full(len(sources), _LEFT), left_at, s=22, color=colours[kinds], zorder=3)
    axes.scatter(np.full(len(ssids), _RIGHT), right_at, s=22, color=DARK, marker="s", zorder=3)
    for words, at, x, side, away in ((sources, left_at, _LEFT, "right", -6), (ssids, right_at, _RIGHT, "left", 6)):
        for word, y in zip(words, at, strict=True):
            axes.annotate(
                name(word, size), (x, y), (away, 0), textcoords="offset points", ha=side, va="center", fontsize=9,
                parse_math=False,
            )  # fmt: skip
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(1.02, -0.02)
    labels = ("known device", "other", "random address")
    shown = [Patch(color=colours[kind], label=labels[kind]) for kind in sorted(set(kinds))]
    drawn.legend(handles=shown, loc="outside upper left", ncols=3, fontsize=8, frameon=False, handlelength=1.2)
    if len(sources) < totals["sources"] or len(ssids) < totals["ssids"]:
        note(
            drawn,
            f"{len(sources)} of {count(totals['sources'], 'device or address', 'devices and addresses')}, "
            f"{len(ssids)} of {count(totals['ssids'], 'network')}: those with most lines.",
        )
    return drawn


def _ordered(left: np.ndarray, right: np.ndarray, lefts: int, rights: int) -> tuple[np.ndarray, np.ndarray]:
    """Heights in [0, 1] of both sides such that neighbours stand near each other (barycentre heuristic)."""
    at_left, at_right = _spread(np.arange(lefts)), _spread(np.arange(rights))
    for _ in range(_ROUNDS):
        at_right = _spread(np.bincount(right, at_left[left], rights) / np.bincount(right, minlength=rights))
        at_left = _spread(np.bincount(left, at_right[right], lefts) / np.bincount(left, minlength=lefts))
    return at_left, at_right


def _spread(wanted: np.ndarray) -> np.ndarray:
    """Even distances in the order of the wanted heights."""
    ranks = np.empty(len(wanted))
    ranks[np.argsort(wanted, kind="stable")] = np.arange(len(wanted))
    return (ranks + 0.5) / len(wanted)
