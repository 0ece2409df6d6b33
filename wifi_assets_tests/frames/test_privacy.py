"""Pseudonyms: what stays of an address, that they are the same everywhere, and that nothing clear is beside them."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wifi_assets.frames.devices import Document, content_hash, devices_table
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.schemas import TABLES

DEVICE = Privacy("device", secret=b"a key of the test")
ALL = replace(DEVICE, mode="all")
SSIDS = Privacy("none", hash_ssids=True, secret=DEVICE.secret)
NOBODY = pa.array([], pa.string())

ADDRESSES = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))


def frames(*rows: dict[str, Any]) -> pa.Table:
    """Rows of ``frames``; what is not given is NULL."""
    return pa.Table.from_pylist(list(rows), schema=TABLES["frames"].schema)


def hidden(privacy: Privacy, *rows: dict[str, Any], known: pa.Array = NOBODY) -> list[dict[str, Any]]:
    """The rows as they would be stored."""
    made = privacy.frames(frames(*rows), known)
    assert made.schema == TABLES["frames"].schema
    return made.to_pylist()


# ---------------------------------------------------------------- one address


@given(ADDRESSES)
def test_what_stays_of_an_address(address: str) -> None:
    first = int(address[:2], 16)
    for privacy in (DEVICE, ALL):
        made = privacy.pseudonym(address)
        assert made == privacy.pseudonym(address)
        if first & 1:
            assert made == address
            continue
        assert made != address
        assert int(made[:2], 16) & 3 == first & 3
        assert [len(octet) for octet in made.split(":")] == [2] * 6
        if privacy is DEVICE and not first & 2:
            assert made[:8] == address[:8]
        else:
            assert made[:8] != address[:8]
    assert CLEAR.pseudonym(address) == address
    assert SSIDS.pseudonym(address) == address


@pytest.mark.parametrize("privacy", [DEVICE, ALL], ids=lambda privacy: privacy.mode)
def test_pseudonyms_of_one_vendor_are_as_different_as_chance_lets_them(privacy: Privacy) -> None:
    made = {privacy.pseudonym(f"78:67:d7:00:{n >> 8:02x}:{n & 255:02x}") for n in range(2_000)}
    # 24 bits: 0.12 pairs are to be expected.
    assert len(made) >= 1_999
    bits = Counter(bit for one in made for bit in range(24) if int(one.replace(":", ""), 16) >> bit & 1)
    assert all(850 < bits[bit] < 1_150 for bit in range(24))


def test_another_key_gives_others_and_the_key_is_nowhere_to_be_seen() -> None:
    other = replace(DEVICE, secret=b"another key of it")
    address = "78:67:d7:48:1e:ee"
    assert other.pseudonym(address) != DEVICE.pseudonym(address)
    assert other.mark != DEVICE.mark
    assert len({one.mark for one in (CLEAR, DEVICE, ALL, SSIDS, replace(DEVICE, hash_ssids=True))}) == 5
    assert DEVICE.secret.decode() not in repr(DEVICE) + DEVICE.mark
    assert DEVICE.secret.hex() not in repr(DEVICE) + DEVICE.mark


def test_a_key_may_be_longer_than_a_hash_takes() -> None:
    long, longer = (replace(DEVICE, secret=b"k" * size) for size in (65, 66))
    assert long.pseudonym("78:67:d7:48:1e:ee") != longer.pseudonym("78:67:d7:48:1e:ee")


# ---------------------------------------------------------------- frames


def test_one_address_is_one_pseudonym_in_every_column() -> None:
    address = "78:67:d7:48:1e:ee"
    names = [name for name in TABLES["frames"].columns if name.endswith("_address")]
    assert len(names) == 5
    (row,) = hidden(DEVICE, dict.fromkeys(names, address))
    assert {row[name] for name in names} == {DEVICE.pseudonym(address)}


def test_resolved_names_say_no_more_than_the_address_beside_them() -> None:
    phone, random_one, broadcast = "cc:fa:00:cd:b7:50", "da:a1:19:01:02:03", "ff:ff:ff:ff:ff:ff"
    cases = {
        (phone, "HuaweiTe_cd:b7:50"): "HuaweiTe_" + DEVICE.pseudonym(phone)[9:],
        (phone, phone): DEVICE.pseudonym(phone),
        (phone, "annas-phone"): DEVICE.pseudonym(phone),
        (phone, "HuaweiTe_cd:b7:51"): DEVICE.pseudonym(phone),
        (random_one, "Google_01:02:03"): DEVICE.pseudonym(random_one),
        (random_one, random_one): DEVICE.pseudonym(random_one),
        (broadcast, "Broadcast"): "Broadcast",
        (phone, None): None,
        (None, "HuaweiTe_cd:b7:50"): None,
        (None, None): None,
    }
    pairs = list(cases) * 3
    random.Random(5).shuffle(pairs)
    rows = [{"source_address": address, "source_address_resolved": name} for address, name in pairs]
    assert [row["source_address_resolved"] for row in hidden(DEVICE, *rows)] == [cases[pair] for pair in pairs]
    for (address, _), row in zip(pairs, hidden(ALL, *rows), strict=True):
        assert row["source_address_resolved"] in (None, "Broadcast", address and ALL.pseudonym(address))


def test_vendor_tags_are_hashed_and_equal_ones_stay_equal() -> None:
    lists: list[list[str] | None] = [["0102", "aabbccdd"], None, [], ["aabbccdd"], ["0102", ""], ["0102", "aabbccdd"]]
    made = [row["tag_vendor_data"] for row in hidden(DEVICE, *({"tag_vendor_data": one} for one in lists))]
    assert made[0] == made[5]
    assert made[0][1:] == made[3]
    assert made[0][:1] == made[4][:1]
    assert (made[1], made[2], made[4][1]) == (None, [], "")
    assert not {"0102", "aabbccdd"} & {text for one in made for text in one or ()}
    assert all(set(text) <= set("0123456789abcdef") for one in made for text in one or ())


def test_the_name_that_a_device_gives_itself_is_gone() -> None:
    assert [row["wps_device_name"] for row in hidden(DEVICE, {"wps_device_name": "Anna's TV"}, {})] == [None, None]
    assert hidden(SSIDS, {"wps_device_name": "Anna's TV"})[0]["wps_device_name"] == "Anna's TV"


def test_ssids_that_strangers_look_for_are_hashed() -> None:
    stranger, known = "0a:00:00:00:00:01", "78:67:d7:48:1e:ee"

    def heard(subtype: int, source: str | None, raw: bytes | None) -> dict[str, Any]:
        text = None if raw is None else raw.decode()
        return {"frame_subtype": subtype, "source_address": source, "ssid": text, "ssid_bytes": raw}

    rows = [
        heard(4, stranger, b"Birkenweg7"),
        heard(4, None, b"Birkenweg7"),
        heard(0, stranger, b"Birkenweg7"),
        heard(4, stranger, b"other"),
        heard(4, known, b"Birkenweg7"),
        heard(8, stranger, b"Birkenweg7"),
        heard(5, stranger, b"Birkenweg7"),
        heard(4, stranger, b""),
        heard(4, stranger, None),
    ]
    made = hidden(SSIDS, *rows, known=pa.array([known, None], pa.string()))
    texts = [row["ssid"] for row in made]
    assert texts[0] == texts[1] == texts[2] != texts[3]
    assert all(text.startswith("ssid-") and len(text) == 21 for text in texts[:4])
    assert texts[4:] == ["Birkenweg7"] * 3 + ["", None]
    assert [row["ssid_bytes"] for row in made] == [None if text is None else text.encode() for text in texts]


@pytest.mark.parametrize("privacy", [DEVICE, ALL, SSIDS, replace(ALL, hash_ssids=True)])
def test_no_frames_are_no_frames(privacy: Privacy) -> None:
    assert hidden(privacy) == []


def test_by_default_the_very_same_table_comes_back() -> None:
    table = frames({"source_address": "78:67:d7:48:1e:ee"})
    assert CLEAR.frames(table, NOBODY) is table


def test_chunks_do_not_matter() -> None:
    rows = [{"source_address": f"78:67:d7:48:1e:{n % 7:02x}", "tag_vendor_data": ["01"] * (n % 3)} for n in range(50)]
    whole = frames(*rows)
    chunked = pa.concat_tables([whole.slice(0, 11), whole.slice(11, 1), whole.slice(12)])
    assert DEVICE.frames(chunked, NOBODY).equals(DEVICE.frames(whole, NOBODY))


# ---------------------------------------------------------------- devices


def test_devices_have_the_pseudonyms_of_the_frames_and_no_address_in_a_name() -> None:
    mac, other = "78:67:d7:48:1e:ee", "24:0a:c4:d0:0b:e1"
    names = {
        "Anna's phone": "Anna's phone",
        "facade 2026": "facade 2026",
        mac.upper(): DEVICE.pseudonym(mac),
        "7867d7481eee": DEVICE.pseudonym(mac).replace(":", ""),
        f"by {other.replace(':', '-')}": "by " + DEVICE.pseudonym(other).replace(":", "-"),
        "HuaweiTe_48:1E:ee": "HuaweiTe_" + DEVICE.pseudonym(mac)[9:],
        "ESP-481EEE": "ESP-" + DEVICE.pseudonym(mac)[9:].replace(":", ""),
        "HP 1eee": "HP " + DEVICE.pseudonym(mac)[12:].replace(":", ""),
    }
    for name, expected in names.items():
        fields = {"mac": mac, "name": name, "ip": "10.7.1.10"}
        (row,) = devices_table([Document("ace.device", fields)], privacy=DEVICE).to_pylist()
        assert (row["mac"], row["name"], row["ip"]) == (DEVICE.pseudonym(mac), expected, None)


def test_devices_stay_sorted_and_their_hash_is_that_of_what_is_stored() -> None:
    documents = [Document("ace.device", {"mac": f"78:67:d7:48:1e:{n:02x}", "name": f"d{n}"}) for n in range(40)]
    table = devices_table(documents, privacy=DEVICE)
    macs = table["mac"].to_pylist()
    assert macs == sorted(macs)
    assert len(macs) == 40
    assert content_hash(table) != content_hash(devices_table(documents))
    assert devices_table(documents, privacy=SSIDS).equals(devices_table(documents))
