"""The sink on a real Elasticsearch: what a change makes of the indices."""

import base64
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from pydantic import SecretStr

from wifi_assets.assets.sinks import sync
from wifi_assets.lake import Lake
from wifi_assets.resources.change import Progress, Written
from wifi_assets.resources.elasticsearch import PROGRESS_INDEX, ElasticsearchSink
from wifi_assets.resources.elasticsearch_documents import MARK, TARGETS
from wifi_assets.resources.errors import SinkError
from wifi_assets.schemas import TABLES
from wifi_assets_tests.resources.elasticsearch_rows import (
    DAY,
    TABLE_ID,
    change,
    documents,
    frame,
    rows_of,
    stats,
    wipe,
)
from wifi_assets_tests.services import Server

NEXT_DAY = date(2020, 3, 22)


@pytest.fixture
def client(elasticsearch: Server) -> Iterator[Elasticsearch]:
    with Elasticsearch(f"http://127.0.0.1:{elasticsearch.port}") as client:
        wipe(client)
        yield client


@pytest.fixture
def sink(elasticsearch: Server) -> ElasticsearchSink:
    return ElasticsearchSink(SecretStr(f"http://127.0.0.1:{elasticsearch.port}"))


def by_id(client: Elasticsearch, table: str = "frames") -> dict[str, dict[str, Any]]:
    return {id_: document for (_, id_), document in documents(client, table).items()}


