"""What a small batch costs in an old lake against a young one: ``python -m bench.batches [COMMITS]``.

Each round puts 10,000 messages on a topic (the simulated household at 100,000 an hour, so 1,000 rounds are four
days) and then ingests them: the drain and the step of every table, each commit included. One lake grows to
``COMMITS`` commits, another to ten. Then they take turns, ``SAMPLE`` rounds each, and the medians are compared: on
two cores that share a memory, what else the machine does changes the CPU time of the same work by a half and more
(*measured*), and so it does for both.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bench import BEGIN, FIRST_HOUR, PARTITIONS, bench_settings, load, octets_of
from wifi_assets.demo.air import Air
from wifi_assets.demo.messages import Message, message
from wifi_assets.demo.publish import Topic
from wifi_assets.ingest import ingest
from wifi_assets.lake import Lake
from wifi_assets.settings import Settings

COMMITS = 1_000
MESSAGES = 10_000
PER_HOUR = 100_000
YOUNG = 10
SAMPLE = 15
REACH = 1.3


@dataclass
class Subject:
    """A lake with a topic of its own.

    Attributes:
        settings: Where both are.
        messages: What is heard, from where the last round ended.
    """

    settings: Settings
    messages: Iterator[Message]

    @classmethod
    def of(cls, settings: Settings, name: str) -> "Subject":
        """An empty one."""
        Topic(settings.kafka_bootstrap, name).prepare(BEGIN, PARTITIONS)
        own = settings.model_copy(update={"kafka_topic": name, "lake": f"{settings.lake}-{name}"})
        return cls(own, (message(frame) for _, frame in Air(1, PER_HOUR, FIRST_HOUR).arrivals()))

    def round(self) -> tuple[float, float]:
        """Put one batch on the topic and ingest it; wall and CPU seconds of the ingest."""
        Topic(self.settings.kafka_bootstrap, self.settings.kafka_topic).publish(islice(self.messages, MESSAGES))
        wall, cpu = time.perf_counter(), time.process_time()
        drained, _ = ingest(self.settings)
        spent = time.perf_counter() - wall, time.process_time() - cpu
        if (drained.rows, drained.commits) != (MESSAGES, 1):
            raise SystemExit(f"{drained.rows} rows in {drained.commits} commits from {MESSAGES} messages")
        return spent

    def tell(self) -> None:
        """How large it is."""
        frames, folder = Lake(self.settings.lake).open("frames"), Path(self.settings.lake)
        print(f"frames: version {frames.version}, {len(frames.paths())} files, {len(frames.days())} days")
        print(f"folder: {octets_of(folder):,} octets")


def compare(young: Subject, old: Subject, commits: int) -> None:
    """Let them take turns, and print."""
    before: list[tuple[float, float]] = []
    after: list[tuple[float, float]] = []
    for _ in range(SAMPLE):
        before.append(young.round())
        after.append(old.round())
    for what, place in (("wall", 0), ("CPU", 1)):
        first, last = (statistics.median(spent[place] for spent in some) for some in (before, after))
        print(
            f"{what} seconds of a batch (median of {SAMPLE}, in turns): after {YOUNG} commits {first:.3f}, "
            f"after {commits:,} {last:.3f}, ratio {last / first:.2f}, reach {REACH}"
        )
    print(load())


def main(commits: int) -> None:
    """Measure and print."""
    with bench_settings() as settings:
        print(f"{MESSAGES:,} messages a batch, {PER_HOUR:,} an hour; {load()}")
        old, young = Subject.of(settings, "old"), Subject.of(settings, "young")
        for number in range(commits):
            wall, cpu = old.round()
            if number % 50 == 0:
                print(f"  after {number:>5} commits: {wall:.3f} s, CPU {cpu:.3f} s", file=sys.stderr)
        for _ in range(YOUNG):
            young.round()
        old.tell()
        compare(young, old, commits)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COMMITS)
