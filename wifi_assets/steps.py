"""How a table follows its upstream: read what is new, compute by the table's SQL, commit with the progress.

Here belong the two kinds of step, append and recompute, and the rebuilding of days. Not here: the
drain of Kafka (``drain.py``), the SQL (``sql/``), the commits themselves (``lake.py``), Dagster.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeVar

import pyarrow as pa

from wifi_assets.engine import Engine, engine, statement
from wifi_assets.frames.address import vendor_of_oui
from wifi_assets.lake import Lake, OvertakenError
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA, POSITION, Snapshot

#: Upstream rows of one append commit: what bounds the memory of a table that is far behind.
WINDOW = 250_000
#: Tries until a step gives way: each lost race means that another run has done the work.
_TRIES = 10

_DAY = timedelta(days=1)
T = TypeVar("T")


@dataclass
class Done:
    """What a step did.

    Attributes:
        rows: Rows written.
        days: Days whose rows are others now.
        commits: Commits made.
    """

    rows: int = 0
    days: set[date] = field(default_factory=set)
    commits: int = 0

    def add(self, rows: int, days: Iterable[date]) -> None:
        """Count one commit."""
        self.rows += rows
        self.days.update(days)
        self.commits += 1


def repeat_when_overtaken(step: Callable[[], T]) -> T:
    """Run a step again from the newest progress while another run is faster."""
    for _ in range(_TRIES - 1):
        try:
            return step()
        except OvertakenError:
            continue
    return step()


def catch_up(lake: Lake, name: str) -> Done:
    """Bring a table to its upstream's present: append what is new, or recompute the days that changed."""
    done = Done()
    if TABLES[name].kind == "append":
        while repeat_when_overtaken(lambda: _append(lake, name, done)):
            pass
    else:
        step = _recompute if TABLES[name].kind == "recompute" else _merge
        repeat_when_overtaken(lambda: step(lake, name, done))
    repeat_when_overtaken(lambda: lake.compact(name))
    return done


def rebuild(lake: Lake, name: str, days: set[date]) -> Done:
    """Compute whole days anew from the upstream, with today's devices, whatever the progress says."""
    done = catch_up(lake, name)
    fresh = set(done.days)

    def again() -> None:
        if TABLES[name].kind == "append":
            _rebuild_appended(lake, name, days, done)
        elif TABLES[name].kind == "recompute":
            _replace_days(lake, name, days - fresh, done)
        elif not fresh:
            _merge_all(lake, name, done)

    repeat_when_overtaken(again)
    return done


# ---------------------------------------------------------------- append


def _append(lake: Lake, name: str, done: Done) -> bool:
    """One window of upstream rows; True if more is left."""
    own = lake.open(name)
    source = _upstream(lake, own)
    reached = source.positions(source.table.upstream or KAFKA)
    mine = _padded(own.positions(source.table.name), len(reached))
    if mine == reached:
        return False
    # Since the version at which this table had caught up, other files are new; older ones hold nothing for it.
    seen = own.upstream_version(source.table.name)
    before = lake.at(source.table.name, seen) if seen is not None else None
    beyond = source.beyond(
        [m for m, r in zip(mine, reached, strict=True) if m < r], before.paths() if before is not None else ()
    )
    with engine() as run:
        until = reached
        if beyond.count_rows() > WINDOW:
            run.view("upstream", beyond, _between(mine, reached))
            until = _window(run, mine, reached)
        run.view(source.table.name, beyond, _between(mine, until))
        rows = _compute(lake, run, name)
    caught_up = {source.table.name: source.version} if until == reached else {}
    lake.append(own, rows, {source.table.name: until}, caught_up)
    done.add(len(rows), set(rows["day"].unique().to_pylist()))
    return until != reached