def test_a_frame_is_a_document_of_its_day(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    assert sink.progress("frames") is None
    written = sink.apply(change("frames", [frame(0), frame(1, NEXT_DAY, topic_generation=2)], 7, full=True))
    assert written == Written(upserted=2)
    document = {
        "day": "2020-03-21",
        "topic_generation": 0,
        "kafka_partition": 0,
        "kafka_offset": 0,
        "kafka_timestamp": "2020-03-21T00:00:00.000000Z",
        "event_time": "2020-03-21T00:00:00.000000Z",
        "frame_type": 0,
        "frame_subtype": 4,
        "radio_channel": 6,
        "signal_dbm": -60,
        "source_address": "a4:fc:77:6c:55:0d",
        "tag_oui": [4120, 20722, 4120],
        "tag_vendor_data": ["aa", "bb"],
        "ssid": "home",
        "ssid_bytes": base64.b64encode(b"home").decode(),
    }
    later = "2020-03-22T00:01:00.000000Z"
    other = {"day": "2020-03-22", "topic_generation": 2, "kafka_offset": 1}
    assert documents(client, "frames") == {
        ("pcap-2020.03.21", "0-0-0"): document,
        ("pcap-2020.03.22", "2-0-1"): document | other | {"kafka_timestamp": later, "event_time": later},
    }
    assert sink.progress("frames") == Progress(TABLE_ID, 7)
    assert sink.progress("probes_enriched") is None


def test_statistics_are_one_document_a_source(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    long = "ü" * 300
    sources = ["Robin's phone", long, long + "!", "", "sha256:pretender"]
    sink.apply(change("probe_stats_by_source_device", [stats(source) for source in sources], 1, full=True))
    found = by_id(client, "probe_stats_by_source_device")
    assert sorted(document["source"] for document in found.values()) == sorted(sources)
    assert found["Robin's phone"]["probed_ssids"] == ["cafe", "home"]
    assert found["Robin's phone"]["avg_signal_dbm"] == -60.5
    assert "sha256:pretender" not in found
    assert all(len(id_.encode()) <= 512 for id_ in found)
    gone = [stats(source) for source in sources[1:]]
    assert sink.apply(change("probe_stats_by_source_device", [], 2, deletes=gone)) == Written(deleted=4)
    assert list(by_id(client, "probe_stats_by_source_device")) == ["Robin's phone"]


@pytest.mark.parametrize("table", TARGETS)
def test_every_column_has_the_type_that_the_rules_give_it(
    client: Elasticsearch, sink: ElasticsearchSink, table: str
) -> None:
    row = stats("x") if table == "probe_stats_by_source_device" else frame(0)
    sink.apply(change(table, [row], 1, full=True))
    (mapping,) = client.indices.get_mapping(index=TARGETS[table].pattern).body.values()
    types = {name: field["type"] for name, field in mapping["mappings"]["properties"].items()}
    words = {
        "timestamp[us, tz=UTC]": "date",
        "date32[day]": "date",
        "string": "keyword",
        "list<item: string>": "keyword",
        "list<item: int64>": "long",
        "int32": "integer",
        "int64": "long",
        "double": "double",
        "bool": "boolean",
        "binary": "binary",
    }
    expected = {name: words[str(kind)] for name, (kind, _) in TABLES[table].columns.items()}
    aliases = {name for name, kind in types.items() if kind == "alias"}
    assert {name: kind for name, kind in types.items() if name not in aliases} == expected | {MARK: "keyword"}
    assert aliases == (
        {"EARLIEST_PROBE_TS", "LATEST_PROBE_TS"}
        if table == "probe_stats_by_source_device"
        else {"EVENT_TS"} | ({"KAFKA_TS"} if table == "frames" else set())
    )
    assert client.cluster.health()["status"] == "green"


def test_the_ts_names_of_times_can_be_searched(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("frames", [frame(0), frame(5)], 1, full=True))
    late = {"range": {"EVENT_TS": {"gte": "2020-03-21T00:05:00Z"}}}
    assert [hit["_id"] for hit in client.search(index="pcap-*", query=late)["hits"]["hits"]] == ["0-0-5"]


def test_rows_are_added_changed_and_removed(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("frames", [frame(0), frame(1), frame(2, NEXT_DAY)], 1, full=True))
    written = sink.apply(
        change("frames", [frame(1, signal_dbm=None), frame(3)], 2, deletes=[frame(0), frame(2), frame(99)])
    )
    assert written == Written(upserted=2, deleted=2)
    found = by_id(client)
    assert sorted(found) == ["0-0-1", "0-0-3"]
    assert "signal_dbm" not in found["0-0-1"]
    assert sink.progress("frames") == Progress(TABLE_ID, 2)


def test_a_repeated_change_changes_nothing(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("frames", [frame(offset) for offset in range(5000)], 1, full=True))
    again = {"rows": [frame(offset, signal_dbm=-30) for offset in range(2, 4500)], "deletes": [frame(0)]}
    sink.apply(change("frames", version=2, **again))
    before = documents(client, "frames")
    assert sink.apply(change("frames", version=2, **again)).deleted == 0
    assert documents(client, "frames") == before
    assert len(before) == 4999


def test_a_frame_that_moved_to_another_day_leaves_the_old_one(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("frames", [frame(0), frame(1)], 1, full=True))
    sink.apply(change("frames", [frame(1, NEXT_DAY), frame(2, NEXT_DAY)], 2))
    assert sorted(documents(client, "frames")) == [
        ("pcap-2020.03.21", "0-0-0"),
        ("pcap-2020.03.22", "0-0-1"),
        ("pcap-2020.03.22", "0-0-2"),
    ]


def test_a_full_change_leaves_exactly_its_rows(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("frames", [frame(offset) for offset in range(3000)], 1, full=True))
    sink.apply(change("frames", [frame(0, NEXT_DAY)], 2))
    written = sink.apply(change("frames", [frame(2), frame(3000, NEXT_DAY)], 5, full=True, table_id="other"))
    assert written == Written(upserted=2, deleted=2999)
    assert sorted(documents(client, "frames")) == [
        ("pcap-2020.03.21", "0-0-2"),
        ("pcap-2020.03.22", "0-0-3000"),
    ]
    assert sink.progress("frames") == Progress("other", 5)


def test_what_is_not_ours_stays(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    foreign = [("pcap", "1"), ("pcap-2020.03", "1"), ("pcap-a.b.c", "0-0-1"), ("pcap-2020.03.21", "note")]
    foreign += [
        ("pcap_probe_stats_by_source_device", "a note"),
        ("logs", "0-0-1"),
        ("pcap_probe_enriched", "1"),
    ]
    for index, id_ in foreign:
        client.index(index=index, id=id_, document={"ssid_note": index, "SEEN_TS": 1584802202655})
    sink.apply(change("frames", [frame(0), frame(1)], 1, full=True))
    sink.apply(change("frames", [], 2, deletes=[frame(1)]))
    sink.apply(change("frames", [frame(2)], 3, full=True))
    sink.apply(change("probe_stats_by_source_device", [stats("x")], 1, full=True))
    sink.apply(change("probe_stats_by_source_device", [], 2, full=True))
    for index, id_ in foreign:
        assert client.get(index=index, id=id_)["_version"] == 1
        assert client.get(index=index, id=id_)["_source"]["ssid_note"] == index
    assert set(by_id(client)) == {"0-0-2", "note", "0-0-1"}


HOSTILE = [
    "\0",
    "a\0b",
    "\"'`\\",
    "</script><script>alert(1)</script>",
    "\u202egnihtemos\u2066",
    "'; DROP TABLE frames; --",
    '"}\n{"delete":{"_index":"pcap-2020.03.21","_id":"0-0-0"}}\n',
    "\u2028\u2029\ufeff\uffff",
    "🛜" * 8,
    "${jndi:ldap://x}",
    "\\xff\\x00",
    " ",
    "",
]


def test_hostile_texts_arrive_as_they_are(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    raw = bytes(range(224, 256))
    rows = [
        frame(number, ssid=text, ssid_bytes=raw, source_device_name=text, source_address_resolved=text)
        for number, text in enumerate(HOSTILE)
    ]
    sink.apply(change("probes_enriched", rows, 1, full=True))
    found = by_id(client, "probes_enriched")
    assert len(found) == len(HOSTILE)
    for number, text in enumerate(HOSTILE):
        document = found[f"0-0-{number}"]
        assert document["ssid"] == document["source_device_name"] == text
        assert base64.b64decode(document["ssid_bytes"]) == raw
        hits = client.search(index="pcap_probe_enriched-*", query={"term": {"ssid": text}})["hits"]["hits"]
        assert [hit["_id"] for hit in hits] == [f"0-0-{number}"]
    names = [text for text in HOSTILE if text]
    sink.apply(change("probe_stats_by_source_device", [stats(n, probed_ssids=names) for n in names], 1, full=True))
    found = by_id(client, "probe_stats_by_source_device")
    assert {id_: document["source"] for id_, document in found.items()} == {name: name for name in names}
    assert found[" "]["probed_ssids"] == names
    sink.apply(change("probe_stats_by_source_device", [], 2, deletes=[stats(name) for name in names]))
    assert by_id(client, "probe_stats_by_source_device") == {}


def test_a_text_too_long_to_index_is_kept(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("frames", [frame(0, wps_device_name="é" * 40_000)], 1, full=True))
    assert by_id(client)["0-0-0"]["wps_device_name"] == "é" * 40_000


def test_an_empty_list_is_not_a_missing_one(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("frames", [frame(0, tag_oui=[]), frame(1, tag_oui=None)], 1, full=True))
    found = by_id(client)
    assert found["0-0-0"]["tag_oui"] == []
    assert "tag_oui" not in found["0-0-1"]


def test_an_index_of_before_gets_the_fields_that_it_lacks(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    client.indices.create(index="pcap-2020.03.21", mappings={"properties": {"ssid": {"type": "keyword"}}})
    sink.apply(change("frames", [frame(0)], 1, full=True))
    mapping = client.indices.get_mapping(index="pcap-2020.03.21")["pcap-2020.03.21"]["mappings"]["properties"]
    assert mapping["event_time"]["type"] == "date"
    assert mapping["EVENT_TS"] == {"type": "alias", "path": "event_time"}
    assert mapping["source_address"]["type"] == "keyword"


def test_an_index_with_another_type_is_refused(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    client.indices.create(index="pcap-2020.03.20", mappings={"properties": {"ssid": {"type": "text"}}})
    with pytest.raises(SinkError, match=r"pcap-2020\.03\.20 has the field ssid as text, and frames needs keyword"):
        sink.apply(change("frames", [frame(0)], 1, full=True))
    assert not client.indices.exists(index="pcap-2020.03.21")
    assert sink.progress("frames") is None
    client.indices.delete(index="pcap-2020.03.20")
    assert sink.apply(change("frames", [frame(0)], 1, full=True)) == Written(upserted=1)


def test_a_rejected_document_is_named_and_the_others_are_written(
    client: Elasticsearch, sink: ElasticsearchSink
) -> None:
    rows = [stats(f"s{number}") for number in range(10)]
    sink.apply(change("probe_stats_by_source_device", rows[:5], 1, full=True))
    rows[3]["avg_signal_dbm"] = rows[7]["avg_signal_dbm"] = float("nan")
    with pytest.raises(SinkError) as refused:
        sink.apply(change("probe_stats_by_source_device", rows, 2))
    words = str(refused.value)
    assert "rejected 2 documents of probe_stats_by_source_device, 8 others are written" in words
    assert "index pcap_probe_stats_by_source_device id s3 (400 document_parsing_exception" in words
    assert "id s7" in words
    assert len(by_id(client, "probe_stats_by_source_device")) == 9
    assert sink.progress("probe_stats_by_source_device") == Progress(TABLE_ID, 1, (2,))
    mended = [stats(f"s{number}") for number in range(10)]
    assert sink.apply(change("probe_stats_by_source_device", mended, 3)) == Written(upserted=10)
    assert len(by_id(client, "probe_stats_by_source_device")) == 10
    assert sink.progress("probe_stats_by_source_device") == Progress(TABLE_ID, 3)


def test_what_a_refused_version_left_goes_when_the_lake_has_it_no_more(
    client: Elasticsearch, sink: ElasticsearchSink, tmp_path: Path
) -> None:
    name, lake = "probe_stats_by_source_device", Lake(str(tmp_path))

    def store(*rows: dict[str, Any]) -> None:
        lake.replace(lake.open(name), rows_of(name, rows), None, {})

    store(stats("a"), stats("b"))
    sync(lake, name, sink)
    store(stats("a", probes=5), stats("b"), stats("c"), stats("d", avg_signal_dbm=float("nan")))
    with pytest.raises(SinkError, match="id d "):
        sync(lake, name, sink)
    assert set(by_id(client, name)) == {"a", "b", "c"}
    # The device of "c" has another name now, and "a" is as it was when the target last held a whole version.
    store(stats("a"), stats("b"), stats("e"))
    assert not sync(lake, name, sink).whole
    found = by_id(client, name)
    assert set(found) == {"a", "b", "e"}
    assert found["a"]["probes"] == 3


def test_a_full_change_with_rejections_removes_nothing(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("probe_stats_by_source_device", [stats("a"), stats("b")], 1, full=True))
    bad = [stats("a", avg_signal_dbm=float("inf")), stats("c")]
    with pytest.raises(SinkError, match="id a"):
        sink.apply(change("probe_stats_by_source_device", bad, 2, full=True))
    assert set(by_id(client, "probe_stats_by_source_device")) == {"a", "b", "c"}
    assert sink.progress("probe_stats_by_source_device") is None
    sink.apply(change("probe_stats_by_source_device", [stats("a"), stats("c")], 3, full=True))
    assert set(by_id(client, "probe_stats_by_source_device")) == {"a", "c"}


def test_a_closed_day_rejects_its_documents_alone(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("frames", [frame(0)], 1, full=True))
    client.indices.close(index="pcap-2020.03.21")
    new = [frame(1)] + [frame(offset, NEXT_DAY) for offset in range(2, 9)]
    with pytest.raises(SinkError, match=r"index pcap-2020\.03\.21 id 0-0-1 \(400 index_closed_exception"):
        sink.apply(change("frames", new, 2))
    assert len(by_id(client)) == 7
    assert sink.progress("frames") == Progress(TABLE_ID, 1, (2,))
    client.indices.open(index="pcap-2020.03.21", wait_for_active_shards=1)
    sink.apply(change("frames", new, 2))
    assert len(by_id(client)) == 9
    assert len(documents(client, "frames")) == 9


def test_the_progress_index_holds_one_document_a_table(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    for version in (1, 2):
        for table, row in (("frames", frame(0)), ("probe_stats_by_source_device", stats("x"))):
            sink.apply(change(table, [row], version, full=version == 1))
    client.indices.refresh(index=PROGRESS_INDEX)
    found = client.search(index=PROGRESS_INDEX)["hits"]["hits"]
    assert {hit["_id"]: hit["_source"]["version"] for hit in found} == {
        "frames": 2,
        "probe_stats_by_source_device": 2,
    }


def test_day_of_the_rows(client: Elasticsearch, sink: ElasticsearchSink) -> None:
    sink.apply(change("probes_enriched", [frame(0, DAY), frame(1, date(2019, 12, 31))], 1, full=True))
    assert sorted(index for index, _ in documents(client, "probes_enriched")) == [
        "pcap_probe_enriched-2019.12.31",
        "pcap_probe_enriched-2020.03.21",
    ]
