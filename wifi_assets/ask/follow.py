"""Following a table: its rows as they come, change and go, for somebody who watches.

Here belongs the order in which changes come and when the table is looked at. Not here: what changed
(``wifi_assets.changes``), and how a row is printed (``commands.py``).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from wifi_assets.changes import change_since
from wifi_assets.lake import Lake
from wifi_assets.resources.change import Progress


@dataclass(frozen=True)
class Changed:
    """One row that is another now.

    Attributes:
        op: ``upsert``: it came, or is different; ``delete``: it is gone.
        row: All columns; of a row that is gone those of the table's key.
    """

    op: Literal["upsert", "delete"]
    row: dict[str, Any]


def follow(
    lake: Lake, name: str, *, from_beginning: bool, wait: Callable[[], bool], say: Callable[[str], None]
) -> Iterator[Changed]:
    """What changes in a table, by the order of its versions; several changes of a row between two looks are one.

    A table that is not there yet is waited for: on a fresh platform that is before the first ingest. All
    of its rows are new then.

    Args:
        lake: Which.
        name: Table.
        from_beginning: First all rows that there are.
        wait: Called between two looks; False ends it.
        say: Told what somebody who watches should know beside the rows.

    Raises:
        LakeError: The table cannot be used as it is.
        DeltaError: It cannot be read.
    """
    progress: Progress | None = None
    first = lake.look(name)
    if first is None:
        say(f"{name} is not in the lake at {lake.url} yet: waiting for the first ingest")
    elif not from_beginning:
        progress = Progress(first.table_id, first.version)
    while True:
        if lake.look(name) is not None:
            with change_since(lake, name, progress) as change:
                if change is not None:
                    if change.full and progress is not None:
                        say(f"{name} was made anew, or what it was before is gone: all of its rows follow")
                    progress = change.progress
                    yield from (Changed("delete", row) for row in change.deletes.to_pylist())
                    for batch in change.upserts:
                        yield from (Changed("upsert", row) for row in batch.to_pylist())
        if not wait():
            return
