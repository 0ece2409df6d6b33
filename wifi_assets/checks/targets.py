"""The targets against the lake: as many rows, documents, relationships as the table had.

Here belongs that comparison. Not here: how a target counts (``resources/``).
"""

from collections.abc import Callable, Mapping

import dagster as dg

from wifi_assets.assets.metadata import said_plainly
from wifi_assets.assets.sinks import SINKS, Sink
from wifi_assets.lake import Lake


def build(lake: Lake, sinks: Mapping[str, Callable[[], Sink]]) -> list[dg.AssetChecksDefinition]:
    """One check an asset of a target."""
    return [
        _check(lake, asset, table, target, connect)
        for target, connect in sinks.items()
        for asset, table in SINKS[target].items()
    ]


def _check(lake: Lake, asset: str, table: str, target: str, connect: Callable[[], Sink]) -> dg.AssetChecksDefinition:
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
                    metadata={"lake": now.rows().count_rows(), "lake version": now.version},
                    description=f"{target} has no whole copy of {table}; materialise {asset}",
                )
            seen = lake.at(table, progress.version) or now
            wanted, held = int(sum(seen.files()["num_records"].to_pylist())), sink.count(table)
        return dg.AssetCheckResult(
            passed=wanted == held,
            metadata={
                "lake": wanted,
                target: held,
                "lake version": now.version,
                f"{target} version": progress.version,
                "versions behind": now.version - progress.version,
            },
            description=""
            if wanted == held
            else f"{table} had {wanted} in version {progress.version}, {target} holds {held}; "
            f"{asset} is running, or somebody else wrote or deleted there: then delete wifi_assets_progress there and "
            f"materialise {asset}, which writes all of it again",
        )

    return count_equals_lake
