"""A lake that frames are put into, and bots on it."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from wifi_assets.bot.api import Telegram
from wifi_assets.bot.bot import Bot
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA
from wifi_assets.steps import catch_up
from wifi_assets_tests.bot.telegram import TOKEN, StandIn

ABSENT = timedelta(minutes=30)


class Air:
    """Puts probe requests into a lake, through every step but the drain.

    Attributes:
        lake: The lake.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._offset = 0

    def devices(self, **names: str) -> None:
        """The router's devices, by the last octet of their address in hex, as a00, a01, …"""
        rows = [
            {"mac": mac(name), "source": "ace.user", "name": named, "is_guest": False} for name, named in names.items()
        ]
        self.lake.replace(self.lake.open("devices"), _table("devices", rows), None, {})

    def hear(self, *probes: tuple[str, datetime], ssid: str = "home") -> None:
        """Probe requests, in this order of arrival, in one commit."""
        rows = []
        for name, at in probes:
            rows.append(
                {
                    "day": at.date(), "topic_generation": 0, "kafka_partition": 0, "kafka_offset": self._offset,
                    "kafka_timestamp": at, "event_time": at, "frame_type": 0, "frame_subtype": 4, "signal_dbm": -60,
                    "source_address": mac(name), "ssid": ssid, "ssid_bytes": ssid.encode(),
                }
            )  # fmt: skip
            self._offset += 1
        self.lake.append(self.lake.open("frames"), _table("frames", rows), {KAFKA: [self._offset]})
        for name, table in TABLES.items():
            if table.upstream:
                catch_up(self.lake, name)


def mac(name: str) -> str:
    """An address, from ``a`` and two hex digits."""
    return f"dc:a6:32:00:00:{name[1:]}"


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    columns = TABLES[name].schema
    return pa.Table.from_pylist([{field: row.get(field) for field in columns.names} for row in rows], columns)


class Running:
    """A bot, and what it said for the log.

    Attributes:
        bot: The bot.
        log: Its lines.
    """

    def __init__(
        self, telegram: StandIn, lake: Lake, path: Path, chats: frozenset[int], privacy: Privacy = CLEAR
    ) -> None:
        self.log: list[str] = []
        api = Telegram(telegram.url, SecretStr(TOKEN))
        self.bot = Bot(api, api.me(), lake, chats, ABSENT, path, self.log.append, privacy)

    def turn(self) -> None:
        """What the command does over and over."""
        self.bot.take(self.bot.read(0))
        self.bot.look()
        self.bot.speak()


@pytest.fixture
def telegram() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        yield stand_in


@pytest.fixture
def air(tmp_path: Path) -> Air:
    return Air(Lake(str(tmp_path / "lake")))


@pytest.fixture
def start(telegram: StandIn, air: Air, tmp_path: Path) -> Callable[..., Running]:
    """Starts a bot; another one with the same state is a restart."""

    def starts(*chats: int) -> Running:
        return Running(telegram, air.lake, tmp_path / "state" / "bot.json", frozenset(chats or (42,)))

    return starts
