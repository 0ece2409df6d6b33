"""No message is lost in silence, and whatever is wrong with a broker or topic is named in one sentence."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from wifi_assets.demo.broker import embedded_broker
from wifi_assets.resources import producer
from wifi_assets.resources.producer import BrokerAwayError, CheckedProducer, TopicError
from wifi_assets_tests.capture.conftest import read_topic
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.services import Server, free_port

Config = dict[str, str]


@pytest.fixture(scope="module")
def config(kafka: Server) -> Config:
    return {"bootstrap.servers": f"127.0.0.1:{kafka.port}"}


def _make(config: Config, topic: str, **settings: str) -> None:
    new = NewTopic(topic, 1, config={name.replace("_", "."): value for name, value in settings.items()})
    admin = AdminClient(config)
    admin.create_topics([new])[topic].result(10)


def _send(sender: CheckedProducer) -> int:
    sender.put(None, b"value", 1_000_000)
    return sender.flush()


def test_all_arrives_in_order_also_when_the_queue_is_full(config: Config) -> None:
    small = config | {"queue.buffering.max.messages": "10"}
    sender = CheckedProducer(small, "order", 1)
    for number in range(500):
        sender.put(b"key" if number % 2 else None, b"%d" % number, 1_000_000 + number)
    assert sender.flush() == sender.delivered == 500
    (messages,) = read_topic(config["bootstrap.servers"], "order")
    assert [message.value() for message in messages] == [b"%d" % number for number in range(500)]
    assert [message.key() for message in messages[:2]] == [None, b"key"]
    assert [message.timestamp()[1] for message in messages[:2]] == [1_000_000, 1_000_001]
    sender.put(None, b"one more", 1)
    assert sender.flush() == 501


def test_a_topic_that_is_made_keeps_old_messages(config: Config) -> None:
    assert CheckedProducer(config, "made", 6).retention is None
    resource = ConfigResource(ResourceType.TOPIC, "made")
    admin = AdminClient(config)
    settings = admin.describe_configs([resource])[resource].result(10)
    assert settings["retention.ms"].value == "-1"
    CheckedProducer(config, "made", 6)
    with pytest.raises(TopicError, match="topic made is there and has 6 partitions, not 5"):
        CheckedProducer(config, "made", 5)


def test_retention_is_known(config: Config) -> None:
    _make(config, "week", retention_ms=str(7 * 86_400_000))
    _make(config, "arrival", retention_ms=str(7 * 86_400_000), message_timestamp_type="LogAppendTime")
    _make(config, "compacted", retention_ms="1000", cleanup_policy="compact")
    _make(config, "aeon", retention_ms=str(2**63 - 1))
    week = CheckedProducer(config, "week")
    with pytest.raises(TopicError, match=r"week keeps messages for 7 days, .* 2009-02-13 would be deleted"):
        week.check_kept(1_234_567_890_000)
    for kept in ("arrival", "compacted", "aeon"):
        CheckedProducer(config, kept).check_kept(1_234_567_890_000)


def test_a_missing_topic_is_not_made_by_asking(tmp_path: Path) -> None:
    env = {"KAFKA_PROPERTIES": "auto.create.topics.enable=true"}
    server = start_or_skip(Server("kafka", tmp_path / "data", env=env))
    config = {"bootstrap.servers": f"127.0.0.1:{server.port}"}
    try:
        for _ in range(2):
            with pytest.raises(TopicError, match=r"has no topic nowhere; .*--create-topic"):
                CheckedProducer(config, "nowhere")
        assert "nowhere" not in AdminClient(config).list_topics(timeout=10).topics
    finally:
        server.stop()


def test_a_refused_message_names_topic_partition_and_cause(config: Config) -> None:
    _make(config, "strict-times", message_timestamp_before_max_ms="1000", retention_ms="-1")
    sender = CheckedProducer(config, "strict-times")
    sender.put(None, b"old", 1_000_000)
    with pytest.raises(
        TopicError, match=r"topic strict-times, partition 0: a message was not delivered: .*[Ii]nvalid timestamp"
    ):
        sender.flush()
    assert sender.delivered == 0
    with pytest.raises(TopicError, match="a message was not delivered"):
        sender.put(None, b"later", 1_000_000)
    large = CheckedProducer(config | {"message.max.bytes": "2000"}, "large-messages", 1)
    with pytest.raises(TopicError, match=r"a message of 3,000 bytes was refused: .*too large"):
        large.put(None, bytes(3000), 1)


def test_a_broker_killed_on_the_way_is_named_and_what_it_has_is_counted(tmp_path: Path) -> None:
    server = start_or_skip(Server("kafka", tmp_path / "data"))
    address = f"127.0.0.1:{server.port}"
    sender = CheckedProducer({"bootstrap.servers": address, "message.timeout.ms": 3000}, "half", 1)
    for number in range(100):
        sender.put(b"key", b"%d" % number, 1)
    assert sender.flush() == 100
    server.kill()
    sender.put(b"key", b"lost", 1)
    with pytest.raises(TopicError, match=r"half.*a message was not delivered: .*timed out; .*(refused|reset by peer)"):
        sender.flush()
    sender.drop_queued()
    assert sender.delivered == 100
    server.start()
    try:
        assert len(read_topic(address, "half")[0]) == 100
    finally:
        server.stop()


def test_a_broker_that_comes_back_gets_all_once(tmp_path: Path) -> None:
    server = start_or_skip(Server("kafka", tmp_path / "data"))
    address = f"127.0.0.1:{server.port}"
    sender = CheckedProducer({"bootstrap.servers": address}, "patient", 1)
    for number in range(1000):
        # Of an old time the broker would take for new what is sent again.
        sender.put(b"key", b"%d" % number, int(time.time() * 1000))
        if number == 500:
            server.kill()
            server.start()
    try:
        assert sender.flush() == 1000
        values = [message.value() for message in read_topic(address, "patient")[0]]
        assert values == [b"%d" % number for number in range(1000)]
    finally:
        server.stop()


def test_no_broker_an_unknown_name_and_a_wrong_setting_are_one_sentence(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "ANSWER_SECONDS", 2)
    port = free_port()
    for wrong, words in (
        (
            {"bootstrap.servers": f"127.0.0.1:{port}"},
            f"127.0.0.1:{port} does not answer: .*Connection refused; check",
        ),
        ({"bootstrap.servers": "broker.invalid:9092"}, "broker.invalid:9092 does not answer: .*resolve"),
        (config | {"sasl.pasword": "hunter2"}, "WIFI_KAFKA_CONFIG: No such configuration property"),
        (config | {"security.protocol": "hunter2"}, "WIFI_KAFKA_CONFIG: Invalid value"),
        (config | {"acks": "1"}, "WIFI_KAFKA_CONFIG: .*`acks` must be set to `all`"),
        (
            config | {"ssl.ca.location": "/nowhere", "security.protocol": "SSL"},
            "WIFI_KAFKA_CONFIG: .*ssl.ca.location",
        ),
    ):
        with pytest.raises(TopicError, match=words) as error:
            CheckedProducer(wrong, "pcap")
        assert "\n" not in str(error.value)


def test_a_broker_that_answers_no_request_in_time_is_away(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    _make(config, "silent")
    monkeypatch.setattr(producer, "ANSWER_SECONDS", 0)
    for topic, partitions in (("silent", None), ("never-made", 1), ("nowhere", None)):
        with pytest.raises(BrokerAwayError, match=f"Kafka at {config['bootstrap.servers']} does not answer: no word"):
            CheckedProducer(config, topic, partitions)


def test_an_embedded_broker_makes_only_what_is_asked_for() -> None:
    with embedded_broker("pcap") as address:
        config = {"bootstrap.servers": address}
        sender = CheckedProducer(config, "pcap")
        sender.put(b"key", b"value", 1_000_000)
        assert sender.flush() == 1
        with pytest.raises(TopicError, match="has no topic other"):
            CheckedProducer(config, "other")
        CheckedProducer(config, "other", 4)
        with pytest.raises(TopicError, match="topic third is there and has 4 partitions, not 2"):
            CheckedProducer(config, "third", 2)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Config]]]:
    """A broker with logins, TLS and ACLs, and the settings for each of its listeners."""
    ports = {name: str(free_port()) for name in ("SASL", "SASL_SSL", "SSL")}
    env = {f"KAFKA_{name}_PORT": port for name, port in ports.items()}
    env |= {"KAFKA_USERS": "anna:right-password bob:other-password", "KAFKA_ACL": "1"}
    server = start_or_skip(Server("kafka", tmp_path_factory.mktemp("guarded") / "data", env=env))
    certificates = server.data / "certs"
    login = {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": "anna", "sasl.password": "right-password"}
    trust = {"ssl.ca.location": str(certificates / "ca.pem")}
    identity = {
        "ssl.certificate.location": str(certificates / "client.pem"),
        "ssl.key.location": str(certificates / "client.key"),
    }
    listeners = {
        "SASL": {"security.protocol": "SASL_PLAINTEXT"} | login | {"sasl.mechanism": "PLAIN"},
        "SASL_SSL": {"security.protocol": "SASL_SSL"} | login | trust,
        "SSL": {"security.protocol": "SSL"} | trust | identity,
    }
    yield (
        server,
        {name: {"bootstrap.servers": f"127.0.0.1:{ports[name]}"} | settings for name, settings in listeners.items()},
    )
    server.stop()


def _allow(server: Server, user: str, topic: str, *operations: AclOperation) -> None:
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{server.port}"})
    for operation in operations:
        rule = AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        admin.create_acls([rule])[rule].result(10)


@pytest.mark.parametrize(("listener", "user"), [("SASL", "anna"), ("SASL_SSL", "anna"), ("SSL", "CN=client")])
def test_each_kind_of_login_may_do_what_its_acl_says(
    guarded: tuple[Server, dict[str, Config]], listener: str, user: str
) -> None:
    server, listeners = guarded
    topic, plain = f"by-{listener}", {"bootstrap.servers": f"127.0.0.1:{server.port}"}
    CheckedProducer(plain, topic, 1)
    with pytest.raises(TopicError, match=f"topic {topic}: it cannot be looked at: .*authorization failed"):
        CheckedProducer(listeners[listener], topic)
    with pytest.raises(TopicError, match=r"topic new: it cannot be made: .*uthorization failed"):
        CheckedProducer(listeners[listener], "new", 1)
    _allow(server, user, topic, AclOperation.DESCRIBE)
    reader = CheckedProducer(listeners[listener], topic)
    with pytest.raises(
        TopicError,
        match=r"(refuses all messages|not delivered): .*uthorization failed; this login needs .*WRITE",
    ):
        _send(reader)
    _allow(server, user, topic, AclOperation.WRITE)
    writer = CheckedProducer(listeners[listener], topic)
    assert not writer.retention_known
    assert _send(writer) == 1
    _allow(server, user, topic, AclOperation.DESCRIBE_CONFIGS)
    assert CheckedProducer(listeners[listener], topic).retention_known


def test_a_wrong_login_and_an_unknown_ca_are_named_without_the_secret(
    guarded: tuple[Server, dict[str, Config]],
) -> None:
    server, listeners = guarded
    stranger = {"ssl.ca.location": str(server.data / "certs" / "other-ca.pem")}
    for wrong, words in (
        (listeners["SASL"] | {"sasl.password": "hunter2"}, "Authentication failed.*; check sasl.username"),
        (
            listeners["SASL_SSL"] | {"sasl.password": "hunter2"},
            "Authentication failed.*; check sasl.username",
        ),
        (
            listeners["SASL"] | {"sasl.mechanism": "SCRAM-SHA-512"},
            "supported mechanisms: PLAIN,SCRAM-SHA-256",
        ),
        (listeners["SASL_SSL"] | stranger, "certificate could not be verified.*; check ssl.ca.location"),
        (listeners["SSL"] | stranger, "certificate could not be verified.*; check ssl.ca.location"),
    ):
        with pytest.raises(TopicError, match=words) as error:
            CheckedProducer(wrong, "pcap")
        assert f"Kafka at {wrong['bootstrap.servers']} does not answer" in str(error.value)
        assert not any(secret in str(error.value) for secret in ("hunter2", "right-password"))
