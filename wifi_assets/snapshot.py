"""One version of one lake table: its rows, and how far it has come in its upstream.

Here belongs all that is read from a version. Not here: how versions come about (``lake.py``).

Progress. A table keeps numbers as Delta application transactions, in the commit of the rows that they tell of:

- ``<upstream>/<partition>``: the position up to which it holds its upstream, by Kafka partition, where rows are
  appended; the upstream of ``frames`` and ``quarantine`` is ``kafka``.
- ``kafka/unread/<partition>``: offsets of the present topic that held no message, by Kafka partition; in ``frames``.
- ``<upstream>``: the upstream's Delta version that the table was computed from, or, where rows are appended, had caught
  up with. A table over all days keeps two: that of its daily parts and that of the rows behind these.
- ``retention``, ``whole``, ``moved``, ``rewritten``: ``KEPT_FROM`` and the constants beside it.

A position is a Kafka offset; after the topic was deleted and made again it is that offset plus ``GENERATION``, so that
positions only ever grow.
"""

import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler

from wifi_assets.schemas import TIME, Table

#: Positions of one generation of the topic. Offsets stay far below: 2**44 messages are 600 years of 1,000 a second.
GENERATION = 1 << 44
#: SQL of a row's position.
POSITION = f"(CAST(topic_generation AS BIGINT) * {GENERATION} + kafka_offset)"

#: Nanoseconds after which a checkpoint is certainly older than what is opened now.
_SETTLED_NS = 10 * 10**9

#: Upstream of the tables at the edge, whatever the topic's name: positions grow from one topic to the next.
KAFKA = "kafka"
#: As if it were an upstream of ``frames``: offsets that held no message, by Kafka partition.
UNREAD = f"{KAFKA}/unread"
#: Application transaction: the first day (proleptic ordinal) which retention has left.
KEPT_FROM = "retention"
#: Application transaction: the table's own version at which rows last changed other than by folding in new upstream
#: rows: a day was computed whole, or retention dropped days.
WHOLE = "whole"
#: Application transaction: the table's own version at which the recorded upstream version last moved. While ``WHOLE``
#: is greater, days may already hold upstream rows beyond that version (a pass was cut off), so nothing is folded in.
MOVED = "moved"
#: Application transaction: the table's own version at which stored rows were last replaced. A table that appends what
#: is new of this one computes the days that changed since anew.
REWRITTEN = "rewritten"


@dataclass(frozen=True)
class News:
    """What came about between two versions of a table; files that were only merged are none.

    Attributes:
        added: Files of rows that came, and their days.
        replaced: Days that lost rows.
    """

    added: dict[str, date]
    replaced: set[date]

    @property
    def days(self) -> set[date]:
        """Days whose rows are others now."""
        return set(self.added.values()) | self.replaced


