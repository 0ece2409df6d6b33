from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import DatetimeMS, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from wifi_assets.frames.devices import (
    BAD_MAC,
    NAME_EVENTS,
    NO_MAC,
    NO_OBJECT,
    NO_OUI,
    OLDER,
    ROW,
    UBIQUITI,
    Document,
    content_hash,
    devices_table,
    newest_changes,
    renamed,
)
from wifi_assets.schemas import TABLES

MAC = "aa:bb:cc:00:00:01"
EMPTY = devices_table([])


def user(**fields: Any) -> Document:
    return Document("ace.user", {"mac": MAC, "oui": "Apple", "is_guest": False} | fields)


def device(**fields: Any) -> Document:
    return Document("ace.device", {"mac": MAC} | fields)


def rows(*documents: Document) -> list[dict[str, Any]]:
    return devices_table(documents).to_pylist()


def test_a_device_of_the_controller() -> None:
    document = device(mac="F0-9F-C2-00-00-01", name="attic", ip="10.0.0.2", model="U7LT", type="uap", is_guest=True)
    assert rows(document) == [
        {
            "mac": "f0:9f:c2:00:00:01",
            "source": "ace.device",
            "name": "attic",
            "ip": "10.0.0.2",
            "model": "U7LT",
            "type": "uap",
            "is_guest": False,
        }
    ]


def test_a_user() -> None:
    document = user(name="Robin's phone", hostname="robins-iphone", last_ip="10.0.0.9", type="x", model="y")
    assert rows(document) == [
        {
            "mac": MAC,
            "source": "ace.user",
            "name": "Robin's phone (robins-iphone)",
            "ip": "10.0.0.9",
            "model": "Apple",
            "type": None,
            "is_guest": False,
        }
    ]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"name": "n", "hostname": "h"}, "n (h)"),
        ({"name": "n"}, "n"),
        ({"hostname": "h"}, "h"),
        ({"name": "", "hostname": "h"}, "h"),
        ({"name": None, "hostname": ""}, "nonguest_Apple"),
        ({"is_guest": True}, "guest_Apple"),
        ({"is_guest": None}, "nonguest_Apple"),
        ({"oui": ""}, "nonguest_"),
    ],
)
def test_the_name_of_a_user(fields: dict[str, Any], name: str) -> None:
    assert rows(user(**fields))[0]["name"] == name


@pytest.mark.parametrize(
    ("document", "fate"),
    [
        (user(oui="Ubiquiti"), UBIQUITI),
        (user(oui=None), NO_OUI),
        (Document("ace.user", {"mac": MAC}), NO_OUI),
        (user(oui={"a": 1}), NO_OUI),
        (user(mac=None), NO_MAC),
        (Document("ace.device", {}), NO_MAC),
        (device(mac="aa:bb:cc:00:00"), BAD_MAC),
        (device(mac="aa:bb:cc:00:00:0g"), BAD_MAC),
        (device(mac=MAC + "\n"), BAD_MAC),
        (device(mac=MAC + "\0"), BAD_MAC),
        (device(mac=""), BAD_MAC),
        (device(mac=170), BAD_MAC),
        (device(mac=[MAC]), BAD_MAC),
        (Document("ace.user", 7), NO_OBJECT),
        (Document("ace.device", None), NO_OBJECT),
    ],
)
def test_a_document_that_is_no_row_has_a_fate(document: Document, fate: str) -> None:
    fates: Counter[tuple[str, str]] = Counter()
    assert devices_table([document], fates).num_rows == 0
    assert {key: count for key, count in fates.items() if not key[1].startswith("field: ")} == {
        (document.collection, fate): 1
    }


@pytest.mark.parametrize(
    ("value", "name", "field"),
    [
        (42, "42", None),
        (Int64(42), "42", None),
        (1.5, "1.5", None),
        ("a\0b\r", r"a\x00b\x0d", None),
        ("\ud800", r"\xed\xa0\x80", None),
        (b"\xff".decode(errors="surrogateescape"), r"\xff", None),
        ("</script>'\"`; DROP", "</script>'\"`; DROP", None),
        ("\u202eabc \U0001f468\u200d\U0001f467 a\\b", "\u202eabc \U0001f468\u200d\U0001f467 a\\b", None),
        (True, None, "field: name is not text"),
        ({"$gt": ""}, None, "field: name is not text"),
        (["a"], None, "field: name is not text"),
    ],
)
def test_a_name_that_is_hostile(value: object, name: str | None, field: str | None) -> None:
    fates: Counter[tuple[str, str]] = Counter()
    (row,) = devices_table([device(name=value)], fates).to_pylist()
    assert row["name"] == name
    expected = Counter({("ace.device", ROW): 1})
    if field:
        expected["ace.device", field] = 1
    assert fates == expected


def test_guest_or_not_is_unknown_when_it_is_no_boolean() -> None:
    fates: Counter[tuple[str, str]] = Counter()
    (row,) = devices_table([user(is_guest="no")], fates).to_pylist()
    assert row["is_guest"] is None
    assert fates["ace.user", "field: is_guest is not true or false"] == 1


EARLY, LATE = 1_584_800_000, 1_584_900_000


