"""The estimate of devices behind random addresses: against a slow reference, its bounds, and what it depends on."""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wifi_assets import compute
from wifi_assets.demo.air import Air
from wifi_assets.demo.frame import Frame
from wifi_assets.demo.household import documents
from wifi_assets.demo.messages import message
from wifi_assets.demo.truth import Truth
from wifi_assets.engine import engine, statement
from wifi_assets.frames.message import Rules
from wifi_assets.frames.parse import messages_table, parse
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.snapshot import KAFKA
from wifi_assets.steps import catch_up, rebuild
from wifi_assets_tests.support import FIRST_HOUR

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
SCHEMA = TABLES["probes_enriched"].schema
Probe = dict[str, Any]
Group = list["Address"]

#: tag_number, ext_tag_number, ht_capabilities and fingerprint: two radios, one of them with two sets of
#: elements; no HT with and without vendor tags; and a message from before these fields were captured.
ELEMENTS: tuple[tuple[list[int] | None, list[int] | None, int | None, str], ...] = (
    ([0, 1, 45], None, 0x402D, "none"),
    ([0, 1, 45, 127, 255], [35], 0x402D, "none"),
    ([0, 1, 45, 255], [35], 0x402D, "vendor"),
    ([0, 1], None, None, "none"),
    (None, None, None, "vendor"),
)


def probe(number: int, elements: int, source: int | None, time: datetime, dbm: int | None, **other: Any) -> Probe:
    """A row of ``probes_enriched`` from a random address; what the estimate does not look at is NULL."""
    tags, extended, ht, fingerprint = ELEMENTS[elements]
    return {
        "day": time.date(), "topic_generation": 0, "kafka_partition": number % 2, "kafka_offset": number,
        "event_time": time, "source_address": None if source is None else f"02:00:00:00:00:{source:02x}",
        "signal_dbm": dbm, "tag_number": tags, "ext_tag_number": extended, "ht_capabilities": ht,
        "fingerprint": fingerprint, "is_randomised": True,
    } | other  # fmt: skip


def estimates(probes: Iterable[Probe]) -> list[dict[str, Any]]:
    """The table's rows for these probe requests, by hour."""
    with engine() as run:
        run.view("probes_enriched", pa.Table.from_pylist(list(probes), SCHEMA))
        rows = run.query(statement("devices_estimated"))
    return rows.sort_by("hour").to_pylist()


def burst(source: int, start: datetime, elements: int = 0, dbm: int | None = -50, seconds: int = 1) -> list[Probe]:
    """What a phone sends under one address: a probe request at the start and one at the end."""
    return [probe(source, elements, source, start + timedelta(seconds=at), dbm) for at in (0, seconds)]


class Address:
    """What one address did in one hour."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        times = [one["event_time"] for one in probes]
        signals = [one["signal_dbm"] for one in probes if one["signal_dbm"] is not None]
        self.first, self.last = min(times), max(times)
        self.signal = sum(signals) / len(signals) if signals else None
        said = {(_radio(one), _elements(one)) for one in probes}
        # In these tests an address says one thing; what is chosen of several is the statement's own.
        ((self.radio, self.elements),) = said


def _elements(one: Probe) -> str:
    return repr([one[name] for name in ("fingerprint", "tag_number", "ext_tag_number", "ht_capabilities")])


def _radio(one: Probe) -> str:
    if one["ht_capabilities"] is None:
        return repr((one["fingerprint"], one["tag_number"]))
    return repr((one["ht_capabilities"], one["ext_tag_number"] is not None))


def in_use_at_once(addresses: Iterable[Address]) -> int:
    """The most addresses of which each was begun and not yet ended at some moment."""
    group = list(addresses)
    return max(sum(other.first <= one.first <= other.last for other in group) for one in group)


def split(addresses: Iterable[Address], key: str) -> list[Group]:
    """The addresses by an attribute."""
    groups = defaultdict(list)
    for one in addresses:
        groups[getattr(one, key)].append(one)
    return list(groups.values())


def reference(probes: Iterable[Probe]) -> list[tuple[Any, ...]]:
    """(hour, probes, addresses, estimate, low, high) of each hour, slowly and obviously."""
    hours = defaultdict(lambda: defaultdict(list))
    for one in probes:
        if one["is_randomised"] and one["source_address"] is not None:
            hours[one["event_time"].replace(minute=0, second=0, microsecond=0)][one["source_address"]].append(one)
    rows = []
    for hour, by_address in sorted(hours.items()):
        addresses = [Address(probes) for probes in by_address.values()]
        low = estimated = high = 0
        for radio in split(addresses, "radio"):
            weakest = min((one.signal for one in radio if one.signal is not None), default=0)
            for one in radio:
                one.signal = weakest if one.signal is None else one.signal
            low += in_use_at_once(radio)
            radio.sort(key=lambda one: one.signal or 0)
            levels: list[Group] = []
            for one in radio:
                if not levels or one.signal - levels[-1][-1].signal > 3:  # type: ignore[operator]
                    levels.append([])
                levels[-1].append(one)
            estimated += sum(map(in_use_at_once, levels))
            for same in split(radio, "elements"):
                sessions: list[Group] = []
                for one in sorted(same, key=lambda one: one.first):
                    if not sessions or one.first - max(o.last for o in sessions[-1]) > timedelta(minutes=5):
                        sessions.append([])
                    sessions[-1].append(one)
                for session in sessions:
                    bands = defaultdict(list)
                    for one in session:
                        bands[one.signal // 3].append(one)  # type: ignore[operator]
                    high += sum(map(in_use_at_once, bands.values()))
        rows.append((hour, sum(map(len, by_address.values())), len(addresses), estimated, low, high))
    return rows


def found(rows: Iterable[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The same columns of the table."""
    names = ("hour", "probe_count", "random_addresses", "devices_estimated", "devices_low", "devices_high")
    return [tuple(row[name] for name in names) for row in rows]


