"""Some days of a lake, open to questions: what every picture and table of the report asks.

Here belongs how the questions reach the lake. Not here: what is asked (``charts.py``, ``fields.py``, …).
"""

from collections.abc import Iterable
from datetime import date

import pyarrow as pa
import pyarrow.dataset as ds

from wifi_assets.engine import engine, named
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import Snapshot

#: Tables whose days are those of the lake: what retention took from one is still in another.
_EACH_DAY = ("frames", "probes_enriched", "packet_stats")


class Period:
    """The stored days in [first, until). Asks one version of each table, each question once.

    Attributes:
        stored: All days of the lake that hold anything, sorted.
        days: Those of the period.
    """

    def __init__(
        self, lake: Lake, first: date | None = None, until: date | None = None, tables: Iterable[str] = _EACH_DAY
    ) -> None:
        """All stored days where ``first`` or ``until`` is None; a day is stored when one of ``tables`` holds it."""
        self._lake = lake
        self._snapshots: dict[str, Snapshot | None] = {}
        self._answers: dict[str, pa.Table] = {}
        snapshots = filter(None, map(self._snapshot, tables))
        self.stored = sorted(set[date]().union(*(snapshot.days() for snapshot in snapshots)))
        self._first, self._until = first or date.min, until or date.max
        self.days = [day for day in self.stored if self._first <= day < self._until]

    def has(self, table: str) -> bool:
        """Whether the lake has the table at all."""
        return self._snapshot(table) is not None

    def query(self, text: str) -> pa.Table:
        """The answer of DuckDB over the tables by name; a table that was never made is empty.

        Raises:
            LakeError: A table cannot be used as it is.
        """
        if text not in self._answers:
            with engine() as run:
                for name in named(text, TABLES):
                    snapshot = self._snapshot(name)
                    run.view(name, self._rows(snapshot) if snapshot else TABLES[name].schema.empty_table())
                self._answers[text] = run.query(text)
        return self._answers[text]

    def _snapshot(self, name: str) -> Snapshot | None:
        if name not in self._snapshots:
            self._snapshots[name] = self._lake.look(name)
        return self._snapshots[name]

    def _rows(self, snapshot: Snapshot) -> ds.Dataset:
        if not snapshot.table.partitioned:
            return snapshot.rows()
        return snapshot.rows(day for day in snapshot.days() if self._first <= day < self._until)
