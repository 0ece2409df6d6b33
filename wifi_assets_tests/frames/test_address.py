"""Addresses: one written form, the locally administered bit in Python and in SQL, vendors."""

import netaddr
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wifi_assets.engine import engine, statement
from wifi_assets.frames.address import (
    RANDOM_DIGITS,
    is_randomised,
    mac_of,
    normal_address,
    vendor_of_address,
    vendor_of_oui,
)
from wifi_assets.graph_queries import QUERIES
from wifi_assets.schemas import TABLES

BYTES = st.binary(min_size=6, max_size=6)


def written(raw: bytes, separator: str = ":") -> str:
    return raw.hex(separator)


@given(BYTES, st.sampled_from(":-"), st.booleans())
def test_every_written_form_becomes_the_one(raw: bytes, separator: str, upper: bool) -> None:
    text = written(raw, separator)
    assert normal_address(text.upper() if upper else text) == written(raw)


@pytest.mark.parametrize(
    "text",
    ["", "0:1:2:3:4:5", "000102030405", "00:01:02:03:04", "00:01:02:03:04:05:06", "00:01-02:03:04:05", "0001.0203.0405",
     "00:01:02:03:04:05\n", " 00:01:02:03:04:05", "00:01:02:03:04:0g", "００:01:02:03:04:05"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a MAC address"):
        normal_address(text)


@pytest.mark.parametrize(
    "text", ["", "24:0a", "24:0a:c4:00:00:0g", "24:0a-c4:00:00:01", "24:0a:c4:00:00:01:02", "240ac.40001"]
)
def test_what_nobody_writes_for_an_address(text: str) -> None:
    assert mac_of(text) is None


@given(BYTES)
@example(b"\x02\0\0\0\0\0")
@example(b"\xfd\0\0\0\0\0")
def test_randomised_is_the_locally_administered_bit(raw: bytes) -> None:
    assert is_randomised(written(raw)) == (netaddr.EUI(written(raw)).bits()[6] == "1")


def test_query_languages_mark_the_same_addresses_as_randomised() -> None:
    marked = {first for first in range(256) if written(bytes([first, 0, 0, 0, 0, 0]))[1] in RANDOM_DIGITS}
    assert marked == {first for first in range(256) if is_randomised(written(bytes([first, 0, 0, 0, 0, 0])))}
    assert f"IN {[*RANDOM_DIGITS]} AS is_randomised" in QUERIES["strangers_like_known_devices"].cypher


def test_sql_marks_the_same_addresses_as_randomised() -> None:
    addresses = [written(bytes([first, 0x04, 0x9C, 0, 0, 1])) for first in range(256)]
    rows = [{"day": None, "kafka_offset": n, "source_address": address} for n, address in enumerate([*addresses, None])]
    with engine() as run:
        run.view(
            "probes", pa.Table.from_pylist(rows, pa.schema([f.with_nullable(True) for f in TABLES["probes"].schema]))
        )
        run.view("devices", TABLES["devices"].schema.empty_table())
        run.view("vendors", pa.table({"prefix": pa.array([], pa.string()), "vendor": pa.array([], pa.string())}))
        enriched = run.query(statement("probes_enriched")).sort_by("kafka_offset")
    assert enriched["is_randomised"].to_pylist() == [*map(is_randomised, addresses), None]


@pytest.mark.parametrize(
    ("oui", "words"),
    [(4120, "Broadcom"), (20722, "Microsoft"), (6130, "Apple"), (5271450, "Wi-Fi Alliance")],
)
def test_vendors_of_the_ouis_that_phones_send(oui: int, words: str) -> None:
    assert words.lower() in str(vendor_of_oui(oui)).lower()


@pytest.mark.parametrize("oui", [-1, 1 << 24, 2**63 - 1, 0xFFFFFF])
def test_an_oui_out_of_range_or_unknown_has_no_vendor(oui: int) -> None:
    assert vendor_of_oui(oui) is None


def test_the_vendor_of_an_address_is_that_of_its_first_three_octets() -> None:
    assert "apple" in str(vendor_of_address("00:17:f2:01:02:03")).lower()


@given(BYTES)
def test_a_randomised_address_has_no_vendor(raw: bytes) -> None:
    address = written(bytes([raw[0] | 2]) + raw[1:])
    assert vendor_of_address(address) is None
