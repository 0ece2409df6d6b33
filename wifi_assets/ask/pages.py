"""Pages of the lake's tables, for the HTTP API: rows of some days, in a fixed order.

Here belongs what a page holds and what it says where it holds nothing. Not here: paths and statuses (``api.py``), the
search by name or address (``lookup.py``).
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, create_model

from wifi_assets.engine import engine
from wifi_assets.lake import Lake
from wifi_assets.schemas import NUMBERS, TABLES, TEXTS, TIME
from wifi_assets.snapshot import Snapshot
from wifi_assets.unreadable import UNREADABLE

#: Rows of a page at most.
MOST = 1_000
#: Values of a row's list at most: a session that never ends has tens of thousands of addresses.
LIST_VALUES = 100

_KINDS: dict[pa.DataType, Any] = {
    pa.bool_(): bool,
    pa.date32(): date,
    pa.float64(): float,
    pa.int32(): int,
    pa.int64(): int,
    pa.string(): str,
    NUMBERS: list[int],
    TEXTS: list[str],
    TIME: datetime,
}

Row = TypeVar("Row", bound=BaseModel)


class MissingTableError(RuntimeError):
    """The lake does not have the table; one sentence."""


class Page(BaseModel, Generic[Row]):
    """Rows of a table."""

    rows: list[Row]
    more: bool = Field(description="whether there are rows after these: ask with a greater offset")
    note: str | None = Field(description="why there is no row; null if there is one")
    version: int = Field(description="Delta version of the table; pages of one version fit together")


def _after_first(until: date | None, info: ValidationInfo) -> date | None:
    first = info.data.get("first")
    if first is not None and until is not None and not first < until:
        raise ValueError(f"{until} is not after from, {first}; the day itself is not part of the window")
    return until


class Window(BaseModel):
    """Which rows are asked for. What it does not know is refused: a misspelt ``from`` would give all days."""

    model_config = ConfigDict(extra="forbid")

    first: date | None = Field(None, alias="from", description="first day (UTC); without it from the first stored")
    until: Annotated[date | None, AfterValidator(_after_first)] = Field(
        None, alias="to", description="day after the last; without it up to the last stored"
    )
    limit: int = Field(100, ge=1, le=MOST, description="rows of a page")
    offset: int = Field(0, ge=0, le=10**9, description="rows before the page")


@dataclass(frozen=True)
class View:
    """What is shown of a table.

    Attributes:
        table: Its name.
        columns: Those that are shown.
        row: The model of a row.
    """

    table: str
    columns: tuple[str, ...]

    @property
    def row(self) -> type[BaseModel]:
        """The columns with the words of the schema."""
        entry = TABLES[self.table]
        fields: dict[str, Any] = {}
        for name in self.columns:
            kind, description = entry.columns[name]
            shown = _KINDS[kind]
            if pa.types.is_list(kind):
                description = f"{description}; the first {LIST_VALUES}"
            fields[name] = (shown if name in entry.key else shown | None, Field(description=description))
        return create_model(self.table, __doc__=entry.description, **fields)

    def page(self, lake: Lake, asked: Window, order: str) -> dict[str, Any]:
        """One page, as ``Page`` has it.

        Args:
            lake: Where the newest version is read.
            asked: Days and place.
            order: SQL; must be total.

        Raises:
            MissingTableError: The table was never made.
            LakeError: It cannot be used as it is.
            DeltaError: It cannot be read.
        """
        try:
            return self._page(lake, asked, order)
        except UNREADABLE:
            # What is read may have been merged and vacuumed meanwhile; the newest version has files of its own.
            return self._page(lake, asked, order)

    def _page(self, lake: Lake, asked: Window, order: str) -> dict[str, Any]:
        at = lake.look(self.table)
        if at is None:
            raise MissingTableError(
                f"the lake at {lake.url} has no table {self.table} yet: run wifi-assets ingest, or set WIFI_LAKE"
            )
        days = _days(at)
        wanted = {
            day for day in days if (asked.first or date.min) <= day and (asked.until is None or day < asked.until)
        }
        columns = ", ".join(
            f"{name}[1:{LIST_VALUES}] AS {name}" if pa.types.is_list(at.table.columns[name][0]) else name
            for name in self.columns
        )
        with engine() as run:
            run.view(self.table, at.rows(wanted))
            text = f"SELECT {columns} FROM {self.table} ORDER BY {order}"
            rows = run.query(f"{text} LIMIT {asked.limit + 1} OFFSET {asked.offset}").to_pylist()
        return {
            "rows": rows[: asked.limit],
            "more": len(rows) > asked.limit,
            "note": None if rows else _nothing(at, days, wanted, asked),
            "version": at.version,
        }


def _days(at: Snapshot) -> set[date]:
    """Days that hold rows, also where a row's day may become another."""
    return set(at.files()[f"partition.{at.table.partition}"].to_pylist())


def _nothing(at: Snapshot, days: set[date], wanted: set[date], asked: Window) -> str:
    if not days:
        return f"{at.table.name} holds no rows yet"
    if wanted:
        return f"{at.table.name} holds fewer than {asked.offset + 1:,} rows of these days"
    return f"{at.table.name} holds nothing of these days; its first day is {min(days)}, its last {max(days)}"
