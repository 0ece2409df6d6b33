"""Documents a second into a real Elasticsearch: the sink against plain loops of the official helpers.

    python -m bench.elasticsearch [DOCUMENTS]

All write the same documents under the same mapping, each into fresh indices, in turn, on a server that
has the full compiler and has been warmed up. The loops get their documents ready-made as dicts; the
sink starts from the lake's Arrow rows and also makes the templates, refreshes and records its progress.
Not here: what the lake costs before that.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from elasticsearch import Elasticsearch
from elasticsearch.helpers import parallel_bulk, streaming_bulk
from pydantic import SecretStr

from wifi_assets.resources.change import Change, Progress
from wifi_assets.resources.elasticsearch import ElasticsearchSink
from wifi_assets.resources.elasticsearch_documents import TARGETS, bulk_lines
from wifi_assets.schemas import TABLES
from wifi_assets_tests.services import Server

DOCUMENTS = 60_000
ROUNDS = 5
#: The full compiler, and heap enough that the server never refuses: parallel_bulk does not try again.
BENCH_SERVER = {"ELASTICSEARCH_JVM_OPTS": "", "ELASTICSEARCH_HEAP": "1g"}
FRAMES = TARGETS["frames"]
PLAIN = "plain"

LOOPS: dict[str, Callable[..., Any]] = {
    "streaming_bulk, chunks of 500": partial(streaming_bulk, chunk_size=500),
    "streaming_bulk, chunks of 2,000": partial(streaming_bulk, chunk_size=2_000),
    "streaming_bulk, chunks of 5,000": partial(streaming_bulk, chunk_size=5_000),
    "parallel_bulk, 2 threads, chunks of 2,000": partial(parallel_bulk, thread_count=2, chunk_size=2_000),
    "parallel_bulk, 4 threads, chunks of 500": partial(parallel_bulk, thread_count=4, chunk_size=500),
    "parallel_bulk, 4 threads, chunks of 2,000": partial(parallel_bulk, thread_count=4, chunk_size=2_000),
}


def frames(count: int) -> pa.Table:
    """Frames of two days in about the shares of a home: 33 % ACK, 20 % RTS, 13 % probe requests."""
    chance = random.Random(1)  # noqa: S311 - no secret
    first = datetime(2020, 3, 21, 12, tzinfo=UTC)
    subtypes = (29,) * 33 + (27,) * 20 + (4,) * 13 + (36,) * 11 + (8,) * 23
    rows = []
    for offset in range(count):
        heard = first + timedelta(seconds=86_400 * offset / count)
        subtype = chance.choice(subtypes)
        address = f"a4:fc:77:{chance.randrange(40):02x}:55:0d"
        row: dict[str, Any] = {
            "day": heard.date(),
            "topic_generation": 0,
            "kafka_partition": offset % 4,
            "kafka_offset": offset // 4,
            "kafka_timestamp": heard,
            "event_time": heard,
            "frame_type": subtype // 16,
            "frame_subtype": subtype,
            "radio_channel": 6,
            "signal_dbm": chance.randrange(-95, -30),
            "duration_us": 32,
            "receiver_address": address,
            "receiver_address_resolved": f"MegaWell_{address[9:]}",
        }
        if subtype != 29:
            row |= {"transmitter_address": address, "transmitter_address_resolved": f"ArrisGro_{address[9:]}"}
        if subtype in (4, 8, 36):
            row |= {"source_address": address, "source_address_resolved": f"ArrisGro_{address[9:]}"}
            row |= {"destination_address": "ff:ff:ff:ff:ff:ff", "destination_address_resolved": "Broadcast"}
        if subtype in (4, 8):
            ssid = f"network {chance.randrange(30)}"
            row |= {"tagged_all": 1, "ssid": ssid, "ssid_bytes": ssid.encode(), "tag_oui": [4120, 20722]}
            row |= {"tag_vendor_oui_type": [2, 4], "tag_vendor_data": ["0400", "dd09001018020000100000"]}
        rows.append(row)
    columns = TABLES["frames"].columns
    return pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows], TABLES["frames"].schema)


def fresh(client: Elasticsearch) -> None:
    """Remove the indices of the last round."""
    for index in client.indices.get(index=f"{FRAMES.pattern},{PLAIN}-*", ignore_unavailable=True):
        client.indices.delete(index=index)


def run_loop(client: Elasticsearch, helper: Callable[..., Any], documents: list[dict[str, Any]]) -> None:
    """Run a helper to its end, keeping nothing of what it yields."""
    deque(helper(client, documents), maxlen=0)


def run_sink(sink: ElasticsearchSink, rows: pa.Table) -> None:
    """Apply all rows as one change."""
    nothing = rows.slice(0, 0).select(TABLES["frames"].key)
    sink.apply(Change(TABLES["frames"], Progress("bench", 1), rows.to_reader(50_000), nothing, full=False))


def main(count: int) -> None:
    """Measure and print."""
    rows = frames(count)
    began = time.perf_counter()
    lines = bulk_lines(FRAMES, rows, "bench/1")
    rendering = count / (time.perf_counter() - began)
    documents = []
    for action, document in lines:
        place = json.loads(action)["index"]
        index = place["_index"].replace(FRAMES.name, PLAIN, 1)
        documents.append({"_index": index, "_id": place["_id"], "_source": json.loads(document)})
    size = sum(len(document) for _, document in lines) / count
    print(f"{count:,} frames, {size:,.0f} bytes a document; rows to bulk lines alone {rendering:,.0f} a second")

    with tempfile.TemporaryDirectory() as folder:
        server = Server("elasticsearch", Path(folder), env=BENCH_SERVER).start()
        try:
            url = f"http://127.0.0.1:{server.port}"
            with Elasticsearch(url, request_timeout=120) as client:
                measure(client, ElasticsearchSink(SecretStr(url)), rows, documents)
        finally:
            server.stop()


def measure(client: Elasticsearch, sink: ElasticsearchSink, rows: pa.Table, documents: list[dict[str, Any]]) -> None:
    """Let each take its turn, ``ROUNDS`` times, and print the medians."""
    template = FRAMES.template() | {"index_patterns": [f"{PLAIN}-*"]}
    client.indices.put_index_template(name=PLAIN, **template)
    takers: dict[str, Callable[[], None]] = {
        name: partial(run_loop, client, helper, documents) for name, helper in LOOPS.items()
    }
    takers["the sink"] = partial(run_sink, sink, rows)
    for warm_up in ("streaming_bulk, chunks of 2,000", "the sink") * 2:
        takers[warm_up]()
        fresh(client)
    rates: dict[str, list[float]] = {name: [] for name in takers}
    for turn in range(ROUNDS):
        # Another one begins each time, so that none always runs on the warmest server.
        order = list(takers)
        for name in order[turn:] + order[:turn]:
            began = time.perf_counter()
            takers[name]()
            rates[name].append(len(documents) / (time.perf_counter() - began))
            pattern = FRAMES.pattern if name == "the sink" else f"{PLAIN}-*"
            client.indices.refresh(index=pattern)
            held = client.count(index=pattern)["count"]
            if held != len(documents):
                raise SystemExit(f"{name}: {held} of {len(documents)} documents arrived")
            fresh(client)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        turns = ", ".join(f"{value:,.0f}" for value in values)
        print(f"{name:45} {medians[name]:8,.0f} documents a second ({turns})")
    fastest = max(LOOPS, key=medians.__getitem__)
    print(f"ratio to the fastest loop ({fastest}): {medians['the sink'] / medians[fastest]:.2f}, reach 1")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS)
