"""``wifi-assets capture --interface``: dumpcap, tshark and a real Kafka, each of them killed in turn.

Every frame that is fed has a time of its own, so the topic tells which came, how often, and in which order.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from scapy.utils import RawPcapReader

from wifi_assets.capture.sender import BATCH
from wifi_assets_tests.capture.conftest import length_of, read_topic
from wifi_assets_tests.capture.feeding import (
    CAN_MAKE_INTERFACES,
    HEADER,
    Feeder,
    packets,
    radio_interface,
    records,
    times,
)
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.processes import until
from wifi_assets_tests.services import Server

PROGRAM = [sys.executable, "-c", "from wifi_assets.capture.commands import capture; capture()"]


class Program:
    """The command, running."""

    def __init__(self, server: Server, folder: Path, interface: object, *arguments: object) -> None:
        self.log = folder.parent / f"{folder.name}-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*PROGRAM, "--interface", str(interface), "--folder", str(folder), "--json", *map(str, arguments)],
                env=os.environ | {"WIFI_KAFKA_BOOTSTRAP": _address(server)},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def says(self, words: str) -> None:
        """Wait until it has said that."""
        until(lambda: words in self.said or self.process.poll() is not None, every=0.1)
        assert words in self.said

    def child(self, name: str) -> psutil.Process:
        """Its dumpcap or tshark, once it runs."""

        def found() -> psutil.Process | None:
            children = psutil.Process(self.process.pid).children()
            # pyshark also runs `tshark -v`, which reads nothing.
            return next((one for one in children if one.name() == name and "-" in one.cmdline()), None)

        return until(found, every=0.1)

    def end(self, number: signal.Signals | None = None) -> dict[str, Any]:
        """What it says in the end; without a signal it ends by itself."""
        if number is not None:
            self.process.send_signal(number)
        try:
            out, _ = self.process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"does not end: {self.said}") from None
        return json.loads(out) | {"status": self.process.returncode}


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker that the tests may kill; they leave it running."""
    server = start_or_skip(Server("kafka", tmp_path_factory.mktemp("kafka")))
    yield server
    server.kill()


def _address(server: Server) -> str:
    return f"127.0.0.1:{server.port}"


def _heard(server: Server, topic: str) -> list[list[int]]:
    """Times of each partition's messages, in their order."""
    return [
        [int(json.loads(message.value())["timestamp"]) for message in messages]
        for messages in read_topic(_address(server), topic)
    ]


def _in_order(server: Server, topic: str) -> list[int]:
    """Times of all messages; each partition's came in order."""
    heard = _heard(server, topic)
    assert heard == [sorted(moments) for moments in heard]
    return sorted(sum(heard, []))


@pytest.mark.parametrize(("rate", "most"), [(30, 120), (1000, 4000)])
def test_at_the_rate_of_a_home_and_of_a_fair(kafka: Server, tmp_path: Path, rate: int, most: int) -> None:
    feeder, topic = Feeder(tmp_path / "air", rate, most=most), f"rate-{rate}"
    feeder.start()
    program = Program(
        kafka, tmp_path / "work", tmp_path / "air", "--topic", topic, "--create-topic", 3, "--keep-hours", 1
    )
    # While the pipe is still open: what comes is not held back until the end.
    until(lambda: length_of(_address(kafka), topic) >= most)
    feeder.end()
    done = program.end()
    counts = {name: done[name] for name in ("frames", "sent", "dropped", "waiting", "restarts", "error", "status")}
    assert counts == {
        "frames": most, "sent": most, "dropped": 0, "waiting": 0, "restarts": 0, "error": None, "status": 0
    }  # fmt: skip
    assert _in_order(kafka, topic) == times(most, rate)
    for message in sum(read_topic(_address(kafka), topic), []):
        assert message.timestamp()[1] == int(json.loads(message.value())["timestamp"])
    # A full hour begins another file.
    kept = sorted((tmp_path / "work" / "pcap").iterdir())
    assert [packet for file in kept for packet, _ in RawPcapReader(str(file))] == packets(most)


