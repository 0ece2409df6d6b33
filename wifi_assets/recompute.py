"""How a table of counts follows its upstream: by folding new rows in, or by computing whole days anew.

A table that ``folds`` has a statement that reads new upstream rows and what the table holds of the same groups; its
result replaces those groups. Over a whole day's upstream rows, with nothing stored, it computes the day. Both give the
same as long as upstream rows were only added. Where some were removed or replaced (a day parsed again, a device
renamed), or very many are new, whole days are computed.

Here belongs the choice between the two, and which rows a statement sees. Not here: the statements (``sql/``),
appending (``steps.py``), commits (``lake.py``).
"""

from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from wifi_assets.compute import Done, compute, open_from, upstream_of
from wifi_assets.engine import Engine, engine
from wifi_assets.lake import Lake, OvertakenError
from wifi_assets.snapshot import MOVED, WHOLE, Snapshot

#: Upstream rows that are folded in at once; more are counted day by day, so that one day bounds the memory.
_FOLDED = 250_000
_DAY = timedelta(days=1)


def recompute(lake: Lake, name: str, done: Done) -> None:
    """Count all that changed upstream since the version this table was computed from."""
    own = lake.tidy(name)
    source = upstream_of(lake, own)
    if own.upstream_version(source.table.name) == source.version:
        return
    if own.table.kind == "snapshot":
        _follow_parts(lake, own, source, done)
    else:
        _follow_days(lake, own, source, done)


def recompute_days(lake: Lake, name: str, days: set[date], done: Done) -> None:
    """Compute whole days anew from the upstream."""
    own = lake.open(name)
    source = upstream_of(lake, own)
    # Only up to the version that was seen: a newer one may hold other changed days as well.
    seen = own.upstream_version(source.table.name)
    at = lake.at(source.table.name, seen) if seen is not None else None
    # last=False: these days are done, but a pass that another run began may not be; only that pass may record the
    # upstream version.
    _replace(lake, own, at or source, days, done, last=False)


def recompute_all(lake: Lake, name: str, done: Done) -> None:
    """Compute a table over all days anew from their parts."""
    own = lake.open(name)
    _merge_all(lake, own, upstream_of(lake, own), done)


# ---------------------------------------------------------------- whole days


def _follow_days(lake: Lake, own: Snapshot, source: Snapshot, done: Done) -> None:
    news = source.since(own.upstream_version(source.table.name))
    if news is None:
        # A day of which the upstream has no row left may be among them.
        _replace(lake, own, source, source.days() | own.days(), done)
        return
    first = open_from(own, source)
    came = {path: day for path, day in news.added.items() if day >= first and day not in news.replaced}
    rows = source.read(came)
    # Days that a pass computed whole before something ended it hold new rows already.
    begun = (own.upstream_version(WHOLE) or 0) > (own.upstream_version(MOVED) or 0)
    if begun or not own.table.folds or not came or rows.count_rows() > _FOLDED:
        _replace(lake, own, source, news.days, done)
        return
    if news.replaced:
        own = _replace(lake, own, source, news.replaced, done, last=False)
    days = set(came.values())
    with engine() as run:
        run.view(source.table.name, rows)
        if "hour" in own.table.folds:
            _widen(run, source, days)
        written = _fold(lake, run, own, days, {source.table.name: source.version})
    done.add(written, days)


def _widen(run: Engine, source: Snapshot, days: set[date]) -> None:
    """Show all rows of the hours in which there are new ones."""
    name = source.table.name
    hours = run.query(f"SELECT DISTINCT date_trunc('hour', event_time) AS hour FROM {name} ORDER BY 1")  # noqa: S608
    first, last = hours["hour"][0].as_py(), hours["hour"][-1].as_py() + timedelta(hours=1)
    run.view("hours", hours)
    rows = source.rows(days=days, paths=source.reaching(first, last))
    between = f"event_time >= TIMESTAMPTZ '{first}' AND event_time < TIMESTAMPTZ '{last}'"
    run.view(name, rows, f"{between} AND date_trunc('hour', event_time) IN (SELECT hour FROM hours)")


def _replace(
    lake: Lake, own: Snapshot, source: Snapshot, days: set[date], done: Done, *, last: bool = True
) -> Snapshot:
    """Replace days one by one, so that one day's rows bound the memory.

    Args:
        lake: Where to.
        own: The table as it is.
        source: Its upstream.
        days: Which; closed ones are left out.
        done: The account.
        last: The last of these commits moves the progress.

    Returns:
        The table after it.

    Raises:
        OvertakenError: Another run wrote between two days.
    """
    name, upstream = own.table.name, source.table.name
    first = open_from(own, source)
    days = {day for day in days if day >= first}
    groups = _linked(source, days) if own.table.crosses_midnight else [{day} for day in sorted(days)]
    for number, linked in enumerate(groups, 1):
        group = {day for day in linked if day >= first}
        with engine() as run:
            run.view(upstream, source.rows(days=linked))
            rows = _whole(lake, run, own)
            rows = rows.filter(pc.greater_equal(rows["day"], first))
            news = (group & days) | _differing(own, rows, group - days)
        version = own.version + 1
        versions = {WHOLE: version}
        if last and number == len(groups):
            versions |= {upstream: source.version, MOVED: version}
        lake.replace(own, rows, group, {}, versions)
        done.add(len(rows), news)
        done.whole |= news
        own = lake.open(name)
        # To write this progress over a newer one would be to fold rows in twice.
        if own.version != version:
            raise OvertakenError(f"table {name}: another run wrote between two days")
    if last and not groups:
        lake.append(own, own.table.schema.empty_table(), {}, {upstream: source.version, MOVED: own.version + 1})
    return own


