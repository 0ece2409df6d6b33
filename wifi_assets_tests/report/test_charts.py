"""Each chart shows what a slow count over the same rows finds, and says so where there is nothing to show."""

import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from wifi_assets.demo.household import HOSTILE_SSIDS
from wifi_assets.frames.ssid import ssid_text
from wifi_assets.lake import Lake
from wifi_assets.report import charts
from wifi_assets.report.fields import SHADES, field_distribution
from wifi_assets.report.figures import INK, NARROW, OTHER, RANDOM, SMALL, WIDE, Size, png, sentence, svg
from wifi_assets.report.figures import KNOWN as KNOWN_COLOUR
from wifi_assets.report.graph import networks_looked_for
from wifi_assets.report.period import Period
from wifi_assets.schemas import TABLES
from wifi_assets_tests.report.conftest import BEGIN, KNOWN, Fill, probe

CHARTS: tuple[Callable[[Period, Size], Figure], ...] = (
    charts.signal_by_device,
    charts.addresses_by_day,
    charts.probes_over_time,
    charts.signal_by_address,
    charts.signal_distribution,
    charts.subtype_shares,
    networks_looked_for,
    field_distribution,
)


@pytest.fixture
def period(home: Lake) -> Period:
    return Period(home)


def probes(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in heard if row["frame_subtype"] == 4]


def texts(drawn: Figure) -> list[str]:
    png(drawn)
    return [one.get_text() for one in drawn.findobj(lambda part: hasattr(part, "get_text"))]


# ---------------------------------------------------------------- what they show


def test_the_heat_map_holds_the_mean_of_each_known_device_and_three_hours(
    period: Period, heard: list[dict[str, Any]]
) -> None:
    drawn = charts.signal_by_device(period, WIDE)
    axes = drawn.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(names) == sorted(KNOWN.values())
    sums = defaultdict(list)
    for row in probes(heard):
        if row["source_address"] in KNOWN and row["signal_dbm"] is not None:
            sums[KNOWN[row["source_address"]], (row["event_time"] - BEGIN) // timedelta(hours=3)].append(
                row["signal_dbm"]
            )
    cells = np.ma.concatenate([image.get_array() for image in axes.get_images()], axis=1)
    assert cells.shape == (2, 16)
    for number, name in enumerate(names):
        for slice_ in range(16):
            found = cells[number, slice_]
            if (name, slice_) in sums:
                assert found == pytest.approx(np.mean(sums[name, slice_]))
            else:
                assert found is np.ma.masked
    assert "dBm" in drawn.axes[1].get_ylabel()


def test_days_show_unique_addresses_and_probe_requests(period: Period, heard: list[dict[str, Any]]) -> None:
    left, right = charts.addresses_by_day(period, WIDE).axes
    by_day = defaultdict(list)
    for row in probes(heard):
        by_day[row["event_time"].date()].append(row["source_address"])
    tops = [bar.get_y() + bar.get_height() for bar in left.patches][-2:]
    assert tops == [len(set(by_day[day])) for day in sorted(by_day)]
    assert [bar.get_height() for bar in right.patches] == [len(by_day[day]) for day in sorted(by_day)]


def test_the_bars_over_time_hold_every_probe_request_once(period: Period, heard: list[dict[str, Any]]) -> None:
    axes = charts.probes_over_time(period, WIDE).axes[0]
    by_colour: Counter[Any] = Counter()
    for bar in axes.patches:
        by_colour[bar.get_facecolor()] += bar.get_height()
    kinds = Counter(
        "known" if row["source_address"] in KNOWN else "random" if row["source_address"][1] == "a" else "other"
        for row in probes(heard)
    )
    assert sorted(by_colour.values()) == sorted(kinds.values())
    assert [entry.get_text() for entry in axes.get_legend().get_texts()] == ["known devices", "others", "randomised"]
    assert "UTC" in axes.get_xlabel()