def test_tshark_killed_loses_no_frame_and_dumpcap_killed_those_of_a_moment(kafka: Server, tmp_path: Path) -> None:
    feeder = Feeder(tmp_path / "air", 100)
    feeder.start()
    program = Program(kafka, tmp_path / "work", tmp_path / "air", "--topic", "kills", "--create-topic", 1)
    until(lambda: length_of(_address(kafka), "kills") > 50)
    program.child("tshark").kill()
    program.says("tshark ended with signal 9; started again in 0.5 s")
    fed = feeder.fed
    until(lambda: length_of(_address(kafka), "kills") > fed)
    whole = _in_order(kafka, "kills")
    assert whole == times(len(whole), 100)
    program.child("dumpcap").kill()
    program.says(f"{tmp_path}/air: dumpcap ended with signal 9; started again in 0.5 s")
    until(lambda: feeder.reopened)
    fed = feeder.fed
    until(lambda: feeder.fed > fed + 50)
    fed = feeder.enough()
    until(lambda: times(fed, 100)[-1] in _heard(kafka, "kills")[0])
    feeder.end()
    done = program.end()
    assert (done["status"], done["error"], done["restarts"], done["dropped"], done["waiting"]) == (0, None, 2, 0, 0)
    heard = _in_order(kafka, "kills")
    assert done["frames"] == done["sent"] == len(heard)
    # What was in the pipe when dumpcap died is one gap.
    lost = fed - len(heard)
    gap = next((at for at, (one, other) in enumerate(zip(heard, times(fed, 100), strict=False)) if one != other), fed)
    assert gap >= len(whole)
    assert heard == times(gap, 100) + times(fed, 100, gap + lost)


def test_a_broker_killed_for_a_while_gets_each_frame_once(own_kafka: Server, tmp_path: Path) -> None:
    feeder = Feeder(tmp_path / "air", 200)
    feeder.start()
    program = Program(own_kafka, tmp_path / "work", tmp_path / "air", "--topic", "once", "--create-topic", 2)
    until(lambda: length_of(_address(own_kafka), "once") > 100)
    own_kafka.kill()
    program.says("does not answer")
    own_kafka.start()
    program.says(f"topic once on {_address(own_kafka)} takes messages again; ")
    fed = feeder.enough()
    until(lambda: length_of(_address(own_kafka), "once") >= fed)
    feeder.end()
    done = program.end()
    assert (done["frames"], done["sent"], done["dropped"], done["waiting"]) == (fed, fed, 0, 0)
    assert (done["status"], done["error"]) == (0, None)
    assert _in_order(own_kafka, "once") == times(fed, 200)
    assert f"Frames wait in {tmp_path}/work/once.spool" in program.said


def test_what_exceeds_the_limit_is_dropped_and_said_and_then_frames_are_taken_again(
    own_kafka: Server, tmp_path: Path
) -> None:
    own_kafka.kill()
    feeder = Feeder(tmp_path / "air", 1000)
    feeder.start()
    arguments = ("--topic", "limit", "--create-topic", 2, "--buffer-mib", 1)
    program = Program(own_kafka, tmp_path / "work", tmp_path / "air", *arguments)
    program.says("limit.spool has reached its limit (--buffer-mib), or its disk is full: frames are dropped")
    own_kafka.start()
    program.says("frames are taken again; ")
    fed = feeder.enough()
    until(lambda: times(fed, 1000)[-1] in sum(_heard(own_kafka, "limit"), []))
    feeder.end()
    done = program.end()
    assert done["status"] == 1
    assert (done["frames"], done["waiting"], done["error"]) == (fed, 0, None)
    heard = _in_order(own_kafka, "limit")
    assert len(heard) == len(set(heard)) == done["sent"] == fed - done["dropped"]
    assert 1000 < done["most_waiting"] < fed
    # The first to come are not pushed out by the later ones.
    assert heard[:1000] == times(1000, 1000)
    assert 0 < done["dropped"] < fed - 1000
    assert f"{done['dropped']:,} were dropped so far" in program.said


