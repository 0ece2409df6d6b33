"""Messages reach a real Kafka whole and stay there, or one sentence says why not."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from wifi_assets.demo.air import Air
from wifi_assets.demo.broker import embedded_broker
from wifi_assets.demo.messages import Message, message
from wifi_assets.demo.publish import Topic
from wifi_assets.resources.producer import TopicError
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.demo.conftest import FIRST_HOUR, SEED
from wifi_assets_tests.services import Server, free_port

YEARS_AGO = datetime.fromtimestamp(FIRST_HOUR * 3600, UTC)


def _messages(hours: int = 3) -> list[Message]:
    return [message(frame) for _, frame in Air(SEED, 1100, FIRST_HOUR, hours).arrivals()]


def _on_topic(bootstrap: str, name: str, partitions: int) -> list[list[Message]]:
    """What each partition holds, in order."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "error"})
    held = []
    for partition in range(partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), 10)
        assert low == 0
        consumer.assign([TopicPartition(name, partition, 0)])
        messages = []
        while consumer.position([TopicPartition(name, partition)])[0].offset < high:
            for one in consumer.consume(high - len(messages), 10):
                assert one.error() is None
                messages.append(Message(one.key() or b"", one.value() or b"", one.timestamp()[1]))
        held.append(messages)
    consumer.close()
    return held


@pytest.fixture(scope="module")
def real(kafka: Server) -> str:
    return f"127.0.0.1:{kafka.port}"


@pytest.fixture
def admin(real: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": real})


@pytest.fixture(params=["real", "embedded"])
def bootstrap(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "real":
        yield request.getfixturevalue("real")
    else:
        with embedded_broker() as address:
            yield address


def test_every_message_arrives_once_in_order_by_key_at_its_event_time(bootstrap: str) -> None:
    topic, messages = Topic(bootstrap, "published"), _messages()
    assert topic.prepare(YEARS_AGO) == 4
    assert topic.publish(messages) == len(messages)
    held = _on_topic(bootstrap, "published", 4)
    assert sorted(map(repr, messages)) == sorted(repr(one) for partition in held for one in partition)
    place = {one.key: number for number, partition in enumerate(held) for one in partition}
    for number, partition in enumerate(held):
        assert partition == [one for one in messages if place[one.key] == number]


def test_a_topic_is_made_without_retention_by_age(real: str, admin: AdminClient) -> None:
    assert Topic(real, "made").prepare(YEARS_AGO, 6) == 6
    resource = ConfigResource(ResourceType.TOPIC, "made")
    found = admin.describe_configs([resource])[resource].result(10)
    assert found["retention.ms"].value == "-1"
    assert Topic(real, "made").prepare(YEARS_AGO) == 6


def test_a_topic_that_would_delete_old_frames_is_refused(real: str, admin: AdminClient) -> None:
    made = NewTopic("short", 1, config={"retention.ms": "86400000"})
    admin.create_topics([made])["short"].result(10)
    with pytest.raises(TopicError, match=r"short keeps messages for 1 day, .* set its retention.ms to -1"):
        Topic(real, "short").prepare(YEARS_AGO)
    assert Topic(real, "short").prepare(datetime.now(UTC)) == 1


def test_another_number_of_partitions_is_refused(bootstrap: str) -> None:
    Topic(bootstrap, "four").prepare(YEARS_AGO)
    with pytest.raises(TopicError, match="has 4 partitions, not 5"):
        Topic(bootstrap, "four").prepare(YEARS_AGO, 5)


def test_what_an_embedded_broker_dropped_is_an_error() -> None:
    noise = bytes(range(256)) * 4
    messages = (
        Message(b"same", bytes(byte ^ number & 255 for byte in noise) + number.to_bytes(900, "big"), 0)
        for number in range(9_000)
    )
    with embedded_broker() as bootstrap:
        topic = Topic(bootstrap, "much", {"compression.type": "none"})
        topic.prepare(YEARS_AGO)
        with pytest.raises(TopicError, match=r"dropped the first \d+ messages of partition \d of much"):
            topic.publish(messages)


def test_no_broker_a_wrong_setting_and_a_message_too_large_are_one_sentence(real: str) -> None:
    port = free_port()
    with pytest.raises(TopicError, match=f"Kafka at 127.0.0.1:{port} does not answer: .*refused"):
        Topic(f"127.0.0.1:{port}", "pcap").prepare(YEARS_AGO)
    with pytest.raises(TopicError, match="WIFI_KAFKA_CONFIG: No such configuration property"):
        Topic(real, "pcap", {"sasl.pasword": "hunter2"}).prepare(YEARS_AGO)
    large = Topic(real, "large", {"message.max.bytes": 2000})
    large.prepare(YEARS_AGO)
    with pytest.raises(TopicError, match=r"topic large: a message of 3,000 bytes was refused.*too large"):
        large.publish([Message(b"key", b"x" * 3000, 0)])


def test_a_message_that_the_broker_refuses_ends_it(real: str, admin: AdminClient) -> None:
    made = NewTopic("strict", 1, config={"message.timestamp.before.max.ms": "1000", "retention.ms": "-1"})
    admin.create_topics([made])["strict"].result(10)
    with pytest.raises(
        TopicError, match=r"topic strict, partition 0: a message was not delivered: .*failed to validate record"
    ):
        Topic(real, "strict").publish(_messages(1))


def test_a_wrong_password_and_an_unknown_ca_are_named_and_no_secret_is(tmp_path: Path) -> None:
    port = free_port()
    env = {"KAFKA_SASL_SSL_PORT": str(port), "KAFKA_USERS": "anna:right-password"}
    server = start_or_skip(Server("kafka", tmp_path / "data", env=env))
    try:
        login = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "anna",
            "sasl.password": "right-password",
            "ssl.ca.location": str(server.data / "certs" / "ca.pem"),
        }
        address = f"127.0.0.1:{port}"
        assert Topic(address, "mine", login).prepare(YEARS_AGO) == 4
        with pytest.raises(TopicError, match=r"does not answer: .*[Aa]uthentication") as wrong:
            Topic(address, "mine", login | {"sasl.password": "hunter2"}).prepare(YEARS_AGO)
        assert "hunter2" not in str(wrong.value)
        del login["ssl.ca.location"]
        with pytest.raises(TopicError, match=r"does not answer: .*certificate"):
            Topic(address, "mine", login).prepare(YEARS_AGO)
    finally:
        server.stop()
