"""What changed in a lake table since a sink last looked: the one thing that every sink is given.

Here belongs only this contract between the lake and the sinks. Not here: how the lake finds the
change (``wifi_assets/changes.py``) or how a target takes it (the other modules of this folder).
"""

from dataclasses import dataclass

import pyarrow as pa

from wifi_assets.schemas import Table


@dataclass(frozen=True)
class Progress:
    """How far a sink has come in one lake table.

    Attributes:
        table_id: Id of the Delta table; another id means another table under the same name.
        version: Delta version that the target holds.
        begun: Later versions whose writing broke off: the target may hold some rows of them.
    """

    table_id: str
    version: int
    begun: tuple[int, ...] = ()


@dataclass(frozen=True)
class Change:
    """The way from a recorded progress to a newer one.

    Attributes:
        table: Which table.
        progress: To be recorded in the target when, and only when, all of this is written.
        upserts: Rows that are new or different, ``table.schema``, in bounded batches; read once.
        deletes: Key columns (``table.key``) of rows that are gone. Empty when ``full``.
        full: ``upserts`` holds every row of the table, since no earlier progress is known or its
            version is gone: the target must end with exactly these rows of this table and keep
            whatever is not ours.
    """

    table: Table
    progress: Progress
    upserts: pa.RecordBatchReader
    deletes: pa.Table
    full: bool


@dataclass
class Written:
    """What a sink did, for the materialisation's metadata.

    Attributes:
        upserted: Rows or documents sent and accepted.
        deleted: Rows or documents removed from the target.
    """

    upserted: int = 0
    deleted: int = 0
