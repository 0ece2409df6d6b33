"""Stored days read again from Kafka with today's parser.

Here belongs the one way in which stored frames are replaced from the topic. Not here: the drain, which only
ever adds frames.
"""

from dataclasses import dataclass, field
from datetime import date
from functools import partial

import pyarrow as pa

from wifi_assets.drain import KEY, let_go, without
from wifi_assets.engine import engine
from wifi_assets.frames.message import Rules
from wifi_assets.frames.parse import MESSAGES, parse, release
from wifi_assets.hidden import claim, hide
from wifi_assets.lake import Lake, LakeError
from wifi_assets.resources.kafka import KafkaTopic, TopicState
from wifi_assets.snapshot import KAFKA, UNREAD
from wifi_assets.steps import repeat_when_overtaken

_RANGES = """
    SELECT topic_generation AS g, kafka_partition AS p, min(kafka_offset) AS low, max(kafka_offset) AS high
    FROM {} GROUP BY ALL"""
#: Messages parsed at once.
_BATCH = 200_000


@dataclass
class Reparsed:
    """Days whose rows were replaced, of each of the two tables."""

    frames: set[date] = field(default_factory=set)
    quarantine: set[date] = field(default_factory=set)


@dataclass(frozen=True)
class _Day:
    """The messages to be read again for a day.

    Attributes:
        day: Which.
        version: Of ``frames``, where it was found.
        wanted: Key columns of the messages.
        refused_days: Days of those that are in quarantine now.
        ranges: Where they are, by partition ``p``: generation ``g``, the first offset ``low``, the last ``high``.
    """

    day: date
    version: int
    wanted: pa.Table
    refused_days: set[date]
    ranges: list[dict[str, int]]


def reparse(lake: Lake, kafka: KafkaTopic, rules: Rules, days: set[date]) -> Reparsed:
    """Read the messages behind these days' frames again, and those quarantined on these days or among them.

    A message may move: from quarantine to a row, from a row to quarantine, from a day to another.

    Raises:
        LakeError: Kafka no longer holds all of these messages, or the lake hides its rows otherwise than the
            rules, or another run replaced frames meanwhile; nothing was changed. Where that comes about only while
            they are read, earlier days may have been replaced, and the error names them.
    """
    claim(lake, rules.privacy)
    state, done = kafka.look(), Reparsed()
    for day in sorted(days):
        if (found := _find(lake, day)) is not None:
            _check_kept(found, kafka, state, done)
    for day in sorted(days):
        if (wanted := _find(lake, day)) is not None:
            parsed = _read_again(lake, kafka, rules, wanted, done)
            # A drain beside it adds other messages alone: to put these in their place again is enough.
            repeat_when_overtaken(partial(_put, lake, wanted, *parsed, done))
    release()
    return done


def _find(lake: Lake, day: date) -> _Day | None:
    """What is to be read again; None if the day holds nothing.

    Raises:
        LakeError: Some of it came from an earlier topic.
    """
    topic = lake.topic()
    if topic is None:
        return None
    frames, quarantine = lake.open("frames"), lake.open("quarantine")
    with engine() as run:
        run.view("frames", frames.rows(days={day}))
        ranges = run.query(_RANGES.format("frames")).to_pylist()
        if any(row["g"] != topic.generation for row in ranges):
            raise LakeError(
                f"day {day} came from an earlier topic that is gone: it can't be parsed again and stays as it is; "
                "leave it out, or run without reparse"
            )
        among = "".join(
            f" OR kafka_partition = {row['p']} AND kafka_offset BETWEEN {row['low']} AND {row['high']}"
            for row in ranges
        )
        refused = f"topic_generation = {topic.generation} AND (day = DATE '{day}'{among})"
        run.view("refused", quarantine.rows(), refused)
        # Not UNION ALL: what a crash left in both is one message.
        wanted = run.query(f"SELECT {KEY} FROM frames UNION SELECT {KEY} FROM refused")  # noqa: S608
        refused_days = set(run.query("SELECT DISTINCT day FROM refused")["day"].to_pylist())
        run.view("wanted", wanted)
        ranges = run.query(_RANGES.format("wanted")).to_pylist()
    return _Day(day, frames.version, wanted, refused_days, ranges) if ranges else None


