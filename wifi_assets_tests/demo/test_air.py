"""What the sniffer hears: repeatable, in the article's shares, late, over midnights, with everything odd."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wifi_assets.demo.air import HOUR, MINUTE, Air
from wifi_assets.demo.frame import PROBE_REQUEST, Frame
from wifi_assets.demo.household import HOSTILE_SSIDS, NADIAS_PHONE, REGULARS, TSHARK_NAMES, documents
from wifi_assets.demo.truth import fingerprint
from wifi_assets_tests.demo.conftest import FIRST_HOUR, SEED

AIRS = st.builds(Air, st.integers(), st.integers(200, 400), st.integers(400_000, 600_000), st.integers(1, 30))


def _probes(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.subtype == PROBE_REQUEST]


@settings(max_examples=15, deadline=None)
@given(AIRS)
def test_the_same_seed_gives_the_same_frames_in_order_of_arrival_within_the_stretch(air: Air) -> None:
    arrivals = list(air.arrivals())
    assert arrivals == list(air.arrivals())
    assert air.hours is not None
    begin, end = air.first_hour * HOUR, (air.first_hour + air.hours) * HOUR
    assert all(begin <= frame.time_us < end for _, frame in arrivals)
    assert all(frame.time_us <= arrival for arrival, frame in arrivals)
    moments = [arrival for arrival, _ in arrivals]
    assert moments == sorted(moments)


@settings(max_examples=10, deadline=None)
@given(st.integers())
def test_a_longer_simulation_begins_with_a_shorter_ones_frames(seed: int) -> None:
    short, long = (list(Air(seed, 300, FIRST_HOUR, hours).arrivals()) for hours in (5, 9))
    end = (FIRST_HOUR + 5) * HOUR
    assert {frame for _, frame in short} == {frame for _, frame in long if frame.time_us < end}


def test_another_seed_gives_other_frames() -> None:
    assert list(Air(1, 300, FIRST_HOUR, 1).arrivals()) != list(Air(2, 300, FIRST_HOUR, 1).arrivals())


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 200"):
        Air(1, 199, FIRST_HOUR, 1)


def test_three_days_by_default_have_the_articles_shares() -> None:
    counts = Counter(frame.subtype for _, frame in Air(SEED, 1100, FIRST_HOUR, 72).arrivals())
    total = counts.total()
    assert 60_000 <= total <= 100_000
    for subtype, share in ((29, 33), (27, 20), (4, 13), (36, 11)):
        assert counts[subtype] * 100 / total == pytest.approx(share, abs=1.5)


def test_frames_come_late_and_out_of_order(day: list[Frame]) -> None:
    arrivals = list(Air(SEED, 1100, FIRST_HOUR, 24).arrivals())
    delays = [arrival - frame.time_us for arrival, frame in arrivals]
    assert sum(delay > 20 * MINUTE for delay in delays) > 20
    assert sum(0 < delay < 230_000 for delay in delays) > 500
    steps = pairwise(day)
    assert sum(later.time_us < earlier.time_us for earlier, later in steps) > 100


def test_phones_change_their_address_with_each_burst_with_and_without_vendor_tags(day: list[Frame]) -> None:
    bursts: dict[str, list[int]] = defaultdict(list)
    with_tags, without = set(), set()
    for probe in _probes(day):
        assert probe.source is not None
        if int(probe.source[:2], 16) & 2 and probe.source not in {device.mac for device in REGULARS}:
            bursts[probe.source].append(probe.time_us)
            (with_tags if any(fingerprint(probe)) else without).add(probe.source)
    assert len(bursts) > 400
    assert all(max(times) - min(times) < MINUTE for times in bursts.values())
    assert 0.15 < len(without) / (len(with_tags) + len(without)) < 0.6


def test_a_phone_scans_over_midnight(day: list[Frame]) -> None:
    frames = [frame for _, frame in Air(SEED, 1100, FIRST_HOUR, 48).arrivals()]
    midnight = (FIRST_HOUR + 24) * HOUR
    times = sorted(
        probe.time_us - midnight
        for probe in _probes(frames)
        if probe.elements and probe.elements.vendor_tags == NADIAS_PHONE.tags
    )
    near = [time for time in times if abs(time) < 12 * MINUTE]
    assert near[0] < 0 < near[-1]
    assert max(later - earlier for earlier, later in pairwise(near)) <= 5 * MINUTE


def test_every_hostile_ssid_is_in_the_air(day: list[Frame]) -> None:
    looked_for = {probe.elements.ssid for probe in _probes(day) if probe.elements}
    assert looked_for >= {*HOSTILE_SSIDS, b"", None}
    assert max(len(ssid) for ssid in HOSTILE_SSIDS) == 32
    assert {ssid for ssid in HOSTILE_SSIDS if b"\x00" in ssid}


def test_someone_is_away_for_a_day() -> None:
    frames = [frame for _, frame in Air(SEED, 1100, FIRST_HOUR, 72).arrivals()]
    days = {
        datetime.fromtimestamp(probe.time_ms / 1000, UTC).day
        for probe in _probes(frames)
        if probe.source == "d6:0b:44:9e:21:77"
    }
    assert days
    assert len(days) < 3


def test_vendors_are_real_and_documents_fit_the_cast() -> None:
    for device in REGULARS:
        assert device.mac is None or int(device.mac[:2], 16) & 2 or device.mac[:8] in TSHARK_NAMES
    known = {document["mac"].lower() for document in documents(0)["ace.user"]}
    assert sum(device.mac in known for device in REGULARS) == 13
