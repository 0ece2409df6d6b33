"""One asset for each lake table that follows another: it catches up, then rebuilds the days asked for.

Here belongs the wiring that these assets share; ``split.py``, ``enriched.py`` and ``aggregates.py`` say
which they are. Not here: the steps (``steps.py``), what the tables are (``sql/``).
"""

import time

import dagster as dg

from wifi_assets.assets.metadata import (
    definition_metadata,
    done_metadata,
    draws,
    pictures,
    reached,
    report_late_days,
    said_plainly,
)
from wifi_assets.compute import lag, upstream_of
from wifi_assets.lake import Lake
from wifi_assets.partitions import days_of
from wifi_assets.schemas import TABLES
from wifi_assets.steps import catch_up, rebuild


class FollowConfig(dg.Config):
    """What a user may ask of a run of a following table."""

    #: Compute the run's days anew from the upstream, with today's devices, also where nothing is new.
    rebuild: bool = True


def following(
    name: str, lake: Lake, group: str, days: dg.PartitionsDefinition, *more_upstreams: str
) -> dg.AssetsDefinition:
    """The asset of a table of kind append, recompute or snapshot."""
    table = TABLES[name]

    @dg.asset(
        name=name,
        deps=[str(table.upstream), *more_upstreams],
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
        group_name=group,
        kinds={"duckdb", "deltalake"},
        owners=["team:wifi_assets"],
        description=table.description,
        metadata=definition_metadata(name, lake.uri(name)),
    )
    def follow(context: dg.AssetExecutionContext, config: FollowConfig) -> dg.MaterializeResult:
        asked = days_of(context)
        rebuilt = config.rebuild and bool(asked)
        drawing = draws(context, name, asked, rebuilt=rebuilt)
        began = time.monotonic()
        with said_plainly():
            before = reached(lake.look(name))
            done = rebuild(lake, name, asked) if rebuilt else catch_up(lake, name)
            seconds = time.monotonic() - began
            drawn = pictures(lake, name, done.days | asked if rebuilt else done.days) if drawing else {}
        report_late_days(context, lake, name, done.days - asked)
        own = lake.open(name)
        progress = {
            f"{table.upstream} from": before,
            f"{table.upstream} to": reached(own),
            "lag left": lag(own, upstream_of(lake, own)),
        }
        return dg.MaterializeResult(metadata=done_metadata(done, seconds, own) | progress | drawn)

    return follow