def _window(run: Engine, mine: list[int], reached: list[int]) -> list[int]:
    """Positions up to which about ``WINDOW`` rows lie, taken evenly from the partitions."""
    counted = {
        row["kafka_partition"]: row["n"]
        for row in run.query("SELECT kafka_partition, count(*) AS n FROM upstream GROUP BY kafka_partition").to_pylist()
    }
    if sum(counted.values()) <= WINDOW:
        return reached
    share = max(1, WINDOW // len(counted))
    until = list(reached)
    for partition, rows in counted.items():
        if rows > share:
            nth = run.query(
                f"SELECT {POSITION} AS p FROM upstream WHERE kafka_partition = {partition} "  # noqa: S608
                f"ORDER BY p LIMIT 1 OFFSET {share}"
            )
            until[partition] = nth["p"][0].as_py()
    return until


def _rebuild_appended(lake: Lake, name: str, days: set[date], done: Done) -> None:
    own = lake.open(name)
    source = _upstream(lake, own)
    mine = own.positions(source.table.name)
    for day in sorted(days):
        with engine() as run:
            run.view(source.table.name, source.rows(days={day}), _between([0] * len(mine), mine))
            rows = _compute(lake, run, name)
        lake.replace(own, rows, {day}, {source.table.name: mine})
        done.add(len(rows), {day})
        own = lake.open(name)


# ---------------------------------------------------------------- recompute


def _recompute(lake: Lake, name: str, done: Done) -> None:
    """All days that changed upstream since the version this table was computed from."""
    own = lake.open(name)
    source = _upstream(lake, own)
    days = lake.changed_days(source, own.upstream_version(source.table.name))
    if own.upstream_version(source.table.name) != source.version:
        _replace(lake, own, source, days, done)


def _replace_days(lake: Lake, name: str, days: set[date], done: Done) -> None:
    own = lake.open(name)
    source = _upstream(lake, own)
    # Only up to the version that catch_up saw: a newer one may hold other changed days as well.
    seen = own.upstream_version(source.table.name)
    at = lake.at(source.table.name, seen) if seen is not None else None
    if not days:
        return
    _replace(lake, own, at or source, days, done)


def _replace(lake: Lake, own: Snapshot, source: Snapshot, days: set[date], done: Done) -> None:
    """Replace days one by one, so that one day's rows bound the memory; the last commit moves the progress."""
    name, upstream = own.table.name, source.table.name
    days = {day for day in days if day >= source.kept_from()}
    before = own.upstream_version(upstream)
    groups = _linked(source, days) if name == "oui_fingerprint_sessions" else [{day} for day in sorted(days)]
    for number, group in enumerate(groups, 1):
        with engine() as run:
            run.view(upstream, source.rows(days=group))
            rows = _compute(lake, run, name)
            news = (group & days) | _differing(run, own, rows, group - days)
        last = number == len(groups)
        versions = {upstream: source.version} if last else {} if before is None else {upstream: before}
        lake.replace(own, rows, group, {}, versions)
        done.add(len(rows), news)
        if not last:
            own = lake.open(name)
    if not groups:
        lake.append(own, own.table.schema.empty_table(), {}, {upstream: source.version})


def _differing(run: Engine, own: Snapshot, rows: pa.Table, days: set[date]) -> set[date]:
    """Those days for which ``rows`` are others than the stored ones."""
    if not days:
        return set()
    columns = ", ".join(own.table.schema.names)
    run.view("before", own.rows(days=days))
    listed = ", ".join(f"DATE '{day}'" for day in sorted(days))
    run.view("after", rows, f"day IN ({listed})")
    differing = run.query(
        f"(SELECT {columns} FROM before EXCEPT SELECT {columns} FROM after) "  # noqa: S608
        f"UNION ALL (SELECT {columns} FROM after EXCEPT SELECT {columns} FROM before)"
    )
    return set(differing["day"].to_pylist())


def _linked(fragments: Snapshot, days: set[date]) -> list[set[date]]:
    """Runs of days to be recomputed together, since a session may run through them.

    A changed day can end, begin or split sessions of its neighbours; and a session that runs on over
    further midnights reaches as far as fragments meet there. Only days near by are looked at, and more of
    them while a session reaches the edge of what was looked at.
    """
    held, near = fragments.days(), 2
    while True:
        seen = {day + _DAY * n for day in days for n in range(-near, near + 1)}
        meeting = _meeting(fragments, seen & held)
        wanted: set[date] = set()
        for day in days:
            first, last = day - _DAY, day + _DAY
            while first in meeting:
                first -= _DAY
            while last + _DAY in meeting:
                last += _DAY
            wanted.update(first + _DAY * n for n in range((last - first).days + 1))
        if all(day + step in seen for day in wanted for step in (-_DAY, _DAY) if day + step in held):
            break
        near *= 4
    groups: list[set[date]] = []
    for day in sorted(wanted):
        if groups and day - _DAY in groups[-1]:
            groups[-1].add(day)
        else:
            groups.append({day})
    return groups


def _meeting(fragments: Snapshot, days: set[date]) -> set[date]:
    """Those days into which a session runs on from the day before."""
    with engine() as run:
        run.view("f", fragments.rows(days=days))
        met = run.query("""
            WITH ends AS (
              SELECT fingerprint, day, min(first_probe) AS first_probe, max(last_probe) AS last_probe
              FROM f GROUP BY fingerprint, day)
            SELECT DISTINCT b.day AS day FROM ends AS a JOIN ends AS b
            ON a.fingerprint = b.fingerprint AND b.day = a.day + 1
            AND b.first_probe <= a.last_probe + INTERVAL '5' MINUTE
        """)
    return set(met["day"].to_pylist())


# ---------------------------------------------------------------- snapshots merged from daily parts


def _merge(lake: Lake, name: str, done: Done) -> None:
    own = lake.open(name)
    if own.upstream_version(str(own.table.upstream)) != lake.open(str(own.table.upstream)).version:
        _merge_all(lake, name, done)


def _merge_all(lake: Lake, name: str, done: Done) -> None:
    own = lake.open(name)
    source = _upstream(lake, own)
    with engine() as run:
        run.view(source.table.name, source.rows())
        rows = _compute(lake, run, name)
    days = lake.changed_days(source, own.upstream_version(source.table.name))
    lake.replace(own, rows, None, {}, {source.table.name: source.version})
    done.add(len(rows), days)


# ---------------------------------------------------------------- what they share


def _upstream(lake: Lake, own: Snapshot) -> Snapshot:
    return lake.open(str(own.table.upstream))


def _padded(positions: list[int], partitions: int) -> list[int]:
    return positions + [0] * (partitions - len(positions))


def _between(low: list[int], high: list[int]) -> str:
    """SQL: rows whose position lies in [low, high) of their partition."""
    parts = [
        f"(kafka_partition = {partition} AND {POSITION} >= {first} AND {POSITION} < {end})"
        for partition, (first, end) in enumerate(zip(low, high, strict=True))
        if first < end
    ]
    return " OR ".join(parts) or "false"


def _compute(lake: Lake, run: Engine, name: str) -> pa.Table:
    """Run the table's statement over the views, with the tables that it looks things up in."""
    text = statement(name)
    if name == "probes_enriched":
        run.view("devices", lake.open("devices").rows())
        prefixes = run.query("SELECT DISTINCT substr(source_address, 1, 8) AS p FROM probes")["p"].drop_null()
        run.view("vendors", _vendors({int(p.replace(":", ""), 16) for p in prefixes.to_pylist()}))
    if name == "oui_fingerprint_sessions":
        ouis = run.query("SELECT DISTINCT o FROM (SELECT explode(tag_oui) AS o FROM session_fragments)")["o"]
        run.view("vendors", _vendors(set(ouis.drop_null().to_pylist())))
    return run.query(text)


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