class Snapshot:
    """One version of one table. Reads what the files of that version hold.

    Attributes:
        table: Its schema entry.
        delta: The Delta table at that version.
    """

    def __init__(self, table: Table, delta: DeltaTable) -> None:
        self.table = table
        self.delta = delta

    @property
    def version(self) -> int:
        """Delta version."""
        return self.delta.version()

    @property
    def table_id(self) -> str:
        """Another id is another table under the same name."""
        return str(self.delta.metadata().id)

    def committed_at(self) -> datetime | None:
        """When this version was committed; None if its commit does not say."""
        # Newest first: what other runs have committed since it was opened comes before its own.
        *_, last = self.delta.history(1)
        return datetime.fromtimestamp(last["timestamp"] / 1000, UTC) if "timestamp" in last else None

    def row_count(self) -> int:
        """Rows of the whole table, out of Delta's log."""
        return int(sum(self.files()["num_records"].to_pylist()))

    def log_end(self) -> tuple[int | None, ...] | None:
        """Size and time (ns) of the log's entry of this version, and time of its last checkpoint; None if it moves.

        Another value is a newer version, another table in this one's place, or a log that was cleaned behind a new
        checkpoint: a version that was opened before may not be read to its end any more.
        """
        names = [f"_delta_log/{version:020}.json" for version in (self.version, self.version + 1)]
        entry, following, checkpoint = self._filesystem().get_file_info([*names, "_delta_log/_last_checkpoint"])
        if entry.type != pafs.FileType.File or following.type != pafs.FileType.NotFound:
            return None
        if checkpoint.mtime_ns is not None and time.time_ns() - checkpoint.mtime_ns < _SETTLED_NS:
            # It may be younger than what was opened.
            return None
        return entry.size, entry.mtime_ns, checkpoint.mtime_ns

    def positions(self, upstream: str) -> list[int]:
        """Position reached in ``upstream``, by Kafka partition."""
        found: list[int] = []
        while (position := self.delta.transaction_version(f"{upstream}/{len(found)}")) is not None:
            found.append(position)
        return found

    def upstream_version(self, upstream: str) -> int | None:
        """Delta version of ``upstream`` that the table was computed from."""
        return self.delta.transaction_version(upstream)

    def rewritten_since(self, version: int | None) -> bool:
        """Whether stored rows were replaced after this version; an unknown version is before all."""
        last = self.delta.transaction_version(REWRITTEN)
        return last is not None and (version is None or version < last)

    def kept_from(self) -> date:
        """The first day that retention has left; what was computed from earlier days stays as it is.

        Today at the latest: a clock that was ahead may have left a later one, and no day to come is closed.
        """
        ordinal = self.delta.transaction_version(KEPT_FROM)
        return date.min if ordinal is None else min(date.fromordinal(ordinal), datetime.now(UTC).date())

    def files(self) -> pa.Table:
        """One row a file: path, partition.day and the statistics of Delta's log."""
        return pa.table(self.delta.get_add_actions(flatten=True))

    def days(self) -> set[date]:
        """Days that hold rows."""
        return set(self.files()["partition.day"].to_pylist()) if self.table.partitioned else set()

    def changed_days(self, version: int | None) -> set[date]:
        """Days whose rows changed after ``version``; all if that is not to be known any more."""
        news = self.since(version)
        return self.days() if news is None else news.days

    def since(self, version: int | None) -> News | None:
        """What commits after ``version`` did, by Delta's log; None if it is not to be known any more.

        Only for tables with a ``day``.
        """
        if version is None or version > self.version:
            return None
        added: dict[str, date] = {}
        merged: set[str] = set()
        replaced: set[date] = set()
        for number in range(version + 1, self.version + 1):
            actions = self._actions(number)
            if actions is None:
                return None
            for action in actions:
                file = action.get("add") or action.get("remove") or {"dataChange": False}
                if not file["dataChange"]:
                    if "remove" in action:
                        merged.add(file["path"])
                    continue
                # Another program may leave it out of a removal.
                day = (file.get("partitionValues") or {}).get("day")
                if day is None:
                    return None
                if "add" in action:
                    added[file["path"]] = date.fromisoformat(day)
                else:
                    replaced.add(date.fromisoformat(day))
                    added.pop(file["path"], None)
        if not self.readable(merged & added.keys()):
            return None
        return News(added, replaced)

    def first_change(self, version: int) -> int | None:
        """The first version after ``version`` that has other rows, None if there is none.

        A version of which the log knows nothing any more counts as one. Maintenance makes versions with the same rows.
        """
        for number in range(version + 1, self.version + 1):
            actions = self._actions(number)
            if actions is None or any(
                (action.get("add") or action.get("remove") or {}).get("dataChange") for action in actions
            ):
                return number
        return None

    def _actions(self, version: int) -> list[dict[str, Any]] | None:
        """What the log's entry of a version says; None if it is gone."""
        try:
            with self._filesystem().open_input_stream(f"_delta_log/{version:020}.json") as log:
                return [json.loads(line) for line in log.read().splitlines()]
        except FileNotFoundError:
            return None

    def paths(self) -> set[str]:
        """The version's data files."""
        return set(self.files()["path"].to_pylist())

    def readable(self, paths: set[str]) -> bool:
        """Whether these files are still there: a vacuum removes what no new version needs."""
        files = self._filesystem().get_file_info([unquote(path) for path in paths])
        return all(file.type == pafs.FileType.File for file in files)

    def rows(self, days: Iterable[date] | None = None, paths: set[str] | None = None) -> ds.Dataset:
        """The rows of some days (of the partition's column), or of some files; of all without either."""
        files = self.files()
        if days is not None:
            kept = pc.is_in(files[f"partition.{self.table.partition}"], pa.array(sorted(days), pa.date32()))
            files = files.filter(kept)
        if paths is not None:
            files = files.filter(pc.is_in(files["path"], pa.array(sorted(paths), pa.string())))
        return self.read(files["path"].to_pylist())

    def beyond(self, positions: Sequence[int], until: Sequence[int] = ()) -> ds.Dataset:
        """The files that may hold rows from these positions, by partition, up to those; others may be among them.

        That may be many: a file's highest offset is that of the busiest partition, so that the position of a quiet
        one lets whole days be read.
        """
        files = self.files()
        if not len(files):
            return self.read([])
        # A file without statistics is read.
        wanted = pc.fill_null(pc.greater_equal(_bound(files, "max"), min(positions, default=0)), True)
        if until:
            wanted = pc.and_(wanted, pc.fill_null(pc.less(_bound(files, "min"), max(until)), True))
        return self.read(files.filter(wanted)["path"].to_pylist())

    def reaching(self, first: datetime, last: datetime) -> set[str]:
        """The files that may hold rows whose ``event_time`` lies in [first, last)."""
        files = self.files()
        if not len(files):
            return set()
        # Delta's statistics may be cut to milliseconds.
        late = pc.greater_equal(files["max.event_time"], pa.scalar(first - timedelta(seconds=1), TIME))
        early = pc.less(files["min.event_time"], pa.scalar(last, TIME))
        # A file without statistics is read.
        return set(files.filter(pc.fill_null(pc.and_(late, early), True))["path"].to_pylist())

    def _filesystem(self) -> pafs.FileSystem:
        root = self.delta.table_uri
        if root.startswith("file://") or "://" not in root:
            return pafs.SubTreeFileSystem(unquote(root.removeprefix("file://")), pafs.LocalFileSystem())
        return pafs.PyFileSystem(DeltaStorageHandler.from_table(self.delta._table))

    def read(self, paths: Collection[str]) -> ds.Dataset:
        """The rows of these files, which may be such as a later version has merged into others."""
        by = self.table.partition
        partitioning = ds.partitioning(pa.schema([(by, pa.date32())]), flavor="hive") if by is not None else None
        if not paths:
            return ds.dataset(self.table.schema.empty_table())
        return ds.dataset(
            [unquote(path) for path in paths],
            schema=self.table.schema,
            format="parquet",
            filesystem=self._filesystem(),
            partitioning=partitioning,
        )


def _bound(files: pa.Table, end: str) -> pa.ChunkedArray:
    """A position that no row of a file is below (``min``) or above (``max``), by file."""
    generation = pc.cast(files[f"{end}.topic_generation"], pa.int64())
    return pc.add(pc.multiply(generation, GENERATION), files[f"{end}.kafka_offset"])
