"""The topic is read whole and in bounds; whatever is wrong with broker, topic or login is one sentence, and soon."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from wifi_assets.demo.broker import PARTITIONS, embedded_broker
from wifi_assets.demo.messages import Message
from wifi_assets.demo.publish import Topic
from wifi_assets.frames.parse import MESSAGES
from wifi_assets.ingest import ingest
from wifi_assets.resources import kafka as kafka_module
from wifi_assets.resources.kafka import KafkaTopic, KafkaUnavailable
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.services import Server, free_port
from wifi_assets_tests.support import household, settings_of, topic_with

#: What people wait for a sentence.
PATIENCE = 15
SECRETS = ("hunter2", "right-password")


def messages(count: int) -> list[Message]:
    """Numbered, keyed, a second apart."""
    return [Message(b"key %d" % (n % 7), b"%d" % n, 1_772_323_200_000 + 1000 * n) for n in range(count)]


def reader(topic: Topic, **config: Any) -> KafkaTopic:
    """The topic, without a lake."""
    return KafkaTopic(topic.bootstrap, topic.name, config, "group")


def one_sentence(call: Callable[[], object], words: str) -> None:
    """The call ends soon with these words on one line, without a secret."""
    began = time.monotonic()
    with pytest.raises(KafkaUnavailable, match=words) as error:
        call()
    assert time.monotonic() - began < PATIENCE
    text = str(error.value)
    assert "\n" not in text
    assert not any(secret in text for secret in SECRETS)


# ---------------------------------------------------------------- looking and reading


def test_a_look_tells_id_and_watermarks_and_takes_nothing(kafka: Server) -> None:
    topic = topic_with(kafka, messages(100), partitions=3)
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    state = reader(topic).look()
    assert (state.low, sum(state.high)) == ([0, 0, 0], 100)
    assert reader(topic).look() == state
    gone = admin.delete_records([TopicPartition(topic.name, 0, state.high[0])])
    for done in gone.values():
        done.result(10)
    later = reader(topic).look()
    assert later.low == [state.high[0], 0, 0]
    assert (later.topic_id, later.high) == (state.topic_id, state.high)
    assert reader(topic_with(kafka)).look().topic_id != state.topic_id


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_a_read_gives_each_message_between_its_bounds_once_and_as_it_was_sent(kafka: Server, batch: int) -> None:
    sent = messages(60)
    topic = topic_with(kafka, sent)
    batches = list(reader(topic).read([5], [45], batch))
    assert all(0 < len(one.messages) <= batch for one in batches)
    assert all(one.messages.schema == MESSAGES for one in batches)
    rows = [row for one in batches for row in one.messages.to_pylist()]
    assert [row["kafka_offset"] for row in rows] == list(range(5, 45))
    assert [(row["key"], row["value"], row["kafka_timestamp"].timestamp() * 1000) for row in rows] == [
        (one.key, one.value, one.timestamp_ms) for one in sent[5:45]
    ]
    assert [one.reached for one in batches][-1] == [45]
    counted = 5
    for one in batches:
        counted += len(one.messages)
        assert one.reached == [counted]


@pytest.mark.parametrize(("key", "value"), [(b"key", b"x" * 10_000), (b"x" * 10_000, None)], ids=["values", "keys"])
def test_large_messages_make_small_batches(
    kafka: Server, monkeypatch: pytest.MonkeyPatch, key: bytes, value: bytes | None
) -> None:
    monkeypatch.setattr(kafka_module, "_OCTETS", 1_000_000)
    monkeypatch.setattr(kafka_module, "_CALL", 20)
    topic = topic_with(kafka, (Message(key, value, 1_772_323_200_000) for _ in range(1000)))  # type: ignore[arg-type]
    batches = list(reader(topic).read([0], [1000], 1000))
    assert [row["kafka_offset"] for one in batches for row in one.messages.to_pylist()] == list(range(1000))
    assert max(len(one.messages) for one in batches) < 100 + 20
    assert min(len(one.messages) for one in batches[:-1]) >= 100
    # Each where the one before ended.
    assert [one.reached[0] for one in batches] == [one.messages["kafka_offset"][-1].as_py() + 1 for one in batches]


def test_partitions_are_read_beside_each_other_each_to_its_own_end(kafka: Server) -> None:
    topic = topic_with(kafka, messages(500), partitions=4)
    high = reader(topic).look().high
    starts, ends = [0, 3, high[2], 0], [high[0], high[1] - 2, high[2], 1]
    batches = list(reader(topic).read(starts, ends, 100))
    assert batches[-1].reached == ends
    offsets: dict[int, list[int]] = {partition: [] for partition in range(4)}
    for one in batches:
        for row in one.messages.to_pylist():
            offsets[row["kafka_partition"]].append(row["kafka_offset"])
    assert offsets == {partition: list(range(starts[partition], ends[partition])) for partition in range(4)}
    assert list(reader(topic).read(high, high, 100)) == []


def test_messages_that_come_meanwhile_are_left_for_the_next_time(kafka: Server) -> None:
    topic = topic_with(kafka, messages(50))
    reading = reader(topic).read([0], [50], 20)
    first = next(reading)
    topic.publish(messages(50))
    rest = list(reading)
    assert len(first.messages) + sum(len(one.messages) for one in rest) == 50
    assert rest[-1].reached == [50]


def test_the_groups_offsets_are_there_for_tools_that_show_lag(kafka: Server) -> None:
    topic = topic_with(kafka, messages(10), partitions=2)
    reader(topic).commit([3, 4])
    consumer = Consumer({"bootstrap.servers": topic.bootstrap, "group.id": "group"})
    told = consumer.committed([TopicPartition(topic.name, partition) for partition in range(2)], timeout=10)
    consumer.close()
    assert [one.offset for one in told] == [3, 4]
    # Reading does not heed them.
    assert len(next(reader(topic).read([0, 0], reader(topic).look().high, 100)).messages) == 10


def test_an_embedded_broker_is_read_the_same_way() -> None:
    with embedded_broker("pcap") as bootstrap:
        topic = Topic(bootstrap, "pcap")
        topic.publish(messages(100))
        state = reader(topic).look()
        assert len(state.high) == PARTITIONS
        batches = list(reader(topic).read(state.low, state.high, 30))
        assert sum(len(one.messages) for one in batches) == 100
        assert reader(topic).look() == state


# ---------------------------------------------------------------- what may be wrong


@pytest.mark.parametrize("stamp", [1_772_323_200_000_000, 1_772_323_200_000_000_000, 253_402_300_800_000])
def test_a_time_that_no_calendar_has_counts_as_now(stamp: int) -> None:
    """A producer that counts microseconds or nanoseconds; brokers before Kafka 4 take what it sends."""
    with embedded_broker("pcap") as bootstrap:
        producer = Producer({"bootstrap.servers": bootstrap})
        for time_ms in (1_772_323_200_000, stamp):
            producer.produce("pcap", b"{}", partition=0, timestamp=time_ms)
        producer.flush()
        topic = KafkaTopic(bootstrap, "pcap", {}, "wifi_assets")
        (batch,) = topic.read([0] * PARTITIONS, topic.look().high, 10)
    plain, odd = batch.messages["kafka_timestamp"].to_pylist()
    assert plain == datetime(2026, 3, 1, tzinfo=UTC)
    assert abs(odd - datetime.now(UTC)) < timedelta(minutes=5)


def test_an_offset_that_is_gone_is_an_error_not_a_jump_to_the_end(kafka: Server) -> None:
    topic = topic_with(kafka, messages(100))
    admin = AdminClient({"bootstrap.servers": topic.bootstrap})
    for done in admin.delete_records([TopicPartition(topic.name, 0, 60)]).values():
        done.result(10)
    one_sentence(
        lambda: list(reader(topic).read([50], [100], 10)), f"topic {topic.name}: partition 0, offset 50.*out of range"
    )


def test_no_broker_no_such_name_and_no_topic_say_so_and_change_nothing(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = household()
    port = free_port()
    missing = Topic(f"127.0.0.1:{kafka.port}", "nowhere")
    for topic, words in (
        (Topic(f"127.0.0.1:{port}", "pcap"), f"127.0.0.1:{port}, topic pcap: no answer: .*Connection refused; check"),
        (Topic("broker.invalid:9092", "pcap"), "broker.invalid:9092, topic pcap: no answer: .*; check the name in"),
        (missing, f"127.0.0.1:{kafka.port} has no topic nowhere: make it with retention.ms=-1"),
    ):
        lake = tmp_path / topic.bootstrap
        settings = settings_of(topic, lake, devices_path=home.devices(tmp_path / "devices"))
        one_sentence(lambda settings=settings: ingest(settings), words)  # type: ignore[misc]
        assert not lake.exists()
        monkeypatch.setattr(kafka_module, "ANSWER_SECONDS", 3)  # once was long enough to wait
    assert "nowhere" not in AdminClient({"bootstrap.servers": missing.bootstrap}).list_topics(timeout=10).topics


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"sasl.pasword": "hunter2"}, "WIFI_KAFKA_CONFIG: No such configuration property: .sasl.pasword"),
        ({"security.protocol": "TSL"}, "WIFI_KAFKA_CONFIG: Invalid value"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/nowhere.pem"}, "WIFI_KAFKA_CONFIG: .*ssl.ca.location"),
        ({"fetch.queue.backoff.ms": ["hunter2"]}, "WIFI_KAFKA_CONFIG: "),
    ],
)
def test_a_setting_that_the_client_refuses_is_named(kafka: Server, config: dict[str, Any], words: str) -> None:
    one_sentence(reader(Topic(f"127.0.0.1:{kafka.port}", "pcap"), **config).look, words)


def test_the_topics_id_is_asked_for_with_every_setting_and_its_failure_names_the_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "client.id": "reader",
        "broker.address.family": "v4",
        "socket.keepalive.enable": True,
        "enable.ssl.certificate.verification": False,
        "enable.sasl.oauthbearer.unsecure.jwt": True,
        "https.ca.location": "probe",
    }
    asked: dict[str, Any] = {}

    def elsewhere(config: dict[str, Any]) -> AdminClient:
        asked.update(config)
        return AdminClient(config | {"bootstrap.servers": f"127.0.0.1:{free_port()}"})

    monkeypatch.setattr(kafka_module, "AdminClient", elsewhere)
    monkeypatch.setattr(kafka_module, "is_embedded", lambda _: False)
    monkeypatch.setattr(kafka_module, "ANSWER_SECONDS", 2)
    with embedded_broker("pcap") as bootstrap:
        look = reader(Topic(bootstrap, "pcap"), **given).look
        one_sentence(look, "topic pcap: it cannot be looked at: .*Connection refused; check that it runs")
    assert given.items() <= asked.items()


def test_a_broker_killed_in_the_middle_is_named_and_goes_on_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_module, "ANSWER_SECONDS", 3)
    server = start_or_skip(Server("kafka", tmp_path / "data"))
    try:
        topic = topic_with(server, messages(30_000))
        reading = reader(topic, **{"queued.max.messages.kbytes": 1, "fetch.message.max.bytes": 1000}).read(
            [0], [30_000], 1000
        )
        read = len(next(reading).messages)
        server.kill()
        one_sentence(lambda: list(reading), f"topic {topic.name}: the broker stopped answering.*check that it runs")
        server.start()
        rest = list(reader(topic).read([read], [30_000], 30_000))
        assert read + sum(len(one.messages) for one in rest) == 30_000
    finally:
        server.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, dict[str, str]]]]:
    """A broker with logins, TLS and ACLs, and the settings for each of its listeners."""
    ports = {name: str(free_port()) for name in ("SASL", "SASL_SSL")}
    env = {f"KAFKA_{name}_PORT": port for name, port in ports.items()}
    env |= {"KAFKA_USERS": "anna:right-password", "KAFKA_ACL": "1"}
    server = start_or_skip(Server("kafka", tmp_path_factory.mktemp("guarded") / "data", env=env))
    login = {"sasl.username": "anna", "sasl.password": "right-password"}
    listeners = {
        "SASL": {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"} | login,
        "SASL_SSL": {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-256",
            "ssl.ca.location": str(server.data / "certs" / "ca.pem"),
        }
        | login,
    }
    yield server, {name: {"where": f"127.0.0.1:{ports[name]}"} | config for name, config in listeners.items()}
    server.stop()


def _allow(server: Server, kind: ResourceType, name: str, *operations: AclOperation) -> None:
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{server.port}"})
    for operation in operations:
        rule = AclBinding(kind, name, ResourcePatternType.LITERAL, "User:anna", "*", operation, AclPermissionType.ALLOW)
        admin.create_acls([rule])[rule].result(10)


@pytest.mark.parametrize("listener", ["SASL", "SASL_SSL"])
def test_a_login_reads_what_it_may(guarded: tuple[Server, dict[str, dict[str, str]]], listener: str) -> None:
    server, listeners = guarded
    config = dict(listeners[listener])
    topic = Topic(config.pop("where"), topic_with(server, messages(20)).name)
    one_sentence(reader(topic, **config).look, f"topic {topic.name}.*authorization failed; .*DESCRIBE and READ")
    _allow(server, ResourceType.TOPIC, topic.name, AclOperation.DESCRIBE)
    state = reader(topic, **config).look()
    mine = KafkaTopic(topic.bootstrap, topic.name, config, listener)

    def read() -> int:
        return sum(len(one.messages) for one in mine.read(state.low, state.high, 10))

    _allow(server, ResourceType.GROUP, listener, AclOperation.READ)
    one_sentence(read, f"topic {topic.name}: .*authorization failed; the login needs DESCRIBE and READ on the topic")
    _allow(server, ResourceType.TOPIC, topic.name, AclOperation.READ)
    assert read() == 20
    mine.commit([20])


def test_a_certificate_that_is_not_to_be_verified_is_not(guarded: tuple[Server, dict[str, dict[str, str]]]) -> None:
    server, listeners = guarded
    config = {name: value for name, value in listeners["SASL_SSL"].items() if name != "ssl.ca.location"}
    topic = Topic(config.pop("where"), topic_with(server, messages(20)).name)
    _allow(server, ResourceType.TOPIC, topic.name, AclOperation.DESCRIBE)
    assert reader(topic, **config, **{"enable.ssl.certificate.verification": False}).look().high == [20]


def test_a_wrong_login_and_an_unknown_ca_are_named_without_the_secret_and_change_nothing(
    guarded: tuple[Server, dict[str, dict[str, str]]], tmp_path: Path
) -> None:
    server, listeners = guarded
    stranger = {"ssl.ca.location": str(server.data / "certs" / "other-ca.pem")}
    for listener, wrong, words in (
        ("SASL", {"sasl.password": "hunter2"}, "Authentication failed.*; check sasl.username"),
        ("SASL_SSL", {"sasl.password": "hunter2"}, "Authentication failed.*; check sasl.username"),
        ("SASL", {"sasl.mechanism": "SCRAM-SHA-512"}, "PLAIN,SCRAM-SHA-256.*; check sasl.username"),
        ("SASL_SSL", stranger, "certificate.*; check ssl.ca.location"),
        ("SASL_SSL", {"security.protocol": "SASL_PLAINTEXT"}, "security.protocol"),
    ):
        config = listeners[listener] | wrong
        topic = Topic(config.pop("where"), "pcap")
        settings = settings_of(topic, tmp_path / "lake", kafka_config=config)
        words = f"Kafka at {topic.bootstrap}, topic pcap: no answer: .*{words}"
        one_sentence(lambda settings=settings: ingest(settings), words)  # type: ignore[misc]
        assert "hunter2" not in repr(settings)
    assert not (tmp_path / "lake").exists()
