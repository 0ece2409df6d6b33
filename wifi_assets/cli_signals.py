"""How a command that runs for long is told to end: by SIGINT, which is Ctrl-C, or SIGTERM.

Here belongs which signals end it. Not here: what a command does then.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Within the block either signal calls ``end``, on the main thread between any two steps of it."""
    before = {}
    try:
        # One by one: the first may call end before the second has a handler.
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, lambda *_: end())
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
