"""Every message is a row or a refusal, and the topic is still the one that the lake was drained from.

Here belong the checks on ``frames`` against the topic. Not here: tables against each other.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
import msgspec
import pyarrow as pa
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from wifi_assets.assets.metadata import said_plainly
from wifi_assets.drain import TopicChangedError, pending
from wifi_assets.engine import engine
from wifi_assets.lake import Lake
from wifi_assets.resources.kafka import KafkaTopic
from wifi_assets.snapshot import GENERATION, KAFKA, POSITION, UNREAD, Snapshot

KEY = dg.AssetCheckKey(dg.AssetKey("frames"), "account")
#: In the metadata: up to where the account has been found right.
_SETTLED = "settled"


class Settled(msgspec.Struct):
    """Up to where the account has been found right.

    Attributes:
        generation: Of the topic.
        positions: Position of ``frames``, by Kafka partition.
        unread: Offsets that held no message so far, by Kafka partition.
        kept_from: First days (proleptic ordinals) that retention has left of ``frames`` and ``quarantine``.
        table: Id of ``frames``; that of another lake is another one.
    """

    generation: int
    positions: list[int]
    unread: list[int]
    kept_from: list[int] = msgspec.field(default_factory=lambda: [date.min.toordinal()] * 2)
    table: str = ""


@dataclass(frozen=True)
class Line:
    """The account of one Kafka partition between two positions.

    Attributes:
        partition: Which.
        start: First offset.
        end: One past the last offset.
        rows: In ``frames``.
        quarantined: In ``quarantine``.
        unread: Offsets that held no message: transaction markers, or lost and accepted as such.
    """

    partition: int
    start: int
    end: int
    rows: int
    quarantined: int
    unread: int

    @property
    def missing(self) -> int:
        """Offsets of which nothing is known; negative: rows that are too many."""
        return self.end - self.start - self.rows - self.quarantined - self.unread


def account(lake: Lake, settled: Settled | None) -> tuple[list[Line], Settled, bool] | None:
    """Count what lies between the last settled positions and now; from the topic's beginning without them.

    Only the files that may hold such rows are read.

    Returns:
        A line a partition, the new positions, and whether retention took nothing since. None before the first drain.
    """
    topic = lake.topic()
    if topic is None:
        return None
    # Frames first: refusals are committed before them, so all below these positions are there by now.
    frames, quarantine = lake.open("frames"), lake.open("quarantine")
    base = topic.generation * GENERATION
    # Partitions that only an earlier topic had stay behind.
    reached = [position for position in frames.positions(KAFKA) if position >= base]
    if not reached:
        return None
    unread = frames.positions(UNREAD)[: len(reached)]
    if settled is None or settled.table != frames.table_id:
        settled = Settled(topic.generation, [], [])
    same = settled.generation == topic.generation
    before = settled.positions if same else []
    unread_before = settled.unread if same else []
    starts = [*before, *[base] * len(reached)][: len(reached)]
    counted = [_count(table, starts, reached) for table in (frames, quarantine)]
    lines = [
        Line(
            partition,
            start - base,
            end - base,
            counted[0].get(partition, 0),
            counted[1].get(partition, 0),
            unread[partition] - (unread_before[partition] if partition < len(unread_before) else 0),
        )
        for partition, (start, end) in enumerate(zip(starts, reached, strict=True))
    ]
    now = Settled(topic.generation, reached, unread, _kept_from(frames, quarantine), frames.table_id)
    return lines, now, now.kept_from == settled.kept_from


def _kept_from(*tables: Snapshot) -> list[int]:
    return [table.kept_from().toordinal() for table in tables]


def _count(table: Snapshot, starts: list[int], ends: list[int]) -> dict[int, int]:
    """Rows by partition whose position lies in [start, end)."""
    if starts == ends:
        return {}
    partitions = pa.array(range(len(starts)), pa.int32())
    ranges = pa.table({"kafka_partition": partitions, "first": starts, "past": ends})
    with engine() as run:
        run.view("ranges", ranges)
        run.view("stored", table.beyond([start for start, end in zip(starts, ends, strict=True) if start < end]))
        counted = run.query(
            "SELECT kafka_partition, count(*) AS n FROM stored JOIN ranges USING (kafka_partition) "
            f"WHERE {POSITION} >= first AND {POSITION} < past GROUP BY kafka_partition"  # noqa: S608 - our own text
        )
    return dict(zip(counted["kafka_partition"].to_pylist(), counted["n"].to_pylist(), strict=True))


def build(lake: Lake, kafka: KafkaTopic) -> list[dg.AssetChecksDefinition]:
    """The checks of ``frames`` against the topic."""

    @dg.asset_check(
        asset="frames",
        name="account",
        blocking=True,
        description="For each Kafka partition: rows + quarantined + offsets without a message = offsets drained.",
    )
    def check_account(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        settled = _settled(context.instance)
        with said_plainly():
            found = account(lake, settled)
        if found is None:
            return dg.AssetCheckResult(passed=True, description="Nothing was drained yet.")
        lines, now, exact = found
        # What retention has taken since the last account is missing, and no number tells how much of it was new.
        wrong = [line for line in lines if (line.missing if exact else line.missing < 0)]
        metadata: dict[str, Any] = {
            "rows": sum(line.rows for line in lines),
            "quarantined": sum(line.quarantined for line in lines),
            "unread": sum(line.unread for line in lines),
            "offsets": sum(line.end - line.start for line in lines),
            "missing": sum(line.missing for line in lines),
            "by partition": _table(lines),
        }
        if not wrong:
            metadata[_SETTLED] = dg.MetadataValue.json(msgspec.to_builtins(now))
        told = "; ".join(
            f"partition {line.partition}, offsets {line.start} to {line.end - 1}: "
            + (f"{line.missing} are neither row nor refusal" if line.missing > 0 else f"{-line.missing} rows too many")
            for line in wrong
        )
        return dg.AssetCheckResult(
            passed=not wrong,
            metadata=metadata,
            description=told or ("" if exact else "Counted from the rows that are kept; exact from here on."),
        )

    @dg.asset_check(
        asset="frames",
        name="topic",
        description="The topic is the one that the lake was drained from and still holds what comes next.",
    )
    def check_topic() -> dg.AssetCheckResult:
        with said_plainly():
            problem, lag = None, {}
            try:
                state, waiting = pending(lake, kafka)
                lag = {"lag": sum(waiting), "by partition": str(waiting)}
            except TopicChangedError as error:
                state, problem = kafka.look(), str(error)
        metadata: dict[str, Any] = {
            "partitions": len(state.high),
            "first offsets kept": str(state.low),
            "high watermarks": str(state.high),
            "topic id": state.topic_id,
        }
        return dg.AssetCheckResult(passed=problem is None, metadata=metadata | lag, description=problem)

    return [check_account, check_topic]


def _settled(instance: dg.DagsterInstance) -> Settled | None:
    """What the last account that was right found; None if there was none."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        KEY, limit=1, status={AssetCheckExecutionRecordStatus.SUCCEEDED}
    )
    if not history or history[0].evaluation is None or _SETTLED not in history[0].evaluation.metadata:
        return None
    return msgspec.convert(history[0].evaluation.metadata[_SETTLED].value, Settled)


def _table(lines: list[Line]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "partition": line.partition,
                    "from": line.start,
                    "to": line.end,
                    "rows": line.rows,
                    "quarantined": line.quarantined,
                    "unread": line.unread,
                    "missing": line.missing,
                }
            )
            for line in lines
        ]
    )
