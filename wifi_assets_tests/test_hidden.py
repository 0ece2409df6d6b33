"""A lake with pseudonyms: nothing clear in any of its files or in Dagster's history, and all counts as in a clear one.

Here belongs what holds of a whole lake. Not here: what one value becomes (``frames/test_privacy.py``).
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from wifi_assets.capture.replay import Replayed, replay
from wifi_assets.demo.air import Air
from wifi_assets.demo.household import write_documents
from wifi_assets.demo.messages import Message
from wifi_assets.demo.pcap import write_pcap
from wifi_assets.demo.publish import Topic
from wifi_assets.frames.privacy import Privacy
from wifi_assets.from_settings import lake_of, privacy_of
from wifi_assets.hidden import PrivacyChangedError
from wifi_assets.ingest import ingest
from wifi_assets.lake import Lake
from wifi_assets.resources.producer import CheckedProducer
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets_tests.assets.runs import failure, run_job
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import BROKEN, FIRST_DAY, FIRST_HOUR, ask, contents, ingested, settings_of, topic_with

HOURS = 26
KEY = "sixteen bytes and some more of them"
ADDRESSES = [name for name in TABLES["frames"].columns if name.endswith("_address")]
#: Addresses, and what else is written in hex: a vendor tag of six octets or more.
_HEX = re.compile(r"(?<![0-9a-f:])[0-9a-f]{2}(?:[:-]?[0-9a-f]{2}){5,}(?![0-9a-f:])", re.IGNORECASE)
#: Refused messages that quote an address and a network, each in its own way.
QUOTING = (
    b'{"wlan_sa": ["78:67:d7:48:1e:ee"], "wlan_ssid": "Birkenweg 7 Gast", ',
    b'{"78:67:d7:48:1e:ee": 1, "78:67:d7:48:1e:ee": 2}',
    b'{"timestamp": "Birkenweg 7 Gast", "wlan_fc_type_subtype": ["0x0004"]}',
    b'{"timestamp": "1772323200000", "wlan_fc_type_subtype": ["0x0004"], "wlan_sa": ["78:67:d7:48:1e:eeBirkenweg"]}',
    b'{"timestamp": "1772323200000", "wlan_fc_type_subtype": ["Birkenweg 7 Gast"]}',
    b"Birkenweg 7 Gast 78:67:d7:48:1e:ee",
)


@dataclass(frozen=True)
class Clear:
    """The topic, and the lake as it is without pseudonyms.

    Attributes:
        settings: Of the clear lake.
        lake: It.
        hexadecimal: Addresses of single devices that the topic and the router name, and vendor tags.
        names: What else must not be stored: resolved names, names by WPS, IP addresses, SSIDs.
    """

    settings: Settings
    lake: Lake
    hexadecimal: frozenset[str]
    names: frozenset[str]


@pytest.fixture(scope="module")
def clear(kafka: Server, tmp_path_factory: pytest.TempPathFactory) -> Clear:
    """A day of the household, as tshark read it from a capture file."""
    folder = tmp_path_factory.mktemp("clear")
    last_seen = (FIRST_HOUR + HOURS) * 3600
    write_documents(folder / "devices", last_seen)
    write_pcap(folder / "air.pcap", (frame for _, frame in Air(23, 200, FIRST_HOUR, HOURS).arrivals()))
    topic = topic_with(kafka, partitions=2)
    outcome = Replayed("air.pcap")
    replay(folder / "air.pcap", CheckedProducer({"bootstrap.servers": topic.bootstrap}, topic.name), outcome)
    assert outcome.problem is None
    refused = [Message(b"78:67:d7:48:1e:ee", value, FIRST_HOUR * 3_600_000) for value in (*QUOTING, *BROKEN)]
    assert topic.publish(refused) == len(refused)
    settings = settings_of(topic, folder / "lake", devices_path=folder / "devices")
    lake = ingested(settings)
    assert lake.open("quarantine").rows().count_rows() == len(refused)
    return Clear(settings, lake, *_personal(lake))


def _personal(lake: Lake) -> tuple[frozenset[str], frozenset[str]]:
    frames, devices = (lake.open(name).rows().to_table().to_pylist() for name in ("frames", "devices"))
    heard = {row[name] for row in frames for name in ADDRESSES} | {row["mac"] for row in devices} - {None}
    single = {address for address in heard if address and not int(address[:2], 16) & 1}
    known = {row["mac"] for row in devices if not row["is_guest"]}
    tags = {tag for row in frames for tag in row["tag_vendor_data"] or ()}
    names = {row[f"{name}_resolved"] for row in frames for name in ADDRESSES if row[name] in single} - single
    names |= {row["wps_device_name"] for row in frames} | {row["ip"] for row in devices}
    told = {row["ssid"] for row in frames if row["frame_subtype"] in (5, 8) or row["source_address"] in known}
    ssids = {row["ssid"] for row in frames} - told - {None, ""}
    assert len(ssids) > 5
    # Shorter ones are in anything.
    hexadecimal = {address.replace(":", "") for address in single} | {tag for tag in tags if len(tag) >= 12}
    return frozenset(hexadecimal), frozenset(name for name in names | ssids if name and len(name) > 5)


@dataclass(frozen=True)
class Hidden:
    """A lake with pseudonyms of the same topic, and what Dagster remembers of its making."""

    settings: Settings
    lake: Lake
    home: Path
    instance: dg.DagsterInstance


@pytest.fixture(scope="module", params=["device", "all"])
def hidden(request: pytest.FixtureRequest, clear: Clear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hidden]:
    folder = tmp_path_factory.mktemp(request.param)
    settings = clear.settings.model_copy(
        update={
            "lake": str(folder / "lake"), "pseudonyms": request.param, "hash_ssids": True,
            "pseudonym_key": SecretStr(KEY),
        }
    )  # fmt: skip
    (folder / "dagster").mkdir()
    with ExitStack() as stack:
        instance = stack.enter_context(dg.DagsterInstance.local_temp(str(folder / "dagster")))
        days = (FIRST_DAY, FIRST_DAY + timedelta(days=1))
        assert run_job(settings, "refresh_devices", instance).success
        assert run_job(settings, "lake", instance, *days).success
        assert run_job(settings, "lake", instance, *days, run_config=_REPARSED).success
        assert run_job(settings, "checks", instance).success
        assert run_job(settings, "maintenance", instance).success
        yield Hidden(settings, lake_of(settings), folder / "dagster", instance)


_REPARSED = {"ops": {"frames": {"config": {"reparse": True}}}}


def _texts(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file as text: as it is, and Parquet decoded too."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        yield path, path.read_bytes().decode("latin-1")
        if path.suffix == ".parquet":
            # A file of its own, not a table: what a later version has replaced is there as well.
            yield path, repr(pq.ParquetFile(path).read().to_pylist())


def _found(clear: Clear, text: str) -> set[str]:
    """What of the clear lake a text holds; the key is nobody's business either."""
    found = {re.sub("[:-]", "", token).lower() for token in _HEX.findall(text)} & clear.hexadecimal
    written = {form for name in clear.names for form in {name, json.dumps(name)[1:-1], repr(name.encode())[2:-1]}}
    return found | {name for name in (*written, KEY, "Birkenweg 7 Gast") if name in text}


