"""The charts' questions on a real Elasticsearch, against DuckDB over the same rows."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from elasticsearch import Elasticsearch
from pydantic import SecretStr

from wifi_assets.kibana.charts import BUCKETS, CHARTS, Chart
from wifi_assets.resources.change import Change, Progress
from wifi_assets.resources.elasticsearch import ElasticsearchSink
from wifi_assets.schemas import TABLES
from wifi_assets_tests.resources.elasticsearch_rows import frame, rows_of, wipe
from wifi_assets_tests.services import Server

#: The same questions in SQL: rows of (slice's start in ms, series, value).
SQL = {
    "wifi-assets-signal-by-device": """
        SELECT epoch_ms(time_bucket(INTERVAL '3 hours', event_time)), source_device_name, avg(signal_dbm)
        FROM heard
        WHERE is_known_device AND signal_dbm IS NOT NULL AND source_device_name IS NOT NULL
        GROUP BY ALL""",
    "wifi-assets-addresses-by-day": """
        SELECT epoch_ms(day), NULL, count(DISTINCT source_address) FROM heard GROUP BY ALL""",
    "wifi-assets-probes-by-hour": """
        SELECT epoch_ms(date_trunc('hour', event_time)), is_known_device, count(*) FROM heard GROUP BY ALL""",
    "wifi-assets-signal-by-address": """
        SELECT epoch_ms(time_bucket(INTERVAL '30 seconds', event_time)), source_address, avg(signal_dbm)
        FROM heard
        WHERE signal_dbm IS NOT NULL AND source_address IS NOT NULL
        GROUP BY ALL""",
}


def heard() -> list[dict[str, Any]]:
    """Three days of a household, uneven, with silent devices and frames without dBm or source."""
    chance = random.Random(4)
    names = {
        "00:11:22:33:44:01": "Robin's phone",
        "00:11:22:33:44:02": "</script>",
        "00:11:22:33:44:03": None,
    }
    first = datetime(2020, 3, 20, 22, 30, tzinfo=UTC)
    rows = []
    for offset in range(3000):
        time = first + timedelta(seconds=int(chance.triangular(0, 3 * 86_400, 80_000)))
        address = chance.choice([*names, f"02:00:00:00:00:{offset % 90:02x}"])
        rows.append(
            frame(
                offset,
                time.date(),
                event_time=time,
                source_address=address if chance.random() < 0.9 else None,
                source_device_name=names.get(address),
                is_known_device=address in names,
                signal_dbm=chance.randrange(-90, -20) if chance.random() < 0.8 else None,
            )
        )
    return rows


@pytest.fixture(scope="module")
def tables(elasticsearch: Server) -> dict[str, pa.Table]:
    rows = heard()
    found = {table: rows_of(table, rows) for table in ("frames", "probes_enriched")}
    with Elasticsearch(f"http://127.0.0.1:{elasticsearch.port}") as client:
        wipe(client)
    sink = ElasticsearchSink(SecretStr(f"http://127.0.0.1:{elasticsearch.port}"))
    for table, content in found.items():
        schema = TABLES[table]
        nothing = content.slice(0, 0).select(schema.key)
        sink.apply(Change(schema, Progress("t", 1), content.to_reader(), nothing, full=True))
    return found


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_chart_shows_what_the_lake_holds(elasticsearch: Server, tables: dict[str, pa.Table], chart: Chart) -> None:
    with Elasticsearch(f"http://127.0.0.1:{elasticsearch.port}") as client:
        answer: Any = client.search(index=chart.target.pattern, **chart.body).body
    for step in BUCKETS.split("."):
        answer = answer[step]
    shown = {
        (bucket["key"]["time"], bucket["key"].get("series")): bucket.get("value", {"value": bucket["doc_count"]})[
            "value"
        ]
        for bucket in answer
    }
    naive = tables[chart.table]
    for name in ("event_time", "kafka_timestamp"):
        if name in naive.column_names:
            place = naive.schema.get_field_index(name)
            naive = naive.set_column(place, name, naive[name].cast(pa.timestamp("us")))
    with duckdb.connect() as connection:
        connection.register("heard", naive)
        expected = {(time, series): value for time, series, value in connection.execute(SQL[chart.name]).fetchall()}
    assert shown == pytest.approx(expected, rel=1e-12)
    assert len(shown) >= 3
    times = [bucket["key"]["time"] for bucket in answer]
    assert times == sorted(times, reverse=True)
