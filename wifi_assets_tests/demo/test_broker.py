"""The facts that the embedded broker's docstring states and the demo rests on."""

import json
import subprocess
import sys

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from wifi_assets.demo.broker import PARTITIONS, embedded_broker
from wifi_assets.resources.librdkafka import is_embedded

YEARS_AGO = 1_600_000_000_000


def _consumer(bootstrap: str) -> Consumer:
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "error", "log_level": 0})


def _produce(bootstrap: str, partition: int, count: int, size: int, **settings: str | int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "log_level": 0} | settings)
    failed = []
    for number in range(count):
        value = f"{number}".encode().ljust(size)
        producer.produce(
            "pcap", value, partition=partition, timestamp=YEARS_AGO + number,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )  # fmt: skip
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failed


def test_topics_are_made_with_four_partitions_and_the_cluster_is_known_by_its_id() -> None:
    with embedded_broker("pcap") as bootstrap:
        metadata = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=5)
        assert is_embedded(metadata)
        assert {name: len(topic.partitions) for name, topic in metadata.topics.items()} == {"pcap": PARTITIONS}


def test_another_process_reads_by_offset_with_the_times_that_were_sent() -> None:
    program = """
import json, sys
from confluent_kafka import Consumer, TopicPartition
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "other"})
consumer.assign([TopicPartition("pcap", 2, 3)])
read = consumer.consume(2, 20)
print(json.dumps([(one.offset(), one.timestamp()[1], one.value().decode().strip()) for one in read]))
"""
    with embedded_broker("pcap") as bootstrap:
        _produce(bootstrap, 2, 5, 10)
        printed = subprocess.run(
            [sys.executable, "-c", program, bootstrap], capture_output=True, check=True, timeout=60
        ).stdout
    assert json.loads(printed) == [[3, YEARS_AGO + 3, "3"], [4, YEARS_AGO + 4, "4"]]


def test_watermarks_position_and_offsets_work_but_not_by_time() -> None:
    with embedded_broker("pcap") as bootstrap:
        _produce(bootstrap, 1, 7, 10)
        consumer, admin, there = (
            _consumer(bootstrap),
            AdminClient({"bootstrap.servers": bootstrap}),
            TopicPartition,
        )
        assert consumer.get_watermark_offsets(there("pcap", 1), 5) == (0, 7)
        consumer.assign([there("pcap", 1, 0)])
        assert len(consumer.consume(7, 20)) == 7
        assert consumer.position([there("pcap", 1)])[0].offset == 7
        latest = admin.list_offsets({there("pcap", 1): OffsetSpec.latest()})[there("pcap", 1)]
        assert latest.result(5).offset == 7
        consumer.commit(offsets=[there("pcap", 1, 4)], asynchronous=False)
        assert consumer.committed([there("pcap", 1)], 5)[0].offset == 4
        assert consumer.offsets_for_times([there("pcap", 1, YEARS_AGO + 3)], 5)[0].offset == -1
        consumer.close()


def test_there_is_no_controller() -> None:
    with embedded_broker() as bootstrap:
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        with pytest.raises(KafkaException, match="controller"):
            admin.create_topics([NewTopic("more", 6)], request_timeout=1)["more"].result(10)


def test_a_partition_keeps_five_mebibytes_as_they_were_sent() -> None:
    with embedded_broker("pcap") as bootstrap:
        consumer = _consumer(bootstrap)
        _produce(bootstrap, 0, 12_000, 600)
        _produce(bootstrap, 1, 12_000, 600, **{"compression.type": "zstd"})
        low, high = consumer.get_watermark_offsets(TopicPartition("pcap", 0), 5)
        assert high == 12_000
        assert 12_000 - 5 * 1024 * 1024 // 600 <= low < 12_000
        assert consumer.get_watermark_offsets(TopicPartition("pcap", 1), 5) == (0, 12_000)
        consumer.assign([TopicPartition("pcap", 0, 0)])
        lost = consumer.poll(10)
        assert lost is not None
        error = lost.error()
        assert error is not None
        assert error.code() == KafkaError._AUTO_OFFSET_RESET
        consumer.close()
