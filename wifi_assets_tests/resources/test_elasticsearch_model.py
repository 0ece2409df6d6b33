"""Random changes against a dictionary: after each, the indices hold what the dictionary holds."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from wifi_assets.resources.change import Progress
from wifi_assets.resources.elasticsearch import ElasticsearchSink
from wifi_assets_tests.resources.elasticsearch_rows import change, documents, frame, stats, wipe
from wifi_assets_tests.services import Server

FOREIGN = ("pcap-2020.03.02", "a note")

rows = st.builds(
    lambda offset, partition, generation, day, signal, ssid: frame(
        offset,
        date(2020, 3, 1) + timedelta(day),
        kafka_partition=partition,
        topic_generation=generation,
        signal_dbm=signal,
        ssid=ssid,
    ),
    offset=st.integers(0, 6),
    partition=st.integers(0, 1),
    generation=st.integers(0, 1),
    day=st.integers(0, 2),
    signal=st.none() | st.integers(-100, 0),
    ssid=st.none() | st.text(max_size=3),
)


def key(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["topic_generation"], row["kafka_partition"], row["kafka_offset"]


steps = st.lists(
    st.tuples(
        st.booleans(),  # full
        st.booleans(),  # applied twice
        st.lists(rows, max_size=8, unique_by=key),
        st.sets(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 6)), max_size=5),
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def client(elasticsearch: Server) -> Iterator[Elasticsearch]:
    with Elasticsearch(f"http://127.0.0.1:{elasticsearch.port}") as client:
        yield client


def expected(model: dict[tuple[int, int, int], dict[str, Any]]) -> dict[tuple[str, str], tuple[Any, Any]]:
    return {
        (f"pcap-{row['day']:%Y.%m.%d}", "-".join(map(str, place))): (row["signal_dbm"], row["ssid"])
        for place, row in model.items()
    }


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_frames(elasticsearch: Server, client: Elasticsearch, steps: list[tuple]) -> None:
    wipe(client)
    client.index(index=FOREIGN[0], id=FOREIGN[1], document={"note": "stays"})
    sink = ElasticsearchSink(SecretStr(f"http://127.0.0.1:{elasticsearch.port}"))
    model: dict[tuple[int, int, int], dict[str, Any]] = {}
    for version, (full, twice, upserts, gone) in enumerate(steps):
        deleted = [] if full else sorted(gone - {key(row) for row in upserts})
        deletes = [frame(o, topic_generation=g, kafka_partition=p) for g, p, o in deleted]
        if full:
            model.clear()
        for place in deleted:
            model.pop(place, None)
        model |= {key(row): row for row in upserts}
        for _ in range(1 + twice):
            sink.apply(change("frames", upserts, version, deletes, full=full))
        found = documents(client, "frames")
        assert found.pop(FOREIGN) == {"note": "stays"}
        assert {k: (d.get("signal_dbm"), d.get("ssid")) for k, d in found.items()} == expected(model)
        assert sink.progress("frames") == Progress("5f0c1f1e-0000-4000-8000-000000000001", version)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.booleans(),
            st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=6),
            st.sets(st.text(max_size=4), max_size=4),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_statistics(elasticsearch: Server, client: Elasticsearch, steps: list[tuple]) -> None:
    wipe(client)
    sink = ElasticsearchSink(SecretStr(f"http://127.0.0.1:{elasticsearch.port}"))
    table = "probe_stats_by_source_device"
    model: dict[str, int] = {}
    for version, (full, upserts, gone) in enumerate(steps):
        # One that is there makes a better delete than one at random.
        deleted = set() if full else (gone | set(sorted(model)[:1])) - upserts.keys()
        model = {} if full else {source: n for source, n in model.items() if source not in deleted}
        model |= upserts
        sink.apply(
            change(
                table,
                [stats(source, probes=probes) for source, probes in upserts.items()],
                version,
                [stats(source) for source in deleted],
                full,
            )
        )
        found = documents(client, table).values()
        assert {document["source"]: document["probes"] for document in found} == model
        assert len(found) == len(model)