def test_no_file_of_the_lake_holds_anything_clear(clear: Clear, hidden: Hidden) -> None:
    assert len(clear.hexadecimal) > 50
    read = 0
    for path, text in _texts(Path(hidden.lake.url)):
        assert not _found(clear, text), path
        read += 1
    assert read > 100
    # The same look at the clear lake finds nearly all there is.
    found = set().union(*(_found(clear, text) for _, text in _texts(Path(clear.lake.url))))
    assert clear.hexadecimal <= found
    assert "Birkenweg 7 Gast" in found
    assert len(clear.names - found) < len(clear.names) / 10


def test_dagster_remembers_nothing_clear(clear: Clear, hidden: Hidden) -> None:
    files = 0
    for path, text in _texts(hidden.home):
        assert not _found(clear, text), path
        files += 1
    assert files > 5
    events = [entry for run in hidden.instance.get_runs() for entry in hidden.instance.all_logs(run.run_id)]
    assert len(events) > 200
    assert not _found(clear, "\n".join(dg.serialize_value(entry) for entry in events))


def test_known_devices_are_still_named(clear: Clear, hidden: Hidden) -> None:
    named = """
        SELECT day, source_device_name AS name, count(*) AS n, count(DISTINCT source_address) AS addresses
        FROM probes_enriched WHERE is_known_device GROUP BY ALL ORDER BY ALL"""
    expected = ask(clear.lake, named)
    assert len({row["name"] for row in expected}) > 3
    assert ask(hidden.lake, named) == expected
    privacy = privacy_of(hidden.settings)
    devices = ask(clear.lake, "SELECT mac FROM devices")
    assert {row["mac"] for row in ask(hidden.lake, "SELECT mac FROM devices")} == {
        privacy.pseudonym(row["mac"]) for row in devices
    }


def test_every_count_is_that_of_the_clear_lake(clear: Clear, hidden: Hidden) -> None:
    same = {
        "packet_stats": "*",
        # Of an address that says several things it takes the least by hash, and the hashes are others.
        "devices_estimated": "day, hour, probe_count, random_addresses",
        "session_fragments": "day, tag_oui, probe_count, len(source_addresses) AS addresses, first_probe, last_probe, "
        "min_signal_dbm, max_signal_dbm",
        "oui_fingerprint_sessions": "day, tag_oui, probe_count, source_address_count, first_probe, last_probe, "
        "signal_dbm_range, within_3_dbm, oui_names",
        "probe_stats_by_source_day": "day, probes, earliest_probe, latest_probe, signal_dbm_sum, "
        "len(probed_ssids) AS ssids, len(destinations) AS destinations, len(source_addresses) AS addresses",
        "probe_stats_by_source_device": "probes, earliest_probe, latest_probe, avg_signal_dbm, unique_ssids",
        "networks_looked_for_day": "day, probes, first_seen, last_seen, is_known_device",
        "networks_looked_for": "probes, first_seen, last_seen, is_known_device",
        "quarantine": "day, reason, kafka_partition, kafka_offset",
    }
    for table, columns in same.items():
        query = f"SELECT {columns} FROM {table} ORDER BY ALL"
        expected = ask(clear.lake, query)
        assert expected, table
        assert ask(hidden.lake, query) == expected, table
    for name, table in TABLES.items():
        if table.partitioned:
            query = f"SELECT day, count(*) AS n FROM {name} GROUP BY day ORDER BY day"
            assert ask(hidden.lake, query) == ask(clear.lake, query), name


