"""Capture files onto the topic.

Here belongs the way of one file from tshark to Kafka, and what is known of it at the end. Not here:
options and what is printed (``commands.py``).
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from wifi_assets.capture.tshark import CaptureError, messages_of
from wifi_assets.resources.producer import CheckedProducer, TopicError

_PROGRESS_EVERY = 1000


@dataclass
class Replayed:
    """What became of one capture file.

    Attributes:
        file: Its path.
        frames: Frames that are on the topic.
        undecoded: Those of them in which tshark found no field of 802.11; the platform quarantines them.
        problem: What is wrong, as the rest of a sentence that begins with the file's name. None: nothing,
            and every frame of the file is on the topic.
    """

    file: str
    frames: int = 0
    undecoded: int = 0
    problem: str | None = "was not begun"


def replay(
    path: Path, producer: CheckedProducer, outcome: Replayed, advance: Callable[[int], None] = lambda _: None
) -> None:
    """Send every whole frame of a capture file, and wait until the broker has them.

    Args:
        path: pcap or pcapng, also gzipped.
        producer: Where to.
        outcome: Filled in, also when an error ends it.
        advance: Called now and then with the number of frames sent since the last call.

    Raises:
        TopicError: Kafka did not take all; ``outcome`` says how many it has.
        TsharkMissingError: Nothing was sent.
    """
    before, sent = producer.delivered, 0
    outcome.problem = None
    try:
        try:
            with closing(messages_of(path)) as messages:
                for message in messages:
                    if not sent:
                        producer.check_kept(message.timestamp_ms)
                    producer.put(message.key, message.value, message.timestamp_ms)
                    sent += 1
                    outcome.undecoded += not message.decoded
                    if sent % _PROGRESS_EVERY == 0:
                        advance(_PROGRESS_EVERY)
        except CaptureError as error:
            outcome.problem = f"{error}; its {sent:,} whole frames are on the topic" if sent else str(error)
        producer.flush()
        advance(sent % _PROGRESS_EVERY)
    except (TopicError, KeyboardInterrupt) as error:
        producer.drop_queued()
        why = "was interrupted" if isinstance(error, KeyboardInterrupt) else "was not replayed whole"
        done = producer.delivered - before
        outcome.problem = f"{why}: {done:,} of its frames are on the topic" + (
            ", and would be there twice if it were read again" if done else ""
        )
        raise
    finally:
        outcome.frames = producer.delivered - before
