"""Values in a message: the range of each, what is none of its kind, and what its time may be."""

from datetime import UTC, date, datetime, timedelta

import pytest

from wifi_assets.frames.message import LAST_MILLISECOND, Reason, Rules
from wifi_assets_tests.frames.messages import HEARD, PROBE, ROW, probe, read, refusal


@pytest.mark.parametrize(
    ("field", "column", "low", "high"),
    [
        ("wlan_radio_channel", "radio_channel", 0, 65_535),
        ("wlan_radio_signal_percentage", "signal_percentage", 0, 100),
        ("wlan_radio_signal_dbm", "signal_dbm", -128, 127),
        ("wlan_radio_duration", "duration_us", 0, 2**31 - 1),
        ("wlan_tagged_all", "tagged_all", 0, 2**63 - 1),
    ],
)
def test_a_number_has_its_range(layered: bool, field: str, column: str, low: int, high: int) -> None:
    for within in (low, high):
        assert read(probe(layered=layered, **{field: [str(within)]}))[column] == within
    for beyond in (low - 1, high + 1):
        refused = refusal(probe(layered=layered, **{field: [str(beyond)]}))
        assert (refused.reason, refused.detail) == (Reason.OUT_OF_RANGE, f"{field}: '{beyond}'")


@pytest.mark.parametrize("text", ["16429", "0x402d", "0x402D", "0x0000", "0", "65535", "0xffff"])
def test_ht_capabilities_are_hex_or_decimal(layered: bool, text: str) -> None:
    assert read(probe(layered=layered, wlan_ht_capabilities=[text]))["ht_capabilities"] == int(text, 0)


@pytest.mark.parametrize(
    "field", ["wlan_tag_oui", "wlan_tag_vendor_oui_type", "wlan_tag_number", "wlan_ext_tag_number"]
)
def test_each_number_of_a_list_has_its_range(layered: bool, field: str) -> None:
    column = field.removeprefix("wlan_")
    assert read(probe(layered=layered, **{field: ["0", str(2**63 - 1)]}))[column] == [0, 2**63 - 1]
    for beyond in ("-1", str(2**63), "", "1.0"):
        refused = refusal(probe(layered=layered, **{field: ["0", beyond]}))
        assert (refused.reason, refused.detail) == (Reason.OUT_OF_RANGE, f"{field}: '{beyond}'")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(("wlan_radio_signal_dbm", text) for text in ("", "+5", " 5", "5 ", "5.0", "0x5", "1e1", "٥", "²", "--5")),
        ("wlan_radio_signal_dbm", "5" * 9999),
        *(("wlan_fc_type_subtype", text) for text in ("", "64", "-1", "0x", "0x40", "0x015f", "0x0170", "0X04", "ff")),
        *(("wlan_ht_capabilities", text) for text in ("", "-1", "65536", "0x10000", "402d", "0x", "1.0")),
        *(("wlan_fc_type", text) for text in ("4", "-1", "1", "2", "x")),
        *(("wlan_sa", text) for text in ("", "94:04:9c:cd:b7", "94:04:9c:cd:b7:50:00", "94:04-9c:cd:b7:50",
                                         "94049ccdb750", "g4:04:9c:cd:b7:50", " 94:04:9c:cd:b7:50",
                                         "94:04:9c:cd:b7:50\n")),
        *(("wlan_tag_vendor_data", text) for text in ("0g", "0x00", " 00")),
        *(("wlan_ssid", text) for text in ("home", "0", "68:6f", " 68")),
    ],
)  # fmt: skip
def test_a_value_that_is_none_of_its_kind_is_refused_with_its_field(layered: bool, field: str, text: str) -> None:
    refused = refusal(probe(layered=layered, **{field: [text]}))
    assert refused.reason is Reason.OUT_OF_RANGE
    assert refused.detail.startswith(f"{field}: ")


@pytest.mark.parametrize("field", sorted(PROBE))
@pytest.mark.parametrize("value", [True, {"a": "b"}, [["x"]], [None], [{}]])
def test_what_is_neither_text_nor_number_is_refused(layered: bool, field: str, value: object) -> None:
    refused = refusal(probe(layered=layered, **{field: value}))
    assert refused.reason is Reason.OUT_OF_RANGE
    assert refused.detail.startswith(f"{field}: ")
    assert "where text belongs" in refused.detail


def test_the_first_day_begins_at_midnight_utc() -> None:
    rules = Rules(first_day=date(2020, 3, 21))
    midnight = int(datetime(2020, 3, 21, tzinfo=UTC).timestamp()) * 1000
    assert read(probe(timestamp=str(midnight)), rules=rules)["event_time"] == datetime(2020, 3, 21, tzinfo=UTC)
    refused = refusal(probe(timestamp=str(midnight - 1)), rules=rules)
    assert refused.reason is Reason.BEFORE_FIRST_DAY
    assert refused.detail == "2020-03-20T23:59:59.999000+00:00"


def test_a_frame_may_be_a_day_ahead_of_kafka_and_no_more() -> None:
    assert read(probe(), HEARD - timedelta(days=1)) == ROW
    refused = refusal(probe(), HEARD - timedelta(days=1, microseconds=1))
    assert refused.reason is Reason.AHEAD_OF_KAFKA
    assert refused.detail == HEARD.isoformat()
    assert read(probe(), HEARD + timedelta(days=4000)) == ROW


def test_the_ends_of_the_calendar_are_rows() -> None:
    last = datetime(9899, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    assert read(probe(timestamp=str(LAST_MILLISECOND)), last)["event_time"] == last
    assert read(probe(timestamp="0"))["event_time"] == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_refusal_never_repeats_a_long_or_unprintable_value() -> None:
    detail = refusal(probe(wlan_sa=["\x1b[2J\u202e" + "x" * 10_000])).detail
    assert detail.isprintable()
    assert detail.isascii()
    assert len(detail) < 120
    assert len(refusal(probe(wlan_ssid=["\u202e" * 1000])).detail) < 600