def test_vendors_are_those_of_the_clear_lake_where_their_part_stays(clear: Clear, hidden: Hidden) -> None:
    vendors = "SELECT day, source_vendor, is_randomised, count(*) AS n FROM probes_enriched GROUP BY ALL ORDER BY ALL"
    expected = ask(clear.lake, vendors)
    assert len({row["source_vendor"] for row in expected}) > 3
    if hidden.settings.pseudonyms == "device":
        assert ask(hidden.lake, vendors) == expected
    else:
        assert {row["source_vendor"] for row in ask(hidden.lake, vendors)} == {None}
    randomised = "SELECT is_randomised, count(*) AS n FROM probes_enriched GROUP BY ALL ORDER BY ALL"
    assert ask(hidden.lake, randomised) == ask(clear.lake, randomised)


def test_a_lake_stays_as_it_was_begun(clear: Clear, hidden: Hidden) -> None:
    others = [
        {"pseudonym_key": SecretStr("another key of sixteen bytes")},
        {"hash_ssids": False},
        {"pseudonyms": "none", "hash_ssids": False},
    ]
    before = contents(hidden.lake)
    for update in others:
        with pytest.raises(PrivacyChangedError, match="was begun with pseudonyms: .*WIFI_PSEUDONYM_KEY back") as told:
            ingest(hidden.settings.model_copy(update=update))
        assert KEY not in str(told.value)
    assert contents(hidden.lake) == before
    with pytest.raises(PrivacyChangedError, match="was begun with pseudonyms: none"):
        ingest(hidden.settings.model_copy(update={"lake": clear.settings.lake}))


def test_a_stranger_who_becomes_known_is_clear_from_then_on(kafka: Server, tmp_path: Path) -> None:
    """Which SSIDs are hashed is decided when they are stored, by the devices of then."""
    topic, folder = topic_with(kafka), tmp_path / "devices"
    folder.mkdir()
    device = folder / "ace.device.json"
    device.write_text('{"mac": "24:0a:c4:00:00:01", "name": "router"}')
    (folder / "ace.user.json").write_text("")
    settings = settings_of(topic, tmp_path / "lake", devices_path=folder, hash_ssids=True, pseudonym_key=SecretStr(KEY))
    source = "78:67:d7:48:1e:ee"
    looked_for = "SELECT ssid FROM probes_enriched ORDER BY kafka_offset"
    _publish_probe(topic, source)
    (first,) = ask(ingested(settings), looked_for)
    assert first["ssid"] == f"ssid-{Privacy(secret=KEY.encode())._hash('ssid', b'Birkenweg', 8)}"
    device.write_text(device.read_text() + f'\n{{"mac": "{source}", "name": "laptop"}}')
    _publish_probe(topic, source)
    assert ask(ingested(settings), looked_for) == [first, {"ssid": "Birkenweg"}]


def test_the_first_drain_waits_for_the_devices_that_may_stay_clear(kafka: Server, tmp_path: Path) -> None:
    topic, folder, source = topic_with(kafka), tmp_path / "devices", "78:67:d7:48:1e:ee"
    settings = settings_of(topic, tmp_path / "lake", devices_path=folder, hash_ssids=True, pseudonym_key=SecretStr(KEY))
    _publish_probe(topic, source)
    with dg.DagsterInstance.ephemeral() as instance:
        # Nothing of the topic is stored while nobody can say whose SSIDs these are.
        assert str(folder) in failure(run_job(settings, "lake", instance, FIRST_DAY))
        assert lake_of(settings).open("frames").row_count() == 0
        folder.mkdir()
        (folder / "ace.device.json").write_text(f'{{"mac": "{source}", "name": "laptop"}}')
        (folder / "ace.user.json").write_text("")
        assert run_job(settings, "lake", instance, FIRST_DAY).success
    assert ask(lake_of(settings), "SELECT ssid FROM probes_enriched") == [{"ssid": "Birkenweg"}]


def _publish_probe(topic: Topic, source: str) -> None:
    document = {"timestamp": str(FIRST_HOUR * 3_600_000), "wlan_fc_type_subtype": ["0x0004"], "wlan_sa": [source]}
    value = json.dumps(document | {"wlan_ssid": [b"Birkenweg".hex()]}).encode()
    topic.publish([Message(source.encode(), value, FIRST_HOUR * 3_600_000)])
