"""The simulator's messages are tshark's, and every shape says the same to the platform's parser."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wifi_assets.demo import frame as ieee80211
from wifi_assets.demo.frame import BROADCAST, Elements, Frame, VendorTag, numbered, wps_tag
from wifi_assets.demo.household import HOSTILE_SSIDS
from wifi_assets.demo.messages import Message, Shape, as_heard, message, resolved
from wifi_assets.demo.truth import fingerprint
from wifi_assets.frames.fields import MESSAGE_FIELDS
from wifi_assets.frames.message import Rules, read_message

PROBE = Frame(1_772_323_200_123_000, 4, 11, -50, 2, BROADCAST, "02:00:00:00:00:01", BROADCAST)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _without_resolved(document: dict[str, Any]) -> dict[str, Any]:
    """Names differ between tshark's versions, and its tables know some random addresses by chance."""
    layers = {field: values for field, values in document["layers"].items() if not field.endswith("_resolved")}
    return document | {"layers": layers}


def test_every_message_is_what_tshark_prints_for_the_frame(day: list[Frame], by_tshark: list[dict[str, Any]]) -> None:
    mine = [json.loads(message(frame).value) for frame in day]
    assert [_without_resolved(one) for one in mine] == [_without_resolved(one) for one in by_tshark]


def test_the_fields_stand_in_tsharks_order_and_are_named_in_the_contract(
    day: list[Frame], by_tshark: list[dict[str, Any]]
) -> None:
    assert [list(json.loads(message(frame).value)["layers"]) for frame in day] == [
        list(document["layers"]) for document in by_tshark
    ]
    assert {field for document in by_tshark for field in document["layers"]} == {*MESSAGE_FIELDS} - {
        "wlan_radio_signal_percentage"
    }  # radiotap has no per cent


def test_the_day_has_every_kind_of_frame_and_tag_that_a_message_can_hold(day: list[Frame]) -> None:
    tags = [tag for frame in day if frame.elements for tag in frame.elements.vendor_tags]
    assert {frame.subtype for frame in day} == {4, 5, 8, 11, 25, 27, 28, 29, 36, 40}
    assert any(tag.device_name and not tag.device_name.isascii() for tag in tags)
    assert {frame.from_access_point for frame in day if frame.subtype == 40} == {True, False}
    assert any(frame.signal_dbm is None for frame in day)
    assert any(frame.channel > 14 for frame in day)
    assert any(frame.elements and frame.elements.ssid is None for frame in day)


def test_known_vendors_are_resolved_as_tshark_does(day: list[Frame], by_tshark: list[dict[str, Any]]) -> None:
    seen = {
        (layers[field][0], layers[f"{field}_resolved"][0])
        for layers in (document["layers"] for document in by_tshark)
        for field in ("wlan_ra", "wlan_ta")
        if field in layers and not int(layers[field][0][:2], 16) & 2
    }
    assert len(seen) > 20
    for address, name in seen:
        prefix, _, rest = name.partition("_")
        assert resolved(address).endswith(f"_{rest}")
        assert resolved(address)[:4].casefold() == prefix[:4].casefold()


@pytest.mark.parametrize("shape", list(Shape))
def test_the_parser_reads_back_what_was_simulated(day: list[Frame], shape: Shape) -> None:
    for frame in day[::7]:
        heard = as_heard(frame, shape)
        row = read_message(message(frame, shape).value, NOW, Rules())
        data, types, ouis = fingerprint(frame)
        elements = heard.elements
        assert row["event_time"] == datetime.fromtimestamp(frame.time_ms / 1000, UTC)
        assert (row["frame_type"], row["frame_subtype"]) == (frame.kind, frame.subtype)
        assert (row["radio_channel"], row["signal_dbm"]) == (frame.channel, frame.signal_dbm)
        assert row["duration_us"] == frame.duration_us
        for role in ("receiver", "transmitter", "destination", "source", "station"):
            assert row[f"{role}_address"] == getattr(frame, role)
        assert row["tag_vendor_data"] == (list(data) or None)
        assert row["tag_vendor_oui_type"] == (list(types) or None)
        assert row["tag_oui"] == (list(ouis) or None)
        numbers = numbered(elements, frame.channel) if elements else []
        assert row["tag_number"] == ([number for number, _ in numbers] or None)
        assert row["ext_tag_number"] == ([35] if elements and elements.has_he else None)
        assert row["ht_capabilities"] == (elements.ht_capabilities if elements else None)
        assert row["ssid_bytes"] == (elements.ssid if elements else None)
        assert row["country_code"] == (elements.country if elements else None)


def test_the_key_is_the_transmitter_or_else_the_receiver() -> None:
    ack = Frame(1_772_323_200_123_999, ieee80211.ACK, 6, -50, 48, "24:5a:4c:00:07:01")
    rts = replace(ack, subtype=ieee80211.RTS, transmitter="94:b8:6d:1a:2b:3c")
    assert message(ack).key == b"24:5a:4c:00:07:01"
    assert message(rts).key == b"94:b8:6d:1a:2b:3c"
    assert message(ack).timestamp_ms == 1_772_323_200_123


def test_the_three_shapes() -> None:
    elements = Elements(b"caf\xc3\xa9", (VendorTag(0x001018, 2, b"\x00\x1c"), wps_tag("Büro")), None, 0x2D, True)
    probe = replace(PROBE, elements=elements)

    def read(made: Message) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(made.value)
        return document

    ek, flat, old = (read(message(probe, shape)) for shape in Shape)
    assert ek["layers"] | {"timestamp": ek["timestamp"]} == flat
    assert flat["wlan_fc_type_subtype"] == ["0x0004"]
    assert flat["wlan_ssid"] == ["636166c3a9"]
    assert flat["wlan_tag_number"] == ["0", "1", "3", "45", "255", "221", "221"]
    assert flat["wlan_ext_tag_number"] == ["35"]
    assert (flat["wlan_ht_capabilities"], old["wlan_ht_capabilities"]) == (["0x002d"], ["45"])
    assert flat["wlan_tag_vendor_data"] == ["02001c"]
    assert flat["wps_device_name"] == ["B\ufffd\ufffdro"]
    assert old["wlan_fc_type_subtype"] == ["4"]
    assert old["wlan_ssid"] == ["café"]
    assert old["wlan_tag_vendor_data"] == ["02:00:1c"]


@given(st.one_of(st.sampled_from(HOSTILE_SSIDS), st.binary(max_size=32)), st.sampled_from(Shape))
def test_any_ssid_survives_or_is_known_to_be_lost(ssid: bytes, shape: Shape) -> None:
    probe = replace(PROBE, elements=Elements(ssid))
    heard = as_heard(probe, shape)
    assert heard.elements is not None
    assert read_message(message(probe, shape).value, NOW, Rules())["ssid_bytes"] == heard.elements.ssid
    assert shape is Shape.TSHARK2 or heard == probe
