"""Simulated messages onto a Kafka topic, every delivery checked.

Here belongs the topic that the demo needs. Not here: the producer (``resources/producer.py``), what a
message says (``messages.py``) or the broker (``broker.py``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from wifi_assets.demo import broker
from wifi_assets.demo.messages import Message
from wifi_assets.resources.librdkafka import ANSWER_SECONDS, is_embedded
from wifi_assets.resources.producer import CheckedProducer, TopicError, TopicMissingError

#: Partitions of a topic made here.
DEFAULT_PARTITIONS = broker.PARTITIONS


@dataclass(frozen=True)
class Topic:
    """The topic to publish to.

    Attributes:
        bootstrap: host:port of one or more brokers, comma separated.
        name: The topic's.
        config: Further librdkafka settings (SASL, TLS); they win over the ones set here.
    """

    bootstrap: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)

    def prepare(self, oldest: datetime, partitions: int | None = None) -> int:
        """Make the topic if there is none, without retention by age, and see that old messages stay.

        Args:
            oldest: Time of the oldest message to come, aware.
            partitions: Of a topic that is made; an existing one must have as many. None: whatever an
                existing one has, else ``DEFAULT_PARTITIONS``.

        Returns:
            Partitions of the topic.

        Raises:
            TopicError: No answer, no permission, another number of partitions, or a retention that
                would delete the oldest message.
        """
        try:
            producer = self._producer(partitions)
        except TopicMissingError:
            producer = self._producer(DEFAULT_PARTITIONS)
        producer.check_kept(int(oldest.timestamp() * 1000))
        return producer.partitions

    def publish(self, messages: Iterable[Message]) -> int:
        """Send the messages in order and wait until the broker has every one.

        Args:
            messages: May be endless; each partition keeps their order.

        Returns:
            How many were delivered: all.

        Raises:
            TopicError: One was not delivered, or an embedded broker has already dropped some.
        """
        producer = self._producer(None)
        for message in messages:
            producer.put(message.key, message.value, message.timestamp_ms)
        delivered = producer.flush()
        self._check_kept()
        return delivered

    def _producer(self, partitions: int | None) -> CheckedProducer:
        # An embedded broker keeps 5 MiB of batches a partition as they are sent: full and well compressed ones.
        ours = {"bootstrap.servers": self.bootstrap, "compression.type": "zstd", "linger.ms": 100}
        return CheckedProducer({**ours, **self.config}, self.name, partitions)

    def _check_kept(self) -> None:
        consumer = Consumer({**self.config, "bootstrap.servers": self.bootstrap, "group.id": "wifi_assets_simulate"})
        try:
            metadata = consumer.list_topics(self.name, timeout=ANSWER_SECONDS)
            if not is_embedded(metadata):
                return
            for partition in metadata.topics[self.name].partitions:
                low, _ = consumer.get_watermark_offsets(TopicPartition(self.name, partition), ANSWER_SECONDS)
                if low:
                    raise TopicError(
                        f"the embedded broker at {self.bootstrap} has dropped the first {low} messages of "
                        f"partition {partition} of {self.name}, as it keeps {broker.KEPT_OCTETS >> 20} MiB "
                        "of each; simulate fewer days or frames on a new one, or take a real Kafka"
                    )
        finally:
            consumer.close()
