"""What waits is sent, however often Kafka does not answer. A broker that dies: ``test_live_capture.py``."""

from pathlib import Path
from typing import Any

import pytest

from wifi_assets.capture.sender import Sender
from wifi_assets.capture.spool import Spool
from wifi_assets.capture.tshark import Message
from wifi_assets.resources import producer
from wifi_assets.resources.producer import CheckedProducer
from wifi_assets_tests.capture.conftest import length_of
from wifi_assets_tests.processes import until
from wifi_assets_tests.services import Server


def test_a_broker_that_answers_nothing_in_time_is_tried_again(
    kafka: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, said = f"127.0.0.1:{kafka.port}", list[str]()
    spool = Spool(tmp_path, "late", 8)
    spool.append([Message(None, b"frame", 1000, True)], synced=False)
    monkeypatch.setattr(producer, "ANSWER_SECONDS", 0)
    tried = []

    def connect(*arguments: Any) -> CheckedProducer:
        tried.append(arguments)
        return CheckedProducer(*arguments)

    monkeypatch.setattr("wifi_assets.capture.sender.CheckedProducer", connect)
    sender = Sender(spool, {"bootstrap.servers": address}, "late", 1, said.append)
    assert sender.away
    sender.start()
    until(lambda: len(tried) > 2, every=0.1)
    monkeypatch.setattr(producer, "ANSWER_SECONDS", 10)
    until(lambda: sender.sent, every=0.1)
    sender.finish(10)
    assert length_of(address, "late") == 1
    assert said[0].startswith(f"Kafka at {address} does not answer: no word within 0 s; ")
    assert said[-1] == f"topic late on {address} takes messages again; 0 waiting frames follow"
