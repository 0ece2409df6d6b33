"""Simulated messages onto a Kafka topic, every delivery checked.

Here belongs the producer of the demo and the topic it needs. Not here: what a message says
(``messages.py``) or the broker (``broker.py``).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as Delivered
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic, ResourceType

from wifi_assets.demo import broker
from wifi_assets.demo.messages import Message

Client = TypeVar("Client", AdminClient, Consumer, Producer)

#: Partitions of a topic made here.
DEFAULT_PARTITIONS = broker.PARTITIONS
_ANSWER_SECONDS = 10
_DELIVERY_SECONDS = 30
#: What waiting does not mend: a refused login, an unknown CA.
_HOPELESS = (KafkaError._AUTHENTICATION, KafkaError._SSL)


class PublishError(RuntimeError):
    """Not every message is on the topic; one sentence says what is wrong, where, and what to do."""


@dataclass
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
    _heard: list[KafkaError] = field(default_factory=list)

    def prepare(self, oldest: datetime, partitions: int | None = None) -> int:
        """Make the topic if there is none, without retention by age, and see that old messages stay.

        Kafka deletes by the message's timestamp, which is the event time: under its default of seven
        days a replay of last month would be gone within minutes.

        Args:
            oldest: Time of the oldest message to come, aware.
            partitions: Of a topic that is made; an existing one must have as many. None: whatever an
                existing one has, else ``DEFAULT_PARTITIONS``.

        Returns:
            Partitions of the topic.

        Raises:
            PublishError: No answer, no permission, another number of partitions, or a retention that
                would delete the oldest message.
        """
        admin = self._client(AdminClient, {})
        cluster = self._cluster(admin)
        # An embedded broker makes the topic when asked for it by name; it has no controller to ask.
        if broker.is_embedded(cluster):
            found = len(admin.list_topics(self.name, timeout=_ANSWER_SECONDS).topics[self.name].partitions)
        elif self.name in cluster.topics:
            found = len(cluster.topics[self.name].partitions)
            self._check_retention(admin, oldest)
        else:
            found = partitions or DEFAULT_PARTITIONS
            self._create(admin, found)
        if partitions not in (None, found):
            what = "each topic of an embedded broker" if broker.is_embedded(cluster) else f"topic {self.name}"
            raise PublishError(
                f"Kafka at {self.bootstrap}: {what} has {found} partitions, not {partitions}; leave the number out"
            )
        return found

    def publish(self, messages: Iterable[Message], progress: Callable[[int], None] | None = None) -> int:
        """Send the messages in order and wait until the broker has every one.

        Args:
            messages: May be endless; each partition keeps their order.
            progress: Called now and then with the number of messages delivered so far.

        Returns:
            How many were delivered: all.

        Raises:
            PublishError: One was not delivered, or an embedded broker has already dropped some.
        """
        producer = self._client(
            Producer,
            {
                "enable.idempotence": True,
                # An embedded broker keeps 5 MiB of batches a partition as they are sent.
                "compression.type": "zstd",
                "linger.ms": 100,
                "message.timeout.ms": _DELIVERY_SECONDS * 1000,
            },
        )
        delivered, failed = 0, list[KafkaError]()

        def on_delivery(error: KafkaError | None, _: Delivered) -> None:
            nonlocal delivered
            if error is None:
                delivered += 1
            else:
                failed.append(error)

        def look() -> None:
            if failed:
                raise self._error(f"topic {self.name}: a message was not delivered", failed[0])
            if progress:
                progress(delivered)

        for number, message in enumerate(messages):
            while True:
                try:
                    producer.produce(
                        self.name,
                        message.value,
                        message.key,
                        timestamp=message.timestamp_ms,
                        on_delivery=on_delivery,
                    )
                    break
                except BufferError:  # as many wait for delivery as the client holds
                    producer.poll(0.1)
                    look()
                except KafkaException as error:
                    raise self._error(f"topic {self.name}: a message was refused", error) from error
            producer.poll(0)
            if number % 1000 == 0:
                look()
        while producer.flush(0.5):
            look()
        look()
        self._check_kept(producer)
        return delivered

    def _client(self, kind: type[Client], settings: Mapping[str, Any]) -> Client:
        ours: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "log_level": 2,  # what goes wrong is in the errors raised here
            "error_cb": self._heard.append,
        }
        try:
            return kind(ours | dict(settings) | dict(self.config))
        except (KafkaException, TypeError, ValueError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            raise PublishError(f"WIFI_KAFKA_CONFIG: {reason}") from error

    def _cluster(self, admin: AdminClient) -> ClusterMetadata:
        for second in range(1, _ANSWER_SECONDS + 1):
            try:
                return admin.list_topics(timeout=1)
            except KafkaException as error:
                admin.poll(0)
                hopeless = any(one.code() in _HOPELESS for one in self._heard)
                if hopeless or second == _ANSWER_SECONDS:
                    raise self._error("no answer", error) from error
        raise AssertionError("the last second returns or raises")

    def _create(self, admin: AdminClient, partitions: int) -> None:
        made = admin.create_topics([NewTopic(self.name, partitions, config={"retention.ms": "-1"})])
        try:
            made[self.name].result(_ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # someone was faster
                raise self._error(f"topic {self.name} cannot be made", error) from error

    def _check_retention(self, admin: AdminClient, oldest: datetime) -> None:
        resource = ConfigResource(ResourceType.TOPIC, self.name)
        try:
            settings = admin.describe_configs([resource])[resource].result(_ANSWER_SECONDS)
        except KafkaException as error:
            raise self._error(f"topic {self.name}: its retention cannot be read", error) from error
        kept = int(settings["retention.ms"].value)
        by_arrival = settings["message.timestamp.type"].value == "LogAppendTime"
        if kept >= 0 and not by_arrival and oldest < datetime.now(UTC) - timedelta(milliseconds=kept):
            raise PublishError(
                f"Kafka at {self.bootstrap}: topic {self.name} keeps messages for "
                f"{timedelta(milliseconds=kept)}, so frames of {oldest:%Y-%m-%d} would be deleted at once; "
                "set its retention.ms to -1 or begin later"
            )

    def _check_kept(self, producer: Producer) -> None:
        metadata = producer.list_topics(self.name, timeout=_ANSWER_SECONDS)
        if not broker.is_embedded(metadata):
            return
        consumer = self._client(Consumer, {"group.id": "wifi_assets_simulate"})
        try:
            for partition in metadata.topics[self.name].partitions:
                low, _ = consumer.get_watermark_offsets(TopicPartition(self.name, partition), _ANSWER_SECONDS)
                if low:
                    raise PublishError(
                        f"the embedded broker at {self.bootstrap} has dropped the first {low} messages of "
                        f"partition {partition} of {self.name}, as it keeps {broker.KEPT_OCTETS >> 20} MiB "
                        "of each; simulate fewer days or frames on a new one, or take a real Kafka"
                    )
        finally:
            consumer.close()

    def _error(self, what: str, error: KafkaException | KafkaError) -> PublishError:
        reason = error.args[0] if isinstance(error, KafkaException) else error
        # The cause of a refused login or certificate reaches only the error callback, and before the rest.
        told = list(dict.fromkeys(one.str() for one in (*self._heard[:1], reason)))
        return PublishError(
            f"Kafka at {self.bootstrap}: {what}: {'; '.join(told)}; see WIFI_KAFKA_BOOTSTRAP and WIFI_KAFKA_CONFIG"
        )
