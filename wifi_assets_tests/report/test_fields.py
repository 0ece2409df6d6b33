"""What each field of the frames holds, against a count row by row."""

from collections import Counter
from typing import Any

import pytest

from wifi_assets.lake import Lake
from wifi_assets.report import fields as counting
from wifi_assets.report.fields import fields, sampled
from wifi_assets.report.period import Period
from wifi_assets_tests.report.conftest import BEGIN, Fill, probe


def test_counts_are_those_of_the_rows(home: Lake, heard: list[dict[str, Any]]) -> None:
    frames, found = fields(Period(home))
    assert frames == len(heard)
    by_name = {field.name: field for field in found}
    for name in ("frame_subtype", "ssid", "source_address", "signal_dbm"):
        counted = Counter(str(row[name]) for row in heard if row.get(name) is not None)
        field = by_name[name]
        assert field.present == sum(field.by_day) == counted.total()
        assert len(field.by_day) == 2
        assert all(counted[value] == rows for value, rows in field.top)
        if len(counted) <= 5:
            assert dict(field.top) == counted
            assert field.different == len(counted)
    assert by_name["country_code"].present == 0
    assert by_name["country_code"].top == []
    assert "ssid_bytes" not in by_name
    assert "kafka_offset" not in by_name


def test_values_that_are_sql_or_hold_a_nul_are_counted_too(fill: Fill) -> None:
    names = ["'; DROP TABLE frames; --", "a\x00b", "it's", "{}", "%s"]
    rows = [probe(BEGIN, "0a:00:00:00:00:01") | {"wps_device_name": name} for name in names for _ in range(3)]
    _, found = fields(Period(fill(rows)))
    (field,) = [field for field in found if field.name == "wps_device_name"]
    assert dict(field.top) == dict.fromkeys(names, 3)


def test_lists_are_values_as_they_are(fill: Fill) -> None:
    rows = [probe(BEGIN, "0a:00:00:00:00:01") | {"tag_oui": tags} for tags in ([1, 2], [1, 2], [2, 1], [], None)]
    _, found = fields(Period(fill(rows)))
    (field,) = [field for field in found if field.name == "tag_oui"]
    assert dict(field.top) == {"[1, 2]": 2, "[2, 1]": 1, "[]": 1}
    assert field.present == 4


def test_of_many_rows_a_sample_is_counted_and_said_to_be_one(home: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sampled(Period(home)) == ""
    monkeypatch.setattr(counting, "_COUNTED", 200)
    period = Period(home)
    frames, found = fields(period)
    # One of four rows, by chance.
    assert 100 < frames < 300
    (subtype,) = [field for field in found if field.name == "frame_subtype"]
    assert sum(rows for _, rows in subtype.top) == sum(subtype.by_day) == frames
    assert sampled(period) == f"Counted in a sample of {frames} of 800 frames."
