"""How a table follows its upstream: read what is new, compute by the table's SQL, commit with the progress.

Here belong which step a table takes, the append step, the rebuilding of days and dropping them by retention. Not here:
what is counted (``recompute.py``), the drain of Kafka (``drain.py``), the SQL (``sql/``), the commits themselves
(``lake.py``), Dagster.
"""

import random
import time
from collections.abc import Callable
from datetime import date
from typing import TypeVar

from wifi_assets.compute import Done, compute, lag, open_from, padded, upstream_of
from wifi_assets.engine import Engine, engine
from wifi_assets.lake import Lake, OvertakenError
from wifi_assets.recompute import recompute, recompute_all, recompute_days
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA, POSITION, Snapshot

#: Upstream rows of one append commit: what bounds the memory of a table that is far behind.
WINDOW = 250_000
#: Tries until a step gives way: each lost race means that another run has done the work.
_TRIES = 10
#: Longest pause before a try, s: beside a run that commits every second, ten tries without one are soon over.
_PAUSE = 5.0

T = TypeVar("T")


def repeat_when_overtaken(step: Callable[[], T], more: int = 0) -> T:
    """Run a step again from the newest progress while another run is faster.

    Args:
        step: Goes on where it was when it is called again.
        more: Further tries, for a step of many commits, each of which may be overtaken.
    """
    for number in range(_TRIES + more - 1):
        try:
            return step()
        except OvertakenError:
            time.sleep(random.uniform(0, min(_PAUSE, 0.05 * 2**number)))  # noqa: S311 - no secret
    return step()


def catch_up(lake: Lake, name: str) -> Done:
    """Bring a table to its upstream's present: append what is new, or count it."""
    done = Done()
    if TABLES[name].kind == "append":
        while repeat_when_overtaken(lambda: _append(lake, name, done)):
            pass
    else:
        repeat_when_overtaken(lambda: recompute(lake, name, done))
    return done


def behind(lake: Lake) -> list[str]:
    """Tables that are not where their upstream is, since they were not in the run that brought it there; looks only."""
    return [name for name, table in TABLES.items() if table.upstream and _is_behind(lake, name)]


def _is_behind(lake: Lake, name: str) -> bool:
    own, source = lake.look(name), lake.look(str(TABLES[name].upstream))
    if source is None:
        return False
    return len(source.files()) > 0 if own is None else lag(own, source) > 0


def rebuild(lake: Lake, name: str, days: set[date]) -> Done:
    """Compute whole days anew from the upstream, with today's devices, whatever the progress says.

    Days that hold nothing and have nothing to hold are left alone: those of a range of years are mostly such. So are
    closed ones, from which retention has taken what they would be computed from.
    """
    done = catch_up(lake, name)
    own = lake.open(name)
    source = upstream_of(lake, own)
    days = days & (own.days() | source.days())
    done.closed = {day for day in days if day < open_from(own, source)}
    days -= done.closed

    def again() -> None:
        if TABLES[name].kind == "append":
            _rebuild_appended(lake, name, days - done.whole, done)
        elif TABLES[name].kind == "recompute":
            recompute_days(lake, name, days - done.whole, done)
        elif not done.whole:
            recompute_all(lake, name, done)

    repeat_when_overtaken(again, more=len(days))
    return done


def drop_before(lake: Lake, name: str, first: date) -> set[date]:
    """Drop a table's days before ``first`` when the tables that are made from it have taken in what it holds.

    Returns:
        The days dropped.
    """

    def drop() -> set[date]:
        at = lake.open(name)
        if not any(day < first for day in at.days()):
            return set()
        for follower, table in TABLES.items():
            if table.upstream == name:
                catch_up(lake, follower)
        # Of the version that they have taken in, and no newer one.
        return lake.delete_before(at, first)

    return repeat_when_overtaken(drop)


# ---------------------------------------------------------------- append


