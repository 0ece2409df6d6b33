"""What the tests of the drain, the steps and the lake share: a small household on a real topic, and all that a
lake holds, in a form that can be compared.

Not here: anything that only one test needs.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
from confluent_kafka.admin import AdminClient

from wifi_assets.demo.air import Air
from wifi_assets.demo.household import documents, write_documents
from wifi_assets.demo.messages import Message, message
from wifi_assets.demo.publish import Topic
from wifi_assets.demo.truth import Truth
from wifi_assets.engine import engine
from wifi_assets.from_settings import lake_of
from wifi_assets.ingest import ingest
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets.snapshot import GENERATION, KAFKA
from wifi_assets_tests.services import Server

#: Hours since 1970 at which ``FIRST_DAY`` begins.
FIRST_HOUR = 20_513 * 24
FIRST_DAY = date(2026, 3, 1)
#: Before any message.
OLDEST = datetime(2026, 1, 1, tzinfo=UTC)

#: One message for each way of being no row, at the place of the frame before it.
BROKEN: tuple[bytes | None, ...] = (
    None,
    b"",
    b" \n",
    b"\xff\xfe",
    b'{"timestamp": "17723',
    b"{}{}",
    b"[]",
    b'{"timestamp": "1", "timestamp": "2"}',
    b'{"timestamp": "1772323200000", "wlan_ssid": "\\ud800"}',
    b'{"wlan_fc_type_subtype": ["0x0004"]}',
    b'{"timestamp": "soon", "wlan_fc_type_subtype": ["0x0004"]}',
    b'{"timestamp": "1772323199999", "wlan_fc_type_subtype": ["0x0004"]}',
    b'{"timestamp": "4102444800000", "wlan_fc_type_subtype": ["0x0004"]}',
    b'{"timestamp": "1772323200000", "layers": {}}',
    b'{"timestamp": "1772323200000", "wlan_fc_type_subtype": ["0x0004"], "wlan_sa": ["nobody"]}',
)


@dataclass(frozen=True)
class Household:
    """What a household's sniffer sends, and what a correct platform makes of it.

    Attributes:
        messages: In order of arrival, with the ``BROKEN`` ones strewn in.
        truth: ``Truth.found()``.
        last_seen: Of the controller's documents, epoch seconds.
    """

    messages: tuple[Message, ...]
    truth: Mapping[str, Any]
    last_seen: int

    def devices(self, folder: Path) -> Path:
        """The controller's documents as files in this folder."""
        write_documents(folder, self.last_seen)
        return folder


@lru_cache
def household(hours: int = 26, frames_per_hour: int = 200) -> Household:
    """A household from ``FIRST_DAY`` on: 26 hours go over a midnight, and with this seed two guests come."""
    last_seen = (FIRST_HOUR + hours) * 3600
    truth = Truth(documents(last_seen))
    messages = []
    for _, frame in Air(23, frames_per_hour, FIRST_HOUR, hours).arrivals():
        truth.observe(frame)
        messages.append(message(frame))
    step = len(messages) // len(BROKEN)
    for number, value in enumerate(BROKEN):
        at = number * (step + 1)
        beside = messages[at]
        messages.insert(at, Message(beside.key, value, beside.timestamp_ms))  # type: ignore[arg-type]
    return Household(tuple(messages), truth.found(), last_seen)


def topic_with(kafka: Server, messages: Iterable[Message] = (), partitions: int = 1) -> Topic:
    """A new topic that keeps old messages, with these in it."""
    topic = Topic(f"127.0.0.1:{kafka.port}", f"t-{uuid.uuid4().hex}")
    topic.prepare(OLDEST, partitions)
    topic.publish(messages)
    return topic


def make_again(topic: Topic, partitions: int) -> None:
    """Delete a topic and make it anew, empty."""
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    admin.delete_topics([topic.name])[topic.name].result(10)
    # Else it is there, for whoever asks whether it has to be made.
    while topic.name in admin.list_topics(timeout=10).topics:
        time.sleep(0.05)
    topic.prepare(OLDEST, partitions)


def settings_of(topic: Topic, lake: Path, **others: Any) -> Settings:
    """Settings for this topic and lake; what is not given has its default."""
    given: dict[str, Any] = {
        "kafka_bootstrap": topic.bootstrap,
        "kafka_topic": topic.name,
        "lake": str(lake),
        "first_day": FIRST_DAY,
    }
    return Settings(_env_file=None, **(given | others))


def ingested(settings: Settings) -> Lake:
    """The lake after one run of everything."""
    ingest(settings)
    return lake_of(settings)


def ask(lake: Lake, sql: str) -> list[dict[str, Any]]:
    """The rows of a query over the lake's tables."""
    with engine() as run:
        for name in TABLES:
            if name in sql:
                run.view(name, lake.open(name).rows())
        return run.query(sql).to_pylist()


Contents = dict[str, Counter[str]]


def contents(lake: Lake, *, positions: bool = True) -> Contents:
    """Every row of every table; without the Kafka positions where the layout of the topic may differ."""
    return {name: rows_of(lake.open(name).rows().to_table(), positions=positions) for name in TABLES}


def rows_of(table: pa.Table, *, positions: bool = True) -> Counter[str]:
    """The rows as texts; the order of rows and of a map's entries means nothing.

    Left out is ``at``, the moment at which the platform saw a device's name.
    """
    left_out = {"at"} if positions else {"at", "topic_generation", "kafka_partition", "kafka_offset"}
    maps = [field.name for field in table.schema if pa.types.is_map(field.type)]
    rows = table.select([name for name in sorted(table.schema.names) if name not in left_out]).to_pylist()
    for row in rows:
        for name in maps:
            row[name] = row[name] and sorted(row[name])
    return Counter(map(repr, rows))


def differences(found: Contents, expected: Contents) -> dict[str, str]:
    """For each table that differs, how; empty if all are equal. Says more than a diff of ten thousand rows."""
    told = {}
    for name, rows in expected.items():
        missing, more = rows - found[name], found[name] - rows
        if missing or more:
            told[name] = f"{missing.total()} missing, {more.total()} too many, e.g. {[*missing][:1]} {[*more][:1]}"
    return told


def check_account(lake: Lake) -> list[int]:
    """Nothing lost, nothing twice; holds at any time, also after a crash.

    Below the position of ``frames`` each offset is a row, or a refusal, or counted as one that held no message.

    Returns:
        The offset reached, by partition, of the topic as it is now.
    """
    topic = lake.topic()
    assert topic is not None
    frames = lake.open("frames")
    base = topic.generation * GENERATION
    # Partitions that only an earlier topic had stay behind.
    reached = [position - base for position in frames.positions(KAFKA) if position >= base]
    keys = "topic_generation, kafka_partition, kafka_offset"
    both = f"(SELECT {keys} FROM frames UNION ALL SELECT {keys} FROM quarantine)"
    assert ask(lake, f"SELECT {keys}, count(*) FROM {both} GROUP BY ALL HAVING count(*) > 1") == []
    accounted = frames.positions(f"{KAFKA}/unread")[: len(reached)]
    for row in ask(lake, f"SELECT {keys} FROM {both} WHERE topic_generation = {topic.generation}"):
        partition = row["kafka_partition"]
        accounted[partition] += row["kafka_offset"] < reached[partition]
    assert accounted == reached
    return reached


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Results of calls that begin together."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [one.result() for one in [threads.submit(run, call) for call in calls]]
