"""What the settings refuse, and with which sentence; a command shows it and ends with 2."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from wifi_assets.cli import main
from wifi_assets.settings import MisspeltError, Settings

KEY = "sixteen bytes it is"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        (
            "KEEP",
            '{"frame": 30}',
            "WIFI_KEEP: frame is no table that has days; name some of frames, quarantine, probes,",
        ),
        ("KEEP", '{"devices": 30}', "WIFI_KEEP: devices is no table that has days"),
        (
            "KEEP",
            '{"frames": 30, "networks_looked_for": 90}',
            "WIFI_KEEP: networks_looked_for has no days of its own; it holds what networks_looked_for_day holds",
        ),
        ("KEEP", '{"frames": 0}', "WIFI_KEEP: frames keeps at least 1 day"),
        ("KEEP", '{"frames": "a month"}', "WIFI_KEEP_FRAMES: Input should be a valid integer"),
        ("KEEP", "30", "WIFI_KEEP: Input should be a valid dictionary"),
        ("KEEP", "frames: 30", 'error parsing value for field "keep"'),
        ("PSEUDONYMS", "device", "WIFI_PSEUDONYM_KEY: WIFI_PSEUDONYMS=device needs a key of at least 16 bytes"),
        ("HASH_SSIDS", "1", "WIFI_PSEUDONYM_KEY: WIFI_HASH_SSIDS needs a key of at least 16 bytes"),
        ("PSEUDONYM_KEY", "short-geheim", "WIFI_PSEUDONYM_KEY: a key has at least 16 bytes"),
        ("PSEUDONYM", "geheim", "WIFI_PSEUDONYM is no setting; is WIFI_PSEUDONYMS or WIFI_PSEUDONYM_KEY meant?"),
        ("KEEP_DAYS", "30", "WIFI_KEEP_DAYS is no setting; is WIFI_KEEP_RUNS_DAYS meant?"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    done = CliRunner().invoke(main, ["ingest"], env={f"WIFI_{name}": value})
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())
    assert "geheim" not in done.output


def test_retention_is_by_table_and_nothing_goes_without_it() -> None:
    assert Settings(_env_file=None).keep == {}  # type: ignore[call-arg]
    asked = {"frames": 30, "networks_looked_for_day": 90}
    assert Settings(_env_file=None, keep=asked).keep == asked  # type: ignore[call-arg]


def test_a_key_alone_hides_nothing() -> None:
    settings = Settings(_env_file=None, pseudonym_key=KEY)  # type: ignore[call-arg,arg-type]
    assert (settings.pseudonyms, settings.hash_ssids) == ("none", False)
    assert KEY not in repr(settings)


def test_a_misspelt_name_in_the_file_is_refused_and_what_others_call_theirs_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("WIFI_SSID=home\nWIFI_PASSWORD=x\nHASH_SSID=1\nWIFI_KAFKA_TOPIC=air\n")
    assert Settings().kafka_topic == "air"
    with Path(".env").open("a") as file:
        file.write("wifi_hash_ssid=1\n")
    with pytest.raises(MisspeltError, match=r"^WIFI_HASH_SSID is no setting; is WIFI_HASH_SSIDS meant\?$"):
        Settings()
