import gzip
import json
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Int64, ObjectId, json_util

from wifi_assets.resources.device_files import DeviceFiles
from wifi_assets.resources.devices import DeviceSourceError, check_not_wiped

DEVICES: list[dict[str, Any]] = [
    {
        "_id": ObjectId(),
        "mac": "f0:9f:c2:00:00:01",
        "name": "attic\0",
        "type": "uap",
        "last_seen": Int64(1_584_802_202),
    },
    {
        "_id": ObjectId(),
        "mac": "f0:9f:c2:00:00:02",
        "name": "cellar",
        "type": "usw",
        "last_seen": 1_584_802_202.5,
    },
]
USERS: list[dict[str, Any]] = [
    {
        "_id": ObjectId(),
        "mac": f"aa:bb:cc:00:00:{i:02x}",
        "oui": "Apple",
        "name": f"p{i}",
        "is_guest": i % 2 == 0,
    }
    for i in range(5)
]


def exported(documents: list[dict[str, Any]]) -> str:
    """As ``mongoexport`` writes: relaxed extended JSON, a document a line."""
    return "".join(
        json_util.dumps(document, json_options=json_util.RELAXED_JSON_OPTIONS) + "\n" for document in documents
    )


def dumped(documents: list[dict[str, Any]]) -> bytes:
    return b"".join(map(bson.encode, documents))


def pretty(documents: list[dict[str, Any]]) -> str:
    return "\n".join(json.dumps(json.loads(json_util.dumps(document)), indent="\t") for document in documents)


FORMS = {
    "lines": ("json", lambda documents: exported(documents).encode()),
    "canonical": (
        "json",
        lambda documents: "\n".join(
            json_util.dumps(d, json_options=json_util.CANONICAL_JSON_OPTIONS) for d in documents
        ).encode(),
    ),
    "array": ("json", lambda documents: json_util.dumps(documents).encode()),
    "pretty": ("json", lambda documents: pretty(documents).encode()),
    "byte order mark": ("jsonl", lambda documents: exported(documents).encode("utf-8-sig")),
    "PowerShell": ("json", lambda documents: exported(documents).encode("utf-16")),
    "gzipped lines": ("json.gz", lambda documents: gzip.compress(exported(documents).encode())),
    "bson": ("bson", dumped),
    "gzipped bson": ("bson.gz", lambda documents: gzip.compress(dumped(documents))),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", [".", "ace", "dump/ace"])
@pytest.mark.parametrize("prefix", ["", "ace."])
def test_every_form_in_every_place_gives_the_same(tmp_path: Path, form: str, place: str, prefix: str) -> None:
    ending, write = FORMS[form]
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{prefix}device.{ending}").write_bytes(write(DEVICES))
    (folder / f"{prefix}user.{ending}").write_bytes(write(USERS))
    # What mongodump and a household leave beside them.
    (folder / "device.metadata.json.gz").write_bytes(gzip.compress(b"{}"))
    (folder / "prelude.json").write_text("{}")
    (folder / "site.bson").write_bytes(b"junk")
    snapshot = DeviceFiles(tmp_path).read()
    assert dict(snapshot.fates) == {("ace.device", "row"): 2, ("ace.user", "row"): 5}
    assert snapshot.table["mac"].to_pylist() == sorted(one["mac"] for one in DEVICES + USERS)
    assert snapshot.table["name"].to_pylist() == ["p0", "p1", "p2", "p3", "p4", r"attic\x00", "cellar"]
    assert str(folder / f"{prefix}device.{ending}") in snapshot.origin


def test_one_file_is_one_collection(tmp_path: Path) -> None:
    file = tmp_path / "ace.user.json"
    file.write_text(exported(USERS))
    assert set(DeviceFiles(file).read().table["source"].to_pylist()) == {"ace.user"}


def test_what_only_looks_like_extended_json_has_the_fate_of_an_object(tmp_path: Path) -> None:
    (tmp_path / "device.json").write_text(
        '{"mac": "f0:9f:c2:00:00:01", "name": {"$oid": "no"}, "last_seen": {"$date": "soon"}}\n'
        '{"mac": {"$binary": 7}, "ip": {"$numberLong": []}}\n7\n[null]\n'
        '{"mac": "f0:9f:c2:00:00:02", "name": "\\ud800", "name": "\\udfff"}'
    )
    snapshot = DeviceFiles(tmp_path).read()
    assert snapshot.table["name"].to_pylist() == [None, r"\xed\xbf\xbf"]
    assert dict(snapshot.fates) == {
        ("ace.device", "row"): 2,
        ("ace.device", "field: name is not text"): 1,
        ("ace.device", "mac is not a MAC address"): 1,
        ("ace.device", "not an object"): 2,
    }


def test_a_name_that_is_no_utf8_keeps_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "device.bson").write_bytes(
        dumped([{"mac": "f0:9f:c2:00:00:01", "name": "caf?"}]).replace(b"caf?", b"caf\xe9")
    )
    assert DeviceFiles(tmp_path).read().table["name"].to_pylist() == [r"caf\xe9"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("device.json", b'{"mac": "f0:9f:c2'),
        ("device.json", b'{"mac": "f0:9f:c2:00:00:01"} and more'),
        ("device.json", b"[" * 100_000),
        ("device.json", b'{"mac": "\xff"}'),
        ("device.json", b'{"last_seen": ' + b"9" * 5_000 + b"}"),
        ("device.bson", dumped(DEVICES)[:-3]),
        ("device.bson", b"\0" * 9),
        ("device.bson", b"{}"),
        ("device.bson.gz", gzip.compress(dumped(DEVICES))[:-9]),
        ("device.bson.gz", gzip.compress(dumped(DEVICES))[:20] + bytes(50)),
        ("device.bson.gz", dumped(DEVICES)),
    ],
)
def test_a_broken_file_is_refused_whole_and_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DeviceSourceError, match=f"WIFI_DEVICES_PATH: .*{name} cannot be read"):
        DeviceFiles(tmp_path).read()


