"""The targets against the lake: as many rows, documents, relationships as the table had, and not long behind it.

Here belongs that comparison. Not here: how a target counts (``resources/``).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import dagster as dg

from wifi_assets.assets.metadata import said_plainly
from wifi_assets.assets.sinks import SINKS, Sink
from wifi_assets.lake import Lake


def build(lake: Lake, sinks: Mapping[str, Callable[[], Sink]], stalled_minutes: int) -> list[dg.AssetChecksDefinition]:
    """Two checks an asset of a target."""
    return [
        check
        for target, connect in sinks.items()
        for asset, table in SINKS[target].items()
        for check in (_count(lake, asset, table, target, connect), _fresh(lake, asset, table, connect, stalled_minutes))
    ]


def _count(lake: Lake, asset: str, table: str, target: str, connect: Callable[[], Sink]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name="count_equals_lake",
        description=f"{target} holds as many as {table} did in the version that it has come to.",
    )
    def count_equals_lake() -> dg.AssetCheckResult:
        with said_plainly():
            sink = connect()
            now = lake.open(table)
            progress = sink.progress(table)
            if progress is None or progress.table_id != now.table_id:
                return dg.AssetCheckResult(
                    passed=False,
                    metadata={"lake": now.row_count(), "lake version": now.version},
                    description=f"{target} has no whole copy of {table}; materialise {asset}",
                )
            seen, held = lake.at(table, progress.version), sink.count(table)
        wanted = (seen or now).row_count()
        problem = ""
        if wanted != held and seen is None:
            problem = (
                f"{table} has {wanted}, {target} holds {held} of version {progress.version}, of which the lake's log "
                f"knows nothing any more; materialise {asset}, which writes all of it again"
            )
        elif wanted != held:
            problem = (
                f"{table} had {wanted} in version {progress.version}, {target} holds {held}; {asset} is running, or "
                "somebody else wrote or deleted there: then delete wifi_assets_progress there and materialise "
                f"{asset}, which writes all of it again"
            )
        return dg.AssetCheckResult(
            passed=wanted == held,
            metadata={
                "lake": wanted,
                target: held,
                "lake version": now.version,
                f"{target} version": progress.version,
                "versions behind": now.version - progress.version,
            },
            description=problem,
        )

    return count_equals_lake


def _fresh(lake: Lake, asset: str, table: str, connect: Callable[[], Sink], minutes: int) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset, name="fresh", description=f"The target has come as far as {table} was {minutes} minutes ago."
    )
    def fresh() -> dg.AssetCheckResult:
        with said_plainly():
            sink, now = connect(), lake.open(table)
            progress = sink.progress(table)
            held = progress.version if progress is not None and progress.table_id == now.table_id else -1
            first = now.first_change(held)
            oldest = lake.at(table, first) if first is not None else None
            # Where the log does not go back so far, what is there may be all the same.
            away = first is not None and (oldest is not None or sink.count(table) != now.row_count())
        committed = (oldest or now).committed_at()
        waits = (datetime.now(UTC) - committed).total_seconds() if away and committed is not None else 0.0
        stale = waits > minutes * 60
        return dg.AssetCheckResult(
            passed=not stale,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"versions behind": now.version - held, "waits for, s": waits, "lake version": now.version},
            description=f"the oldest change of {table} that is not there yet is {waits / 60:.0f} minutes old: look at "
            f"the runs of {asset} and at the sensor of its target"
            if stale
            else "",
        )

    return fresh
