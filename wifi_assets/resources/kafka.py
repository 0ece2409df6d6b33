"""Reading the topic: what it holds, and messages from explicit offsets up to explicit offsets.

Here belongs all that is Kafka's. Not here: how far the platform has come (``lake.py`` knows) or what a
message means (``frames/``). Rules and their measurements: ``assign()`` with offsets, for the first
message comes in 0.03 s against seconds for a group join; ``fetch.queue.backoff.ms=10``, for with the
default of 1,000 the fetcher sleeps whenever its queue is full; ``auto.offset.reset=error``, for librdkafka
otherwise goes silently to the end when offsets are gone.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import pyarrow as pa
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from wifi_assets.frames.message import LAST_MILLISECOND
from wifi_assets.frames.parse import MESSAGES
from wifi_assets.resources.librdkafka import ANSWER_SECONDS, REMEDIES, Heard, is_embedded

Client = TypeVar("Client", AdminClient, Consumer)

#: Octets of keys and values that end a batch before its number of messages does: else 100,000 messages of 1 MB would
#: have to fit in memory, in each run anew. Captures have 400 to 530 octets a message: their batches of the default
#: size stay whole.
_OCTETS = 64 * 1024 * 1024
#: Messages of one ``consume`` call, and seconds after which it ends with fewer. No size ends one, but by then it has
#: little more than librdkafka keeps ready (*measured*, of 0.9 MB each: 43 MB, in half a second 145). Larger calls are
#: no faster; of 100 messages they cost a drain 10 % of its CPU.
_CALL, _WAIT = 1_000, 0.05
#: Messages of one Arrow chunk: Python objects of more would only cost memory (*measured*: no faster).
_CHUNK = 10_000

_REMEDIES = REMEDIES | {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the login needs DESCRIBE and READ on the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the login needs READ on the group WIFI_KAFKA_GROUP",
}
#: What a partition answers for a moment after its topic was made or its broker started.
_PASSING = (
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


class KafkaUnavailable(RuntimeError):  # noqa: N818 - reads as what it is
    """The topic cannot be read; one sentence names broker, topic, cause and what to do."""


@dataclass(frozen=True)
class TopicState:
    """What the topic holds now.

    Attributes:
        topic_id: Kafka's id of the topic, another one after it was deleted and made again. The embedded
            broker has none: there the cluster's id, new with each start, takes its place.
        low: First offset kept, by partition.
        high: One past the last offset, by partition.
    """

    topic_id: str
    low: list[int]
    high: list[int]


@dataclass(frozen=True)
class Batch:
    """Some messages and how far they reach.

    Attributes:
        messages: Table of schema ``MESSAGES``; ``topic_generation`` is 0, the lake knows better.
        reached: Next offset by partition, for every partition of the topic.
    """

    messages: pa.Table
    reached: list[int]


class KafkaTopic:
    """One topic of one cluster."""

    def __init__(self, bootstrap: str, topic: str, config: Mapping[str, Any], group: str) -> None:
        self.topic = topic
        self.where = bootstrap
        self._heard = Heard(config)
        self._config = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 10,
            "queued.max.messages.kbytes": 32_768,
            "socket.connection.setup.timeout.ms": 5_000,
            "log_level": 2,
            **config,
            "error_cb": self._heard.errors.append,
        }

    def look(self) -> TopicState:
        """The topic's id and watermarks.

        Raises:
            KafkaUnavailable: No broker answers, the login is refused, or there is no such topic.
        """
        consumer = self._client(Consumer)
        try:
            metadata = self._metadata(consumer)
            partitions = metadata.topics[self.topic].partitions
            marks = [self._marks(consumer, partition) for partition in range(len(partitions))]
            topic_id = metadata.cluster_id if is_embedded(metadata) else self._topic_id()
            return TopicState(str(topic_id), [low for low, _ in marks], [high for _, high in marks])
        except KafkaException as error:
            consumer.poll(0)
            raise self._error("it cannot be looked at", self._heard.cause_of(error.args[0])) from error
        finally:
            consumer.close()

    def read(self, starts: list[int], ends: list[int], batch: int) -> Iterator[Batch]:
        """Messages from ``starts`` up to ``ends`` (exclusive), at most ``batch`` of them in one, fewer large ones.

        ``ends`` are reached when the consumer's position says so, since transaction markers take offsets.

        Raises:
            KafkaUnavailable: The broker stops answering, or an offset is no longer there.
        """
        reached = [max(start, 0) for start in starts]
        open_partitions = {p for p in range(len(ends)) if reached[p] < ends[p]}
        if not open_partitions:
            return
        consumer = self._client(Consumer)
        try:
            consumer.assign([TopicPartition(self.topic, p, reached[p]) for p in sorted(open_partitions)])
            while open_partitions:
                rows, counted, octets, heard = _Rows(), 0, 0, time.monotonic()
                while counted < batch and octets < _OCTETS and open_partitions:
                    remaining = sum(ends[p] - reached[p] for p in open_partitions)
                    got: list[Any] = consumer.consume(min(_CALL, batch - counted, remaining), timeout=_WAIT)
                    self._check(got, heard)
                    if got:
                        heard = time.monotonic()
                    fresh = []
                    for message in got:
                        partition, offset = message.partition(), message.offset()
                        if message.error() is None and offset < ends[partition]:
                            fresh.append(message)
                            reached[partition] = offset + 1
                        elif offset >= ends[partition]:
                            # Beyond the end, or the end of the partition: nothing of ours is left there.
                            reached[partition] = ends[partition]
                    rows.add(fresh)
                    counted += len(fresh)
                    # A message's length is that of its value.
                    octets += sum(map(len, fresh)) + sum(map(len, filter(None, map(Message.key, fresh))))
                    done = {p for p in open_partitions if reached[p] >= ends[p]}
                    if done:
                        consumer.pause([TopicPartition(self.topic, p) for p in done])
                        open_partitions -= done
                yield Batch(rows.table(), list(reached))
        except KafkaException as error:
            raise self._error("it cannot be read", error.args[0]) from error
        finally:
            consumer.close()

    def commit(self, offsets: list[int]) -> None:
        """Tell the group's offsets to Kafka, for tools that show lag; nothing here reads them.

        Raises:
            KafkaUnavailable: The broker refuses them.
        """
        consumer = self._client(Consumer)
        try:
            consumer.commit(
                offsets=[TopicPartition(self.topic, p, o) for p, o in enumerate(offsets)], asynchronous=False
            )
        except KafkaException as error:
            raise self._error(f"group {self._config['group.id']}: offsets not committed", error.args[0]) from error
        finally:
            consumer.close()

    def _client(self, kind: type[Client]) -> Client:
        self._heard.errors.clear()
        try:
            return kind(self._config)
        except (KafkaException, TypeError, ValueError) as error:
            raise KafkaUnavailable(f"WIFI_KAFKA_CONFIG: {self._heard.words(error)}") from error

    def _metadata(self, consumer: Consumer) -> Any:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                metadata = consumer.list_topics(self.topic, timeout=1)
            except KafkaException as error:
                consumer.poll(0)
                if self._heard.hopeless() or time.monotonic() > deadline:
                    raise self._error("no answer", self._heard.cause_of(error.args[0])) from error
                continue
            topic = metadata.topics[self.topic]
            if topic.error is None:
                return metadata
            if topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART and not is_embedded(metadata):
                raise KafkaUnavailable(
                    f"Kafka at {self.where} has no topic {self.topic}: make it with retention.ms=-1, "
                    "e.g. by `wifi-assets capture --create-topic 4 --read FILE…`, or set WIFI_KAFKA_TOPIC"
                )
            if topic.error.code() not in _PASSING or time.monotonic() > deadline:
                raise self._error("it cannot be looked at", topic.error)
            time.sleep(0.1)

    def _marks(self, consumer: Consumer, partition: int) -> tuple[int, int]:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                marks = consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=ANSWER_SECONDS)
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
                continue
            if marks is None:
                raise self._error(f"the leader of partition {partition} does not answer", None)
            return marks

    def _topic_id(self) -> str:
        # All settings, for any of them may be what a connection needs; librdkafka ignores a consumer's own.
        admin = self._client(AdminClient)
        described = admin.describe_topics(TopicCollection([self.topic]), request_timeout=ANSWER_SECONDS)
        try:
            return str(described[self.topic].result().topic_id)
        finally:
            # Without it the error callback hears nothing.
            admin.poll(0)

    def _check(self, got: list[Any], heard: float) -> None:
        for message in got:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                at = "" if message.offset() is None else f", offset {message.offset()}"
                raise self._error(f"partition {message.partition()}{at}", error)
        # A lost connection heals by itself; silence for this long does not.
        if not got and time.monotonic() - heard > ANSWER_SECONDS:
            raise self._error("the broker stopped answering", self._heard.cause())

    def _error(self, what: str, error: KafkaError | None) -> KafkaUnavailable:
        told = f": {self._heard.words(error)}" if error is not None else ""
        remedy = _REMEDIES.get(error.code()) if error is not None else None
        return KafkaUnavailable(
            f"Kafka at {self.where}, topic {self.topic}: {what}{told}" + (f"; {remedy}" if remedy else "")
        )


class _Rows:
    """Messages as columns, chunk by chunk, so that their Python objects are short-lived."""

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._chunks: list[pa.RecordBatch] = []

    def add(self, messages: list[Any]) -> None:
        self._messages += messages
        if len(self._messages) >= _CHUNK:
            self._close_chunk()

    def table(self) -> pa.Table:
        if self._messages:
            self._close_chunk()
        return pa.Table.from_batches(self._chunks, MESSAGES)

    def _close_chunk(self) -> None:
        messages, self._messages = self._messages, []
        # Kafka's timestamps count milliseconds. A message without one (-1, as the protocol has it), or with one that no
        # calendar has since its producer counts otherwise, counts as read now.
        now = int(datetime.now(UTC).timestamp() * 1000)
        times = [t if 0 <= t <= LAST_MILLISECOND else now for _, t in (m.timestamp() for m in messages)]
        self._chunks.append(
            pa.record_batch(
                [
                    pa.array([0] * len(messages), pa.int32()),
                    pa.array([m.partition() for m in messages], pa.int32()),
                    pa.array([m.offset() for m in messages], pa.int64()),
                    pa.array(times, pa.int64()).cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC")),
                    pa.array([m.key() for m in messages], pa.binary()),
                    pa.array([m.value() for m in messages], pa.binary()),
                ],
                schema=MESSAGES,
            )
        )
