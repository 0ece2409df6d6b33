"""What every step has in common: the table's statement run over its views, and the account of what was done.

Here belongs the tables that a statement looks things up in. Not here: which rows it sees (``steps.py``,
``recompute.py``), what it says (``sql/``).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa

from wifi_assets.engine import Engine, statement
from wifi_assets.frames.address import vendor_of_oui
from wifi_assets.frames.privacy import CLEAR
from wifi_assets.hidden import read_mode
from wifi_assets.lake import Lake
from wifi_assets.snapshot import GENERATION, KAFKA, Snapshot


@dataclass
class Done:
    """What a step did.

    Attributes:
        rows: Rows written.
        days: Days whose rows are others now.
        commits: Commits made.
        whole: Those days that were computed from all of their upstream, not from its new rows alone.
        closed: Days that were asked for and stay as they are, see ``open_from``.
    """

    rows: int = 0
    days: set[date] = field(default_factory=set)
    commits: int = 0
    whole: set[date] = field(default_factory=set)
    closed: set[date] = field(default_factory=set)

    def add(self, rows: int, days: Iterable[date]) -> None:
        """Count one commit."""
        self.rows += rows
        self.days.update(days)
        self.commits += 1


def upstream_of(lake: Lake, own: Snapshot) -> Snapshot:
    """The newest version of the table that a table is made from."""
    return _newest(lake, str(own.table.upstream))


def lag(own: Snapshot, source: Snapshot) -> int:
    """How much of its upstream a table has not taken in; 0 if it has all.

    Returns:
        Offsets, of a table that appends; else, or where its upstream only replaced rows, versions of the upstream.
    """
    seen = own.upstream_version(source.table.name)
    if seen is None and not len(source.files()):
        return 0
    versions = abs(source.version - (-1 if seen is None else seen))
    if own.table.kind != "append":
        return versions
    reached = source.positions(source.table.upstream or KAFKA)
    mine = padded(own.positions(source.table.name), len(reached))
    # Of a topic that was made again meanwhile, only the offsets of the present one are known.
    offsets = sum(there - max(here, there - there % GENERATION) for here, there in zip(mine, reached, strict=False))
    return offsets or (versions if source.rewritten_since(seen) else 0)


def padded(positions: list[int], partitions: int) -> list[int]:
    """The positions with those of partitions that came later, of which nothing was read yet."""
    return positions + [0] * (partitions - len(positions))


def open_from(own: Snapshot, source: Snapshot) -> date:
    """The first day of which nothing was taken by retention, neither here nor upstream.

    Earlier days are closed: computed anew they would hold what came late, or nothing. They stay as they are until
    their own retention takes them.
    """
    first = source.kept_from()
    if own.table.crosses_midnight and first > date.min:
        # What its first day holds may be the end of a row that began the day before.
        first += timedelta(days=1)
    return max(first, own.kept_from())


def compute(lake: Lake, run: Engine, name: str) -> pa.Table:
    """Run the table's statement over the views, with the tables that it looks things up in."""
    text = statement(name)
    if name == "probes_enriched":
        run.view("devices", _newest(lake, "devices").rows())
        prefixes = run.query("SELECT DISTINCT substr(source_address, 1, 8) AS p FROM probes")["p"].drop_null()
        ouis = {int(p.replace(":", ""), 16) for p in prefixes.to_pylist()}
        # A pseudonym's first octets may be a vendor's by chance, so none is looked up.
        run.view("vendors", _vendors(set() if read_mode(lake, CLEAR) == "all" else ouis))
    if name == "oui_fingerprint_sessions":
        ouis = run.query("SELECT DISTINCT o FROM (SELECT explode(tag_oui) AS o FROM session_fragments)")["o"]
        run.view("vendors", _vendors(set(ouis.drop_null().to_pylist())))
    return run.query(text)


def _newest(lake: Lake, name: str) -> Snapshot:
    """For reading only; makes the table where it is missing."""
    return lake.look(name) or lake.open(name)


def _vendors(ouis: set[int]) -> pa.Table:
    known = [(oui, vendor) for oui in sorted(ouis) if (vendor := vendor_of_oui(oui))]
    prefixes = [":".join(f"{oui:06x}"[i : i + 2] for i in (0, 2, 4)) for oui, _ in known]
    return pa.table(
        {
            "oui": pa.array([oui for oui, _ in known], pa.int64()),
            "prefix": pa.array(prefixes, pa.string()),
            "vendor": pa.array([vendor for _, vendor in known], pa.string()),
        }
    )