#: Over two hours and a midnight, with gaps of exactly five minutes and a little more, and equal moments.
PROBES = st.lists(
    st.tuples(
        st.integers(0, 19),
        st.integers(-20, 20).map(lambda step: timedelta(seconds=150 * step)),
        st.sampled_from((0, 0, 1)).map(lambda more: timedelta(milliseconds=more)),
        st.sampled_from((-40, -42, -43, -45, -46, -60, -90, None)),
    ),
    max_size=60,
)


def drawn(parts: Iterable[tuple[int, timedelta, timedelta, int | None]]) -> list[Probe]:
    """Probe requests in which each address says one thing."""
    return [
        probe(number, source % len(ELEMENTS), source, MIDNIGHT + at + more, dbm)
        for number, (source, at, more, dbm) in enumerate(parts)
    ]


@settings(max_examples=60, deadline=None)
@given(PROBES, st.randoms(use_true_random=False))
def test_the_table_equals_the_reference_in_any_order(parts: list[Any], chance: random.Random) -> None:
    probes = drawn(parts)
    rows = estimates(probes)
    assert found(rows) == reference(probes)
    for number, one in enumerate(probes):
        one |= {"kafka_partition": number % 3, "kafka_offset": 1000 - number}
    chance.shuffle(probes)
    assert estimates(probes) == rows


@settings(max_examples=60, deadline=None)
@given(PROBES, st.lists(st.integers(0, len(ELEMENTS) - 1), max_size=60))
def test_the_bounds_hold_each_other(parts: list[Any], elements: list[int]) -> None:
    """Also where an address says several things, as some drivers do."""
    probes = drawn(parts)
    for one, other in zip(probes, elements, strict=False):
        one |= {name: probe(0, other, 0, MIDNIGHT, 0)[name] for name in
                ("tag_number", "ext_tag_number", "ht_capabilities", "fingerprint")}  # fmt: skip
    rows = estimates(probes)
    assert {row["hour"] for row in rows} == {
        one["event_time"].replace(minute=0, second=0, microsecond=0) for one in probes
    }
    for row in rows:
        assert 1 <= row["devices_low"] <= row["devices_estimated"] <= row["devices_high"] <= row["random_addresses"]
        assert row["fingerprints"] <= row["devices_high"]
        assert row["day"] == row["hour"].date()


@settings(max_examples=40, deadline=None)
@given(PROBES, PROBES)
def test_more_probes_never_lower_the_low_bound(parts: list[Any], more: list[Any]) -> None:
    before = {row["hour"]: row for row in estimates(drawn(parts))}
    after = {row["hour"]: row for row in estimates(drawn(parts + more))}
    for hour, row in before.items():
        assert row["devices_low"] <= after[hour]["devices_low"]
        assert row["random_addresses"] <= after[hour]["random_addresses"]


