"""Stored days read again from Kafka with today's parser.

Here belongs the one way in which stored frames are replaced from the topic. Not here: the drain, which only
ever adds frames.
"""

from datetime import date

import pyarrow as pa

from wifi_assets.drain import KEY, let_go
from wifi_assets.engine import engine
from wifi_assets.frames.message import Rules
from wifi_assets.frames.parse import MESSAGES, parse, release
from wifi_assets.hidden import claim, hide
from wifi_assets.lake import Lake, LakeError
from wifi_assets.resources.kafka import KafkaTopic
from wifi_assets.snapshot import KAFKA
from wifi_assets.steps import repeat_when_overtaken

_RANGES = """
    SELECT topic_generation AS g, kafka_partition AS p, min(kafka_offset) AS low, max(kafka_offset) AS high
    FROM {} GROUP BY ALL"""
#: Messages parsed at once.
_BATCH = 200_000


def reparse(lake: Lake, kafka: KafkaTopic, rules: Rules, days: set[date]) -> set[date]:
    """Read the messages behind these days' frames again, and those quarantined on these days or among them.

    A message may move: from quarantine to a row, from a row to quarantine, from a day to another.

    Returns:
        The days of ``frames`` whose rows were replaced.

    Raises:
        LakeError: Kafka no longer holds all of these messages, or the lake hides its rows otherwise than the
            rules; nothing was changed.
    """
    claim(lake, rules.privacy)
    touched: set[date] = set()
    for day in sorted(days):
        touched |= repeat_when_overtaken(lambda day=day: _reparse_day(lake, kafka, rules, day))  # type: ignore[misc]
    release()
    return touched


def _reparse_day(lake: Lake, kafka: KafkaTopic, rules: Rules, day: date) -> set[date]:
    topic = lake.topic()
    frames, quarantine = lake.open("frames"), lake.open("quarantine")
    with engine() as run:
        run.view("frames", frames.rows(days={day}))
        ranges = run.query(_RANGES.format("frames")).to_pylist()
        if topic is None:
            return set()
        if any(row["g"] != topic.generation for row in ranges):
            raise LakeError(f"day {day} came from an earlier topic that is gone: it can't be parsed again")
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
        if not ranges:
            return set()
    new_frames, new_refused = _read_again(lake, kafka, rules, topic.generation, ranges, wanted, day)
    with engine() as run:
        run.view("wanted", wanted)
        run.view("new_frames", new_frames)
        run.view("new_refused", new_refused)
        days = frames.days() & {day} | set(new_frames["day"].unique().to_pylist())
        refused_days |= set(new_refused["day"].unique().to_pylist())
        run.view("frames", frames.rows(days=days))
        run.view("quarantine", quarantine.rows(days=refused_days))
        columns = ", ".join(frames.table.schema.names)
        all_frames = run.query(
            f"SELECT {columns} FROM frames ANTI JOIN wanted USING ({KEY}) "  # noqa: S608
            f"UNION ALL SELECT {columns} FROM new_frames"
        )
        columns = ", ".join(quarantine.table.schema.names)
        all_refused = run.query(
            f"SELECT {columns} FROM quarantine ANTI JOIN new_refused USING ({KEY}) "  # noqa: S608
            f"UNION ALL SELECT {columns} FROM new_refused"
        )
    # What stops between these commits leaves messages in both tables and none in neither; reading the day again mends
    # it, for it looks in both.
    if refused_days:
        lake.replace(quarantine, all_refused, refused_days, {KAFKA: quarantine.positions(KAFKA)})
    if days:
        unread = f"{KAFKA}/unread"
        lake.replace(frames, all_frames, days, {KAFKA: frames.positions(KAFKA), unread: frames.positions(unread)})
    repeat_when_overtaken(lambda: let_go(lake, new_frames, refused_days))
    return days


def _read_again(
    lake: Lake,
    kafka: KafkaTopic,
    rules: Rules,
    generation: int,
    ranges: list[dict[str, int]],
    wanted: pa.Table,
    day: date,
) -> tuple[pa.Table, pa.Table]:
    """Frames and refusals of the wanted messages, parsed anew."""
    state = kafka.look()
    starts, ends = [0] * len(state.high), [0] * len(state.high)
    for row in ranges:
        if row["low"] < state.low[row["p"]]:
            raise LakeError(
                f"day {day} can't be parsed again: topic {kafka.topic}, partition {row['p']} begins at offset "
                f"{state.low[row['p']]}, the day's messages at {row['low']}; nothing was changed"
            )
        starts[row["p"]], ends[row["p"]] = row["low"], row["high"] + 1
    frames, refused, found = [], [], 0
    for batch in kafka.read(starts, ends, _BATCH):
        generations = pa.array([generation] * len(batch.messages), pa.int32())
        numbered = batch.messages.set_column(0, MESSAGES.field(0), generations)
        with engine() as run:
            run.view("messages", numbered)
            run.view("wanted", wanted)
            columns = ", ".join(MESSAGES.names)
            messages = run.query(f"SELECT {columns} FROM messages SEMI JOIN wanted USING ({KEY})")  # noqa: S608
        found += len(messages)
        rows, refusals = hide(lake, rules.privacy, *parse(messages.cast(MESSAGES), rules))
        frames.append(rows)
        refused.append(refusals)
    if found != len(wanted):
        raise LakeError(
            f"day {day} can't be parsed again: Kafka holds {found} of its {len(wanted)} messages; nothing was changed"
        )
    return pa.concat_tables(frames), pa.concat_tables(refused)
