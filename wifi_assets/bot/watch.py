"""When a watched device appears, by the times of its probe requests alone.

Here belongs the rule. Not here: how it is told (``answers.py``), how the state is kept (``state.py``).

A device is absent when N minutes went by since its last probe request, and appears with the next. Only the
frames' own times count, so that it is all the same when the bot looked, and a bot that was away tells
afterwards what it missed, and no more. A frame that is older by N minutes than what the lake held when the bot
looked before came late: it plays no part.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow.compute as pc

from wifi_assets.ask.lookup import Device, Directory, find
from wifi_assets.frames.address import mac_of
from wifi_assets.lake import Lake


@dataclass(frozen=True)
class Appearance:
    """A device came.

    Attributes:
        device: Which.
        at: Its first probe request after it was absent.
        before: The last one before; None if there was none.
    """

    device: Device
    at: datetime
    before: datetime | None


def watched_key(device: Device, asked: str) -> str:
    """Under what a device is watched: its address if that was asked for, else its whole name."""
    return mac_of(asked.strip()) or device.name


def watched_device(directory: Directory, key: str) -> Device | None:
    """The device behind a key; one that is only called alike is another."""
    found = find(directory, key)
    return found if isinstance(found, Device) and (found.name == key or mac_of(key)) else None


def level_of(directory: Directory, now: datetime) -> datetime | None:
    """The newest probe request of the lake; a sniffer whose clock is ahead does not make others late."""
    newest = pc.max(directory.sources["latest_probe"]).as_py()
    return newest and min(newest, now)


def look(
    lake: Lake, device: Device, last: datetime | None, level: datetime | None, absent: timedelta
) -> tuple[datetime | None, Appearance | None]:
    """What came of a device since the look before.

    Args:
        lake: Holds its probe requests.
        device: As it is now.
        last: Its last probe request that counted; None if there was none.
        level: The newest probe request of the lake at the look before; None if there was none.
        absent: How long it must be quiet to be absent.

    Returns:
        Its last probe request that counts now, and how it appeared the last time, or None if it did not.
    """
    newest = device.last_seen
    after = max((at for at in (last, level and level - absent) if at is not None), default=None)
    if newest is None or (after is not None and newest <= after):
        return last, None
    if last is not None and newest - last < absent:
        return newest, None
    before, found = last, None
    for at in [*_times(lake, device.addresses, after, newest), newest]:
        if before is None or at - before >= absent:
            found = Appearance(device, at, before)
        before = at
    return newest, found


def _times(lake: Lake, addresses: Iterable[str], after: datetime | None, until: datetime) -> list[datetime]:
    """The devices' probe requests after one moment and up to another, in order."""
    probes = lake.look("probes_enriched")
    if probes is None:
        return []
    days = {day for day in probes.days() if (after is None or day >= after.date()) and day <= until.date()}
    wanted = pc.field("source_address").isin(list(addresses)) & (pc.field("event_time") <= until)
    if after is not None:
        wanted &= pc.field("event_time") > after
    times = probes.rows(days).to_table(columns=["event_time"], filter=wanted)["event_time"]
    return sorted(times.unique().to_pylist())
