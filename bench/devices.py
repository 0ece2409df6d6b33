"""How far off ``devices_estimated`` is: ``python -m bench.devices FOLDER``.

The folder holds captures of one phone each (``one-device-*.pcap``), in which every address is taken for a random
one. Each whole capture, its first hour at most, is one device; mixtures of them are put into one hour, each at a
random start and with addresses of its own. Besides, two days of the simulated household, whose truth is known.

Errors are relative: (found - true) / true. The same seed gives the same table.

Here belongs the evaluation. Not here: the estimate itself (``wifi_assets/sql/devices_estimated.sql``).
"""

import argparse
import random
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from bench import BEGIN, FIRST_HOUR
from wifi_assets.capture.tshark import messages_of
from wifi_assets.demo.air import Air
from wifi_assets.demo.frame import PROBE_REQUEST
from wifi_assets.demo.messages import message
from wifi_assets.engine import engine, statement
from wifi_assets.frames.message import Rules
from wifi_assets.frames.parse import messages_table, parse
from wifi_assets.schemas import TABLES

HOUR = timedelta(hours=1)
#: A second phone may be this much farther away, dB: from beside the sniffer to the next room but one.
FARTHER = 25
ROUNDS = 50


class Counts(NamedTuple):
    """What there was and what was found in one hour."""

    true: int
    addresses: int
    vendor_tags: int
    fingerprints: int
    estimated: int
    low: int
    high: int


def enriched(values: Iterable[tuple[int, bytes]]) -> pa.Table:
    """Messages (ms since 1970, JSON) as rows of ``probes_enriched``; nobody is known."""
    rows = ((0, 0, n, datetime.fromtimestamp(ms / 1000, UTC), None, value) for n, (ms, value) in enumerate(values))
    frames, _ = parse(messages_table(rows), Rules())
    vendors = pa.schema([("prefix", pa.string()), ("oui", pa.int64()), ("vendor", pa.string())])
    with engine() as run:
        run.view("frames", frames)
        run.view("probes", run.query(statement("probes")))
        run.view("devices", TABLES["devices"].schema.empty_table())
        run.view("vendors", vendors.empty_table())
        return run.query(statement("probes_enriched"))


def counted(probes: pa.Table, true: dict[tuple[date, datetime], int]) -> list[Counts]:
    """The estimate beside the truth, hour by hour."""
    with engine() as run:
        run.view("probes_enriched", probes)
        rows = run.query(statement("devices_estimated")).to_pylist()
        tags = run.query(
            "SELECT date_trunc('hour', event_time) AS hour, count(DISTINCT fingerprint) AS n "
            "FROM probes_enriched WHERE is_randomised GROUP BY 1"
        ).to_pylist()
    by_tags = {row["hour"]: row["n"] for row in tags}
    return [
        Counts(
            true[row["day"], row["hour"]], row["random_addresses"], by_tags[row["hour"]], row["fingerprints"],
            row["devices_estimated"], row["devices_low"], row["devices_high"],
        )
        for row in rows
    ]  # fmt: skip


def phone(path: Path) -> pa.Table:
    """A capture's probe requests of its first hour, their times from its first."""
    probes = enriched((one.timestamp_ms, one.value) for one in messages_of(path))
    first = pc.min(probes["event_time"])
    since = pc.subtract(probes["event_time"], first)
    return probes.append_column("since", since).filter(pc.less(since, pa.scalar(HOUR, pa.duration("us"))))


def mixture(phones: Sequence[pa.Table], number: int, chance: random.Random, farther: int) -> pa.Table:
    """The phones in the first hour of day ``number``, each at a random time and up to ``farther`` dB weaker."""
    day = BEGIN + timedelta(days=number)
    parts = []
    for copy, probes in enumerate(phones):
        span = pc.max(probes["event_time"]).as_py() - pc.min(probes["event_time"]).as_py()
        start = day + chance.random() * (HOUR - span)
        # Milliseconds, as a message has them.
        start -= timedelta(microseconds=start.microsecond % 1000)
        indices = probes["source_address"].combine_chunks().dictionary_encode().indices.to_pylist()
        moved = {
            "day": pa.array([day.date()] * len(probes)),
            "event_time": pc.add(pa.scalar(start, pa.timestamp("us", "UTC")), probes["since"]),
            "source_address": pa.array([f"02:{copy:02x}:00:00:{i >> 8:02x}:{i & 255:02x}" for i in indices]),
            "signal_dbm": pc.subtract(probes["signal_dbm"], pa.scalar(chance.randint(0, farther), pa.int32())),
            "is_randomised": pa.array([True] * len(probes)),
        }
        parts.append(pa.table({name: moved.get(name, probes[name]) for name in probes.column_names}))
    return pa.concat_tables(parts)


