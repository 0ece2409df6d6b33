"""Signs that something is amiss outside: refused messages, the sniffer's clock, tables left behind. They warn.

Here belongs what needs a person's eye but is no fault of the tables. Not here: what must hold.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from wifi_assets.assets.metadata import days_metadata, said_plainly
from wifi_assets.compute import lag, upstream_of
from wifi_assets.engine import Engine, engine
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import Snapshot

#: The newest messages that are looked at: those of one day, by Kafka's clock.
WINDOW = timedelta(days=1)
#: Reasons named.
_REASONS = 5
#: A frame that is heard later than Kafka got it, or than now, shows a clock that is ahead; less than this is rounding.
AHEAD = timedelta(seconds=1)
#: Share of frames heard later than Kafka got them from which on the check warns.
AHEAD_SHARE = 0.01

_WARN = dg.AssetCheckSeverity.WARN


def build(lake: Lake, quarantine_share: float, stalled_minutes: int) -> list[dg.AssetChecksDefinition]:
    """The checks that warn."""

    @dg.asset_check(
        asset="quarantine",
        name="share",
        description=f"At most {quarantine_share:.2%} of the newest day's messages are refused.",
    )
    def share() -> dg.AssetCheckResult:
        with said_plainly(), engine() as run:
            _newest(lake, run)
            rows = run.query("SELECT count(*) AS n FROM frames")["n"][0].as_py()
            reasons = run.query(
                "SELECT reason, count(*) AS n, min(detail) AS example FROM quarantine "
                "GROUP BY reason ORDER BY n DESC, reason"
            ).to_pylist()
        refused = sum(row["n"] for row in reasons)
        found = refused / (rows + refused) if refused else 0.0
        top = [dg.TableRecord({k: row[k] for k in ("reason", "n", "example")}) for row in reasons[:_REASONS]]
        metadata: dict[str, Any] = {"rows": rows, "quarantined": refused, "share": found}
        if top:
            metadata["top reasons"] = dg.MetadataValue.table(top)
        named = ", ".join(f"{row['reason']} ({row['n']})" for row in reasons[:_REASONS])
        return dg.AssetCheckResult(
            passed=found <= quarantine_share,
            severity=_WARN,
            metadata=metadata,
            description=f"{found:.2%} refused: {named}" if refused else "",
        )

    @dg.asset_check(
        asset="frames",
        name="sniffer_clock",
        description=f"At most {AHEAD_SHARE:.0%} of the newest day's frames were heard over a second after Kafka "
        "got them, and none over a second from now.",
    )
    def sniffer_clock() -> dg.AssetCheckResult:
        with said_plainly(), engine() as run:
            _newest(lake, run)
            (row,) = run.query(
                "SELECT count(*) AS frames, "
                f"count(*) FILTER (WHERE event_time > kafka_timestamp + INTERVAL '{AHEAD.seconds}' SECOND) AS ahead, "
                "coalesce(max(unix_micros(event_time) - unix_micros(kafka_timestamp)) / 1e6, 0) AS most, "
                "coalesce(median(unix_micros(kafka_timestamp) - unix_micros(event_time)) / 1e6, 0) AS delay, "
                "max(unix_micros(event_time)) / 1e6 AS newest "
                "FROM frames"
            ).to_pylist()
        # Live captures send each frame with its own time, so that Kafka's tells nothing of their clock. Read after
        # the frames, since they go on coming.
        now = datetime.now(UTC).timestamp()
        newest = row["newest"] - now if row["frames"] else 0.0
        found = row["ahead"] / row["frames"] if row["frames"] else 0.0
        amiss = []
        if found > AHEAD_SHARE:
            amiss.append(f"{found:.1%} of the frames are up to {row['most']:.0f} s ahead of Kafka")
        if newest > AHEAD.total_seconds():
            amiss.append(f"the newest frame is {newest:.0f} s ahead of the clock here")
        return dg.AssetCheckResult(
            passed=not amiss,
            severity=_WARN,
            metadata={
                "frames": row["frames"],
                "ahead": row["ahead"],
                "share": found,
                "most ahead, s": float(row["most"]),
                "median delay, s": float(row["delay"]),
                "newest frame ahead of now, s": newest,
            },
            description=f"{' and '.join(amiss)}: set the sniffer's clock" if amiss else "",
        )

    @dg.multi_asset_check(
        name="freshness",
        specs=[
            dg.AssetCheckSpec("fresh", asset=name, description=_freshness(name, stalled_minutes))
            for name, table in TABLES.items()
            if table.upstream or name == "frames"
        ],
        can_subset=True,
    )
    def freshness(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        now, patience = datetime.now(UTC), timedelta(minutes=stalled_minutes)
        for key in sorted(context.selected_asset_check_keys):
            with said_plainly():
                yield _fresh(lake, key.asset_key.to_user_string(), now, patience)

    return [share, sniffer_clock, freshness]


def _freshness(name: str, minutes: int) -> str:
    if name == "frames":
        return f"The newest message is at most {minutes} minutes old."
    return f"The table has come as far as its upstream, or is at most {minutes} minutes behind."


def _fresh(lake: Lake, name: str, now: datetime, patience: timedelta) -> dg.AssetCheckResult:
    own = lake.open(name)
    if name == "frames":
        newest = _newest_message(own)
        age = (now - newest).total_seconds() if newest is not None else 0.0
        stale = age > patience.total_seconds()
        metadata: dict[str, Any] = {"age of the newest message, s": age, "rows": own.row_count()}
        told = f"the newest message is of {newest:%Y-%m-%d %H:%M:%S} UTC" if newest is not None else "no message yet"
    else:
        upstream = upstream_of(lake, own)
        changed = upstream.committed_at()
        behind = lag(own, upstream)
        age = (now - changed).total_seconds() if behind and changed is not None else 0.0
        stale = age > patience.total_seconds()
        days = _days_behind(own, upstream) if behind else set()
        metadata = {
            "behind": behind,
            "waits for, s": age,
            "days behind": len(days),
            "which": days_metadata(days),
            "rows": own.row_count(),
            "version": own.version,
        }
        on = f" on {len(days)} days, e.g. {min(days)}" if days else ""
        told = (
            f"{upstream.table.name} is {behind} further{on}; a run of job lake brings {name} up to it" if behind else ""
        )
    return dg.AssetCheckResult(
        passed=not stale, asset_key=name, check_name="fresh", severity=_WARN, metadata=metadata, description=told
    )


def _days_behind(own: Snapshot, upstream: Snapshot) -> set[date]:
    """Days on which the upstream has changed since the version that the table has seen."""
    return upstream.changed_days(own.upstream_version(upstream.table.name)) if upstream.table.partitioned else set()


def _newest_message(*tables: Snapshot) -> datetime | None:
    newest = [
        time
        for table in tables
        if (files := table.files()).num_rows and (time := pc.max(files["max.kafka_timestamp"]).as_py()) is not None
    ]
    return max(newest, default=None)


def _newest(lake: Lake, run: Engine) -> None:
    """Views ``frames`` and ``quarantine`` of the messages of the newest ``WINDOW``."""
    tables = [lake.open("frames"), lake.open("quarantine")]
    newest = _newest_message(*tables)
    for table in tables:
        files = table.files()
        if newest is None or not len(files):
            run.view(table.table.name, table.table.schema.empty_table())
            continue
        begin = pa.scalar(newest - WINDOW, files["max.kafka_timestamp"].type)
        recent = files.filter(pc.fill_null(pc.greater_equal(files["max.kafka_timestamp"], begin), True))
        run.view(
            table.table.name,
            table.rows(paths=set(recent["path"].to_pylist())),
            f"kafka_timestamp >= TIMESTAMPTZ '{(newest - WINDOW).isoformat()}'",
        )