def test_killed_or_told_to_end_while_kafka_is_away_the_next_start_sends_all_that_was_taken(
    own_kafka: Server, tmp_path: Path
) -> None:
    work, options = tmp_path / "work", ("--topic", "kept", "--create-topic", 2)
    feeder = Feeder(tmp_path / "air", 200)
    feeder.start()
    first = Program(own_kafka, work, tmp_path / "air", *options)
    until(lambda: length_of(_address(own_kafka), "kept") > 100)
    own_kafka.kill()
    first.says("does not answer")
    fed = feeder.fed
    until(lambda: feeder.fed > fed + 600)
    children = [first.child("dumpcap"), first.child("tshark")]
    first.process.kill()
    first.process.wait()
    assert psutil.wait_procs(children, 60)[1] == []
    # Looked at in a copy: to open it is to mend it.
    shutil.copytree(work, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy" / "kept.spool")) as file:
        taken = [moment for (moment,) in file.execute("SELECT timestamp_ms FROM message ORDER BY number")]
    assert len(taken) > 600
    # Without a gap, up to the frames of the last moments.
    end = (taken[-1] - times(1, 200)[0]) // 5 + 1
    assert taken == times(end, 200)[-len(taken) :]

    later = Feeder(tmp_path / "later", 200, most=100, first=5000)
    later.start()
    later.end()
    second = Program(own_kafka, work, tmp_path / "later", *options)
    second.says(f"{len(taken):,} frames of an earlier start wait in {work}/kept.spool: they are sent first")
    done = second.end()
    assert (done["status"], done["frames"], done["sent"], done["waiting"]) == (0, 100, 0, len(taken) + 100)
    assert f"{len(taken) + 100:,} frames wait in {work}/kept.spool for the next start" in second.said

    own_kafka.start()
    last = Feeder(tmp_path / "last", 200, most=10, first=6000)
    last.start()
    third = Program(own_kafka, work, tmp_path / "last", *options)
    until(lambda: times(6010, 200)[-1] in sum(_heard(own_kafka, "kept"), []))
    last.end()
    done = third.end()
    assert (done["status"], done["frames"], done["sent"], done["waiting"]) == (0, 10, len(taken) + 110, 0)
    heard = sum(_heard(own_kafka, "kept"), [])
    assert sorted(set(heard)) == times(end, 200) + times(5100, 200, 5000) + times(6010, 200, 6000)
    # What was under way when the first was killed may be there twice, and nothing else.
    twice = sorted({moment for moment in heard if heard.count(moment) > 1})
    assert twice == taken[: len(twice)]
    assert len(heard) - len(set(heard)) == len(twice) <= BATCH


def test_ended_by_ctrl_c_what_was_heard_is_on_the_topic_or_waits(kafka: Server, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "air")
    program = Program(kafka, tmp_path / "work", tmp_path / "air", "--topic", "ctrl-c", "--create-topic", 1)
    with (tmp_path / "air").open("wb", buffering=0) as pipe:
        pipe.write(HEADER + b"".join(records(100, 100)))
        until(lambda: length_of(_address(kafka), "ctrl-c") > 10)
        done = program.end(signal.SIGINT)
    assert (done["status"], done["frames"], done["error"]) == (0, 100, None)
    # A broker that takes more than ten seconds leaves some to the next start.
    assert done["sent"] + done["waiting"] == 100
    assert _heard(kafka, "ctrl-c")[0][: done["sent"]] == times(100, 100)[: done["sent"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere0"], 'nowhere0: dumpcap ended with status 1: There is no device named "nowhere0"'),
        (["lo", "--hop", "1,6"], "iw"),
        (["lo", "--topic", "missing"], "has no topic missing; `wifi-assets capture --create-topic"),
    ],
)
def test_what_waiting_would_not_mend_ends_it_with_a_sentence(
    kafka: Server, tmp_path: Path, arguments: list[str], words: str
) -> None:
    interface, *others = arguments
    topic = [] if "--topic" in others else ["--topic", "wrong", "--create-topic", "1"]
    program = Program(kafka, tmp_path / "work", interface, *others, *topic)
    done = program.end()
    assert done["status"] == 1
    assert words in done["error"]
    assert f"Error: {done['error']}" in program.said


if CAN_MAKE_INTERFACES:

    def test_from_an_interface_with_radiotap(kafka: Server, tmp_path: Path) -> None:
        sent = packets(60)
        with radio_interface("wtest1") as radio:
            program = Program(kafka, tmp_path / "work", "wtest1", "--topic", "radio", "--create-topic", 1)

            def hears() -> bool:
                os.write(radio, sent[0])
                return length_of(_address(kafka), "radio") > 0

            until(hears)
            before = length_of(_address(kafka), "radio")
            for packet in sent:
                os.write(radio, packet)
            until(lambda: length_of(_address(kafka), "radio") >= before + 60)
            done = program.end(signal.SIGTERM)
        assert (done["status"], done["undecoded"], done["waiting"]) == (0, 0, 0)
        assert done["sent"] == length_of(_address(kafka), "radio")
