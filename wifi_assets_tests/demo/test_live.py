"""The live household keeps the pace of its clock, here one that the test turns."""

from datetime import UTC, datetime
from itertools import islice, pairwise

from wifi_assets.demo.live import live
from wifi_assets_tests.demo.conftest import FIRST_HOUR


class Clock:
    """Stands still but while someone sleeps."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def test_each_message_comes_when_it_is_due_from_now_on_over_the_hours() -> None:
    start = FIRST_HOUR * 3600 + 1800.5
    clock = Clock(start)
    seen = []
    for due, message in islice(live(3, 600, clock=clock.time, sleep=clock.sleep), 1500):
        assert abs(clock.now - due.timestamp()) < 1e-3
        seen.append((due, message))
    assert seen[0][0] >= datetime.fromtimestamp(start, UTC)
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(seen))
    assert clock.now - start > 3600
    delays = [due.timestamp() * 1000 - message.timestamp_ms for due, message in seen]
    assert min(delays) >= 0
    assert max(delays) < 3 * 3_600_000 + 1


def test_who_falls_behind_gets_what_is_due_at_once() -> None:
    clock = Clock(FIRST_HOUR * 3600)
    messages = live(3, 600, clock=clock.time, sleep=clock.sleep)
    next(messages)
    clock.now += 600
    behind = clock.now
    for due, _ in islice(messages, 20):
        assert due.timestamp() < behind
    assert clock.now == behind