def mixtures(choices: Sequence[Sequence[pa.Table]], chance: random.Random, farther: int) -> list[Counts]:
    """The counts of one mixture for each choice of phones."""
    days = {number: BEGIN + timedelta(days=number) for number in range(len(choices))}
    true = {(day.date(), day): len(choices[number]) for number, day in days.items()}
    return counted(pa.concat_tables(mixture(one, n, chance, farther) for n, one in enumerate(choices)), true)


def household(hours: int, frames_per_hour: int) -> list[Counts]:
    """The hours of the simulated household."""
    senders = defaultdict(set)
    values = []
    for _, frame in Air(1, frames_per_hour, FIRST_HOUR, hours).arrivals():
        if frame.subtype == PROBE_REQUEST:
            values.append((frame.time_ms, message(frame).value))
            if frame.source and frame.source[1] in "2367abef":
                hour = datetime.fromtimestamp(frame.time_ms // 3_600_000 * 3600, UTC)
                senders[hour.date(), hour].add(frame.sender)
    return counted(enriched(values), {hour: len(who) for hour, who in senders.items()})


def line(what: str, devices: str, counts: Sequence[Counts]) -> str:
    """One line of the table: each count's median error without sign and worst, and how often the bounds hold."""

    def error(found: str) -> str:
        errors = sorted(((getattr(one, found) - one.true) / one.true for one in counts), key=abs)
        return f"{statistics.median(map(abs, errors)):.0%}, {errors[-1]:+.0%}"

    within = sum(one.low <= one.true <= one.high for one in counts) / len(counts)
    naive = " | ".join(error(name) for name in ("addresses", "vendor_tags", "fingerprints"))
    return f"| {what} | {devices} | {naive} | {error('estimated')} | {within:.0%} |"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder with captures one-device-*.pcap")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("one-device-*.pcap"))
    if not paths:
        parser.error(f"{arguments.folder} holds no one-device-*.pcap")
    chance = random.Random(arguments.seed)  # noqa: S311
    phones = [phone(path) for path in paths]
    print("| what | devices | addresses | vendor tag lists | fingerprints | estimate | truth within bounds |")
    print("|---|---|---|---|---|---|---|")
    for path, one in zip(paths, phones, strict=True):
        print(line(path.stem.removeprefix("one-device-"), "1", mixtures([[one]], chance, 0)))
    for devices in range(2, len(phones) + 1):
        choices = [chance.sample(phones, devices) for _ in range(ROUNDS)]
        print(line("different phones, as captured", str(devices), mixtures(choices, chance, 0)), flush=True)
    for farther, where in ((0, "as captured"), (FARTHER, f"up to {FARTHER} dB weaker")):
        for devices in (2, 4, 8, 12):
            choices = [chance.choices(phones, k=devices) for _ in range(ROUNDS)]
            print(
                line(f"any phones, some alike, {where}", str(devices), mixtures(choices, chance, farther)), flush=True
            )
    for devices in (2, 4, 8):
        choices = [[chance.choice(phones)] * devices for _ in range(ROUNDS)]
        print(line("one model, at one place", str(devices), mixtures(choices, chance, 0)), flush=True)
    for frames_per_hour in (500, 5_000):
        hours = household(48, frames_per_hour)
        span = f"{min(one.true for one in hours)}-{max(one.true for one in hours)}"
        print(line(f"simulated household, {frames_per_hour:,} frames an hour", span, hours), flush=True)


if __name__ == "__main__":
    main()
