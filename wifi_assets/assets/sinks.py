"""One asset for each table of each target: it writes what changed since the target's own progress.

Here belongs which lake table goes where. Not here: how a target takes it (``resources/``), what changed
(``changes.py``).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

import dagster as dg
import pyarrow as pa
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from wifi_assets.assets.links import links
from wifi_assets.assets.metadata import days_metadata, said_plainly
from wifi_assets.changes import change_since
from wifi_assets.lake import Lake
from wifi_assets.resources.change import Change, Progress, Written
from wifi_assets.settings import Settings

#: Rows between two words of progress in a run's log.
_TOLD_EVERY = 100_000
#: Tag of the runs that write a target. The first copy of months of frames takes longer than the six hours that
#: ``dagster.yaml`` gives a run, and ended then it would begin again from the first row.
PATIENT = {MAX_RUNTIME_SECONDS_TAG: str(7 * 24 * 3600)}
#: target -> asset name -> lake table.
SINKS = {
    "postgres": {
        f"postgres_{table}": table
        for table in ("packet_stats", "probe_stats_by_source_device", "oui_fingerprint_sessions")
    },
    "elasticsearch": {
        f"elasticsearch_{table}": table for table in ("frames", "probes_enriched", "probe_stats_by_source_device")
    },
    "neo4j": {"neo4j_device_graph": "networks_looked_for"},
}

#: Kind -> as its makers write it.
_SPELLED = {"postgres": "Postgres", "sqlite": "SQLite", "elasticsearch": "Elasticsearch", "neo4j": "Neo4j"}
#: When a target that failed is tried again: every five minutes, whether or not anything new came.
RETRY_CRON = "*/5 * * * *"


class Sink(Protocol):
    """A target that remembers how far it has come."""

    def progress(self, table: str) -> Progress | None:
        """What the target holds of a table; None: nothing that can be built on."""
        ...

    def apply(self, change: Change) -> Written:
        """Write a change and, when all of it is written, its progress."""
        ...

    def count(self, table: str) -> int:
        """How many rows of a table the target holds."""
        ...


def targets(settings: Settings) -> dict[str, Callable[[], Sink]]:
    """The targets that the settings name, by name; made when first needed, since a wrong URL raises.

    Their drivers are imported then as well: every run is a process of its own, and those of three targets take
    a third of the CPU time in which one starts (*measured*), a run of the lake needs none of them.
    """
    made: dict[str, Callable[[], Sink]] = {}
    if (sql := settings.sql_url) is not None:

        def sql_target() -> Sink:
            from wifi_assets.resources.sql_target import SqlTarget

            return SqlTarget(sql)

        made["postgres"] = sql_target
    if (elastic := settings.elasticsearch_url) is not None:

        def elasticsearch() -> Sink:
            from wifi_assets.resources.elasticsearch import ElasticsearchSink

            return ElasticsearchSink(elastic, settings.elasticsearch_api_key, settings.elasticsearch_ca)

        made["elasticsearch"] = elasticsearch
    if (neo4j := settings.neo4j_url) is not None:

        def graph() -> Sink:
            from wifi_assets.resources.neo4j import Neo4jGraph

            return Neo4jGraph(neo4j, settings.neo4j_user, settings.neo4j_password, settings.neo4j_ca)

        made["neo4j"] = graph
    return made


@dataclass
class Synced:
    """What brought a target's copy to the lake's present.

    Attributes:
        written: What the target did.
        since: Delta version that it held before; None if it held nothing that could be built on.
        version: Delta version that it holds now.
        whole: Whether all rows of the table were written, for want of an earlier version.
        days: Days of the rows written, of a table that has days.
    """

    written: Written
    since: int | None
    version: int
    whole: bool = False
    days: set[date] = field(default_factory=set)


def sync(lake: Lake, table: str, sink: Sink, progress: Callable[[int], None] = lambda rows: None) -> Synced:
    """Bring a target's copy of a table to the lake's present.

    Args:
        lake: Where from.
        table: Which table.
        sink: Where to.
        progress: Told now and then how many rows the sink has taken from the lake.
    """
    before = sink.progress(table)
    since = before.version if before is not None else None
    with change_since(lake, table, before) as change:
        if change is None:
            return Synced(Written(), since, since or 0)
        done = Synced(Written(), since, change.progress.version, change.full)
        done.written = sink.apply(replace(change, upserts=_watched(change.upserts, progress, done.days)))
        return done


def _watched(rows: pa.RecordBatchReader, progress: Callable[[int], None], days: set[date]) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        taken, told = 0, 0
        for batch in rows:
            yield batch
            taken += len(batch)
            if "day" in batch.schema.names:
                days.update(batch["day"].unique().to_pylist())
            if taken - told >= _TOLD_EVERY:
                told = taken
                progress(taken)

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def follows_the_lake() -> dg.AutomationCondition:
    """When an asset of a target is to run: its table was written since it was last asked for, on any day.

    It differs from ``AutomationCondition.eager()``. Not only the latest day counts: late and rebuilt days
    reach the targets as well. Missing days upstream do not matter: most days hold nothing. Runs upstream do
    not matter: some lake run is nearly always under way, and what it has committed may be written. And what
    was written upstream while the asset ran is asked for again, since the asset may have looked before.
    """
    failed = dg.AutomationCondition.execution_failed()
    # Not any_deps_updated(): its exceptions save at most a run that finds nothing to write, after a user ran a table
    # and its copy together, but are a third of what Dagster stores of each evaluation (*measured*: 21 KB, not 34).
    updated = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated())
    # The first evaluation, or one after a lost cursor, cannot know what was written before; a run finds out.
    news = dg.AutomationCondition.initial_evaluation() | updated
    # What is news in the tick after a request was written after that request, and is asked for again.
    waiting = news.since(dg.AutomationCondition.newly_requested() & ~news)
    again = failed & dg.AutomationCondition.cron_tick_passed(RETRY_CRON)
    return (((waiting & ~failed) | again) & ~dg.AutomationCondition.in_progress()).with_label("follows the lake")


def build(lake: Lake, settings: Settings) -> list[dg.AssetsDefinition]:
    """The assets of the targets that are set."""
    return [
        _asset(name, table, target, _kind(settings, target), lake, connect, links(settings, target, table))
        for target, connect in targets(settings).items()
        for name, table in SINKS[target].items()
    ]


def _kind(settings: Settings, target: str) -> str:
    """The icon: the target of WIFI_SQL_URL may be a file, whatever its assets are called."""
    sql = settings.sql_url.get_secret_value() if settings.sql_url is not None else ""
    return "sqlite" if target == "postgres" and sql.startswith("sqlite") else target


def _asset(
    name: str,
    table: str,
    target: str,
    kind: str,
    lake: Lake,
    connect: Callable[[], Sink],
    shown_at: Mapping[str, dg.UrlMetadataValue],
) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        deps=[table],
        group_name=f"sink_{target}",
        kinds={kind},
        owners=["team:wifi_assets"],
        description=f"The lake's {table}, kept in step in {_SPELLED[kind]}.",
        metadata=shown_at,
        pool=name,
        automation_condition=follows_the_lake(),
    )
    def write(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        began = time.monotonic()
        with said_plainly():
            done = sync(lake, table, connect(), lambda rows: context.log.info(f"{rows:,} rows of {table} taken"))
        seconds = time.monotonic() - began
        return dg.MaterializeResult(
            metadata={
                "rows written": done.written.upserted,
                "rows deleted": done.written.deleted,
                "whole copy": done.whole,
                "days touched": days_metadata(done.days),
                "lake version from": "" if done.since is None else done.since,
                "lake version": done.version,
                "lag left": lake.open(table).version - done.version,
                "seconds": round(seconds, 3),
                **shown_at,
            }
        )

    return write
