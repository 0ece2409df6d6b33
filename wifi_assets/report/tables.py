"""The report's numbers: the summary, and tables where a number is worth more than a picture.

Here belongs what is counted and how a cell reads. Not here: the pictures, the page's form (``page.html``).
Every table is bounded; what it leaves out is said below it.
"""

from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa

from wifi_assets.report.charts import subtype_counts, subtype_name
from wifi_assets.report.fields import fields, sampled
from wifi_assets.report.figures import count, short
from wifi_assets.report.period import Period

#: Rows of a table on the page.
_MOST = 40
#: Letters of a cell's text at most.
_LETTERS = 160


@dataclass(frozen=True)
class Grid:
    """One table as texts.

    Attributes:
        columns: Heading of each column.
        kinds: What each column holds: ``words``, which may break into lines, ``number`` or ``time``.
        rows: Cells as texts, safe to show but not yet escaped for HTML.
        note: What it leaves out, or "".
    """

    columns: list[str]
    kinds: list[str]
    rows: list[list[str]]
    note: str = ""


def summary(period: Period) -> list[tuple[str, str]]:
    """The numbers at the top: what, and how many."""
    frames = period.query("""
        SELECT coalesce(CAST(sum(packet_count) AS BIGINT), 0) AS frames, min(earliest_time) AS first,
          max(latest_time) AS last FROM packet_stats
    """).to_pylist()[0]
    probes = period.query("""
        SELECT coalesce(CAST(sum(probes) AS BIGINT), 0) AS probes, count(source_address) FILTER (WHERE randomised)
          AS randomised, count(source_address) FILTER (WHERE known) AS known,
          count(source_address) FILTER (WHERE unknown) AS unknown
        FROM (
          SELECT source_address, count(*) AS probes, bool_or(is_randomised) AS randomised,
            bool_or(is_known_device) AS known, bool_or(NOT is_known_device AND NOT is_randomised) AS unknown
          FROM probes_enriched GROUP BY source_address)
    """).to_pylist()[0]
    refused = period.query("SELECT count(*) AS messages FROM quarantine")["messages"][0].as_py()
    return [
        ("days", f"{len(period.days):,}"),
        ("frames", f"{frames['frames']:,}"),
        ("probe requests", f"{probes['probes']:,}"),
        ("known devices heard", f"{probes['known']:,}"),
        ("unknown vendor addresses", f"{probes['unknown']:,}"),
        ("random addresses", f"{probes['randomised']:,}"),
        ("quarantined messages", f"{refused:,}"),
        ("first frame, UTC", _cell(frames["first"])),
        ("last frame, UTC", _cell(frames["last"])),
    ]


def known_devices(period: Period) -> Grid:
    """Known devices and what was heard of each, the busiest first."""
    return _grid(
        period,
        "SELECT coalesce(source_device_name, source_address) AS device, count(*) AS probes, "
        "min(event_time) AS first_seen, max(event_time) AS last_seen, avg(signal_dbm) AS dbm, "
        "count(DISTINCT nullif(ssid, '')) AS networks "
        "FROM probes_enriched WHERE is_known_device GROUP BY device ORDER BY probes DESC, device",
        ["device", "probe requests", "first seen, UTC", "last seen, UTC", "mean dBm", "networks looked for"],
    )


def unknown_addresses(period: Period) -> Grid:
    """Addresses of a vendor that are no known device's, the busiest first."""
    return _grid(
        period,
        "SELECT source_address, coalesce(any_value(source_device_name), any_value(source_vendor)) AS who, "
        "count(*) AS probes, min(event_time) AS first_seen, max(event_time) AS last_seen, avg(signal_dbm) AS dbm, "
        "count(DISTINCT nullif(ssid, '')) AS networks FROM probes_enriched "
        "WHERE NOT is_known_device AND NOT is_randomised GROUP BY source_address ORDER BY probes DESC, source_address",
        ["address", "guest or vendor", "probe requests", "first seen, UTC", "last seen, UTC", "mean dBm",
         "networks looked for"],
    )  # fmt: skip


def networks(period: Period) -> Grid:
    """Networks that were looked for, by how many addresses looked for them."""
    return _grid(
        period,
        "SELECT ssid, count(DISTINCT source_address) AS addresses, CAST(sum(probes) AS BIGINT) AS probes, "
        "min(first_seen) AS first_seen, max(last_seen) AS last_seen "
        "FROM networks_looked_for_day GROUP BY ssid ORDER BY addresses DESC, probes DESC, ssid",
        ["network", "addresses", "probe requests", "first, UTC", "last, UTC"],
    )


def sessions(period: Period) -> Grid:
    """Sessions behind random addresses, those of most addresses first."""
    return _grid(
        period,
        "SELECT first_probe, session_seconds, source_address_count, probe_count, min_signal_dbm, max_signal_dbm, "
        "array_to_string(oui_names, ', ') AS vendors FROM oui_fingerprint_sessions "
        "ORDER BY source_address_count DESC, first_probe, fingerprint",
        ["began, UTC", "seconds", "addresses", "probe requests", "weakest dBm", "strongest dBm", "vendor tags of"],
    )


def subtypes(period: Period) -> Grid:
    """Frames of each subtype."""
    counted = subtype_counts(period).to_pylist()
    frames = sum(row["frames"] for row in counted)
    return Grid(
        ["subtype", "frames", "share, %", "first, UTC", "last, UTC"],
        ["words", "number", "number", "time", "time"],
        [
            [subtype_name(row["frame_subtype"]), f"{row['frames']:,}", f"{100 * row['frames'] / frames:.2f}",
             _cell(row["earliest_time"]), _cell(row["latest_time"])]
            for row in counted
        ],
    )  # fmt: skip


def each_field(period: Period) -> Grid:
    """Each field of frames: present, different values, the most frequent ones."""
    frames, found = fields(period)
    return Grid(
        ["field", "present, %", "different values", "most frequent (frames)"],
        ["words", "number", "number", "words"],
        [
            [field.name, f"{100 * field.present / frames:.1f}", f"{field.different:,}",
             " · ".join(f"{short(value, _LETTERS)} ({rows:,})" for value, rows in field.top)]
            for field in found
        ],
        sampled(period),
    )  # fmt: skip


def refused(period: Period) -> Grid:
    """Quarantined messages by reason."""
    return _grid(
        period,
        "SELECT reason, count(*) AS messages FROM quarantine GROUP BY reason ORDER BY messages DESC, reason",
        ["reason", "messages"],
    )


def _grid(period: Period, query: str, columns: list[str]) -> Grid:
    found = period.query(f"SELECT *, count(*) OVER () AS there_are FROM ({query}) LIMIT {_MOST}")
    kinds = [_kind(field.type) for field in found.schema][:-1]
    rows = found.to_pylist()
    there_are = rows[0]["there_are"] if rows else 0
    note = f"The first {len(rows)} of {count(there_are, 'row')}." if there_are > len(rows) else ""
    return Grid(columns, kinds, [[_cell(value) for value in list(row.values())[:-1]] for row in rows], note)


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_temporal(kind):
        return "time"
    return "words" if pa.types.is_string(kind) else "number"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return str(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else short(str(value), _LETTERS)
