"""A live capture with Kafka away for a tenth of the time: ``python -m bench.capture [MINUTES] [--rate FRAMES]``.

A process of its own writes a simulated household's frames into a pipe at a steady rate; ``wifi-assets capture``
reads it with dumpcap and tshark. In the fourth tenth, the fourth minute of ten, Kafka is killed (-9) and then
started again on its data. At the end ``wifi-assets ingest`` reads the topic, and all must be there once. It takes
its time, so that it is no part of ``make bench``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
from confluent_kafka import Consumer, TopicPartition

from bench import PARTITIONS, TOPIC, load
from wifi_assets.from_settings import lake_of
from wifi_assets.settings import Settings
from wifi_assets_tests.capture.feeding import START, Feeder
from wifi_assets_tests.services import Server

MINUTES = 10.0
RATE = 30
_OUTAGE = (0.3, 0.4)
_CATCH_UP_SECONDS = 120
_PROGRAM = Path(sys.executable).parent / "wifi-assets"


@dataclass
class Cost:
    """What the capture takes: the program with its dumpcap and tshark.

    Attributes:
        peaks: Name -> MiB of resident memory, the most seen.
        cpu: Name -> seconds so far.
    """

    peaks: dict[str, int] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    def look(self, program: psutil.Process) -> None:
        """Take one look into account."""
        for one in (program, *program.children()):
            name = "program" if one == program else one.name()
            self.peaks[name] = max(self.peaks.get(name, 0), one.memory_info().rss >> 20)
            spent = one.cpu_times()
            self.cpu[name] = spent.user + spent.system


def main(minutes: float, rate: int) -> None:
    """Measure and print; exit code 1 if a frame is missing or there twice."""
    frames, cost = int(minutes * 60 * rate), Cost()
    print(f"{frames:,} frames at {rate:,} a second; {load()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="wifi-assets-bench-") as given:
        folder = Path(given)
        server = Server("kafka", folder / "kafka").start()
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            kafka_bootstrap=f"127.0.0.1:{server.port}",
            kafka_topic=TOPIC,
            lake=str(folder / "lake"),
            first_day=datetime.fromtimestamp(START, UTC).date(),
        )
        try:
            summary = _capture(server, settings, folder, frames, rate, cost)
            times = _times(settings)
            environment = {name: str(getattr(settings, name)) for name in settings.model_fields_set}
            subprocess.run(
                [_PROGRAM, "ingest"],
                env=os.environ | {f"WIFI_{name.upper()}": value for name, value in environment.items()},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            rows, refused = (lake_of(settings).open(name).rows().count_rows() for name in ("frames", "quarantine"))
        finally:
            server.kill()
    print(f"fed {frames:,}; on the topic {len(times):,}, twice {len(times) - len(set(times)):,}")
    print(f"rows {rows:,}, quarantined {refused:,}")
    print(", ".join(f"{name} {summary[name]}" for name in ("most_waiting", "dropped", "restarts", "sent", "error")))
    for name, seconds in cost.cpu.items():
        share = 100 * seconds / summary["seconds"]
        print(f"{name}: at most {cost.peaks[name]} MiB, {share:.1f} % of one core")
    print(load())
    if not frames == len(times) == len(set(times)) == rows + refused:
        raise SystemExit("not all frames are there once")


def _capture(server: Server, settings: Settings, folder: Path, frames: int, rate: int, cost: Cost) -> dict[str, object]:
    feeder = Feeder(folder / "air", rate, most=frames)
    feeder.start()
    command = [_PROGRAM, "capture", "--interface", folder / "air", "--folder", folder / "spool", "--json"]
    with subprocess.Popen(
        [*command, "--topic", TOPIC, "--create-topic", str(PARTITIONS)],
        env=os.environ | {"WIFI_KAFKA_BOOTSTRAP": settings.kafka_bootstrap},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        program, away = psutil.Process(process.pid), False
        while (fed := feeder.fed) < frames:
            if (_OUTAGE[0] <= fed / frames < _OUTAGE[1]) != away:
                away = not away
                print(f"{fed:,} fed: Kafka is {'killed' if away else 'started again'}", flush=True)
                _ = server.kill() if away else server.start()
            cost.look(program)
            time.sleep(1)
        end = time.monotonic() + _CATCH_UP_SECONDS
        while len(_times(settings)) < frames and time.monotonic() < end:
            time.sleep(1)
        cost.look(program)
        feeder.end()
        summary: dict[str, object] = json.loads(process.communicate()[0])
    return summary


def _times(settings: Settings) -> list[bytes]:
    """The begin of each message on the topic, which holds its frame's time."""
    consumer = Consumer({"bootstrap.servers": settings.kafka_bootstrap, "group.id": "bench"})
    found: list[bytes] = []
    for partition in range(PARTITIONS):
        at = TopicPartition(TOPIC, partition, 0)
        high = consumer.get_watermark_offsets(at, 10)[1]
        consumer.assign([at])
        left = high
        while left:
            messages = consumer.consume(left, 10)
            found += [message.value()[:30] for message in messages]
            left -= len(messages)
    consumer.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.capture")
    parser.add_argument("minutes", type=float, nargs="?", default=MINUTES)
    parser.add_argument("--rate", type=int, default=RATE, help="frames a second")
    chosen = parser.parse_args()
    main(chosen.minutes, chosen.rate)
