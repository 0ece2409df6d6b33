"""From Kafka into ``frames`` and ``quarantine``, every message once, whatever crashes.

Here belongs the progress rule between Kafka and the lake. Not here: how Kafka is read
(``resources/kafka.py``), what a message means (``frames/``), how rows are committed (``lake.py``).

The offsets live in the lake. A batch's refusals are committed first, then its frames, each with the
positions reached. So at all times, for each partition of the topic as it is now: rows of frames + rows of
quarantine below the position of frames + offsets that held no message = the offset of that position.

Where the position of ``quarantine`` is beyond that of ``frames``, a run ended between the two commits. By the
rules of the next run what it refused may be rows, and Kafka may have deleted it meanwhile. So the drain looks there
at each stored refusal: none is written twice, none counts as unread, and those that are rows now are taken out.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from itertools import chain

import pyarrow as pa

from wifi_assets.compute import padded
from wifi_assets.engine import Rows, engine
from wifi_assets.frames.message import Rules
from wifi_assets.frames.parse import MESSAGES, parse, release
from wifi_assets.hidden import claim, hide
from wifi_assets.lake import Lake, LakeError, OvertakenError, Topic
from wifi_assets.resources.kafka import Batch, KafkaTopic, KafkaUnavailable, TopicState
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import GENERATION, KAFKA, POSITION, UNREAD, Snapshot
from wifi_assets.steps import repeat_when_overtaken

#: Columns that say which message a row is of.
KEY = ", ".join(TABLES["frames"].key)


class TopicChangedError(LakeError):
    """The topic is not the one that the lake was drained from, or no longer holds what was to come next."""


@dataclass
class Drained:
    """What a drain did.

    Attributes:
        rows: Frames written.
        quarantined: Messages refused.
        reasons: Refusals by reason.
        days: Days of the frames written.
        refused_days: Days of the messages refused.
        start: Offsets at the beginning, by partition.
        end: Offsets reached, by partition.
        lag: Messages that came meanwhile and are left.
        commits: Commits of frames.
        group_problem: Why Kafka's consumer group, which only shows lag, was not told; "" if it was.
    """

    rows: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    days: set[date] = field(default_factory=set)
    refused_days: set[date] = field(default_factory=set)
    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    lag: int = 0
    commits: int = 0
    group_problem: str = ""


def drain(
    lake: Lake,
    kafka: KafkaTopic,
    rules: Rules,
    batch: int,
    *,
    accept_loss: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Drained:
    """Read the topic up to the high watermarks of now.

    Args:
        lake: Where to.
        kafka: Where from.
        rules: The user's part of what a message means.
        batch: Messages of one commit.
        accept_loss: Go on after offsets were lost or the topic was exchanged.
        progress: Told after each commit how many offsets of how many are done.

    Raises:
        KafkaUnavailable: The topic cannot be read. What was committed stays.
        TopicChangedError: With the exact range that is lost.
        PrivacyChangedError: The lake hides its rows otherwise than the rules.
    """
    drained = Drained()
    repeat_when_overtaken(lambda: _drain_once(lake, kafka, rules, batch, accept_loss, progress, drained))
    release()
    if drained.commits:
        try:
            kafka.commit(drained.end)
        except KafkaUnavailable as error:
            # All is in the lake: a metric that is missing is told, and fails nothing.
            drained.group_problem = str(error)
    return drained


def pending(lake: Lake, kafka: KafkaTopic) -> tuple[TopicState, list[int]]:
    """What the topic holds, and how many messages of it wait, by partition; looks only.

    Raises:
        KafkaUnavailable: The topic cannot be looked at.
        TopicChangedError: As ``drain`` would.
    """
    topic, frames = lake.topic(), lake.look("frames")
    # Not before: what a run drains meanwhile would lie beyond these marks, as if the broker had lost messages.
    state = kafka.look()
    starts = state.low
    if topic is not None and frames is not None:
        _check_same(topic, kafka.topic, state)
        starts = _starts(frames, topic, state, accept_loss=False)
    return state, [high - start for start, high in zip(starts, state.high, strict=True)]


def _drain_once(
    lake: Lake,
    kafka: KafkaTopic,
    rules: Rules,
    batch: int,
    accept_loss: bool,
    progress: Callable[[int, int], None],
    drained: Drained,
) -> None:
    at_first = lake.look("frames")
    state = kafka.look()
    claim(lake, rules.privacy)
    topic = _topic(lake, kafka.topic, state, accept_loss=accept_loss)
    frames, base = lake.tidy("frames"), topic.generation * GENERATION
    if frames.positions(KAFKA) != (at_first.positions(KAFKA) if at_first is not None else []):
        # Beyond what the topic had at the look, which is not to be taken for messages that the broker lost.
        raise OvertakenError(f"table frames: another run drained {topic.name} meanwhile")
    starts = _starts(frames, topic, state, accept_loss=accept_loss)
    if not drained.start:
        drained.start = starts
    total = sum(state.high) - sum(starts)
    known = frames.positions(KAFKA)
    batches = kafka.read(starts, state.high, batch)
    drained_to = [max(position, base) for position in [*known, *[base] * len(starts)]]
    if _begun(known, base) and any(at < base + start for at, start in zip(drained_to, starts, strict=False)):
        # The accepted loss is a commit of its own, since there may be nothing after it.
        batches = chain([Batch(MESSAGES.empty_table(), starts)], batches)
    # One thread reads Kafka, which holds Python's lock; the other parses and commits, which mostly does not.
    with ThreadPoolExecutor(1) as writer:
        before: Future[None] | None = None
        at = starts
        for read in batches:
            if before is not None:
                before.result()
                progress(sum(at) - sum(starts), total)
            before = writer.submit(_store, lake, topic, rules, known, read, drained)
            at = read.reached
            known = [base + offset for offset in at] + known[len(at) :]
        if before is not None:
            before.result()
            progress(sum(at) - sum(starts), total)
    drained.end = at
    drained.lag = sum(kafka.look().high) - sum(at)


def _topic(lake: Lake, name: str, state: TopicState, *, accept_loss: bool) -> Topic:
    known = lake.topic()
    if known is None:
        topic = Topic(name, state.topic_id, 0)
    elif (known.name, known.topic_id) == (name, state.topic_id):
        return known
    else:
        if not accept_loss:
            _check_same(known, name, state)
        topic = Topic(name, state.topic_id, known.generation + 1)
    lake.set_topic(topic)
    return topic


def _check_same(known: Topic, name: str, state: TopicState) -> None:
    if known.name != name:
        raise TopicChangedError(
            f"this lake holds topic {known.name}, WIFI_KAFKA_TOPIC names {name}: set another WIFI_LAKE, or go on "
            "in this one with accept_loss"
        )
    if known.topic_id != state.topic_id:
        raise TopicChangedError(
            f"topic {name} was deleted and made again: this lake was drained from the one with id {known.topic_id}, "
            f"now its id is {state.topic_id}; go on with accept_loss (nothing stored is lost)"
        )


def _starts(frames: Snapshot, topic: Topic, state: TopicState, *, accept_loss: bool) -> list[int]:
    """The next offset to read, by partition."""
    base = topic.generation * GENERATION
    reached = frames.positions(KAFKA)
    if not _begun(reached, base):
        # The first drain takes what the topic has kept.
        return list(state.low)
    starts = []
    for partition, (low, high) in enumerate(zip(state.low, state.high, strict=True)):
        # Of a partition that came later nothing was read yet.
        offset = max(reached[partition] - base, 0) if partition < len(reached) else 0
        if offset < low and not accept_loss:
            raise TopicChangedError(
                f"topic {topic.name}, partition {partition}: offsets {offset} to {low - 1} were deleted by the topic's "
                "retention before they were read; go on without them with accept_loss, and keep messages longer "
                "(retention.ms=-1)"
            )
        if offset > high:
            raise TopicChangedError(
                f"topic {topic.name}, partition {partition}: ends at offset {high}, but the lake holds it up to "
                f"{offset}: the broker lost messages; restore it, or make the topic anew and go on with accept_loss"
            )
        starts.append(max(offset, low))
    return starts


def _begun(reached: list[int], base: int) -> bool:
    """Whether anything of this generation of the topic was drained: then each partition that it had has a position."""
    return any(position >= base for position in reached)


def _store(lake: Lake, topic: Topic, rules: Rules, known: list[int], read: Batch, drained: Drained) -> None:
    """Commit one batch to a lake whose positions are ``known``."""
    base = topic.generation * GENERATION
    generation = pa.array([topic.generation] * len(read.messages), pa.int32())
    messages = read.messages.set_column(0, "topic_generation", generation)
    frames, refused = parse(messages, rules)
    if len(frames) + len(refused) != len(messages):
        raise LakeError(f"{len(messages)} messages gave {len(frames)} rows and {len(refused)} refusals")
    frames, refused = hide(lake, rules.privacy, frames, refused)

    own = lake.open("frames")
    if own.positions(KAFKA) != known:
        raise OvertakenError(f"table frames: another run drained {topic.name} meanwhile")
    reached = [base + offset for offset in read.reached]
    before = [*(max(position, base) for position in known), *[base] * len(reached)][: len(reached)]
    left = _quarantine(lake, frames, refused, before, reached)

    held = Counter(messages["kafka_partition"].to_pylist())
    if len(left):
        held.update(without(left, messages)["kafka_partition"].to_pylist())
    unread = own.positions(UNREAD)
    for partition, (start, end) in enumerate(zip(before, reached, strict=True)):
        earlier = unread[partition] if partition < len(known) and known[partition] >= base else 0
        unread[partition : partition + 1] = [earlier + end - start - held[partition]]
    lake.append(own, frames, {KAFKA: reached, UNREAD: unread})
    drained.rows += len(frames)
    drained.quarantined += len(refused)
    drained.reasons.update(refused["reason"].to_pylist())
    drained.days.update(frames["day"].unique().to_pylist())
    drained.refused_days.update(refused["day"].unique().to_pylist())
    drained.commits += 1


def _quarantine(lake: Lake, frames: pa.Table, refused: pa.Table, before: list[int], reached: list[int]) -> pa.Table:
    """Bring quarantine to what it is to hold between these positions. The frames are committed afterwards.

    Returns:
        What a run that ended before its frames had left between them.
    """
    # One version for looking and for writing: else what another run adds in between would be there twice.
    own = lake.tidy("quarantine") if len(refused) else lake.look("quarantine")
    if own is None:
        # Nothing is refused, and nothing ever was.
        return refused
    mine = padded(own.positions(KAFKA), len(reached))
    left = refused.slice(0, 0)
    if any(here < there for here, there in zip(before, mine, strict=False)):
        left = _between(own, before, reached)
        refused = without(refused, left)
    if len(refused):
        # A topic made again may have fewer partitions than the one before.
        lake.append(own, refused, {KAFKA: [max(pair) for pair in zip(mine, reached, strict=False)]})
    if len(left):
        let_go(lake, frames, set(left["day"].to_pylist()))
    return left


def let_go(lake: Lake, frames: pa.Table, days: set[date]) -> None:
    """Take from these days of quarantine what is a frame now."""
    quarantine = lake.open("quarantine")
    stored = quarantine.rows(days=days)
    left = without(stored, frames)
    if len(left) < stored.count_rows():
        lake.replace(quarantine, left, days, {KAFKA: quarantine.positions(KAFKA)})


def _between(table: Snapshot, starts: list[int], ends: list[int]) -> pa.Table:
    """Message and day of the rows whose position lies in [start, end) of their partition."""
    partitions = pa.array(range(len(starts)), pa.int32())
    with engine() as run:
        run.view("ranges", pa.table({"kafka_partition": partitions, "first": starts, "past": ends}))
        run.view("stored", table.beyond(starts))
        return run.query(
            f"SELECT {KEY}, day FROM stored JOIN ranges USING (kafka_partition) "
            f"WHERE {POSITION} >= first AND {POSITION} < past"
        )


def without(rows: Rows, others: pa.Table) -> pa.Table:
    """Those rows whose messages have none among the others."""
    with engine() as run:
        run.view("stored", rows)
        run.view("others", others)
        return run.query(f"SELECT {', '.join(rows.schema.names)} FROM stored ANTI JOIN others USING ({KEY})")
