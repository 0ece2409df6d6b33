"""A real Kafka holds after a replay what tshark prints: once, in order by key, at the frames' times."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from scapy.utils import RawPcapWriter, wrpcap

from wifi_assets.capture.replay import Replayed, replay
from wifi_assets.demo.broker import embedded_broker
from wifi_assets.resources.producer import CheckedProducer, TopicError
from wifi_assets_tests.capture.conftest import START, probe, read_topic
from wifi_assets_tests.services import Server

Printed = Callable[[Path], list[bytes]]


@pytest.fixture(scope="module")
def bootstrap(kafka: Server) -> str:
    return f"127.0.0.1:{kafka.port}"


def _replay(bootstrap: str, topic: str, partitions: int, path: Path) -> Replayed:
    outcome = Replayed(str(path))
    replay(path, CheckedProducer({"bootstrap.servers": bootstrap}, topic, partitions), outcome)
    return outcome


@pytest.mark.parametrize("partitions", [1, 3])
def test_the_topic_holds_what_tshark_prints(
    bootstrap: str, generated: dict[str, Path], printed: Printed, partitions: int
) -> None:
    topic = f"replayed-{partitions}"
    outcome = _replay(bootstrap, topic, partitions, generated["all.pcapng"])
    documents = printed(generated["all.pcapng"])
    undecoded = sum(b'"layers":{}' in document for document in documents)
    assert outcome == Replayed(str(generated["all.pcapng"]), len(documents), undecoded, None)
    held = read_topic(bootstrap, topic)
    assert len(held) == partitions
    if partitions == 1:
        assert [message.value() for message in held[0]] == documents
    assert sorted(message.value() for messages in held for message in messages) == sorted(documents)
    place: dict[bytes, int] = {}
    for number, messages in enumerate(held):
        # One sender's frames lie in one partition, in the order of the file.
        assert all(place.setdefault(message.key(), number) == number for message in messages if message.key())
        for key in {message.key() for message in messages} - {None}:
            mine = [document for document in documents if _key(document) == key]
            assert [message.value() for message in messages if message.key() == key] == mine
        for message in messages:
            assert message.key() == _key(message.value())
            assert message.timestamp()[1] == int(json.loads(message.value())["timestamp"])


def _key(document: bytes) -> bytes | None:
    layers = json.loads(document)["layers"]
    address = (layers.get("wlan_ta") or layers.get("wlan_ra") or [None])[0]
    return address.lower().encode() if address else None


def test_every_real_capture_arrives_whole(bootstrap: str, captures: Path, printed: Printed) -> None:
    producer = CheckedProducer({"bootstrap.servers": bootstrap}, "real", 3)
    wanted, faults = [], {}
    for file in sorted(path for path in captures.rglob("*") if ".oracle" not in path.name and path.is_file()):
        outcome = Replayed(file.name)
        replay(file, producer, outcome)
        documents = printed(file)
        assert outcome.frames == len(documents), file.name
        wanted += documents
        if outcome.problem:
            faults[file.name] = outcome.problem
    assert sorted(message.value() for messages in read_topic(bootstrap, "real") for message in messages) == sorted(
        wanted
    )
    assert faults.keys() == {"empty.pcap", "not-a-capture.cap", "mixed-20-subtypes-cut-short.cap"}
    assert faults["mixed-20-subtypes-cut-short.cap"].endswith("; its 20,056 whole frames are on the topic")


def test_times_that_kafka_refuses_arrive_with_the_time_of_sending(bootstrap: str, tmp_path: Path) -> None:
    path, before = tmp_path / "times.pcap", int(time.time() * 1000)
    with RawPcapWriter(str(path), linktype=127, sync=True) as writer:
        writer.write_header(None)
        for second in (START, 2**32 - 1, START + 1, int(time.time()) + 7200):
            writer.write_packet(bytes(probe(b"home")), sec=second, usec=0)
    assert _replay(bootstrap, "times", 1, path).frames == 4
    (messages,) = read_topic(bootstrap, "times")
    times = [message.timestamp()[1] for message in messages]
    assert [times[0], times[2]] == [START * 1000, START * 1000 + 1000]
    assert all(before <= times[number] < before + 3_600_000 for number in (1, 3))
    assert json.loads(messages[1].value())["timestamp"] == str((2**32 - 1) * 1000)


def test_a_topic_that_would_delete_the_frames_is_refused(
    bootstrap: str, tmp_path: Path, generated: dict[str, Path]
) -> None:
    producer = CheckedProducer({"bootstrap.servers": bootstrap}, "forgetful", 1)
    producer.retention = timedelta(days=7)
    outcome = Replayed("old")
    with pytest.raises(TopicError, match=r"keeps messages for 7 days, .* frames of 2020-03-21 would be deleted"):
        replay(generated["all.pcap"], producer, outcome)
    assert outcome.frames == 0
    assert outcome.problem == "was not replayed whole: 0 of its frames are on the topic"
    recent = probe(b"home")
    recent.time = time.time() - 3600
    wrpcap(str(tmp_path / "recent.pcap"), [recent])
    replay(tmp_path / "recent.pcap", producer, outcome)
    assert (outcome.frames, outcome.problem) == (1, None)


def test_an_embedded_broker_takes_the_same(generated: dict[str, Path], printed: Printed) -> None:
    with embedded_broker("pcap") as bootstrap:
        outcome = Replayed("all")
        replay(generated["all.pcap"], CheckedProducer({"bootstrap.servers": bootstrap}, "pcap"), outcome)
        documents = printed(generated["all.pcap"])
        assert outcome.frames == len(documents)
        held = read_topic(bootstrap, "pcap")
        assert sorted(message.value() for messages in held for message in messages) == sorted(documents)