def only(probes: Iterable[Probe]) -> tuple[int, int, int]:
    """(low, estimate, high) of the one hour."""
    (row,) = estimates(probes)
    return row["devices_low"], row["devices_estimated"], row["devices_high"]


def test_a_phone_that_changes_its_address_is_one_device() -> None:
    bursts = [burst(source, MIDNIGHT + source * timedelta(minutes=2)) for source in range(20)]
    assert only(sum(bursts, [])) == (1, 1, 1)


def test_addresses_in_use_at_once_are_several_devices() -> None:
    both = burst(1, MIDNIGHT, seconds=3) + burst(2, MIDNIGHT + timedelta(seconds=3))
    assert only(both) == (2, 2, 2)
    later = burst(1, MIDNIGHT, seconds=3) + burst(2, MIDNIGHT + timedelta(seconds=3, milliseconds=1))
    assert only(later) == (1, 1, 1)


def test_two_radios_are_two_devices_and_two_signals_may_be() -> None:
    radios = burst(1, MIDNIGHT) + burst(2, MIDNIGHT + timedelta(minutes=1), elements=1)
    assert only(radios) == (2, 2, 2)
    variants = burst(1, MIDNIGHT, elements=1) + burst(2, MIDNIGHT + timedelta(minutes=1), elements=2)
    assert only(variants) == (1, 1, 2)
    for dbm, expected in ((-51, (1, 1, 1)), (-53, (1, 1, 2)), (-54, (1, 2, 2))):
        near = burst(1, MIDNIGHT, dbm=-50) + burst(2, MIDNIGHT + timedelta(minutes=1), dbm=dbm)
        assert only(near) == expected


def test_a_pause_of_more_than_five_minutes_may_be_another_device() -> None:
    for pause, high in ((timedelta(minutes=5), 1), (timedelta(minutes=5, microseconds=1), 2)):
        again = burst(1, MIDNIGHT, seconds=0) + burst(2, MIDNIGHT + pause, seconds=0)
        assert only(again) == (1, 1, high)


def test_a_burst_over_the_hour_counts_in_both_hours() -> None:
    rows = estimates(burst(1, MIDNIGHT - timedelta(milliseconds=500)))
    assert [(row["day"], row["hour"].hour, row["devices_estimated"]) for row in rows] == [
        (date(2026, 3, 1), 23, 1),
        (date(2026, 3, 2), 0, 1),
    ]


@pytest.mark.parametrize("other", [{"is_randomised": False}, {"source_address": None}])
def test_without_random_addresses_there_is_no_row(other: dict[str, Any]) -> None:
    assert estimates([]) == []
    assert estimates([probe(1, 1, 1, MIDNIGHT, -50) | other]) == []


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(PROBES, st.integers(1, 4), st.randoms(use_true_random=False))
def test_in_portions_and_rebuilt_it_is_the_same(parts: list[Any], portions: int, chance: random.Random) -> None:
    probes = drawn(parts)
    chance.shuffle(probes)
    with TemporaryDirectory() as folder:
        lake = Lake(folder)
        for start in range(portions):
            rows = pa.Table.from_pylist(probes[start::portions], SCHEMA)
            lake.append(lake.open("probes_enriched"), rows, {})
            catch_up(lake, "devices_estimated")
        stored = lake.open("devices_estimated").rows().to_table().sort_by("hour").to_pylist()
        assert stored == estimates(probes)
        rebuild(lake, "devices_estimated", {date(2026, 3, 2)})
        assert lake.open("devices_estimated").rows().to_table().sort_by("hour").to_pylist() == stored


NEW = ("tag_number", "ext_tag_number", "ht_capabilities")