def test_what_is_not_there_or_there_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceSourceError, match=r"there is no .*nowhere"):
        DeviceFiles(tmp_path / "nowhere").read()
    with pytest.raises(DeviceSourceError, match=r"no file of ace\.device or ace\.user"):
        DeviceFiles(tmp_path).read()
    (tmp_path / "things.json").write_text("{}")
    with pytest.raises(DeviceSourceError, match=r"things\.json is or holds no file"):
        DeviceFiles(tmp_path / "things.json").read()
    (tmp_path / "device.json").touch()
    (tmp_path / "device.bson").touch()
    with pytest.raises(DeviceSourceError, match=r"device\.bson and .*device\.json both hold ace\.device"):
        DeviceFiles(tmp_path).read()


def test_a_change_shows_and_a_rewrite_does_not(tmp_path: Path) -> None:
    file, source = tmp_path / "user.json", DeviceFiles(tmp_path)
    file.write_text(exported(USERS))
    token = source.read().token
    assert source.changed(token) == (False, token)
    file.write_text(exported([one | {"last_seen": 5} for one in reversed(USERS)]))
    assert source.changed(token) == (False, token)
    file.write_text(exported([USERS[0] | {"name": "renamed"}, *USERS[1:]]))
    changed, newer = source.changed(token)
    assert changed
    assert newer == source.read().token != token
    assert source.changed(None) == source.changed("junk") == (True, newer)


def test_an_emptied_collection_replaces_nothing_unless_told(tmp_path: Path) -> None:
    (tmp_path / "device.json").write_text(exported(DEVICES))
    (tmp_path / "user.json").write_text(exported(USERS))
    old = DeviceFiles(tmp_path).read().table
    check_not_wiped(old, DeviceFiles(tmp_path).read(), allow=False)
    (tmp_path / "user.json").write_text("")
    new = DeviceFiles(tmp_path).read()
    with pytest.raises(DeviceSourceError, match=r"ace\.user of .* is empty, but the table devices holds 5 from it"):
        check_not_wiped(old, new, allow=False)
    check_not_wiped(old, new, allow=True)
    check_not_wiped(new.table, new, allow=False)
    (tmp_path / "user.json").write_text(exported([one | {"oui": "Ubiquiti"} for one in USERS]))
    with pytest.raises(DeviceSourceError, match=r"ace\.user of .* gives no device \(5 oui is Ubiquiti\)"):
        check_not_wiped(old, DeviceFiles(tmp_path).read(), allow=False)


def test_a_collection_whose_documents_are_all_older_is_not_wiped(tmp_path: Path) -> None:
    (tmp_path / "user.json").write_text(exported(USERS[:1]))
    old = DeviceFiles(tmp_path).read().table
    (tmp_path / "device.json").write_text(exported([{"mac": USERS[0]["mac"], "last_seen": 2_000_000_000}]))
    new = DeviceFiles(tmp_path).read()
    assert new.table["source"].to_pylist() == ["ace.device"]
    check_not_wiped(old, new, allow=False)
