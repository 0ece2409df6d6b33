"""The fate of each kind of message: the row it becomes, or the reason why it becomes none."""

import pytest

from wifi_assets.frames.message import Reason, Rules
from wifi_assets_tests.frames.messages import HEARD, MALFORMED, PROBE, ROW, TIMESTAMP, nested, probe, read, refusal

# ---------------------------------------------------------------- what becomes a row


@pytest.mark.parametrize("old", [False, True], ids=["tshark 4", "tshark 2"])
def test_both_shapes_and_both_generations_of_tshark_give_one_row(layered: bool, old: bool) -> None:
    assert read(probe(layered=layered, old=old)) == ROW


def test_a_control_frame_has_what_it_carries(layered: bool) -> None:
    absent = dict.fromkeys(PROBE, ...)
    ack = {"wlan_fc_type": ["1"], "wlan_fc_type_subtype": ["0x001d"], "wlan_ra": ["94:04:9c:cd:b7:50"]}
    frame = read(probe(layered=layered, **absent | ack))
    assert {column: value for column, value in frame.items() if value is not None} == {
        "event_time": HEARD,
        "frame_type": 1,
        "frame_subtype": 29,
        "receiver_address": "94:04:9c:cd:b7:50",
    }


@pytest.mark.parametrize("absent", [..., None, []], ids=["no key", "null", "[]"])
def test_null_and_an_empty_list_count_as_absent(layered: bool, absent: object) -> None:
    frame = read(probe(layered=layered, wlan_ssid=absent, wlan_sa=absent, wlan_tag_oui=absent, wlan_fc_type=absent))
    assert frame == ROW | {"ssid": None, "ssid_bytes": None, "source_address": None, "tag_oui": None}


def test_a_text_where_a_list_belongs_counts_as_a_list_of_one(layered: bool) -> None:
    assert read(
        probe(layered=layered, wlan_fc_type_subtype="0x0004", wlan_ssid="686f6d65", wlan_tag_oui="4120")
    ) == ROW | {"tag_oui": [4120]}


def test_a_number_counts_as_its_text(layered: bool) -> None:
    changes = {"wlan_radio_signal_dbm": [-73], "wlan_radio_channel": 6, "wlan_tag_oui": [4120, "20722", 20722]}
    assert read(probe(layered=layered, timestamp=int(TIMESTAMP), **changes)) == ROW


def test_a_timestamp_in_a_list_is_read(layered: bool) -> None:
    assert read(probe(layered=layered, timestamp=[TIMESTAMP])) == ROW


def test_of_several_values_where_one_belongs_the_first_counts(layered: bool) -> None:
    changes = {
        "wlan_radio_signal_dbm": ["-73", "-20"],
        "wlan_ssid": ["686f6d65", "00"],
        "wlan_ra": [*PROBE["wlan_ra"], "x"],
    }
    assert read(probe(layered=layered, **changes)) == ROW


def test_unknown_fields_and_blanks_change_nothing(layered: bool) -> None:
    value = probe(layered=layered, wlan_seq=["12"], frame_len="9").replace(b'","', b'" ,\n "')
    assert read(b" \r\n\t" + value + b"\n") == ROW


def test_keys_may_be_written_with_escapes() -> None:
    assert read(probe().replace(b'"wlan_ssid"', b'"wlan\\u005fssid"')) == ROW