def test_a_lake_from_before_the_elements_were_captured_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(str(tmp_path))
    frames = frames_of(air(2))
    earlier, later = frames.slice(0, len(frames) // 2), frames.slice(len(frames) // 2)
    tables = ("probes", "probes_enriched", "devices_estimated")
    with monkeypatch.context() as before:
        for name in ("frames", "probes", "probes_enriched"):
            table = TABLES[name]
            kept = {column: kind for column, kind in table.columns.items() if column not in NEW}
            before.setitem(TABLES, name, replace(table, columns=kept))
        before.setattr(compute, "statement", lambda name: _without(statement(name)))
        lake.append(lake.open("frames"), earlier, {KAFKA: [len(earlier)]})
        for name in tables[:2]:
            catch_up(lake, name)
        assert not {*NEW} & {*lake.open("probes_enriched").rows().schema.names}
    lake.append(lake.open("frames"), later, {KAFKA: [len(frames)]})
    for name in tables:
        catch_up(lake, name)

    stored = lake.open("probes_enriched").rows().to_table().sort_by("kafka_offset").to_pylist()
    expected = [row for row in frames.sort_by("kafka_offset").to_pylist() if row["frame_subtype"] == 4]
    assert len(stored) == len(expected)
    for one, wanted in zip(stored, expected, strict=True):
        old = one["kafka_offset"] < len(earlier)
        assert {name: one[name] for name in NEW} == {name: None if old else wanted[name] for name in NEW}
    counted = lake.open("devices_estimated").rows().to_table().to_pylist()
    assert counted == estimates(stored) != []


def _without(text: str) -> str:
    for name in NEW:
        text = re.sub(rf"(m\.)?\b{name}, ", "", re.sub(rf"\b{name},\n", "\n", text))
    return text


def air(hours: int) -> list[Frame]:
    """The frames of the simulated household, in order of arrival."""
    return [frame for _, frame in Air(1, 400, FIRST_HOUR, hours).arrivals()]


def frames_of(heard: list[Frame]) -> pa.Table:
    """Their rows of ``frames``, in the same order."""
    rows = ((0, 0, offset, frame.time_us, None, message(frame).value) for offset, frame in enumerate(heard))
    frames, refused = parse(messages_table(rows), Rules())
    assert len(refused) == 0
    return frames.sort_by("kafka_offset")


def test_the_simulated_household_is_counted_as_its_truth_says(tmp_path: Path) -> None:
    heard = air(30)
    truth = Truth(documents(0))
    for frame in heard:
        truth.observe(frame)
    lake = Lake(str(tmp_path))
    lake.append(lake.open("frames"), frames_of(heard), {KAFKA: [len(heard)]})
    for name in ("probes", "probes_enriched", "devices_estimated"):
        catch_up(lake, name)
    rows = lake.open("devices_estimated").rows().to_table().sort_by("hour").to_pylist()
    expected = truth.found()["behind_random_addresses"]
    assert [(row["hour"], row["probe_count"], row["random_addresses"]) for row in rows] == [
        (datetime.fromisoformat(row["hour"]), row["probe_count"], row["random_addresses"]) for row in expected
    ]
    wrong = [abs(row["devices_estimated"] - true["devices"]) for row, true in zip(rows, expected, strict=True)]
    naive = [row["random_addresses"] - true["devices"] for row, true in zip(rows, expected, strict=True)]
    assert sum(wrong) * 4 < sum(naive)


def test_of_new_probe_requests_only_their_hours_are_counted_again(tmp_path: Path) -> None:
    """With late ones, over an hour's border and over midnight; the result is that of one go."""
    lake, whole = Lake(str(tmp_path / "lake")), Lake(str(tmp_path / "whole"))
    first = [one for n in range(4) for one in burst(n, MIDNIGHT + timedelta(hours=n))]
    border = burst(7, MIDNIGHT + timedelta(hours=1, minutes=59, seconds=30), seconds=60)
    night = burst(8, MIDNIGHT + timedelta(hours=23, minutes=59, seconds=30), seconds=60)
    portions = [first, border, night, burst(9, MIDNIGHT)]
    for number, portion in enumerate(portions):
        rows = [one | {"kafka_offset": 100 * number + place} for place, one in enumerate(portion)]
        for place in (lake, whole):
            place.append(place.open("probes_enriched"), pa.Table.from_pylist(rows, SCHEMA), {})
        done = catch_up(lake, "devices_estimated")
        assert done.rows == len({one["event_time"].replace(minute=0, second=0) for one in portion})
        assert (done.whole == set()) == (number > 0)
    catch_up(whole, "devices_estimated")
    found, expected = (
        place.open("devices_estimated").rows().to_table().sort_by("hour").to_pylist() for place in (lake, whole)
    )
    assert found == expected
    assert [row["random_addresses"] for row in found] == [2, 2, 2, 1, 1, 1]
