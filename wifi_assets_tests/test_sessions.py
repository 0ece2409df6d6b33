"""Sessions are exact: whatever the order and the portions in which probe requests come, and whatever vanishes."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wifi_assets.frames.address import vendor_of_oui
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.steps import catch_up, drop_before, rebuild
from wifi_assets_tests.support import Contents, contents, differences, rows_of

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
GAP = timedelta(minutes=5)
SCHEMA = TABLES["probes_enriched"].schema
SESSIONS = "oui_fingerprint_sessions"

#: tag_vendor_data, tag_vendor_oui_type, tag_oui: none, and the same tags in two orders.
FINGERPRINTS: tuple[tuple[list[str] | None, list[int] | None, list[int] | None], ...] = (
    (None, None, None),
    (["0200"], [2, 8], [0x001018, 0x0050F2]),
    (["0200"], [8, 2], [0x0050F2, 0x001018]),
)

TAGS = ("tag_vendor_data", "tag_vendor_oui_type", "tag_oui")

Probe = dict[str, Any]


def probe(number: int, fingerprint: int, source: int | None, time: datetime, dbm: int | None) -> Probe:
    """A row of ``probes_enriched``; what sessions do not look at is NULL."""
    data, types, ouis = FINGERPRINTS[fingerprint]
    return {
        "day": time.date(), "topic_generation": 0, "kafka_partition": number % 2, "kafka_offset": number,
        "event_time": time, "source_address": None if source is None else f"02:00:00:00:00:0{source}",
        "signal_dbm": dbm, "tag_vendor_data": data, "tag_vendor_oui_type": types, "tag_oui": ouis,
        "fingerprint": f"fingerprint {fingerprint}",
    }  # fmt: skip


def reference(probes: Iterable[Probe]) -> Contents:
    """The rows of the table, slowly and obviously, over all probe requests."""
    by_fingerprint = defaultdict(list)
    for one in probes:
        by_fingerprint[one["fingerprint"]].append(one)
    sessions: list[list[Probe]] = []
    for same in by_fingerprint.values():
        before = None
        for one in sorted(same, key=lambda one: one["event_time"]):
            if before is None or one["event_time"] - before["event_time"] > GAP:
                sessions.append([])
            sessions[-1].append(one)
            before = one
    rows = []
    for session in sessions:
        sources = sorted({one["source_address"] for one in session} - {None})
        signals = Counter(one["signal_dbm"] for one in session if one["signal_dbm"] is not None)
        first, last = session[0]["event_time"], session[-1]["event_time"]
        names = {vendor_of_oui(oui) for oui in session[0]["tag_oui"] or ()} - {None}
        if len(sources) > 2:
            rows.append(
                {name: session[0][name] for name in ("fingerprint", *TAGS)}
                | {
                    "day": first.date(), "probe_count": len(session), "source_addresses": sources,
                    "first_probe": first, "last_probe": last,
                    "min_signal_dbm": min(signals, default=None), "max_signal_dbm": max(signals, default=None),
                    "signal_dbm_distribution": sorted(signals.items()) or None, "source_address_count": len(sources),
                    "session_seconds": (last - first) / timedelta(seconds=1),
                    "signal_dbm_range": max(signals) - min(signals) if signals else None,
                    "within_3_dbm": max(signals) - min(signals) <= 3 if signals else None,
                    "oui_names": sorted(map(str, names)) or None,
                }
            )  # fmt: skip
    return {SESSIONS: rows_of(pa.Table.from_pylist(rows, TABLES[SESSIONS].schema))}


def append(lake: Lake, probes: list[Probe]) -> None:
    """Put probe requests into the lake and bring the sessions up to date."""
    lake.append(lake.open("probes_enriched"), pa.Table.from_pylist(probes, SCHEMA), {})
    catch_up(lake, "session_fragments")
    catch_up(lake, SESSIONS)


def check(lake: Lake, probes: Iterable[Probe]) -> None:
    """The lake's sessions are those of the reference, no row more."""
    found = {SESSIONS: rows_of(lake.open(SESSIONS).rows().to_table())}
    assert differences(found, reference(probes)) == {}