@pytest.mark.parametrize(
    ("written", "subtype"),
    [("0x0004", 4), ("0x4", 4), ("4", 4), ("0x001B", 27), ("36", 36), ("0x0024", 36), ("0x003f", 63), ("63", 63)],
)
def test_subtypes_are_hex_or_decimal(written: str, subtype: int) -> None:
    frame = read(probe(wlan_fc_type_subtype=[written], wlan_fc_type=[str(subtype // 16)]))
    assert (frame["frame_type"], frame["frame_subtype"]) == (subtype // 16, subtype)


@pytest.mark.parametrize("written", ["0x0160", "0x0168", "0x016f"])
def test_a_control_frame_extension_is_subtype_22(written: str) -> None:
    frame = read(probe(wlan_fc_type_subtype=[written], wlan_fc_type=["1"]))
    assert (frame["frame_type"], frame["frame_subtype"]) == (1, 22)


def test_without_a_type_the_subtype_tells_it() -> None:
    assert read(probe(wlan_fc_type=...))["frame_type"] == 0


@pytest.mark.parametrize(
    ("setting", "subtype", "printed", "raw"),
    [
        ("auto", "0x0004", "6361666531", b"cafe1"),
        ("auto", "4", "6361666531", b"6361666531"),
        ("hex", "4", "6361666531", b"cafe1"),
        ("text", "0x0004", "6361666531", b"6361666531"),
        ("auto", "0x0004", "<MISSING>", b""),
        ("auto", "4", "<MISSING>", b""),
        ("auto", "0x0004", "", b""),
        ("auto", "4", "café", "café".encode()),
        ("auto", "0x0004", "CAFE", b"\xca\xfe"),
    ],
)
def test_the_subtype_or_the_setting_tells_how_an_ssid_is_written(
    setting: str, subtype: str, printed: str, raw: bytes
) -> None:
    value = probe(wlan_fc_type_subtype=[subtype], wlan_ssid=[printed])
    assert read(value, rules=Rules(ssid_encoding=setting))["ssid_bytes"] == raw


def test_a_nul_in_an_ssid_is_kept_as_bytes_and_shown_escaped() -> None:
    new = read(probe(wlan_ssid=["68006f"]))
    old = read(probe(old=True, wlan_ssid=["h\0o"]))
    assert b"\\u0000" in probe(old=True, wlan_ssid=["h\0o"])
    for frame in (new, old):
        assert (frame["ssid"], frame["ssid_bytes"]) == ("h\\x00o", b"h\0o")


def test_no_ssid_element_is_not_the_wildcard() -> None:
    assert read(probe(wlan_ssid=...))["ssid"] is None
    assert read(probe(wlan_ssid=["<MISSING>"]))["ssid"] == ""


def test_addresses_and_vendor_data_get_one_written_form() -> None:
    frame = read(
        probe(wlan_sa=["94-04-9C-CD-B7-50"], wlan_ta=["94:04:9C:CD:B7:50"], wlan_tag_vendor_data=["00:9F", ""])
    )
    assert frame == ROW | {"tag_vendor_data": ["009f", ""]}


def test_an_escaped_surrogate_pair_is_a_character() -> None:
    assert (
        read(probe(old=True, wps_device_name="@").replace(b"@", b"\\ud83d\\ude00"))["wps_device_name"] == "\U0001f600"
    )


# ---------------------------------------------------------------- what does not


@pytest.mark.parametrize(("value", "reason", "detail"), MALFORMED)
def test_a_malformed_message_is_refused(value: bytes | None, reason: Reason, detail: str) -> None:
    refused = refusal(value)
    assert refused.reason is reason
    assert detail in refused.detail


@pytest.mark.parametrize("frames", [0, 800], ids=["a flat stack", "a deep stack"])
def test_how_deep_a_message_may_nest_hangs_on_its_text_alone(frames: int) -> None:
    def at(depth: int) -> None:
        if depth:
            at(depth - 1)
            return
        assert read(nested(100, b'"\\u00e9"')) == ROW
        for levels in (101, 200, *range(900, 1000, 7)):
            assert refusal(nested(levels, b'"\\u00e9"')).detail == "nested too deep"

    at(frames)


def test_brackets_in_a_text_nest_nothing(layered: bool) -> None:
    for name in ("[" * 500, "]" * 500 + "[" * 500, '\\"[' * 500, "\\"):
        frame = read(probe(layered=layered, wps_device_name=[name], unknown=[[name] * 200]))
        assert frame == ROW | {"wps_device_name": name}
    assert read(probe(layered=layered, unknown=[[{}, []]] * 500)) == ROW


def test_both_shapes_at_once_is_the_layered_one() -> None:
    value = probe()[:-1] + b',"wlan_sa":["00:00:00:00:00:01"],"wlan_ssid":["00"]}'
    assert read(value) == ROW
