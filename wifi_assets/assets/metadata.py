"""What every lake asset tells about itself: schema, words, counts.

Here belongs how the platform's facts become Dagster metadata. Not here: the facts.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from wifi_assets.lake import Lake, LakeError, OvertakenError
from wifi_assets.resources.devices import DeviceSourceError
from wifi_assets.resources.errors import SinkError
from wifi_assets.resources.kafka import KafkaUnavailable
from wifi_assets.schemas import TABLES, Table
from wifi_assets.snapshot import GENERATION, Snapshot
from wifi_assets.steps import Done

#: Days listed by name in metadata; more than these are counted only.
_LISTED = 40
#: Days of one picture, and of one run that draws any: Dagster stores the metadata once more for each day of the run.
_PICTURED = 31
_HOUR = 3600
#: Table -> title of a picture -> module and function of ``report/`` that draws it: all figures of the report.
_PICTURES = {
    "frames": {"fields": "fields.field_distribution"},
    "probes_enriched": {
        "signal of known devices": "charts.signal_by_device",
        "addresses a day": "charts.addresses_by_day",
        "probes over time": "charts.probes_over_time",
        "signal of each address": "charts.signal_by_address",
        "signal distribution": "charts.signal_distribution",
    },
    "packet_stats": {"subtype shares": "charts.subtype_shares"},
    "devices_estimated": {"devices over time": "charts.devices_over_time"},
    "networks_looked_for": {"who looks for which network": "graph.networks_looked_for"},
}


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns as Dagster shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(
                name, str(kind), description=text, constraints=dg.TableColumnConstraints(nullable=name not in table.key)
            )
            for name, (kind, text) in table.columns.items()
        ]
    )


def definition_metadata(name: str, uri: str) -> dict[str, Any]:
    """Metadata of the asset itself."""
    return {
        "dagster/column_schema": column_schema(TABLES[name]),
        "dagster/uri": uri,
        "dagster/table_name": name,
        "kind of step": TABLES[name].kind,
    }


def days_metadata(days: set[date]) -> dg.MetadataValue[Any]:
    """Days, by name while they are few."""
    shown = ", ".join(str(day) for day in sorted(days)[:_LISTED])
    return dg.MetadataValue.text(shown if len(days) <= _LISTED else f"{shown}, … ({len(days)} days)")


def reached(own: Snapshot | None) -> str:
    """How far a table has come in its upstream: offsets by Kafka partition, or the upstream's Delta version."""
    if own is None:
        return ""
    upstream = str(own.table.upstream)
    if own.table.kind == "append":
        return str([position % GENERATION for position in own.positions(upstream)])
    version = own.upstream_version(upstream)
    return "" if version is None else str(version)


def done_metadata(done: Done, seconds: float, own: Snapshot) -> dict[str, Any]:
    """Metadata of one step that left its table as ``own``."""
    return {
        "dagster/row_count": own.row_count(),
        "rows written": done.rows,
        "days touched": days_metadata(done.days),
        **({"days left, taken by retention": days_metadata(done.closed)} if done.closed else {}),
        "commits": done.commits,
        "seconds": round(seconds, 3),
        "rows a second": round(done.rows / seconds) if seconds else 0,
    }


def draws(context: dg.AssetExecutionContext, name: str, asked: set[date], *, rebuilt: bool) -> bool:
    """Whether this run draws pictures: one that rebuilds days for somebody, and the first one of an hour.

    A live stream makes a run every few seconds, and Dagster keeps every event for ever; the import of what draws
    alone costs a run 0.7 s of CPU, each picture 0.15 s and 5 kB (*measured*). The rule needs no memory of its own:
    the asset's last materialisation tells its hour. Ask before this run reports anything.
    """
    if name not in _PICTURES or len(asked) > _PICTURED:
        return False
    last = context.instance.get_latest_materialization_event(dg.AssetKey(name))
    return rebuilt or last is None or last.timestamp // _HOUR != time.time() // _HOUR


def pictures(lake: Lake, name: str, days: set[date]) -> dict[str, dg.MetadataValue[Any]]:
    """What a picture says better about these days of a table, the newest if they are many; the UI shows Markdown."""
    if not days or name not in _PICTURES:
        return {}
    # matplotlib costs every process that imports it, and most runs draw nothing.
    from wifi_assets.report import charts, fields, graph
    from wifi_assets.report.figures import SMALL, data_uri, png
    from wifi_assets.report.period import Period

    modules = {"charts": charts, "fields": fields, "graph": graph}

    until = max(days) + timedelta(days=1)
    # Its own days alone: a neighbour that cannot be opened is no reason for this step to fail.
    period = Period(lake, max(min(days), until - timedelta(days=_PICTURED)), until, [name])
    drawn: dict[str, dg.MetadataValue[Any]] = {}
    for title, chart in _PICTURES[name].items():
        module, function = chart.split(".")
        image = data_uri(png(getattr(modules[module], function)(period, SMALL)), "png")
        drawn[title] = dg.MetadataValue.md(f"![{title}]({image})")
    return drawn


@contextmanager
def said_plainly() -> Iterator[None]:
    """End a run with the one sentence of an error that names its cause; another try would not mend it."""
    try:
        yield
    except (KafkaUnavailable, LakeError, DeviceSourceError, SinkError) as error:
        raise dg.Failure(str(error)) from error
    except OvertakenError as error:
        raise dg.Failure(f"{error}; others were faster each time, run it again") from error


def report_late_days(context: dg.AssetExecutionContext, lake: Lake, asset: str, late: set[date]) -> None:
    """Report the days of an asset that a run changed beyond those it was asked for, each as its own partition.

    Automation then asks downstream for exactly those days.
    """
    if not late:
        return
    own = lake.open(asset)
    # The rows of a table over all days belong to no single one.
    files = own.files() if own.table.partition == "day" else None
    for day in sorted(late):
        metadata: dict[str, Any] = {"late": True}
        if files is not None:
            rows = files.filter(pc.equal(files["partition.day"], pa.scalar(day)))["num_records"]
            metadata["dagster/row_count"] = pc.sum(rows, min_count=0).as_py()
        context.log_event(dg.AssetMaterialization(asset, partition=str(day), metadata=metadata))