def test_the_strips_hold_the_mean_of_each_address_and_30_seconds(period: Period, heard: list[dict[str, Any]]) -> None:
    drawn = charts.signal_by_address(period, WIDE)
    means = defaultdict(list)
    for row in probes(heard):
        if row["signal_dbm"] is not None:
            means[row["source_address"], int(row["event_time"].timestamp()) // 30].append(row["signal_dbm"])
    shown = 0
    for axes in drawn.axes:
        name = axes.get_title(loc="left")
        address = next((mac for mac, device in KNOWN.items() if device == name), name)
        expected = sorted(float(np.mean(signals)) for (mac, _), signals in means.items() if mac == address)
        (points,) = axes.collections
        assert sorted(points.get_offsets()[:, 1]) == pytest.approx(expected)
        shown += len(expected)
    assert shown == len(means)


def test_the_distribution_and_the_shares_add_up(period: Period, heard: list[dict[str, Any]]) -> None:
    axes = charts.signal_distribution(period, WIDE).axes[0]
    with_signal = Counter(row["signal_dbm"] for row in probes(heard) if row["signal_dbm"] is not None)
    tops: Counter[int] = Counter()
    for bar in axes.patches:
        tops[round(bar.get_x() + bar.get_width() / 2)] += bar.get_height()
    assert +tops == with_signal
    axes = charts.subtype_shares(period, WIDE).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [75, 25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["probe request (4)", "ACK (29)"]


def test_the_graph_has_a_line_for_each_source_and_network(period: Period, heard: list[dict[str, Any]]) -> None:
    axes = networks_looked_for(period, WIDE).axes[0]
    pairs = {(row["source_address"], row["ssid"]) for row in probes(heard) if row["ssid"]}
    assert len(axes.collections[0].get_segments()) == len(pairs)
    words = [text.get_text() for text in axes.texts]
    assert {"home", "cafe", "train", *KNOWN.values()} <= set(words)


def test_a_field_has_its_most_frequent_values_and_its_missing_share(period: Period) -> None:
    axes, days = field_distribution(period, WIDE).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    at = names.index("ssid")
    widths = [bar.get_width() for bar in axes.patches if abs(bar.get_y() + bar.get_height() / 2 - at) < 0.01]
    assert sum(widths) == pytest.approx(100)
    assert widths[-1] == pytest.approx(25)
    assert len(days.patches) == 2 * len(names)


# ---------------------------------------------------------------- little, much, nothing


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.__name__)
@pytest.mark.parametrize("size", [WIDE, NARROW, SMALL])
def test_without_data_a_chart_is_one_sentence(chart: Callable[..., Figure], size: Size, tmp_path: Any) -> None:
    drawn = chart(Period(Lake(str(tmp_path / "nothing"))), size)
    assert drawn.axes == []
    assert drawn.get_label().endswith(".")
    assert texts(drawn) == [drawn.get_label()]
    assert not (tmp_path / "nothing").exists()


def test_frames_without_signal_network_or_known_device_are_said_to_be_so(fill: Fill) -> None:
    period = Period(fill([probe(BEGIN, "0a:00:00:00:00:01", None)], {}))
    for chart in (charts.signal_by_device, charts.signal_by_address, charts.signal_distribution, networks_looked_for):
        assert chart(period, WIDE).axes == []
    for chart in (charts.addresses_by_day, charts.probes_over_time, charts.subtype_shares, field_distribution):
        assert chart(period, WIDE).axes


@pytest.mark.parametrize("size", [WIDE, NARROW, SMALL])
def test_one_probe_request_of_one_device_makes_every_chart(fill: Fill, size: Size) -> None:
    period = Period(fill([probe(BEGIN, next(iter(KNOWN)), -50, b"home")]))
    for chart in CHARTS:
        drawn = chart(period, size)
        assert drawn.axes
        assert svg(drawn).startswith(b"<?xml")


@pytest.mark.parametrize("size", [WIDE, NARROW, SMALL])
def test_of_very_many_the_busiest_are_drawn_and_the_rest_counted(fill: Fill, size: Size) -> None:
    devices = {f"24:0a:c4:00:{n >> 8:02x}:{n & 255:02x}": f"device {n}" for n in range(1000)}
    rows = [
        probe(BEGIN + timedelta(minutes=n), mac, -50, f"net {n % 700}".encode()) for n, mac in enumerate(devices)
    ] + [probe(BEGIN, mac, -50, b"net 1") for mac in list(devices)[-3:] for _ in range(5)]
    period = Period(fill(rows, devices))
    for chart, thing in (
        (charts.signal_by_device, "1,000 known devices"),
        (charts.signal_by_address, "1,000 source addresses"),
        (networks_looked_for, "1,000 devices and addresses, "),
    ):
        drawn = chart(period, size)
        said = " ".join(drawn.get_supxlabel().split())
        assert thing in said
        assert "device 999" in texts(drawn)
        assert len({text for text in texts(drawn) if text}) < 100
    assert len(png(charts.signal_by_device(period, size))) < 25_000


def test_a_period_holds_its_days_alone(home: Lake, heard: list[dict[str, Any]]) -> None:
    second = BEGIN.date() + timedelta(days=1)
    period = Period(home, second, second + timedelta(days=1))
    assert period.days == [second]
    axes = charts.probes_over_time(period, WIDE).axes[0]
    expected = sum(row["event_time"].date() == second for row in probes(heard))
    assert sum(bar.get_height() for bar in axes.patches) == expected


# ---------------------------------------------------------------- hostile names


HOSTILE = (
    "$\\frac$",
    "$x_",
    "\u202eevil\u202c",
    "\x1b[31m\x00\n",
    "<script>1</script>",
    "&lt;",
    " ",
    "漢字 🎪",
    "a" * 500,
)


def test_names_are_drawn_as_they_are_and_command_nothing(fill: Fill) -> None:
    devices = {f"24:0a:c4:00:00:{n:02x}": name for n, name in enumerate(HOSTILE)}
    rows = [
        probe(BEGIN + timedelta(minutes=n), mac, -50, ssid, ssid_text(ssid))
        for mac in devices
        for n, ssid in enumerate((*HOSTILE_SSIDS, *(name.encode() for name in HOSTILE)))
    ]
    period = Period(fill(rows, devices))
    for chart in (charts.signal_by_device, charts.signal_by_address, networks_looked_for):
        drawn = chart(period, WIDE)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            shown = texts(drawn)
            tree = ElementTree.fromstring(svg(drawn))
        assert {"$\\frac$", "$x_", "<script>1</script>", "&lt;", "' '", "漢字 🎪"} <= set(shown)
        assert all(char.isprintable() or char == "\n" for text in shown for char in text)
        assert max(map(len, shown)) < 150
        assert not [one for one in tree.iter() if one.tag.endswith(("script", "foreignObject"))]
        assert not [name for one in tree.iter() for name in one.attrib if name.lower().startswith("on")]


def test_pictures_of_a_dark_page_have_no_ink_that_its_scheme_does_not_know(period: Period) -> None:
    scheme = {word.lower() for word in re.findall(r'"((?:fill|stroke): #\w+)"', svg(sentence(WIDE, ".")).decode())}
    data = {colour.lower() for colour in (KNOWN_COLOUR, OTHER, RANDOM, INK, *SHADES)}
    used = set()
    for chart in CHARTS:
        picture = svg(chart(period, WIDE)).decode()
        drawn = picture.partition("</style>")[2]
        used |= {word for word in re.findall(r"(?:fill|stroke): #\w+", drawn) if word[-7:] not in data}
    assert {"stroke: #000000", "fill: #404040", "stroke: #e6e6e6"} <= used
    assert used <= scheme


def test_the_order_of_the_graph_leaves_few_crossings(fill: Fill) -> None:
    pairs = [(f"24:0a:c4:00:00:{n:02x}", f"net {n}".encode()) for n in (3, 0, 7, 1, 5, 2, 6, 4)]
    rows = [probe(BEGIN, mac, -50, ssid) for mac, ssid in pairs for _ in range(1 + int(ssid[-1:]) % 3)]
    segments = networks_looked_for(Period(fill(rows, {})), WIDE).axes[0].collections[0].get_segments()
    lines = sorted((line[0][1], line[1][1]) for line in segments)
    assert all(one[1] < other[1] for one, other in pairwise(lines))


def test_the_estimate_of_devices_is_a_line_within_its_bounds(fill: Fill) -> None:
    hours = [BEGIN + timedelta(hours=n) for n in (0, 2)]
    lake = fill([probe(at + timedelta(minutes=5), "0a:00:00:00:00:01") for at in hours])
    rows = [
        {"day": at.date(), "hour": at, "devices_low": 1, "devices_estimated": 2 + n, "devices_high": 5}
        for n, at in enumerate(hours)
    ]
    estimated = pa.Table.from_pylist(rows, TABLES["devices_estimated"].schema)
    lake.append(lake.open("devices_estimated"), estimated, {})
    axes = charts.devices_over_time(Period(lake), WIDE).axes[0]
    (line,) = [one for one in axes.lines if len(one.get_ydata()) == 3]
    assert list(line.get_ydata()) == [2, 0, 3]
    assert axes.get_ylabel() == "devices per hour"
    assert charts.devices_over_time(Period(lake, BEGIN.date() + timedelta(days=3)), WIDE).axes == []
