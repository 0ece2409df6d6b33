"""What the bot says, as plain text.

Here belongs every sentence for a chat. Names and SSIDs are hostile: nothing but printable characters leaves this
module, and no more of them than a message may hold. Not here: when it is said (``bot.py``).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from wifi_assets.ask import lookup
from wifi_assets.ask.lookup import Candidates, Device, Directory
from wifi_assets.bot.watch import Appearance
from wifi_assets.frames.ssid import printable

#: What Telegram takes, in UTF-16 code units.
LIMIT = 4_096
#: A name is shown so far: one that is longer would leave no room for what is said of it.
_NAME = 200
#: Room for the line that says how much was left out.
_LEFT_OUT = 40

HELP = """Ask me about a device, by its name or its address:
when was X last seen, or only X
/seen X: when it was last seen
/who X: all that is known of it
/watch X: tell this chat when it appears
/unwatch X: no longer
/watching: what this chat watches"""


def seen(device: Device, now: datetime) -> str:
    """When a device was last seen."""
    if device.last_seen is None:
        return f"{_name(device.name)} was not heard yet. The router knows it."
    return f"{_name(device.name)} was last seen {when(device.last_seen, now)}."


def who(device: Device, now: datetime) -> str:
    """All that is known of a device."""
    kind = "known" if device.is_known else "a guest" if device.is_guest else "unknown to the router"
    made = [part for part in (device.model, device.type, device.vendor, device.ip) if part]
    lines = [f"{_name(device.name)}: {', '.join([kind, *map(_name, dict.fromkeys(made))])}"]
    if device.first_seen is None or device.last_seen is None:
        lines.append("Not heard yet")
    else:
        lines.append(f"Last seen: {when(device.last_seen, now)}")
        lines.append(f"First seen: {when(device.first_seen, now)}")
        lines.append(f"Probe requests: {device.probes:,}")
    if device.avg_signal_dbm is not None:
        signal = f"{device.min_signal_dbm} to {device.max_signal_dbm} dBm, mean {device.avg_signal_dbm:.0f} dBm"
        lines.append(f"Signal: {signal}")
    random = " (random)" if device.is_randomised else ""
    lines += listed(f"Addresses{random}", device.addresses)
    lines += listed("Looks for the networks", device.ssids)
    return fitted(lines)


def several(found: Candidates) -> str:
    """More than one device is meant."""
    more = [] if found.count == len(found.names) else [f"… and {found.count - len(found.names):,} more"]
    return fitted([f"{found.count:,} match. Which?", *(f"  {_name(name)}" for name in found.names), *more])


def nobody(directory: Directory, asked: str) -> str:
    """No device is meant."""
    told = lookup.nobody(directory, _name(asked))
    return f"{told[0].upper()}{told[1:]}."


def watching(keys: Iterable[str]) -> str:
    """What a chat watches."""
    lines = [f"  {_name(key)}" for key in sorted(keys)]
    return fitted(["This chat watches:", *lines]) if lines else "This chat watches nothing. /watch X begins."


def watched(device: Device, now: datetime, absent: timedelta) -> str:
    """A watch began."""
    minutes = int(absent.total_seconds()) // 60
    return f"{seen(device, now)} I tell this chat when it appears after {minutes} minutes of silence or more."


def watched_unheard(address: str) -> str:
    """A watch began, of an address of which nothing is known."""
    return f"{address} was not heard yet. I tell this chat when it appears."


def unwatched(key: str) -> str:
    """A watch ended."""
    return f"{_name(key)} is no longer watched in this chat."


def not_watched(asked: str) -> str:
    """There is no such watch."""
    return f"This chat does not watch {_name(asked)}. /watching says what it does."


def too_many(limit: int) -> str:
    """A chat watches all it may."""
    return f"This chat watches {limit} devices already, which is all it may. /unwatch X makes room."


def whom(command: str) -> str:
    """A command came without a device."""
    return f"Say whom: /{command} followed by a name or an address."


def unreadable() -> str:
    """The lake cannot be asked."""
    return "I cannot read the lake at the moment; my log says why. Ask again later."


def appeared(key: str, found: Appearance, now: datetime) -> str:
    """A watched device came."""
    name = _name(found.device.name)
    also = f" ({_name(key)})" if key != found.device.name else ""
    before = "It was never heard before"
    if found.before is not None:
        before = f"Before that it was last seen {_moment(found.before)}, {_lasted(found.at - found.before)} earlier"
    return f"{name}{also} appeared {when(found.at, now)}. {before}."


def when(at: datetime, now: datetime) -> str:
    """A moment in UTC and as the time that went by.

    >>> from datetime import UTC
    >>> when(datetime(2026, 3, 1, 11, 48, tzinfo=UTC), datetime(2026, 3, 1, 12, tzinfo=UTC))
    '2026-03-01 11:48:00 UTC, 12 minutes ago'
    """
    if at > now:
        return f"{_moment(at)}, {_lasted(at - now)} ahead of my clock"
    return f"{_moment(at)}, {_lasted(now - at)} ago"


def fitted(lines: Iterable[str]) -> str:
    """Lines as one message; the last give way to a line that says how many they were."""
    kept = [_printable(line) for line in lines]
    if _length("\n".join(kept)) <= LIMIT:
        return "\n".join(kept)
    left_out = 0
    while kept and _length("\n".join(kept)) > LIMIT - _LEFT_OUT:
        kept.pop()
        left_out += 1
    return "\n".join([*kept, f"… and {left_out:,} lines more"])


def listed(title: str, items: list[str]) -> list[str]:
    """A title and its items, one a line; nothing if there is none."""
    return [f"{title} ({len(items):,}):", *(f"  {_name(item)}" for item in items)] if items else []


def _name(text: str) -> str:
    shown = _printable(text)
    return shown if len(shown) <= _NAME else f"{shown[: _NAME - 1]}…"


def _printable(text: str) -> str:
    return printable(text.encode("utf-8", "replace").decode())


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _lasted(span: timedelta) -> str:
    """In the two greatest units that say something."""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = ((days, "day"), (hours, "hour"), (minutes, "minute"), (seconds, "second"))
    first = next((place for place, (count, _) in enumerate(units) if count), len(units) - 1)
    # Seconds mean nothing beside minutes.
    last = min(first + 2, 3) if first < 2 else first + 1
    return " ".join(
        f"{count:,} {unit}{'' if count == 1 else 's'}" for count, unit in units[first:last] if count or unit == "second"
    )
