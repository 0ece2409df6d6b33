"""What every lake asset tells about itself: schema, words, counts.

Here belongs how the platform's facts become Dagster metadata. Not here: the facts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from wifi_assets.lake import Lake, LakeError
from wifi_assets.resources.devices import DeviceSourceError
from wifi_assets.resources.errors import SinkError
from wifi_assets.resources.kafka import KafkaUnavailable
from wifi_assets.schemas import TABLES, Table
from wifi_assets.steps import Done

#: Days listed by name in metadata; more than these are counted only.
_LISTED = 40


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


def stored_rows(lake: Lake, name: str) -> int:
    """Rows of the whole table, out of Delta's log: what Dagster means by a row count."""
    return int(pc.sum(lake.open(name).files()["num_records"], min_count=0).as_py())


def done_metadata(done: Done, seconds: float, held: int) -> dict[str, Any]:
    """Metadata of one step that left ``held`` rows in its table."""
    return {
        "dagster/row_count": held,
        "rows written": done.rows,
        "days touched": days_metadata(done.days),
        "commits": done.commits,
        "seconds": round(seconds, 3),
        "rows a second": round(done.rows / seconds) if seconds else 0,
    }


@contextmanager
def said_plainly() -> Iterator[None]:
    """End a run with the one sentence of an error that names its cause; another try would not mend it."""
    try:
        yield
    except (KafkaUnavailable, LakeError, DeviceSourceError, SinkError) as error:
        raise dg.Failure(str(error)) from error


def report_late_days(context: dg.AssetExecutionContext, touched: set[date], asked: set[date]) -> None:
    """Report the days that a run changed beyond those it was asked for, each as its own partition.

    Automation then asks downstream for exactly those days.
    """
    for day in sorted(touched - asked):
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=str(day), metadata={"late": True}))
