"""Messages a second from Kafka through every lake table: ``python -m bench.ingest [MESSAGES] [--days DAYS]``.

The memory must not grow with the backlog, nor with one day's part of it: ``--days 1`` puts all in one day.
The broker and the simulated household are real work too, so the topic is filled first; then one process of
its own ingests it, table by table, as ``wifi-assets ingest`` does, and tells its times and its peak memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import psutil

from bench import BEGIN, FIRST_HOUR, PARTITIONS, TOPIC, bench_settings, load
from wifi_assets.demo.air import Air
from wifi_assets.demo.messages import message
from wifi_assets.demo.publish import Topic
from wifi_assets.drain import drain
from wifi_assets.from_settings import devices_of, lake_of, rules_of, topic_of
from wifi_assets.router import store_devices
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets.steps import catch_up

MESSAGES = 1_100_000
DAYS = 3


def fill(bootstrap: str, messages: int, days: int) -> int:
    """The household's frames of these days, in the order of their arrival; returns how many."""
    air = Air(1, messages // (days * 24), FIRST_HOUR, days * 24)
    return Topic(bootstrap, TOPIC).publish(message(frame) for _, frame in air.arrivals())


def ingest(settings: Settings) -> None:
    """Ingest in this process, one line of JSON a step: name, messages or rows, wall and CPU seconds."""
    lake = lake_of(settings)

    def tell(name: str, count: int, wall: float, cpu: float) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        held = psutil.Process().memory_info().rss >> 20
        told = {
            "name": name,
            "count": count,
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "held": held,
            "peak": peak,
        }
        print(json.dumps(told), flush=True)

    wall, cpu = time.perf_counter(), time.process_time()
    store_devices(lake, devices_of(settings))
    drained = drain(lake, topic_of(settings), rules_of(settings), settings.batch)
    tell("frames", drained.rows + drained.quarantined, wall, cpu)
    for name, table in TABLES.items():
        if table.upstream:
            wall, cpu = time.perf_counter(), time.process_time()
            tell(name, catch_up(lake, name).rows, wall, cpu)


def main(messages: int, days: int) -> None:
    """Measure and print."""
    with bench_settings() as settings:
        sent = fill(settings.kafka_bootstrap, messages, days)
        print(f"{sent:,} messages of {days} days from {BEGIN:%Y-%m-%d}, {PARTITIONS} partitions; {load()}")
        environment = {
            "WIFI_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "WIFI_KAFKA_TOPIC": TOPIC,
            "WIFI_LAKE": settings.lake,
            "WIFI_DEVICES_PATH": str(settings.devices_path),
        }
        child = subprocess.run(
            [sys.executable, "-m", "bench.ingest", "--here"],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    steps = [json.loads(line) for line in child.stdout.splitlines()]
    print(f"{'table':<32}{'rows':>12}{'s':>9}{'CPU s':>9}{'messages/s':>13}{'MiB after':>11}{'peak MiB':>10}")
    for step in steps:
        speed = sent / step["wall"]
        spent = f"{step['wall']:>9.2f}{step['cpu']:>9.2f}{speed:>13,.0f}{step['held']:>11,}{step['peak']:>10,}"
        print(f"{step['name']:<32}{step['count']:>12,}{spent}")
    wall, cpu = sum(step["wall"] for step in steps), sum(step["cpu"] for step in steps)
    print(f"{'end to end':<44}{wall:>9.2f}{cpu:>9.2f}{sent / wall:>13,.0f}")
    print(f"peak memory of the process {max(step['peak'] for step in steps):,} MiB; {load()}")
    if steps[0]["count"] != sent:
        raise SystemExit(f"{sent} messages were sent, {steps[0]['count']} arrived")


if __name__ == "__main__":
    if sys.argv[1:] == ["--here"]:
        ingest(Settings(_env_file=None))  # type: ignore[call-arg]
    else:
        parser = argparse.ArgumentParser(prog="python -m bench.ingest")
        parser.add_argument("messages", type=int, nargs="?", default=MESSAGES)
        parser.add_argument("--days", type=int, default=DAYS, help="over which the messages are spread")
        chosen = parser.parse_args()
        main(chosen.messages, chosen.days)
