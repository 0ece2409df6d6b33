"""The text that COPY reads; what a server makes of it is tested with the target."""

import pyarrow as pa

from wifi_assets.resources.postgres import to_csv, without_nul
from wifi_assets.schemas import TEXTS, TIME


def csv_of(column: pa.Array) -> list[str]:
    batch = pa.RecordBatch.from_arrays([pa.array(range(len(column))), column], names=["place", "column"])
    return [line.partition(",")[2] for line in to_csv(batch).to_pybytes().decode().splitlines()]


def test_null_differs_from_the_empty_text() -> None:
    assert csv_of(pa.array(["", None, "NULL"])) == ['""', "", '"NULL"']


def test_times_are_utc_whatever_their_zone() -> None:
    times = pa.array([1_584_799_202_202_655], TIME)
    assert csv_of(times) == csv_of(times.cast(pa.timestamp("us", "Europe/Prague"))) == ['"2020-03-21 14:00:02.202655"']


def test_lists_are_array_literals() -> None:
    lists = pa.array([['a"b\\'], [], None, [None, "NULL", ""]], TEXTS)
    assert csv_of(lists) == ['"{""a\\""b\\\\""}"', '"{}"', "", '"{NULL,""NULL"",""""}"']
    assert csv_of(pa.array([[1, None]], pa.list_(pa.int64()))) == ['"{1,NULL}"']


def test_maps_are_json() -> None:
    maps = pa.array([[(-40, 5), (-41, None)], [], None], pa.map_(pa.int32(), pa.int64()))
    assert csv_of(maps) == ['"{""-40"": 5,""-41"": null}"', '"{}"', ""]


def test_a_slice_is_its_own_rows_alone() -> None:
    lists = pa.array([["a"], ["b", "c"], None, ["d\0"]], TEXTS)
    assert without_nul(lists.slice(1)).to_pylist() == [["b", "c"], None, ["d\\x00"]]
    assert csv_of(lists.slice(1, 2)) == ['"{""b"",""c""}"', ""]
    maps = pa.array([[(-1, 1)], [(-2, 2)], None], pa.map_(pa.int32(), pa.int64()))
    assert csv_of(maps.slice(1)) == ['"{""-2"": 2}"', ""]


def test_nul_is_written_as_in_ssids() -> None:
    assert without_nul(pa.array(["a\0b\0", None, ""])).to_pylist() == ["a\\x00b\\x00", None, ""]
