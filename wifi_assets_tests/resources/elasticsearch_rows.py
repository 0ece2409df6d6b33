"""Lake rows and changes for the tests of the Elasticsearch sink, and a look at what the server holds.

Here belongs what several of those tests need. Not here: tests.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
from elasticsearch import Elasticsearch

from wifi_assets.resources.change import Change, Progress
from wifi_assets.resources.elasticsearch_documents import MARK, TARGETS
from wifi_assets.schemas import TABLES

DAY = date(2020, 3, 21)
TABLE_ID = "5f0c1f1e-0000-4000-8000-000000000001"


def frame(offset: int, day: date = DAY, **columns: Any) -> dict[str, Any]:
    """A probe request, heard ``offset`` minutes into ``day``."""
    heard = datetime.combine(day, time(), UTC) + timedelta(minutes=offset)
    row = {
        "day": day,
        "topic_generation": 0,
        "kafka_partition": 0,
        "kafka_offset": offset,
        "kafka_timestamp": heard,
        "event_time": heard,
        "frame_type": 0,
        "frame_subtype": 4,
        "radio_channel": 6,
        "signal_dbm": -60,
        "source_address": "a4:fc:77:6c:55:0d",
        "tag_oui": [4120, 20722, 4120],
        "tag_vendor_data": ["aa", "bb"],
        "ssid": "home",
        "ssid_bytes": b"home",
    }
    return row | columns


def stats(source: str, **columns: Any) -> dict[str, Any]:
    """Statistics of a source."""
    heard = datetime.combine(DAY, time(12), UTC)
    row = {
        "source": source,
        "probes": 3,
        "earliest_probe": heard,
        "latest_probe": heard,
        "min_signal_dbm": -70,
        "max_signal_dbm": -50,
        "avg_signal_dbm": -60.5,
        "probed_ssids": ["cafe", "home"],
        "unique_ssids": 2,
        "unique_destinations": 1,
    }
    return row | columns


def rows_of(table: str, rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows in the table's schema; what a row leaves out is NULL."""
    columns = TABLES[table].columns
    return pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows], TABLES[table].schema)


def change(
    table: str,
    rows: Iterable[dict[str, Any]],
    version: int,
    deletes: Iterable[dict[str, Any]] = (),
    full: bool = False,
    table_id: str = TABLE_ID,
) -> Change:
    """A change of a table: rows that are new or different, and rows that are gone."""
    key = list(TABLES[table].key)
    return Change(
        table=TABLES[table],
        progress=Progress(table_id, version),
        upserts=rows_of(table, rows).to_reader(max_chunksize=700),
        deletes=rows_of(table, deletes).select(key),
        full=full,
    )


def streamed(source: Change, batches: Iterator[pa.RecordBatch]) -> Change:
    """The change with its rows out of ``batches``, as they come."""
    reader = pa.RecordBatchReader.from_batches(source.table.schema, batches)
    return Change(source.table, source.progress, reader, source.deletes, source.full)


def documents(client: Elasticsearch, table: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Everything in the table's indices, (index, id) -> document, without our mark."""
    pattern = TARGETS[table].pattern
    client.indices.refresh(index=pattern, ignore_unavailable=True)
    found = client.search(index=pattern, ignore_unavailable=True, size=10_000)
    return {
        (hit["_index"], hit["_id"]): {name: value for name, value in hit["_source"].items() if name != MARK}
        for hit in found["hits"]["hits"]
    }


def wipe(client: Elasticsearch) -> None:
    """Remove every index and template, so that a test starts with nothing."""
    for index in client.indices.get(index="*", expand_wildcards="all"):
        client.indices.delete(index=index)
    for template in client.indices.get_index_template()["index_templates"]:
        if template["name"].startswith("wifi_assets"):
            client.indices.delete_index_template(name=template["name"])
