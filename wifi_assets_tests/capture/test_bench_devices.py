"""The evaluation of the estimate of devices, on captures of one phone each: real ones, and made ones."""

import random
from pathlib import Path

import pytest

from bench import devices
from bench.devices import mixtures, phone
from wifi_assets.demo.frame import BROADCAST, Elements, Frame
from wifi_assets.demo.pcap import write_pcap
from wifi_assets_tests.support import FIRST_HOUR


@pytest.mark.parametrize("name", ["iphone11", "iphonexr", "oppo", "s21ultra"])
def test_one_real_phone_is_no_crowd(captures: Path, name: str) -> None:
    (one,) = mixtures([[phone(captures / f"one-device-{name}.pcap")]], random.Random(1), 0)
    # One request in the capture of the oppo is of another radio, 20 dB weaker: another phone, it seems.
    assert one.low == (2 if name == "oppo" else 1)
    assert one.estimated <= 2 < 9 <= one.addresses


def test_the_evaluation_runs_on_a_folder_of_captures(
    tmp_path: Path, tshark: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (tags, ht_capabilities) in enumerate((((), 0x402D), ((), 0x01EF))):
        elements = Elements(b"", tags, None, ht_capabilities)
        times = (FIRST_HOUR * 3_600_000_000 + n * 40_000_000 + more for n in range(20) for more in (0, 20_000))
        frames = [
            Frame(time, 4, 6, -50, 2, BROADCAST, f"02:00:00:00:00:{index // 2:02x}", BROADCAST, elements=elements)
            for index, time in enumerate(times)
        ]
        write_pcap(tmp_path / f"one-device-{number}.pcap", frames)
    monkeypatch.setattr("sys.argv", ["bench.devices", str(tmp_path)])
    monkeypatch.setattr(devices, "ROUNDS", 3)
    devices.main()
    printed = capsys.readouterr().out
    assert "| 0 | 1 | 1900%, +1900% | 0%, +0% | 0%, +0% | 0%, +0% | 100% |" in printed
    assert "| different phones, as captured | 2 | 1900%, +1900% | 50%, -50% | 0%, +0% | 0%, +0% | 100% |" in printed


def test_a_folder_without_captures_is_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench.devices", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        devices.main()
    assert ended.value.code == 2
    assert f"{tmp_path} holds no one-device-*.pcap" in capsys.readouterr().err
