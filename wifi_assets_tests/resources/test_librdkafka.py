"""No text of librdkafka's shows a secret, and of all that it says the cause is told."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from wifi_assets.resources.librdkafka import REMEDIES, Heard

SECRET = (
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "ssl_key",
    "sasl.jaas.config",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
)
OPEN = (
    "bootstrap.servers",
    "client.id",
    "security.protocol",
    "ssl.ca.location",
    "ssl.key.location",
    "sasl.username",
    "sasl.mechanism",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "enable.sasl.oauthbearer.unsecure.jwt",
)


def said(text: str, code: int = KafkaError._FAIL) -> KafkaError:
    return KafkaError(code, text)


def test_the_secrets_of_a_config_are_masked_and_nothing_else() -> None:
    config = {name: f"value{number:02}+of$it" for number, name in enumerate((*SECRET, *OPEN))}
    text = "; ".join(f'"{value}", again in a{value}b' for value in config.values())
    shown = Heard(config).words(said(text))
    assert [name for name, value in config.items() if value in shown] == list(OPEN)
    assert shown.count("…") == 2 * len(SECRET)
    assert len(shown) == len(text) - 2 * len(SECRET) * (len("value00+of$it") - 1)


def test_a_secret_within_another_leaves_no_rest() -> None:
    heard = Heard({"sasl.password": "hunter2", "ssl.key.password": "hunter2-and-more"})
    assert heard.words(said("hunter2-and-more, hunter2")) == "…, …"


def test_a_rest_of_a_secret_is_masked() -> None:
    """So librdkafka quotes what it cannot read."""
    heard = Heard({"sasl.oauthbearer.config": "principal=anna token=hunter2 scope=all"})
    text = "Unrecognized sasl.oauthbearer.config beginning at: token=hunter2 scope=all"
    assert heard.words(said(text)) == "Unrecognized sasl.oauthbearer.config beginning at: … …"


def test_an_empty_value_changes_nothing_and_a_short_one_no_other_word() -> None:
    text = "a broker says: sasl, pass, compass, a pass-phrase"
    assert Heard({"sasl.password": "", "ssl.key.pem": ""}).words(said(text)) == text
    assert Heard({"sasl.password": "pass"}).words(said(text)) == "a broker says: sasl, …, compass, a …-phrase"
    assert Heard({"sasl.password": 1234}).words(said('"1234" of 12345')) == '"…" of 12345'


@pytest.mark.parametrize("more", ["", ", 5 identical error(s) suppressed"])
def test_words_of_every_kind_of_error_come_without_the_connections_state(more: str) -> None:
    text = f"b:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: refused (after 12ms in state TRY_CONNECT{more})"
    plain = "b:9092/bootstrap: Connect to ipv4#1.2.3.4:9092 failed: refused"
    for error in (said(text), KafkaException(said(text)), TypeError(text)):
        assert Heard({}).words(error) == plain


def test_the_cause_is_the_most_telling_of_all_that_was_heard() -> None:
    heard = Heard({})
    assert heard.cause() is None
    heard.errors.append(said("of no matter", KafkaError._TIMED_OUT))
    assert heard.cause() is None
    for code in reversed(REMEDIES):
        heard.errors += [said(f"first of {code}", code), said(f"second of {code}", code)]
        cause = heard.cause()
        assert cause is not None
        assert cause.str() == f"first of {code}"
        assert heard.hopeless() == (code in (KafkaError._AUTHENTICATION, KafkaError._SSL))


def test_a_brokers_answer_is_its_own_cause_and_a_timeout_is_not() -> None:
    heard = Heard({})
    timeout, answer = said("", KafkaError._TIMED_OUT), said("", KafkaError.TOPIC_AUTHORIZATION_FAILED)
    assert heard.cause_of(timeout) is timeout
    heard.errors.append(said("refused", KafkaError._TRANSPORT))
    assert heard.cause_of(timeout).str() == "refused"
    assert heard.cause_of(answer) is answer
