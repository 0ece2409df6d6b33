"""The simulated household as it happens: messages at the pace of the clock.

Here belongs only the clock. Not here: what is heard (``air.py``).
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from wifi_assets.demo.air import HOUR, SECOND, Air
from wifi_assets.demo.messages import Message, Shape, message


def live(
    seed: int,
    frames_per_hour: int,
    shape: Shape = Shape.EK,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[datetime, Message]]:
    """Messages from now on, for ever, each yielded when it is due.

    Args:
        seed: As in ``Air``.
        frames_per_hour: On average; a home has some 100,000.
        shape: Of the messages.
        clock: Seconds since 1970.
        sleep: Waits for so many seconds.

    Yields:
        (when the message was due, the message). Its frame may have been heard before, up to three
        hours: some come late.
    """
    start = clock()
    for arrival, frame in Air(seed, frames_per_hour, int(start * SECOND) // HOUR).arrivals():
        due = arrival / SECOND
        if due < start:
            continue
        wait = due - clock()
        if wait > 0:
            sleep(wait)
        yield datetime.fromtimestamp(due, UTC), message(frame, shape)
