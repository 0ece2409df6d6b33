"""What a small batch costs in an old lake against a young one: ``python -m bench.batches [COMMITS]``.

Each round puts 10,000 messages on the topic (the simulated household at 100,000 an hour, so 1,000 rounds are
four days) and then ingests them: the drain and the step of every table, each commit included. Rounds are
numbered by the commits of ``frames`` before them; the medians of ``SAMPLE`` rounds around the tenth and of the
last ones are compared.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench import FIRST_HOUR, TOPIC, bench_settings, load
from wifi_assets.demo.air import Air
from wifi_assets.demo.messages import Message, message
from wifi_assets.demo.publish import Topic
from wifi_assets.ingest import ingest
from wifi_assets.lake import Lake
from wifi_assets.settings import Settings

COMMITS = 1_000
MESSAGES = 10_000
PER_HOUR = 100_000
EARLY = 10
SAMPLE = 15
REACH = 1.3


def rounds(settings: Settings, messages: Iterator[Message]) -> Iterator[tuple[float, float]]:
    """Put one batch on the topic and ingest it, for ever; yields wall and CPU seconds of the ingest."""
    topic = Topic(settings.kafka_bootstrap, TOPIC)
    while True:
        topic.publish(islice(messages, MESSAGES))
        wall, cpu = time.perf_counter(), time.process_time()
        drained, _ = ingest(settings)
        yield time.perf_counter() - wall, time.process_time() - cpu
        if (drained.rows, drained.commits) != (MESSAGES, 1):
            raise SystemExit(f"{drained.rows} rows in {drained.commits} commits from {MESSAGES} messages")


def main(commits: int) -> None:
    """Measure and print."""
    messages = (message(frame) for _, frame in Air(1, PER_HOUR, FIRST_HOUR).arrivals())
    early: list[tuple[float, float]] = []
    late: list[tuple[float, float]] = []
    with bench_settings() as settings:
        print(f"{MESSAGES:,} messages a batch, {PER_HOUR:,} an hour; {load()}")
        for number, spent in enumerate(islice(rounds(settings, messages), commits + SAMPLE)):
            if EARLY <= number < EARLY + SAMPLE:
                early.append(spent)
            elif number >= commits:
                late.append(spent)
            if number % 50 == 0:
                print(f"  after {number:>5} commits: {spent[0]:.3f} s, CPU {spent[1]:.3f} s", file=sys.stderr)
        frames = Lake(settings.lake).open("frames")
        print(f"frames: version {frames.version}, {len(frames.paths())} files, {len(frames.days())} days")
        print(f"folder: {sum(one.stat().st_size for one in Path(settings.lake).rglob('*') if one.is_file()):,} octets")
    for what, place in (("wall", 0), ("CPU", 1)):
        before, after = (statistics.median(spent[place] for spent in some) for some in (early, late))
        print(
            f"{what} seconds of a batch (median of {SAMPLE}): after {EARLY} commits {before:.3f}, "
            f"after {commits:,} {after:.3f}, ratio {after / before:.2f}, reach {REACH}"
        )
    print(load())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COMMITS)