def _append(lake: Lake, name: str, done: Done) -> bool:
    """One window of upstream rows; True if more is left."""
    own = lake.tidy(name)
    source = upstream_of(lake, own)
    reached = source.positions(source.table.upstream or KAFKA)
    mine = padded(own.positions(source.table.name), len(reached))
    seen = own.upstream_version(source.table.name)
    if source.rewritten_since(seen):
        # Rows that this table holds are others upstream now: all days that changed, with what is new of them.
        first = open_from(own, source)
        news = source.since(seen)
        changed = source.days() | own.days() if news is None else news.days
        own = _compute_days(lake, own, source, reached, {day for day in changed if day >= first}, done)
        with engine() as run:
            # What came late of closed days is passed on; their other rows stay as they are.
            late = f"day < DATE '{first}' AND ({_between(mine, reached)})"
            run.view(source.table.name, source.rows({day for day in source.days() if day < first}), late)
            rows = compute(lake, run, name)
        lake.append(own, rows, {source.table.name: reached}, {source.table.name: source.version})
        done.add(len(rows), set(rows["day"].unique().to_pylist()))
        return False
    if mine == reached:
        return False
    # Since the version at which this table had caught up, other files are new; older ones hold nothing for it.
    news, behind = source.since(seen), [m for m, r in zip(mine, reached, strict=True) if m < r]
    beyond = source.read(news.added) if news is not None else source.beyond(behind)
    with engine() as run:
        until = reached
        if beyond.count_rows() > WINDOW:
            run.view("upstream", beyond, _between(mine, reached))
            until = _window(run, reached)
            if news is None:
                beyond = source.beyond(behind, until)
        run.view(source.table.name, beyond, _between(mine, until))
        rows = compute(lake, run, name)
    caught_up = {source.table.name: source.version} if until == reached else {}
    lake.append(own, rows, {source.table.name: until}, caught_up)
    done.add(len(rows), set(rows["day"].unique().to_pylist()))
    return until != reached


def _window(run: Engine, reached: list[int]) -> list[int]:
    """Positions up to which at most ``WINDOW`` rows lie, taken evenly from the partitions that have some."""
    first = run.query(
        f"SELECT kafka_partition, min({POSITION}) AS p FROM upstream GROUP BY kafka_partition"  # noqa: S608
    ).to_pylist()
    until = list(reached)
    for row in first:
        # A position is one row at most, so that nothing needs to be counted or sorted.
        partition, share = row["kafka_partition"], max(1, WINDOW // len(first))
        until[partition] = min(reached[partition], row["p"] + share)
    return until


def _rebuild_appended(lake: Lake, name: str, days: set[date], done: Done) -> None:
    own = lake.open(name)
    source = upstream_of(lake, own)
    # Retention may have taken some of them since they were found open.
    first = open_from(own, source)
    days = {day for day in days if day >= first}
    _compute_days(lake, own, source, own.positions(source.table.name), days, done)


def _compute_days(
    lake: Lake, own: Snapshot, source: Snapshot, until: list[int], days: set[date], done: Done
) -> Snapshot:
    """Replace days one by one by what ``source`` holds of them below ``until``; the progress stays as it is.

    Returns:
        The table after it.

    Raises:
        OvertakenError: Another run wrote between two days.
    """
    name, mine = own.table.name, own.positions(source.table.name)
    for day in sorted(days):
        with engine() as run:
            run.view(source.table.name, source.rows(days={day}), _between([0] * len(until), until))
            rows = compute(lake, run, name)
        version = own.version
        lake.replace(own, rows, {day}, {source.table.name: mine})
        done.add(len(rows), {day})
        done.whole.add(day)
        own = lake.open(name)
        # To write the old progress over a newer one would be to append rows twice.
        if own.version != version + 1:
            raise OvertakenError(f"table {name}: another run wrote between two days")
    return own


# ---------------------------------------------------------------- what they share


def _between(low: list[int], high: list[int]) -> str:
    """SQL: rows whose position lies in [low, high) of their partition."""
    parts = [
        f"(kafka_partition = {partition} AND {POSITION} >= {first} AND {POSITION} < {end})"
        for partition, (first, end) in enumerate(zip(low, high, strict=True))
        if first < end
    ]
    return " OR ".join(parts) or "false"
