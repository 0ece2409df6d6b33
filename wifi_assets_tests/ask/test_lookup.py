"""One search by name or address: what matches, and what is added up."""

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wifi_assets.ask.lookup import VENDOR_HIDDEN, Candidates, Device, find, nobody, read_directory
from wifi_assets.cli import main
from wifi_assets.frames.privacy import Mode, Privacy
from wifi_assets.hidden import PrivacyChangedError
from wifi_assets.lake import Lake
from wifi_assets.snapshot import Snapshot
from wifi_assets_tests.ask.conftest import (
    ASGARD,
    HOSTILE,
    LOKI,
    NOON,
    RANDOM,
    THOR,
    device,
    hear,
    household,
    probe,
    set_devices,
)

KEY = b"a key of 16 or more"


def found(lake: Lake, asked: str) -> Device:
    device = find(read_directory(lake), asked)
    assert isinstance(device, Device)
    return device


def test_a_device_is_all_that_was_heard_of_it(lake: Lake) -> None:
    asgard = found(lake, "Asgard03")
    assert asgard.model_dump() == {
        "name": "Asgard03", "sources": ["Asgard03"], "is_known": True, "is_guest": False, "model": "Espressif",
        "type": None, "ip": "10.0.0.1", "vendor": "Espressif Inc.", "is_randomised": False,
        "first_seen": NOON, "last_seen": NOON + timedelta(minutes=2), "probes": 3,
        "min_signal_dbm": -70, "avg_signal_dbm": -60.0, "max_signal_dbm": -50,
        "ssids": sorted([HOSTILE, "home"]), "unique_ssids": 2, "addresses": [ASGARD],
    }  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    ["asgard03", "ASGARD03", " gard03 ", ASGARD, ASGARD.upper(), "24-0A-C4-00-00-01", "240a.c400.0001", "240ac4000001"],
)
def test_a_device_is_found_however_it_is_written(lake: Lake, asked: str) -> None:
    assert found(lake, asked) == found(lake, "Asgard03")


def test_a_guest_is_not_known_and_a_random_address_is_its_own_name(lake: Lake) -> None:
    guest, random = found(lake, "Loki"), found(lake, RANDOM)
    assert (guest.is_known, guest.is_guest, guest.addresses) == (False, True, [LOKI])
    assert (random.is_known, random.is_guest, random.is_randomised, random.vendor) == (False, None, True, None)
    assert (random.name, random.probes, random.ssids) == (RANDOM, 1, ["home"])


def test_an_address_is_found_that_counts_under_its_resolved_name(lake: Lake) -> None:
    assert found(lake, "24:0a:c4:00:00:07") == found(lake, "Espressif_00:00:07")


def test_a_device_of_the_router_that_was_never_heard_is_said_to_be_so(lake: Lake) -> None:
    thor = found(lake, THOR)
    assert thor == found(lake, "asgard04")
    assert (thor.name, thor.is_known, thor.probes, thor.first_seen, thor.addresses) == (
        "asgard04",
        True,
        0,
        None,
        [THOR],
    )


def test_several_names_that_match_are_listed(lake: Lake) -> None:
    assert find(read_directory(lake), "gard") == Candidates(2, ["Asgard03", "asgard04"])
    set_devices(lake, [device(ASGARD, "Phone"), device(THOR, "PHONE"), device(LOKI, "phones")])
    directory = read_directory(lake)
    assert find(directory, "phone") == Candidates(2, ["PHONE", "Phone"])
    assert find(directory, "00:00:0") == Candidates(2, [RANDOM, "Espressif_00:00:07"])
    exact = find(directory, "PHONE")
    assert isinstance(exact, Device)
    assert exact.addresses == [THOR]


@pytest.mark.parametrize("asked", ["", "  ", "nobody", "02:00:00:00:00:00", "%", "gard__", "'", "\x00", ".*"])
def test_what_matches_nothing_is_none(lake: Lake, asked: str) -> None:
    assert find(read_directory(lake), asked) is None


def test_a_renamed_device_is_found_by_both_names_with_all_that_was_heard(lake: Lake) -> None:
    set_devices(lake, [device(ASGARD, "Midgard")])
    hear(lake, [probe(NOON + timedelta(days=2), ASGARD, -80, "work")])
    renamed = found(lake, "Midgard")
    assert renamed == found(lake, ASGARD)
    assert renamed.sources == ["Asgard03", "Midgard"]
    assert (renamed.probes, renamed.min_signal_dbm, renamed.ssids) == (4, -80, sorted([HOSTILE, "home", "work"]))
    assert found(lake, "Asgard03").probes == 3


def test_looking_changes_nothing_and_a_lake_of_nothing_holds_nobody(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "none"))
    assert find(read_directory(lake), "Asgard03") is None
    assert not (tmp_path / "none").exists()