#: Around four midnights, on a grid on which gaps are often five minutes, now and then a microsecond more.
TIMES = st.builds(
    lambda day, step, more: MIDNIGHT + timedelta(days=day, seconds=100 * step, microseconds=more),
    st.integers(0, 3), st.integers(-12, 12), st.sampled_from((0, 0, 0, 1)),
)  # fmt: skip
PROBES = st.tuples(
    st.sampled_from((0, 1, 1, 2)),
    st.sampled_from((1, 2, 3, 4, None)),
    TIMES,
    st.sampled_from((-40, -41, -43, -44, -90, None)),
)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(PROBES, min_size=20, max_size=150),
    st.booleans(),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_sessions_equal_the_reference_in_any_order_and_after_rows_vanished(
    drawn: list[tuple[int, int | None, datetime, int | None]], long: bool, portions: int, rng: random.Random
) -> None:
    if long:  # over two whole days, each gap exactly as long as it may be
        drawn = drawn + [(1, n % 3, MIDNIGHT - GAP + n * GAP, -50) for n in range(580)]
    probes = [probe(number, *one) for number, one in enumerate(drawn)]
    rng.shuffle(probes)
    with TemporaryDirectory() as folder:
        lake = Lake(folder)
        size = -(-len(probes) // portions)
        for start in range(0, len(probes), size):
            append(lake, probes[start : start + size])
            check(lake, probes[: start + size])
        # A day is read again, and some of it is gone: sessions that ran over its midnights split.
        day = rng.choice(probes)["day"]
        left = [one for one in probes if one["day"] != day or rng.random() < 0.5]
        of_day = pa.Table.from_pylist([one for one in left if one["day"] == day], SCHEMA)
        lake.replace(lake.open("probes_enriched"), of_day, {day}, {})
        rebuild(lake, "session_fragments", {day})
        rebuild(lake, SESSIONS, {day})
        check(lake, left)


def test_a_session_over_many_midnights_splits_when_its_middle_vanishes(tmp_path: Any) -> None:
    lake = Lake(str(tmp_path))
    chain = [probe(n, 1, n % 3, MIDNIGHT + n * GAP, -50) for n in range(3 * 288 + 12)]
    append(lake, chain)
    check(lake, chain)
    assert lake.open(SESSIONS).rows().to_table()["day"].to_pylist() == [date(2026, 3, 2)]
    middle = date(2026, 3, 4)
    lake.replace(lake.open("probes_enriched"), SCHEMA.empty_table(), {middle}, {})
    for name in ("session_fragments", SESSIONS):
        rebuild(lake, name, {middle})
    left = [one for one in chain if one["day"] != middle]
    check(lake, left)
    assert sorted(lake.open(SESSIONS).rows().to_table()["day"].to_pylist()) == [date(2026, 3, 2), date(2026, 3, 5)]
    # And what joins them again comes late.
    append(lake, [one for one in chain if one["day"] == middle])
    check(lake, chain)


def test_rebuilding_days_without_change_changes_nothing(tmp_path: Any) -> None:
    lake = Lake(str(tmp_path))
    append(lake, [probe(n, n % 3, n % 4, MIDNIGHT + (n - 50) * GAP / 3, -50 - n % 7) for n in range(100)])
    before = contents(lake)
    assert before[SESSIONS].total() == 3
    for name in ("session_fragments", SESSIONS):
        rebuild(lake, name, {date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 9)})
    assert differences(contents(lake), before) == {}


def test_sessions_at_the_edge_of_what_retention_left_of_the_fragments(tmp_path: Path) -> None:
    """Over each of three midnights goes one session; the fragments of the first two days are then dropped."""
    minute, probes = timedelta(minutes=1), list[Probe]()
    for midnight in range(3):
        for step in range(-4, 5):
            time = MIDNIGHT + timedelta(days=midnight) + step * minute
            probes.append(probe(len(probes), 1, step % 4 + 1, time, -40))
    lake = Lake(str(tmp_path))
    append(lake, probes)
    before = lake.open(SESSIONS).rows().to_table()
    assert sorted(before["day"].to_pylist()) == [MIDNIGHT.date() + timedelta(days=n) for n in (-1, 0, 1)]
    second = MIDNIGHT.date() + timedelta(days=1)
    assert drop_before(lake, "session_fragments", second) == {second - timedelta(days=n) for n in (1, 2)}
    # A late one for each day. Of the session that began on a day that is gone its end alone would make another one.
    late = [
        probe(100 + n, 1, 5, MIDNIGHT + timedelta(days=n) + 5 * minute, -90) for n in (0, 1, 2)
    ]  # fmt: skip
    append(lake, late)
    for day in range(-1, 4):
        rebuild(lake, SESSIONS, {MIDNIGHT.date() + timedelta(days=day)})
    found = rows_of(lake.open(SESSIONS).rows().to_table())
    assert found == rows_of(before)
    # What begins after the first day that is left is exact again.
    new = [probe(200 + n, 2, n, MIDNIGHT + timedelta(days=2, hours=3) + n * minute, -40) for n in (1, 2, 3)]
    append(lake, new)
    assert rows_of(lake.open(SESSIONS).rows().to_table()) == found + reference(new)[SESSIONS]