@pytest.mark.parametrize(
    ("older", "latest"),
    [
        (user(name="a", last_seen=EARLY), user(name="b", last_seen=LATE)),
        (device(name="a", last_seen=EARLY), user(name="b", last_seen=LATE)),
        (user(name="a", last_seen=EARLY), device(name="b", last_seen=LATE)),
        (user(name="a", last_seen=EARLY * 1000), user(name="b", last_seen=LATE)),
        (user(name="a", last_seen=LATE), user(name="b", last_seen=(LATE + 1) * 1000)),
        (user(name="a", last_seen=EARLY), user(name="b", last_seen=datetime.fromtimestamp(LATE, UTC))),
        (user(name="a", last_seen=EARLY), user(name="b", last_seen=DatetimeMS(LATE * 1000))),
        (user(name="a"), user(name="b", last_seen=EARLY)),
        (user(name="a", last_seen="never"), user(name="b", last_seen=EARLY)),
        (user(name="a", last_seen=True), user(name="b", last_seen=EARLY)),
        (user(name="a", last_seen=float("nan")), user(name="b", last_seen=EARLY)),
        (user(name="a", last_seen=10**30), user(name="b", last_seen=EARLY)),
        (user(name="a", last_seen=-1), user(name="b", last_seen=EARLY)),
        (
            user(name="a", last_seen=EARLY),
            user(name="b", _id=ObjectId.from_datetime(datetime.fromtimestamp(LATE, UTC))),
        ),
        (user(name="z", last_seen=LATE), device(name="a", last_seen=LATE)),
        (user(name="z"), device(name="a")),
        (user(name="a"), user(name="b")),
    ],
)
def test_the_latest_document_of_an_address_counts(older: Document, latest: Document) -> None:
    fates: Counter[tuple[str, str]] = Counter()
    one = devices_table([older, latest], fates)
    assert one.equals(devices_table([latest, older]))
    assert one.equals(devices_table([latest]))
    assert fates == Counter([(older.collection, OLDER), (latest.collection, ROW)])


def test_a_later_document_that_is_no_row_does_not_count() -> None:
    assert rows(user(last_seen=EARLY), user(last_seen=LATE, oui="Ubiquiti"))[0]["source"] == "ace.user"


def test_another_collection_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match=r"ace\.admin"):
        devices_table([Document("ace.admin", {})])


def test_the_newest_change_of_each_collection() -> None:
    late, early = datetime.fromtimestamp(LATE, UTC), datetime.fromtimestamp(EARLY, UTC)
    # One that is no row is a change too; a time that no calendar has is none.
    users = [user(last_seen=EARLY), user(_id=ObjectId.from_datetime(late), mac="no"), user(last_seen=DatetimeMS(2**60))]
    assert newest_changes([*users, device(last_seen=EARLY * 1000)]) == {"ace.user": late, "ace.device": early}
    assert newest_changes([user(), device(last_seen="never"), Document("ace.user", 3)]) == {}


VALUES = st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=5) | st.floats() | st.just([])
DOCUMENTS = st.lists(
    st.builds(
        Document,
        st.sampled_from(["ace.device", "ace.user"]),
        st.dictionaries(
            st.sampled_from(["name", "hostname", "oui", "is_guest", "ip", "last_ip", "last_seen", "model", "type"]),
            VALUES,
        )
        .flatmap(lambda some: st.sampled_from([MAC, MAC[:-1] + "2", "x"]).map(lambda mac: some | {"mac": mac}))
        .map(dict)
        | VALUES,
    ),
    max_size=12,
)


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_any_documents_in_any_order(documents: list[Document], random: Any) -> None:
    fates: Counter[tuple[str, str]] = Counter()
    table = devices_table(documents, fates)
    assert table.schema.equals(TABLES["devices"].schema)
    macs = table["mac"].to_pylist()
    assert macs == sorted(set(macs))
    assert sum(count for (_, fate), count in fates.items() if not fate.startswith("field: ")) == len(documents)
    assert sum(fates[name, ROW] for name in ("ace.device", "ace.user")) == table.num_rows
    shuffled = documents.copy()
    random.shuffle(shuffled)
    fates_shuffled: Counter[tuple[str, str]] = Counter()
    assert devices_table(shuffled, fates_shuffled).equals(table)
    assert fates_shuffled == fates
    assert newest_changes(shuffled) == newest_changes(documents)


def test_equal_rows_have_the_same_hash_and_others_another() -> None:
    one = devices_table([device(name="a"), user(mac="aa:bb:cc:00:00:02")])
    assert content_hash(one) == content_hash(one.take([1, 0]))
    assert content_hash(one) == content_hash(
        devices_table([device(name="a", last_seen=5), user(mac="aa:bb:cc:00:00:02")])
    )
    others = [
        EMPTY,
        devices_table([device(name="a")]),
        devices_table([device(name="b"), user(mac="aa:bb:cc:00:00:02")]),
    ]
    assert len({content_hash(table) for table in [one, *others]}) == 4


def test_none_and_the_text_none_have_different_hashes() -> None:
    assert content_hash(devices_table([device()])) != content_hash(devices_table([device(name="None")]))


def test_the_history_of_names() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    old = devices_table([device(name="a"), device(mac="aa:bb:cc:00:00:02", name="b"), device(mac="aa:bb:cc:00:00:03")])
    new = devices_table(
        [
            device(name="a"),
            device(mac="aa:bb:cc:00:00:02", name="B"),
            device(mac="aa:bb:cc:00:00:04"),
            device(mac="aa:bb:cc:00:00:05", name="e"),
        ]
    )
    history = renamed(old, new, at)
    assert history.schema.equals(NAME_EVENTS)
    assert [tuple(row.values()) for row in history.to_pylist()] == [
        ("aa:bb:cc:00:00:02", at, "renamed", "b", "B"),
        ("aa:bb:cc:00:00:03", at, "vanished", None, None),
        ("aa:bb:cc:00:00:04", at, "appeared", None, None),
        ("aa:bb:cc:00:00:05", at, "appeared", None, "e"),
    ]
    assert renamed(new, new, at).num_rows == 0
    assert renamed(EMPTY, old, at)["event"].to_pylist() == ["appeared"] * 3