def test_sources_of_before_the_addresses_are_found(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that an older version wrote hold NULL there."""
    rows = Snapshot.rows

    def older(self: Snapshot) -> object:
        table = rows(self).to_table()
        if "source_addresses" not in table.column_names:
            return table
        names = table.schema.names
        empty = table.schema.field("source_addresses").type
        import pyarrow as pa

        return table.set_column(names.index("source_addresses"), "source_addresses", pa.nulls(len(table), empty))

    monkeypatch.setattr(Snapshot, "rows", older)
    assert found(lake, ASGARD).probes == 3
    assert found(lake, RANDOM).addresses == [RANDOM]


# ---------------------------------------------------------------- pseudonyms


@pytest.mark.parametrize(("mode", "vendor"), [("device", "Espressif Inc."), ("all", VENDOR_HIDDEN)])
def test_an_address_is_asked_for_as_it_is_in_the_air(tmp_path: Path, mode: Mode, vendor: str) -> None:
    privacy = Privacy(mode, secret=KEY)
    lake = household(tmp_path, privacy)
    directory = read_directory(lake, privacy)
    asgard = find(directory, ASGARD.upper().replace(":", "-"))
    assert isinstance(asgard, Device)
    assert (asgard.name, asgard.is_known, asgard.probes) == ("Asgard03", True, 3)
    assert (asgard.addresses, asgard.vendor) == ([privacy.pseudonym(ASGARD)], vendor)
    # What an answer shows can be asked for again.
    assert find(directory, privacy.pseudonym(ASGARD)) == find(directory, "Asgard03") == asgard
    random = find(directory, RANDOM)
    assert isinstance(random, Device)
    assert (random.addresses, random.is_randomised, random.vendor) == ([privacy.pseudonym(RANDOM)], True, None)


def test_without_the_key_names_are_found_and_addresses_are_said_to_be_pseudonyms(tmp_path: Path) -> None:
    lake = household(tmp_path, Privacy("all", secret=KEY))
    directory = read_directory(lake)
    asgard = find(directory, "Asgard03")
    assert isinstance(asgard, Device)
    assert asgard.vendor == VENDOR_HIDDEN
    assert find(directory, ASGARD) is None
    assert nobody(directory, ASGARD).endswith(
        "; the lake holds pseudonyms: set WIFI_PSEUDONYMS and WIFI_PSEUDONYM_KEY as they are where it is filled"
    )
    assert nobody(directory, "Thor") == "no device and no address that was heard matches 'Thor'"


def test_another_key_is_refused(tmp_path: Path) -> None:
    lake = household(tmp_path, Privacy("all", secret=KEY))
    with pytest.raises(PrivacyChangedError, match="WIFI_PSEUDONYM_KEY back"):
        read_directory(lake, Privacy("all", secret=KEY[::-1]))


def test_a_lake_of_clear_addresses_can_be_asked_with_pseudonyms_set(lake: Lake) -> None:
    found = find(read_directory(lake, Privacy("device", secret=KEY)), ASGARD)
    assert found == find(read_directory(lake), ASGARD) is not None


# ---------------------------------------------------------------- the command


def run(lake: Lake, *arguments: str, **settings: str) -> Result:
    return CliRunner().invoke(main, ["lookup", *arguments], env={"WIFI_LAKE": lake.url} | settings)


def test_what_is_printed_cannot_command_the_terminal(lake: Lake) -> None:
    for options in ((), ("--json",)):
        shown = run(lake, "asgard03", *options)
        assert shown.exit_code == 0
        assert all(char.isprintable() for line in shown.output.split("\n") for char in line)
    assert Device.model_validate_json(run(lake, "asgard03", "--json").output) == found(lake, "Asgard03")
    shown = run(lake, "asgard03")
    assert "  signal          -70 to -50 dBm, -60.0 on average\n" in shown.output
    assert "  last seen       2026-03-01 12:02:00 UTC\n" in shown.output


def test_several_none_and_nothing_are_told_with_exit_code_1(lake: Lake, tmp_path: Path) -> None:
    several = run(lake, "GARD")
    assert (several.exit_code, several.output) == (1, "Error: 2 devices match 'GARD':\n  Asgard03\n  asgard04\n")
    nobody = run(lake, "no\x1bbody")
    assert (nobody.exit_code, nobody.output.count("\n")) == (1, 1)
    assert r"matches 'no\x1bbody'" in nobody.output
    nothing = run(Lake(str(tmp_path / "none")), "Asgard03")
    assert (nothing.exit_code, nothing.output.count("\n")) == (1, 1)
    assert "holds no devices: run wifi-assets ingest" in nothing.output


def test_the_settings_of_pseudonyms_are_those_of_ingest(tmp_path: Path) -> None:
    lake = household(tmp_path, Privacy("device", secret=KEY))
    asked = run(lake, ASGARD, WIFI_PSEUDONYMS="device", WIFI_PSEUDONYM_KEY=KEY.decode())
    assert asked.output.startswith("Asgard03\n")
    assert asked.exit_code == 0
