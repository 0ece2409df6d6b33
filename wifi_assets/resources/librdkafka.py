"""What librdkafka says of a broker, made fit to be told: cause, remedy, no secret.

Here belongs what reader and producer of the topic share. Not here: their sentences, and what each login must be
allowed to do (``kafka.py``, ``producer.py``).
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ClusterMetadata

#: Seconds until a silent broker is an error: people wait no longer for a sentence.
ANSWER_SECONDS = 10
#: Causes that only the error callback hears, most telling first, each with what to do about it.
REMEDIES = {
    KafkaError._AUTHENTICATION: "check sasl.username, sasl.password and sasl.mechanism in WIFI_KAFKA_CONFIG",
    KafkaError._SSL: "check ssl.ca.location and security.protocol in WIFI_KAFKA_CONFIG",
    KafkaError._RESOLVE: "check the name in WIFI_KAFKA_BOOTSTRAP",
    KafkaError._TRANSPORT: "check that it runs, WIFI_KAFKA_BOOTSTRAP and its security.protocol",
    KafkaError._ALL_BROKERS_DOWN: "check that it runs, WIFI_KAFKA_BOOTSTRAP and its security.protocol",
}
#: Causes that waiting does not mend.
_HOPELESS = (KafkaError._AUTHENTICATION, KafkaError._SSL)
#: Names of settings whose values no one may read. Of ``sasl.oauthbearer.*`` not all: its method or scope may be a
#: word of any sentence, and a wrong one must be readable.
_SECRET_NAMES = re.compile(r"password|passphrase|secret|jaas|token|oauthbearer\.(config|extensions)$|key$|pem$")
#: Characters from which on a secret is masked within words too. A shorter one may be part of any word, and the
#: holes would tell it.
_SECRET_LENGTH = 6
_CONNECTION_STATE = re.compile(r" \(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)")


def is_embedded(metadata: ClusterMetadata) -> bool:
    """Whether the metadata is that of an embedded broker (``demo/broker.py``)."""
    return str(metadata.cluster_id).startswith("mockCluster")


class Heard:
    """What a client's error callback heard, and how it may be told.

    Attributes:
        errors: The newest hundred, oldest first; ``errors.append`` is the client's ``error_cb``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Know what is secret.

        Args:
            config: The client's librdkafka settings.
        """
        self.errors: deque[KafkaError] = deque(maxlen=100)
        self._secrets = _secrets(config)

    def cause(self) -> KafkaError | None:
        """The most telling of the errors; of equals the first. None: none of them tells anything."""
        return next((error for code in REMEDIES for error in self.errors if error.code() == code), None)

    def cause_of(self, error: KafkaError) -> KafkaError:
        """What is behind an error: a broker's answer says it itself, librdkafka's own, mostly a timeout, does not."""
        return error if error.code() > 0 else self.cause() or error

    def hopeless(self) -> bool:
        """Whether one of the errors will not go away by waiting."""
        return any(error.code() in _HOPELESS for error in self.errors)

    def words(self, error: KafkaError | Exception) -> str:
        """An error's own words, without secrets and without the state of librdkafka's connection."""
        if isinstance(error, KafkaException):
            error = error.args[0]
        text = error.str() if isinstance(error, KafkaError) else str(error)
        for secret in self._secrets:
            text = secret.sub("…", text)
        return _CONNECTION_STATE.sub("", text)


def _secrets(config: Mapping[str, Any]) -> list[re.Pattern[str]]:
    values = {str(value) for name, value in config.items() if _SECRET_NAMES.search(name)}
    # Of sasl.oauthbearer.config librdkafka quotes the rest that it does not understand.
    values |= {part for value in values for part in value.split() if "=" in part}
    # The longest first: one may be part of another, whose rest would then be left.
    return [
        re.compile(re.escape(value) if len(value) >= _SECRET_LENGTH else rf"(?<!\w){re.escape(value)}(?!\w)")
        for value in sorted(values - {""}, key=len, reverse=True)
    ]
