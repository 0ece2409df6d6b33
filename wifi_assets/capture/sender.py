"""From the spool to Kafka.

Here belongs when a message is sent, and when the spool may forget it. Not here: the spool's file (``spool.py``),
or the producer and what it says of a broker (``resources/producer.py``).

A batch is forgotten when the broker has acknowledged all of it. While the broker is away the producer holds the
batch and goes on with the same sequence numbers, so it arrives once; a batch that was under way when this program
died is sent again.
"""

import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Any

from wifi_assets.capture.spool import Spool, SpoolError, Waiting
from wifi_assets.resources.producer import BrokerAwayError, CheckedProducer, TopicError

#: Messages under way at a time; so many may be on the topic twice after this program was killed.
BATCH = 1000
#: Seconds without an acknowledgement after which Kafka counts as away.
AWAY_SECONDS = 3.0
_LONGEST_WAIT = 30.0
_LOOK_SECONDS = 0.1


class Sender:
    """Sends what waits in a spool, on its own thread, until told to end.

    Attributes:
        sent: Messages that Kafka has acknowledged.
        away: Whether Kafka does not take messages now.
    """

    def __init__(
        self, spool: Spool, config: Mapping[str, Any], topic: str, create_topic: int | None, say: Callable[[str], None]
    ) -> None:
        """Look whether Kafka answers.

        Args:
            spool: What to send.
            config: librdkafka settings, ``bootstrap.servers`` among them.
            topic: Its name.
            create_topic: As in ``CheckedProducer``.
            say: Told what a person should know.

        Raises:
            TopicError: Kafka refuses: waiting would mend nothing. That it does not answer is no error.
        """
        # No time limit: a message that timed out may be on the topic all the same, and again when repeated.
        self._config = {"message.timeout.ms": 0, **config}
        self._spool, self._topic, self._create, self._say = spool, topic, create_topic, say
        self._where = f"topic {topic} on {config['bootstrap.servers']}"
        self._ending, self._deadline = Event(), float("inf")
        self._through = 0
        self._why = ""
        self._loss_told = False
        self.sent = 0
        self.away = False
        self._producer: CheckedProducer | None = None
        try:
            self._connect()
        except BrokerAwayError as error:
            self._lost(str(error))
        self._thread = Thread(target=self._run, name="kafka", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Send what is left, for at most so long; the rest stays in the spool."""
        self._deadline = time.monotonic() + seconds
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        wait = 1.0
        while True:
            try:
                producer = self._producer or self._connect()
                wait = 1.0
                if self._send_all(producer):
                    return
            except TopicError as error:
                self._producer = None
                self._lost(str(error))
                if self._ending.wait(wait):
                    return
                wait = min(_LONGEST_WAIT, 2 * wait)

    def _connect(self) -> CheckedProducer:
        self._producer = producer = CheckedProducer(self._config, self._topic, self._create)
        self._loss_told = False
        if not producer.retention_known:
            self._say(
                f"this login may not read the settings of {self._where}: if its retention.ms is short, Kafka may "
                "delete frames that waited for long"
            )
        return producer

    def _send_all(self, producer: CheckedProducer) -> bool:
        """Until this is to end; True when it may."""
        while True:
            # Looked at first: what was appended before the end was told is then seen below.
            ending = self._ending.is_set()
            batch = self._look()
            if batch:
                if not self._send(producer, batch):
                    return True
            elif ending:
                return True
            else:
                self._ending.wait(_LOOK_SECONDS)

    def _look(self) -> list[Waiting]:
        try:
            return self._spool.oldest(self._through, BATCH)
        except SpoolError as error:
            self._say(str(error))
            self._ending.wait(1)
            return []

    def _send(self, producer: CheckedProducer, batch: list[Waiting]) -> bool:
        """False: the time is over; the batch stays in the spool."""
        if not self._loss_told:
            self._check_kept(producer, batch[0].timestamp_ms)
        for message in batch:
            producer.put(message.key, message.value, message.timestamp_ms)
        begun, delivered = time.monotonic(), producer.delivered
        while not producer.settled(_LOOK_SECONDS):
            now = time.monotonic()
            if producer.delivered != delivered:
                begun, delivered = now, producer.delivered
            if now > self._deadline:
                producer.drop_queued()
                return False
            if now - begun > AWAY_SECONDS and not self.away:
                self._lost(f"Kafka at {producer.where} does not answer: {producer.heard() or 'no word from it'}")
        self._through = batch[-1].number
        self.sent += len(batch)
        if self.away:
            self.away, self._why = False, ""
            self._say(f"{self._where} takes messages again; {self._spool.waiting - len(batch):,} waiting frames follow")
        try:
            self._spool.forget(self._through)
        except SpoolError as error:
            # The next batch's end removes them too.
            self._say(f"{error}; frames that are on the topic would be sent again by the next start")
        return True

    def _check_kept(self, producer: CheckedProducer, timestamp_ms: int) -> None:
        try:
            producer.check_kept(timestamp_ms)
        except TopicError as error:
            self._loss_told = True
            self._say(str(error))

    def _lost(self, why: str) -> None:
        self.away = True
        if why != self._why:
            self._why = why
            self._say(f"{why}. Frames wait in {self._spool.path}")