def _check_kept(found: _Day, kafka: KafkaTopic, state: TopicState, done: Reparsed) -> None:
    for row in found.ranges:
        if row["low"] < state.low[row["p"]]:
            raise LakeError(
                f"day {found.day} can't be parsed again: topic {kafka.topic}, partition {row['p']} begins at offset "
                f"{state.low[row['p']]}, the day's messages at {row['low']}; {_changed(done)}; leave the day "
                "out, or run without reparse"
            )


def _changed(done: Reparsed) -> str:
    """What a refusal says of the days before."""
    return f"replaced before were {', '.join(map(str, sorted(done.frames)))}" if done.frames else "nothing was changed"


def _put(lake: Lake, found: _Day, new_frames: pa.Table, new_refused: pa.Table, done: Reparsed) -> None:
    """Put the messages as they were parsed anew in the place of what is stored of them.

    Raises:
        OvertakenError: Another run committed meanwhile.
    """
    frames, quarantine = lake.open("frames"), lake.open("quarantine")
    if found.day < frames.kept_from():
        # Retention has taken the day since it was found.
        return
    if frames.rewritten_since(found.version):
        raise LakeError(
            f"day {found.day}: another run has replaced frames since its messages were looked for; {_changed(done)}; "
            "run it again"
        )
    days = frames.days() & {found.day} | set(new_frames["day"].unique().to_pylist())
    refused_days = found.refused_days | set(new_refused["day"].unique().to_pylist())
    # What stops between these commits leaves messages in both tables and none in neither; reading the day again mends
    # it, for it looks in both.
    if refused_days:
        others = without(quarantine.rows(days=refused_days), new_refused)
        rows = _together(quarantine.table.schema, others, new_refused)
        lake.replace(quarantine, rows, refused_days, {KAFKA: quarantine.positions(KAFKA)})
        done.quarantine |= refused_days
    if days:
        others = without(frames.rows(days=days), found.wanted)
        rows = _together(frames.table.schema, others, new_frames)
        unread = frames.positions(UNREAD)
        lake.replace(frames, rows, days, {KAFKA: frames.positions(KAFKA), UNREAD: unread})
        done.frames |= days
    repeat_when_overtaken(lambda: let_go(lake, new_frames, refused_days))


def _together(schema: pa.Schema, *parts: pa.Table) -> pa.Table:
    """The rows of all, which are not copied: a day's frames may take a GiB."""
    return pa.concat_tables(part.select(schema.names).cast(schema) for part in parts)


def _read_again(lake: Lake, kafka: KafkaTopic, rules: Rules, found: _Day, done: Reparsed) -> tuple[pa.Table, pa.Table]:
    """Frames and refusals of the wanted messages, parsed anew."""
    state = kafka.look()
    _check_kept(found, kafka, state, done)
    starts, ends = [0] * len(state.high), [0] * len(state.high)
    for row in found.ranges:
        starts[row["p"]], ends[row["p"]] = row["low"], row["high"] + 1
    frames, refused, count = [], [], 0
    for batch in kafka.read(starts, ends, _BATCH):
        generations = pa.array([found.ranges[0]["g"]] * len(batch.messages), pa.int32())
        numbered = batch.messages.set_column(0, MESSAGES.field(0), generations)
        with engine() as run:
            run.view("messages", numbered)
            run.view("wanted", found.wanted)
            columns = ", ".join(MESSAGES.names)
            messages = run.query(f"SELECT {columns} FROM messages SEMI JOIN wanted USING ({KEY})")  # noqa: S608
        count += len(messages)
        rows, refusals = hide(lake, rules.privacy, *parse(messages.cast(MESSAGES), rules))
        frames.append(rows)
        refused.append(refusals)
    if count != len(found.wanted):
        raise LakeError(
            f"day {found.day} can't be parsed again: Kafka holds {count} of its {len(found.wanted)} messages; "
            f"{_changed(done)}; leave the day out, or run without reparse"
        )
    return pa.concat_tables(frames), pa.concat_tables(refused)
