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
        metadata = {
            target: held,
            "lake version": now.version,
            f"{target} version": progress.version,
            "versions behind": now.version - progress.version,
        }
        if seen is None:
            return dg.AssetCheckResult(
                passed=False,
                metadata=metadata,
                description=f"{target} holds version {progress.version} of {table}, of which the lake's log knows "
                f"nothing any more; materialise {asset}, which writes all of it again",
            )
        wanted = seen.row_count()
        return dg.AssetCheckResult(
            passed=wanted == held,
            metadata={"lake": wanted, **metadata},
            description=""
            if wanted == held
            else f"{table} had {wanted} in version {progress.version}, {target} holds {held}; "
            f"{asset} is running, or somebody else wrote or deleted there: then delete wifi_assets_progress there and "
            f"materialise {asset}, which writes all of it again",
        )

    return count_equals_lake


def _fresh(lake: Lake, asset: str, table: str, connect: Callable[[], Sink], minutes: int) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset, name="fresh", description=f"The target has come as far as {table} was {minutes} minutes ago."
    )
    def fresh() -> dg.AssetCheckResult:
        with said_plainly():
            now, progress = lake.open(table), connect().progress(table)
        held = progress.version if progress is not None and progress.table_id == now.table_id else -1
        behind = now.version - held
        waits = 0.0
        if behind > 0:
            # The first version that is not there yet, or of those that the log still knows the first.
            oldest = lake.at(table, held + 1) or now
            committed = oldest.committed_at()
            waits = (datetime.now(UTC) - committed).total_seconds() if committed is not None else 0.0
        stale = waits > minutes * 60
        return dg.AssetCheckResult(
            passed=not stale,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"versions behind": behind, "waits for, s": waits, "lake version": now.version},
            description=f"the oldest change of {table} that is not there yet is {waits / 60:.0f} minutes old: look at "
            f"the runs of {asset} and at the sensor of its target"
            if stale
            else "",
        )

    return fresh
