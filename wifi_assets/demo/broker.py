"""An embedded Kafka for machines without one: librdkafka's mock cluster, in this process.

Here belongs how it is started and what it can do. Not here: what is sent to it (``publish.py``). For
tests of the platform's promises take a real broker; this one is for a demo and for looking around.

What it is, measured with librdkafka 2.16:

- One broker on a free port of 127.0.0.1; the port cannot be chosen. Other processes connect to it as to
  any Kafka. It lives in memory and ends with this process.
- Every topic has 4 partitions, fixed in librdkafka. A topic comes into being when someone asks for its
  metadata by name or produces to it; ``create_topics``, ``delete_topics``, ``describe_topics``,
  ``describe_cluster`` and every other request to the controller time out (there is no controller), so a
  topic has no id, no configuration and no retention. A topic cannot be deleted and made again.
- The cluster's id begins with ``mockCluster`` and is another one for each start: with no topic id, that
  is what tells two broker lives apart (``is_embedded`` in ``resources/librdkafka.py``).
- A partition keeps the newest 5 MiB of record batches *as they were sent*, then drops whole batches from
  the front and moves the low watermark. Compression counts: 20,000 messages of 600 octets uncompressed
  lost the first half; so send with ``compression.type=zstd`` and a linger that fills batches. A fetch below
  the low watermark gives ``OFFSET_OUT_OF_RANGE`` as Kafka does, so ``auto.offset.reset=error`` works.
- Watermarks, ``assign()`` with explicit offsets, ``position()``, end-of-partition events, ``list_offsets``
  earliest and latest, commit and ``committed`` without joining a group, consumer groups (3 s for the first
  message), idempotent and transactional producers work. Message timestamps arrive at consumers as they
  were sent, but the producer's delivery report shows 1234 of them (log append time).
- ``offsets_for_times`` and ``list_offsets`` by timestamp answer -1 (end) for any time, without an error.
- ``read_committed`` does not hide aborted transactions: their messages are read. Markers take offsets.
- Any ``sasl.*`` and ``ssl.*`` settings do not apply; it speaks plain text.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

#: Partitions of each topic, fixed in librdkafka.
PARTITIONS = 4
#: Octets of record batches that a partition keeps, fixed in librdkafka.
KEPT_OCTETS = 5 * 1024 * 1024


@contextmanager
def embedded_broker(*topics: str) -> Iterator[str]:
    """Run the embedded broker for as long as the context lasts.

    Args:
        topics: Made at once, empty.

    Yields:
        ``host:port``, for ``bootstrap.servers`` and ``WIFI_KAFKA_BOOTSTRAP``.
    """
    # Level 3 leaves out the notice that this is a mock cluster, which is known here.
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 3})
    try:
        metadata = cluster.list_topics(timeout=10)
        for topic in topics:
            cluster.list_topics(topic, timeout=10)
        yield ",".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
    finally:
        cluster.close()
