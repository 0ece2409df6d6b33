"""What was appended stays, whatever ends the program; what does not fit is refused."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from wifi_assets.capture.spool import Spool, SpoolError
from wifi_assets.capture.tshark import Message

_APPENDS_FOR_EVER = """
import sys
from pathlib import Path
from wifi_assets.capture.spool import Spool
from wifi_assets.capture.tshark import Message
spool, number = Spool(Path(sys.argv[1]), "pcap", 64), 0
while True:
    batch = [Message(b"k", b"%d" % (number + one), number + one, True) for one in range(7)]
    spool.append(batch, synced=False)
    number += 7
    print(number, flush=True)
"""


def _messages(first: int, count: int, size: int = 0) -> list[Message]:
    return [
        Message(b"02:00:00:00:00:01" if number % 3 else None, b"%d " % number + bytes(size), 1000 + number, True)
        for number in range(first, first + count)
    ]


def _values(spool: Spool, count: int = 100_000) -> list[int]:
    return [int(one.value.split()[0]) for one in spool.oldest(0, count)]


def test_messages_come_back_in_order_and_as_they_were(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "made", "pcap", 8)
    spool.append(_messages(0, 5), synced=False)
    spool.append(_messages(5, 5), synced=True)
    first = spool.oldest(0, 4)
    assert [(one.key, one.value, one.timestamp_ms) for one in first] == [one[:3] for one in _messages(0, 4)]
    spool.forget(first[-1].number)
    assert _values(spool) == [4, 5, 6, 7, 8, 9]
    assert spool.waiting == 6
    spool.forget(spool.oldest(0, 100)[-1].number)
    spool.append(_messages(10, 1), synced=False)
    # A number is not used again: what was forgotten would else be taken for the new one.
    assert spool.oldest(0, 1)[0].number == 11
    spool.close()
    again = Spool(tmp_path / "made", "pcap", 8)
    assert (again.waiting, _values(again), again.problem) == (1, [10], None)
    again.close()


def test_topics_have_files_of_their_own_and_one_user_each(tmp_path: Path) -> None:
    one, other = Spool(tmp_path, "pcap", 8), Spool(tmp_path, "a/b", 8)
    one.append(_messages(0, 1), synced=False)
    assert (one.waiting, other.waiting) == (1, 0)
    with pytest.raises(SpoolError, match=r"pcap.spool, where frames wait.*another capture uses it"):
        Spool(tmp_path, "pcap", 8)
    one.close()
    other.close()


def test_killed_in_the_middle_nothing_committed_is_lost(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", _APPENDS_FOR_EVER, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(300):
        told = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    told = max([told, *map(int, process.stdout.read().split())])
    process.wait()
    spool = Spool(tmp_path, "pcap", 64)
    # The batch that was committed but not yet told of may be there, whole.
    assert spool.waiting in (told, told + 7)
    assert _values(spool) == list(range(spool.waiting))
    spool.close()


def test_half_of_a_batch_is_discarded_and_what_was_before_it_stays(tmp_path: Path) -> None:
    """The log cut at any place: whole batches only, from the first on."""
    source = Spool(tmp_path / "source", "pcap", 8)
    sizes = []
    for number in range(4):
        source.append(_messages(3 * number, 3, 500), synced=True)
        sizes.append((tmp_path / "source" / "pcap.spool-wal").stat().st_size)
    octets = {ending: (tmp_path / "source" / f"pcap.spool{ending}").read_bytes() for ending in ("", "-wal")}
    source.close()
    for cut in (sizes[-1], sizes[-1] - 1, sizes[2], sizes[2] - 700, sizes[1] + 5, sizes[0]):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "pcap.spool").write_bytes(octets[""])
        (folder / "pcap.spool-wal").write_bytes(octets["-wal"][:cut])
        spool = Spool(folder, "pcap", 8)
        whole = sum(size <= cut for size in sizes)
        assert _values(spool) == list(range(3 * whole)), cut
        assert spool.problem is None
        spool.close()


def test_beyond_the_limit_a_batch_is_refused_whole_and_room_is_used_again(tmp_path: Path) -> None:
    spool, taken = Spool(tmp_path, "pcap", 1), 0
    refused = None
    while refused is None:
        try:
            spool.append(_messages(taken, 50, 700), synced=False)
            taken += 50
        except SpoolError as error:
            refused = str(error)
    assert refused == f"{tmp_path}/pcap.spool has reached its limit (--buffer-mib), or its disk is full"
    assert 900 < taken < 1500
    assert spool.waiting == taken
    assert _values(spool) == list(range(taken))
    spool.forget(spool.oldest(0, 200)[-1].number)
    spool.append(_messages(taken, 50, 700), synced=False)
    assert _values(spool) == list(range(200, taken + 50))
    spool.close()
    assert (tmp_path / "pcap.spool").stat().st_size <= 1 << 20


def test_an_emptied_file_gives_its_space_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "pcap", 64)
    spool.append(_messages(0, 30_000, 700), synced=False)
    spool.forget(spool.oldest(29_999, 1)[0].number)
    spool.close()
    assert (tmp_path / "pcap.spool").stat().st_size < 1 << 16


def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / "pcap.spool").write_bytes(b"no database at all" * 500)
    spool = Spool(tmp_path, "pcap", 8)
    assert spool.problem is not None
    assert "pcap.spool was damaged (file is not a database): it is kept as pcap.damaged-" in spool.problem
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes().startswith(b"no database")
    spool.append(_messages(0, 1), synced=False)
    spool.close()
    assert sqlite3.connect(tmp_path / "pcap.spool").execute("SELECT count(*) FROM message").fetchone() == (1,)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match=r"file/pcap.spool, where frames wait for Kafka, cannot be used: .*--folder"):
        Spool(tmp_path / "file", "pcap", 8)
