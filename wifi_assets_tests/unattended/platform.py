"""The platform left alone: its servers, its processes, and what can be told to it and asked of it from outside.

Here belongs what the tests of this folder share. Not here: how Dagster's processes are run (``processes.py``).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import dagster as dg
import pymongo
from pydantic import SecretStr

from wifi_assets.assets.sinks import SINKS
from wifi_assets.demo.messages import Message
from wifi_assets.demo.publish import Topic
from wifi_assets.drain import pending
from wifi_assets.from_settings import topic_of
from wifi_assets.lake import Lake
from wifi_assets.resources.neo4j import Neo4jGraph
from wifi_assets.resources.sql_target import SqlTarget
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets.steps import behind
from wifi_assets_tests.assets.targets import Target, check_in_step
from wifi_assets_tests.processes import Dagster, until
from wifi_assets_tests.receiver import Receiver
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import ask, check_account

#: A device of the router's.
DEVICE = "aa:bb:cc:00:00:01"
#: All lake assets that have days.
LAKE = [name for name, table in TABLES.items() if table.partitioned or table.upstream]
FRAMES, REFUSED = 14, 1
#: The days of ``Platform.day`` of which the lake holds frames before the first test; the others are empty.
HEARD = [8, 9, 12, 13, 15, 18, 20, 24, 25, 26, 27, 29, 32, 33, 34]
#: Subtype -> split.
SPLITS = {4: "probes", 8: "beacons", 27: "rts", 28: "cts", 29: "acks", 36: "nulls"}


def heard_on(day: date, hour: int = 12) -> list[Message]:
    """Minutes of a day: ``FRAMES`` frames of six types, among them one session, and a message that is no frame."""
    start = datetime.combine(day, time(hour), UTC)

    def frame(second: int, **fields: str) -> Message:
        at = int((start + timedelta(seconds=second)).timestamp() * 1000)
        layers = {f"wlan_{name}": [value] for name, value in fields.items()}
        return Message(DEVICE.encode(), json.dumps({"timestamp": str(at), **layers}).encode(), at)

    home, hidden = "686f6d65", "<MISSING>"
    tag = {"tag_oui": "20722", "tag_vendor_oui_type": "8", "tag_vendor_data": "0800"}
    messages = [frame(n, fc_type_subtype="0x0004", sa=DEVICE, ta=DEVICE, ssid=home) for n in range(4)]
    messages += [
        frame(10 + n, fc_type_subtype="0x0004", sa=f"0a:00:00:00:00:0{n}", ssid=hidden, **tag) for n in range(4)
    ]
    messages += [frame(20, fc_type_subtype="0x0008", sa="00:1f:33:00:00:01", ssid=home)]
    messages += [frame(30 + n, fc_type_subtype=f"0x00{n:02x}", ra=DEVICE) for n in (27, 28, 29, 36, 29)]
    return [*messages, Message(b"", b"{}{}", messages[0].timestamp_ms)]


def on(day: date) -> str:
    """SQL: rows of that day."""
    return f"day = DATE '{day}'"


@dataclass
class Platform:
    """All of it.

    Attributes:
        settings: Of the processes.
        dagster: The processes.
        topic: What the capture program sends to.
        lake: The tables.
        kafka: The broker.
        mongo: The router's database.
        postgres: The server of one target.
        webhook: Takes the alarms.
        targets: Their contents, by the name of their jobs.
    """

    settings: Settings
    dagster: Dagster
    topic: Topic
    lake: Lake
    kafka: Server
    mongo: Server
    postgres: Server
    webhook: Receiver
    targets: dict[str, Target]

    def day(self, number: int) -> date:
        """A day of the partitions, the first is 0."""
        return self.settings.first_day + timedelta(days=number)

    def name_device(self, name: str) -> None:
        """The router's user gives ``DEVICE`` a name."""
        with pymongo.MongoClient(f"mongodb://127.0.0.1:{self.mongo.port}") as client:
            document = {"mac": DEVICE, "name": name, "ip": "10.0.0.2", "model": "U7", "type": "uap"}
            client["ace"]["device"].replace_one({"mac": DEVICE}, document, upsert=True)

    def count(self, table: str, where: str = "true") -> int:
        """Rows of a table."""
        return int(ask(self.lake, f"SELECT count(*) AS n FROM {table} WHERE {where}")[0]["n"])

    def partitions(self) -> int:
        """Of the topic."""
        return len(topic_of(self.settings).look().high)

    def materialised(self, asset: str) -> set[str]:
        """The days of an asset that are green."""
        return self.dagster.instance.get_materialized_partitions(dg.AssetKey(asset))

    def runs_since(self, before: set[str]) -> list[dg.DagsterRun]:
        """Runs but for those of these ids."""
        return [run for run in self.dagster.runs() if run.run_id not in before]

    # ---------------------------------------------------------------- all by itself

    def fresh(self, *targets: str) -> bool:
        """Whether topic, all tables and targets are level and nothing waits or works."""
        return (
            self.dagster.at_rest()
            and not behind(self.lake)
            and not sum(pending(self.lake, topic_of(self.settings))[1])
            and all(self._holds_newest(name) for target in targets or self.targets for name in SINKS[target].items())
            and self.dagster.at_rest()
        )

    def settled(self, *targets: str) -> None:
        """Wait, with hands off, until all is level; then everything must be right.

        Args:
            targets: Those that must be level; all without one.
        """
        until(lambda: self.fresh(*targets), every=1)
        self.check(*targets)

    def check(self, *targets: str) -> None:
        """Nothing is lost or double: not in frames, not in what follows, not in a target."""
        check_account(self.lake)
        frames = self.count("frames")
        for subtype, split in SPLITS.items():
            assert self.count(split) == self.count("frames", f"frame_subtype = {subtype}"), split
        assert self.count("probes_enriched") == self.count("probes")
        keys = "topic_generation, kafka_partition, kafka_offset"
        assert ask(self.lake, f"SELECT {keys} FROM probes_enriched GROUP BY ALL HAVING count(*) > 1") == []
        counted = ask(self.lake, "SELECT CAST(coalesce(sum(packet_count), 0) AS BIGINT) AS n FROM packet_stats")
        assert counted == [{"n": frames}]
        probes = ask(
            self.lake, "SELECT CAST(coalesce(sum(probes), 0) AS BIGINT) AS n FROM probe_stats_by_source_device"
        )
        assert probes == [{"n": self.count("probes")}]
        for target in targets or self.targets:
            check_in_step(self.targets[target], self.lake)

    def _holds_newest(self, item: tuple[str, str]) -> bool:
        asset, table = item
        connect: Callable[[SecretStr], Any] = {"postgres": SqlTarget, "neo4j": self._graph}[asset.split("_")[0]]
        url = self.settings.sql_url if asset.startswith("postgres") else self.settings.neo4j_url
        assert url is not None
        reached = connect(url).progress(table)
        return bool(reached and reached.version == self.lake.open(table).version)

    def _graph(self, url: SecretStr) -> Neo4jGraph:
        return Neo4jGraph(url, self.settings.neo4j_user, self.settings.neo4j_password, None)


def sent(platform: Platform, days: Iterable[date]) -> None:
    """What was heard on these days, on the topic."""
    for day in days:
        platform.topic.publish(heard_on(day))
