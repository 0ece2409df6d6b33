"""Messages onto a Kafka topic, with every delivery checked.

Here belong the producer, what must be true of the topic before the first message, and the sentences that
name what is wrong with a broker. Not here: where messages come from (``capture/``, ``demo/``) or how
the platform reads them back.
"""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, NewTopic, ResourceType

from wifi_assets.resources.librdkafka import ANSWER_SECONDS, REMEDIES, Heard, is_embedded

Client = TypeVar("Client", AdminClient, Producer)
Answer = TypeVar("Answer")

_DELIVERY_SECONDS = 30
_SETTLE_SECONDS = 5
#: How far ahead of its clock a broker takes a timestamp: ``message.timestamp.after.max.ms`` by default,
#: less a minute for clocks that differ. A record beyond it is refused, and its whole batch with it.
_AHEAD_MS = 59 * 60 * 1000


class TopicError(RuntimeError):
    """Messages do not reach the topic; one sentence says which broker and topic, why, and what to do."""


class BrokerAwayError(TopicError):
    """No broker answers; it may when asked again."""


class TopicMissingError(TopicError):
    """The topic is not there, and was not to be made."""


class CheckedProducer:
    """A producer for one topic that loses nothing in silence.

    Idempotent, ``acks=all``, lz4; at most 64 MiB wait in memory. Every delivery is checked: a message that
    did not arrive makes the next ``put`` or ``flush`` raise.

    A broker forgets a producer whose newest message has a time of more than a day ago
    (``producer.id.expiration.ms``; Kafka's ``ProducerStateManager`` goes by the records' times), and then takes what
    is sent again for new: frames of an old capture that were under way when it died may be there twice (*seen*).

    Attributes:
        topic: The topic's name.
        where: The brokers' addresses, for people.
        partitions: Partitions of the topic.
        delivered: Messages that the broker has acknowledged.
        retention: How long the topic keeps a message, counted from the message's timestamp. None: for ever,
            or from its arrival, or this login may not know.
        retention_known: False if this login may not read the topic's settings.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, create_partitions: int | None = None) -> None:
        """Reach the broker and see that the topic is there.

        Args:
            config: librdkafka settings, ``bootstrap.servers`` among them; they win over the ones set here.
            topic: Its name.
            create_partitions: Make the topic with so many partitions if there is none, without retention by
                age (``retention.ms=-1``): Kafka deletes by a message's timestamp, so a replayed capture of
                last month would be gone within minutes under its default of seven days. A topic that is
                there must have as many partitions. None: the topic must be there.

        Raises:
            TopicError: No answer within 10 s, a refused login or certificate, no topic, no permission, a
                wrong setting, another number of partitions.
        """
        self.topic = topic
        self.delivered = 0
        self.partitions = 0
        self.retention: timedelta | None = None
        self.retention_known = True
        self._heard = Heard(config)
        self._failed: tuple[KafkaError, int | None] | None = None
        self._put = 0
        # What librdkafka has to say is in the errors raised here.
        silence = logging.Logger("librdkafka")
        silence.addHandler(logging.NullHandler())
        self._config = {"error_cb": self._heard.errors.append, "logger": silence, **config}
        self.where = str(config.get("bootstrap.servers", "no address"))
        self._producer = self._client(
            Producer,
            {
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 50,
                "queue.buffering.max.kbytes": 65536,
                "message.timeout.ms": _DELIVERY_SECONDS * 1000,
            },
        )
        self._admin = self._client(AdminClient, {})
        self._prepare(create_partitions)

    def put(self, key: bytes | None, value: bytes, timestamp_ms: int) -> None:
        """Queue one message; waits while the queue is full.

        Args:
            key: Equal keys share a partition. None: any partition.
            value: The message.
            timestamp_ms: Event time, ms since 1970. Kafka refuses times before 1970 and more than an hour
                ahead of its clock; such a message carries the time of its sending instead, so it arrives and
                the reader judges its event time.

        Raises:
            TopicError: This message was refused, or an earlier one was not delivered.
        """
        if not 0 < timestamp_ms < time.time() * 1000 + _AHEAD_MS:
            timestamp_ms = 0  # librdkafka's word for now
        while True:
            try:
                self._producer.produce(self.topic, value, key, timestamp=timestamp_ms, on_delivery=self._on_delivery)
                break
            except BufferError:
                self._serve(0.1)
            except KafkaException as error:
                # After a failed delivery an idempotent producer refuses all that follows.
                self._serve(0)
                raise self._error(f"a message of {len(value):,} bytes was refused", error.args[0]) from error
        self._put += 1
        self._serve(0)

    def flush(self) -> int:
        """Wait until the broker has every message.

        Returns:
            How many it has acknowledged since the beginning: all that were put.

        Raises:
            TopicError: One was not delivered.
        """
        while len(self._producer):
            self._serve(0.5)
        if self.delivered != self._put:
            raise TopicError(f"{self.where}, topic {self.topic}: {self.delivered:,} of {self._put:,} messages arrived")
        return self.delivered

    def settled(self, seconds: float) -> bool:
        """Whether the broker has every message; waits no longer than that for the next one to arrive.

        Raises:
            TopicError: One was not delivered.
        """
        if len(self._producer):
            self._serve(seconds)
        return self.delivered == self._put

    def heard(self) -> str | None:
        """What the connection last suffered from, with the remedy. None: nothing, so far."""
        cause = self._heard.cause()
        return f"{self._heard.words(cause)}; {REMEDIES[cause.code()]}" if cause else None

    def drop_queued(self) -> None:
        """Forget what is queued, and learn of what is under way: ``delivered`` is then final."""
        self._producer.purge(in_queue=True, in_flight=False)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while len(self._producer) and time.monotonic() < deadline:
            with suppress(KafkaException):  # the producer is given up, and its user knows why
                self._producer.poll(0.1)

    def check_kept(self, timestamp_ms: int) -> None:
        """See that the topic would not delete a message of that time at once.

        Raises:
            TopicError: Its retention is shorter than that.
        """
        if self.retention is None or timestamp_ms <= 0:
            return
        when = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
        if when < datetime.now(UTC) - self.retention:
            raise TopicError(
                f"{self.where}, topic {self.topic} keeps messages for {self.retention}, so frames of "
                f"{when:%Y-%m-%d} would be deleted within minutes; set its retention.ms to -1"
            )

    def _prepare(self, create_partitions: int | None) -> None:
        cluster = self._reach()
        if is_embedded(cluster):
            # It has no settings and no one to ask for a topic, but makes each that is asked for by name.
            if self.topic in cluster.topics or create_partitions is not None:
                found = len(self._reach(self.topic).topics[self.topic].partitions)
                self._check_partitions(found, create_partitions)
                return
            raise self._missing()
        if self.topic in cluster.topics:
            self._check_partitions(len(cluster.topics[self.topic].partitions), create_partitions)
        elif create_partitions is None:
            # Not by list_topics(name): where auto.create.topics.enable is on, asking would make it.
            try:
                self._answer(self._admin.describe_topics(TopicCollection([self.topic]))[self.topic])
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise self._missing() from error
                raise self._error("it cannot be looked at", error.args[0]) from error
            self.partitions = len(self._reach(self.topic).topics[self.topic].partitions)
        else:
            self._create(create_partitions)
            self.partitions = create_partitions
            return
        self._read_retention()

    def _reach(self, topic: str | None = None) -> ClusterMetadata:
        """What the broker says of all topics, or of one."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return self._producer.list_topics(topic, timeout=1)
            except KafkaException as error:
                self._serve(0)
                hopeless = self._heard.hopeless()
                if time.monotonic() > deadline or hopeless:
                    cause = self._heard.cause_of(error.args[0])
                    remedy = REMEDIES.get(cause.code(), REMEDIES[KafkaError._TRANSPORT])
                    kind = TopicError if hopeless else BrokerAwayError
                    words = self._heard.words(cause)
                    raise kind(f"Kafka at {self.where} does not answer: {words}; {remedy}") from error

    def _answer(self, asked: Future[Answer]) -> Answer:
        """The broker's answer.

        Raises:
            KafkaException: It refuses.
            BrokerAwayError: It says nothing.
        """
        try:
            return asked.result(ANSWER_SECONDS)
        except TimeoutError as error:
            cause = self.heard() or f"no word within {ANSWER_SECONDS} s; {REMEDIES[KafkaError._TRANSPORT]}"
            raise BrokerAwayError(f"Kafka at {self.where} does not answer: {cause}") from error

    def _create(self, partitions: int) -> None:
        made = self._admin.create_topics([NewTopic(self.topic, partitions, config={"retention.ms": "-1"})])
        try:
            self._answer(made[self.topic])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # someone was faster
                raise self._error("it cannot be made", error.args[0]) from error

    def _check_partitions(self, found: int, wanted: int | None) -> None:
        self.partitions = found
        if wanted not in (None, found):
            raise TopicError(f"{self.where}, topic {self.topic} is there and has {found} partitions, not {wanted}")

    def _read_retention(self) -> None:
        resource = ConfigResource(ResourceType.TOPIC, self.topic)
        try:
            settings = self._answer(self._admin.describe_configs([resource])[resource])
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise self._error("its retention cannot be read", error.args[0]) from error
            self.retention_known = False
            return
        kept_ms = int(settings["retention.ms"].value)
        by_arrival = settings["message.timestamp.type"].value == "LogAppendTime"
        deletes = "delete" in settings["cleanup.policy"].value
        # A timedelta ends at a billion days; anyone who keeps messages that long keeps them for ever.
        if deletes and not by_arrival and 0 <= kept_ms < 10**15:
            self.retention = timedelta(milliseconds=kept_ms)

    def _client(self, kind: type[Client], ours: Mapping[str, Any]) -> Client:
        try:
            return kind({**ours, **self._config})
        except (KafkaException, TypeError, ValueError) as error:
            raise TopicError(f"WIFI_KAFKA_CONFIG: {self._heard.words(error)}") from error

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.delivered += 1
        elif self._failed is None:
            self._failed = error, message.partition()

    def _serve(self, seconds: float) -> None:
        """Take in what became of the messages; raises for the first that was not delivered."""
        try:
            # Not flush(): in confluent-kafka 2.16 a fatal error during it can end in a SystemError.
            self._producer.poll(seconds)
        except KafkaException as error:
            raise self._error("the broker refuses all messages", error.args[0]) from error
        if self._failed:
            cause, partition = self._failed
            where = f", partition {partition}" if partition is not None and partition >= 0 else ""
            raise self._error("a message was not delivered", cause, where)

    def _missing(self) -> TopicMissingError:
        return TopicMissingError(
            f"{self.where} has no topic {self.topic}; `wifi-assets capture --create-topic 4 --read FILE…` "
            "makes it, with 4 partitions that keep old frames (retention.ms=-1)"
        )

    def _error(self, what: str, error: KafkaError, where: str = "") -> TopicError:
        # A timeout says nothing of its cause: only the error callback heard that.
        causes = [error] if error.code() != KafkaError._MSG_TIMED_OUT else [error, self._heard.cause()]
        told = "; ".join(self._heard.words(one) for one in causes if one is not None)
        if error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED):
            told += "; this login needs DESCRIBE and WRITE on the topic, and CREATE to make it"
        return TopicError(f"{self.where}, topic {self.topic}{where}: {what}: {told}")
