"""The last hours as pcap files."""

import os
from pathlib import Path

from scapy.utils import RawPcapReader

from wifi_assets.capture.ring import Ring
from wifi_assets_tests.capture.feeding import HEADER, records

HOUR = 3600


def _frames(path: Path) -> list[bytes]:
    return [packet for packet, _ in RawPcapReader(str(path))]


def test_one_file_an_hour_and_the_oldest_goes(tmp_path: Path) -> None:
    now, said = [100.0 * HOUR + 1800], list[str]()
    all_records = records(6, 1)
    ring = Ring(tmp_path / "pcap", "wlan0mon", 2, said.append, lambda: now[0])
    ring.begin(HEADER)
    for number, record in enumerate(all_records):
        ring.write(record)
        ring.flush()
        for path in (tmp_path / "pcap").iterdir():
            if path.stat().st_mtime > 200 * HOUR:  # the clock of this machine: written just now
                os.utime(path, (now[0], now[0]))
        names = sorted(path.name for path in (tmp_path / "pcap").iterdir())
        # Two whole hours and the one that has begun.
        assert len(names) == min(number + 1, 3)
        now[0] += HOUR
    ring.close()
    assert names[0] == "wlan0mon-19700105T073000.000000Z.pcap"
    kept = [frame for name in names for frame in _frames(tmp_path / "pcap" / name)]
    assert kept == [record[16:] for record in all_records[3:]]
    assert said == []


def test_files_of_an_earlier_start_go_too_and_others_stay(tmp_path: Path) -> None:
    for name in ("wlan0mon-19700101T000000.000000Z.pcap", "wlan1mon-19700101T000000.000000Z.pcap", "notes.txt"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (HOUR, HOUR))
    ring = Ring(tmp_path, "wlan0mon", 12, [].append, lambda: 100.0 * HOUR)
    ring.begin(HEADER)
    ring.write(records(1, 1)[0])
    ring.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "notes.txt", "wlan0mon-19700105T040000.000000Z.pcap", "wlan1mon-19700101T000000.000000Z.pcap"
    ]  # fmt: skip


def test_a_new_header_begins_a_new_file_within_the_hour(tmp_path: Path) -> None:
    now = [100.0 * HOUR]
    ring = Ring(tmp_path, "/run/air.fifo", 1, [].append, lambda: now[0])
    for record in records(2, 1):
        ring.begin(HEADER)
        ring.write(record)
        now[0] += 1
    ring.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "air.fifo-19700105T040000.000000Z.pcap", "air.fifo-19700105T040001.000000Z.pcap"
    ]  # fmt: skip


def test_a_folder_that_refuses_is_said_once_an_hour_and_tried_again(tmp_path: Path) -> None:
    now, said = [100.0 * HOUR], list[str]()
    (tmp_path / "pcap").touch()
    ring = Ring(tmp_path / "pcap", "wlan0mon", 1, said.append, lambda: now[0])
    ring.begin(HEADER)
    for record in records(3, 1):
        ring.write(record)
    assert said == [f"{tmp_path}/pcap: pcap files are not written until the next full hour: File exists"]
    (tmp_path / "pcap").unlink()
    now[0] += HOUR
    ring.write(records(1, 1)[0])
    ring.close()
    assert len(list((tmp_path / "pcap").iterdir())) == 1
