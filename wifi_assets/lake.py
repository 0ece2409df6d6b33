"""The lake: Delta tables, and how far each has come, in the same commit as its rows.

Here belongs what is Delta's: making and evolving tables, commits with progress, maintenance. Not here: how a
version is read (``snapshot.py``), what is computed (``steps.py``), what the tables hold (``schemas.py``).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from wifi_assets.schemas import TABLES, Table
from wifi_assets.snapshot import KEPT_FROM, REWRITTEN, WHOLE, Snapshot

# Arrow's own allocators keep what was freed for themselves, which adds up from step to step (*measured*: 537 instead of
# 802 MiB at the peak of probes_enriched over 450,000 probe requests, as much CPU).
pa.set_memory_pool(pa.system_memory_pool())
# Each of its threads keeps a part of what it read too: 674 instead of 789 MiB with two instead of eight.
pa.set_io_thread_count(2)

_ZSTD = WriterProperties(compression="ZSTD", compression_level=1)
#: Of tables whose groups are folded: nearly every value is another one, and each batch writes a day of them anew
#: (*measured*, 33,000 sources: 35 instead of 42 ms, 1.2 instead of 1.4 MB).
_WITHOUT_DICTIONARY = WriterProperties(
    compression="ZSTD", compression_level=1, default_column_properties=ColumnProperties(dictionary_enabled=False)
)
_TOPIC = "wifi_assets.topic"
_CONFIGURATION = {
    # A checkpoint costs some ms; without one a reader replays every commit since the last.
    "delta.checkpointInterval": "10",
    # Only readers of old versions need what was replaced: a sink that was away longer writes all anew. A commit
    # every 30 s leaves 2,880 log entries a day and as many files of each recomputed day.
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": "interval 1 days",
}
#: Small files of one day from which on they are merged: each costs a reader its footer.
_MANY_FILES = 32
_TARGET_OCTETS = 64 * 1024 * 1024


@dataclass(frozen=True)
class Topic:
    """The topic behind the lake.

    Attributes:
        name: Its name.
        topic_id: Kafka's id of it.
        generation: How often it was deleted and made again, or exchanged for another, and accepted.
    """

    name: str
    topic_id: str
    generation: int


class LakeError(RuntimeError):
    """The lake cannot be used as it is; one sentence says which table, why, and what to do."""


class OvertakenError(RuntimeError):
    """Another run committed the same step first. Nothing was written; repeat from the new progress."""


class Lake:
    """All tables under one folder or object-store URL."""

    def __init__(self, url: str, options: dict[str, str] | None = None) -> None:
        self.url = url if "://" in url else str(Path(url).absolute())
        self._options = options or None
        self._looked: dict[str, tuple[Snapshot, tuple[int | None, ...]]] = {}

    def uri(self, name: str) -> str:
        """Where a table is."""
        return f"{self.url.rstrip('/')}/{name}"

    def exists(self, name: str) -> bool:
        """Whether the table was ever made."""
        return DeltaTable.is_deltatable(self.uri(name), self._options)

    def open(self, name: str) -> Snapshot:
        """The table's newest version; makes it where it is missing, adds columns that are new.

        Raises:
            LakeError: A stored column has another type, or another program turned on Delta features
                under which this one would read or write wrongly.
        """
        table = TABLES[name]
        try:
            delta = DeltaTable(self.uri(name), storage_options=self._options)
        except TableNotFoundError:
            delta = self._create(table)
        self._check_protocol(name, delta)
        self._evolve(table, delta)
        return Snapshot(table, delta)

    def look(self, name: str) -> Snapshot | None:
        """The table's newest version, or None if it was never made. Changes nothing; columns that are new hold NULL.

        For reading only, since callers share it: while nothing newer is there, it is what the last look gave, and a
        write through it would move it on under the others. To open a table that had a hundred commits takes 10 CPU ms,
        to see that it had none since 0.01 (*measured*, on a disk).

        Raises:
            LakeError: Another program turned on Delta features under which this one would read wrongly.
        """
        known, end = self._looked.get(name, (None, None))
        if known is not None and known.log_end() == end:
            return known
        try:
            delta = DeltaTable(self.uri(name), storage_options=self._options)
        except TableNotFoundError:
            return None
        self._check_protocol(name, delta)
        newest = Snapshot(TABLES[name], delta)
        if (end := newest.log_end()) is not None:
            self._looked[name] = newest, end
        return newest

    def _check_protocol(self, name: str, delta: DeltaTable) -> None:
        protocol = delta.protocol()
        if protocol.min_reader_version > 1 or protocol.min_writer_version > 2:
            raise LakeError(
                f"table {name} at {self.uri(name)} needs Delta reader {protocol.min_reader_version}, writer "
                f"{protocol.min_writer_version}: drop the table features that were turned on, or rebuild the table"
            )

    def _create(self, table: Table) -> DeltaTable:
        try:
            return DeltaTable.create(
                self.uri(table.name),
                table.schema,
                mode="ignore",
                partition_by=[table.partition] if table.partition else None,
                configuration=_CONFIGURATION,
                storage_options=self._options,
                # A retry would be version 1: the same table made again over the other one.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError:
            # Another run made it meanwhile.
            return DeltaTable(self.uri(table.name), storage_options=self._options)

    def at(self, name: str, version: int) -> Snapshot | None:
        """An earlier version, or None if its log is gone; a vacuum may have taken files of it, see ``readable``."""
        try:
            snapshot = Snapshot(TABLES[name], DeltaTable(self.uri(name), version, storage_options=self._options))
        except (DeltaError, TableNotFoundError):
            return None
        return snapshot

    def append(
        self,
        at: Snapshot,
        rows: pa.Table,
        positions: dict[str, Sequence[int]],
        versions: dict[str, int] | None = None,
    ) -> None:
        """Commit new rows and how far they reach, together.

        Raises:
            OvertakenError: The table moved on since ``at`` was opened.
        """
        self._write(at, rows, positions, versions or {}, overwrite=False)

    def replace(
        self,
        at: Snapshot,
        rows: pa.Table,
        days: Iterable[date] | None,
        positions: dict[str, Sequence[int]],
        versions: dict[str, int] | None = None,
    ) -> None:
        """Commit ``rows`` in place of all rows of ``days`` (of the whole table if None), with the progress.

        Raises:
            OvertakenError: The table moved on since ``at`` was opened.
        """
        predicate = None
        if days is not None:
            predicate = "{} IN ({})".format(at.table.partition, ", ".join(f"'{day}'" for day in sorted(days)))
        # No commit is tried again on top of another, so that this one's version is known before.
        versions = {**(versions or {}), REWRITTEN: at.version + 1}
        self._write(at, rows, positions, versions, overwrite=True, predicate=predicate)

    def _write(
        self,
        at: Snapshot,
        rows: pa.Table,
        positions: dict[str, Sequence[int]],
        versions: dict[str, int],
        *,
        overwrite: bool,
        predicate: str | None = None,
    ) -> None:
        transactions = [
            Transaction(f"{upstream}/{partition}", position)
            for upstream, reached in positions.items()
            for partition, position in enumerate(reached)
        ] + [Transaction(upstream, version) for upstream, version in versions.items()]
        with overtaken(at.table.name):
            write_deltalake(  # type: ignore[call-overload]
                at.delta,
                rows.select(at.table.schema.names).cast(at.table.schema),
                mode="overwrite" if overwrite else "append",
                predicate=predicate,
                commit_properties=CommitProperties(app_transactions=transactions, max_commit_retries=0),
                writer_properties=_WITHOUT_DICTIONARY if at.table.folds else _ZSTD,
                post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
            )

    def _evolve(self, table: Table, delta: DeltaTable) -> None:
        stored = pa.schema(delta.schema().to_arrow())
        wanted = table.schema
        for field in wanted:
            if field.name in stored.names and not _same(stored.field(field.name).type, field.type):
                raise LakeError(
                    f"table {table.name} at {self.uri(table.name)}: column {field.name} is stored as "
                    f"{stored.field(field.name).type}, this version of wifi_assets has {field.type}; nothing was "
                    "changed: set WIFI_LAKE to a new folder and ingest again, or go back to the version that wrote it"
                )
        by = delta.metadata().partition_columns
        if by != ([table.partition] if table.partition else []):
            raise LakeError(
                f"table {table.name} at {self.uri(table.name)} is partitioned by {by}, in this version of wifi_assets "
                f"by {table.partition}: delete its folder, and the next run computes it anew"
            )
        new = [field for field in wanted if field.name not in stored.names]
        if new:
            nullable = pa.schema([field.with_nullable(True) for field in new])
            with overtaken(table.name):
                delta.alter.add_columns(Schema.from_arrow(nullable).fields)

    # ------------------------------------------------------------------ the topic behind frames

    def topic(self) -> Topic | None:
        """The topic that frames were drained from; None before the first drain."""
        frames = self.look("frames")
        known = frames.delta.metadata().configuration.get(_TOPIC) if frames is not None else None
        if known is None:
            return None
        name, topic_id, generation = known.split("|")
        return Topic(name, topic_id, int(generation))

    def set_topic(self, topic: Topic) -> None:
        """Remember the topic; a generation of one more makes all positions begin anew above the old.

        Raises:
            OvertakenError: Another run did so meanwhile.
        """
        delta = self.open("frames").delta
        with overtaken("frames"):
            delta.alter.set_table_properties(
                {_TOPIC: f"{topic.name}|{topic.topic_id}|{topic.generation}"}, raise_if_not_exists=False
            )

    # ------------------------------------------------------------------ maintenance

    def tidy(self, name: str) -> Snapshot:
        """The table's newest version as ``open`` gives it, once days of many small files were merged."""
        at = self.open(name)
        return self.open(name) if self._merge(at, _MANY_FILES) else at

    def compact(self, name: str, at_least: int = _MANY_FILES) -> int:
        """Merge the small files of days that have ``at_least`` of them; returns the files merged."""
        return self._merge(self.open(name), at_least)

    def _merge(self, at: Snapshot, at_least: int) -> int:
        files = at.files()
        if not len(files):
            return 0
        small = files.filter(pc.less(files["size_bytes"], _TARGET_OCTETS // 2))
        filters: list[list[tuple[str, str, str]] | None]
        by = at.table.partition
        if by is None:
            filters = [None] if len(small) >= at_least else []
        else:
            counted = small.group_by(f"partition.{by}").aggregate([("path", "count")]).to_pylist()
            days = [row[f"partition.{by}"] for row in counted if row["path_count"] >= at_least]
            filters = [[(by, "=", str(day))] for day in days]
        merged = 0
        for day in filters:
            with overtaken(at.table.name):
                done = at.delta.optimize.compact(
                    partition_filters=day, target_size=_TARGET_OCTETS, writer_properties=_ZSTD
                )
            merged += done["numFilesRemoved"]
            at = self.open(at.table.name)
        return merged

    def vacuum(self, name: str) -> int:
        """Delete files and log entries that no version of the table's retention needs; returns the number of files.

        Files that a crash left without a commit are among them.
        """
        delta = self.open(name).delta
        removed = delta.vacuum(dry_run=False, full=True)
        delta.create_checkpoint()
        delta.cleanup_metadata()
        return len(removed)

    def delete_before(self, at: Snapshot, first: date) -> set[date]:
        """Drop whole days before ``first``; returns them. Progress stays, so they do not come back.

        Raises:
            OvertakenError: The table moved on since ``at`` was opened.
        """
        gone = {day for day in at.days() if day < first}
        if gone:
            # A day that was taken once stays so when more days are to be kept later.
            kept_from = max(first, at.kept_from()).toordinal()
            transactions = [Transaction(KEPT_FROM, kept_from), Transaction(WHOLE, at.version + 1)]
            with overtaken(at.table.name):
                at.delta.delete(
                    f"day < '{first}'",
                    commit_properties=CommitProperties(app_transactions=transactions, max_commit_retries=0),
                )
        return gone


def _same(stored: pa.DataType, wanted: pa.DataType) -> bool:
    return bool(_plain(stored).equals(_plain(wanted)))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type without the names and view or large forms in which Delta's reader gives it back."""
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return kind


@contextmanager
def overtaken(name: str) -> Iterator[None]:
    """Turn Delta's refusal of a second writer into ``OvertakenError``."""
    try:
        yield
    except CommitFailedError as error:
        raise OvertakenError(f"table {name}: another run committed first ({error})") from error