def _whole(lake: Lake, run: Engine, own: Snapshot) -> pa.Table:
    """What the statement makes of the upstream rows alone, as if the table held nothing."""
    if own.table.folds:
        run.view(own.table.name, own.table.schema.empty_table())
    return compute(lake, run, own.table.name)


def _differing(own: Snapshot, rows: pa.Table, days: set[date]) -> set[date]:
    """Those days for which ``rows`` are others than the stored ones."""
    if not days:
        return set()
    order = [(column, "ascending") for column in own.table.key]
    stored, computed = (
        table.select(own.table.schema.names).cast(own.table.schema).sort_by(order)
        for table in (own.rows(days=days).to_table(), rows)
    )
    return {day for day in days if not _of(stored, day).equals(_of(computed, day))}


def _of(rows: pa.Table, day: date) -> pa.Table:
    return rows.filter(pc.equal(rows["day"], pa.scalar(day, pa.date32())))


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


# ---------------------------------------------------------------- over all days, from daily parts


def _follow_parts(lake: Lake, own: Snapshot, source: Snapshot, done: Done) -> None:
    """Fold in what was folded into the parts since; all anew if a part was computed whole, or rows came and went."""
    parts, rows = source.table, str(source.table.upstream)
    seen = own.upstream_version(parts.name)
    reached = source.upstream_version(rows)
    heard = lake.at(rows, reached) if reached is not None else None
    if (
        not own.table.folds
        or seen is None
        or heard is None
        or (source.upstream_version(WHOLE) or 0) > seen
        or (news := heard.since(own.upstream_version(rows))) is None
        or news.replaced
        or not heard.readable(set(news.added))
        or any(day < open_from(source, heard) for day in news.added.values())
    ):
        _merge_all(lake, own, source, done)
        return
    with engine() as run:
        run.view(rows, heard.read(news.added))
        run.view(parts.name, _whole(lake, run, source))
        keys = ", ".join(own.table.folds)
        run.view("stored", own.rows())
        days = run.query(f"SELECT DISTINCT latest_day FROM stored SEMI JOIN {parts.name} USING ({keys})")
        versions = {parts.name: source.version, rows: heard.version}
        written = _fold(lake, run, own, set(days["latest_day"].to_pylist()), versions)
    done.add(written, news.added.values())


def _merge_all(lake: Lake, own: Snapshot, source: Snapshot, done: Done) -> None:
    parts = source.table
    with engine() as run:
        run.view(parts.name, source.rows())
        rows = _whole(lake, run, own)
    days = source.changed_days(own.upstream_version(parts.name))
    versions = {parts.name: source.version}
    if (reached := source.upstream_version(str(parts.upstream))) is not None:
        versions[str(parts.upstream)] = reached
    lake.replace(own, rows, None, {}, versions)
    done.add(len(rows), days)
    done.whole |= days


# ---------------------------------------------------------------- folding in


def _fold(lake: Lake, run: Engine, own: Snapshot, days: set[date], versions: dict[str, int]) -> int:
    """Replace the groups that new rows change.

    Args:
        lake: Where to.
        run: Sees the new rows.
        own: The table as it is.
        days: Values of its partition that may hold rows of these groups.
        versions: How far it has come then.

    Returns:
        Rows of these groups.
    """
    table, versions = own.table, {**versions, MOVED: own.version + 1}
    # Read once: the statement looks at it, and what it leaves as it was is written again.
    stored = own.rows(days=days).to_table()
    run.view(table.name, stored)
    changed = compute(lake, run, table.name)
    if more := set(changed[str(table.partition)].unique().to_pylist()) - days:
        stored = pa.concat_tables([stored, own.rows(days=more).to_table()])
    days = days | more
    if not days:
        # The new rows say nothing here: only how far the table has come is new.
        lake.append(own, changed, {}, versions)
        return 0
    run.view("stored", stored)
    run.view("changed", changed)
    columns, keys = ", ".join(table.schema.names), ", ".join(table.folds)
    rows = run.query(
        f"SELECT {columns} FROM stored ANTI JOIN changed USING ({keys}) "  # noqa: S608 - our own column names
        f"UNION ALL SELECT {columns} FROM changed"
    )
    lake.replace(own, rows, days, {}, versions)
    return len(changed)
