"""The verbs of kafka.sh: what is told to stop has stopped, and what was acknowledged outlives SIGKILL."""

import subprocess
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from wifi_assets_tests.capture.conftest import read_topic
from wifi_assets_tests.conftest import start_or_skip
from wifi_assets_tests.services import Server

SCRIPT = Path(__file__).with_name("kafka.sh")


def _status(server: Server) -> int:
    command = ["bash", SCRIPT, "status", server.data, str(server.port)]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode


def test_every_verb(tmp_path: Path) -> None:
    server = start_or_skip(Server("kafka", tmp_path / "data"))
    address = f"127.0.0.1:{server.port}"
    try:
        admin = AdminClient({"bootstrap.servers": address})
        admin.create_topics([NewTopic("kept", 1)])["kept"].result(10)
        producer = Producer({"bootstrap.servers": address, "log_level": 0})
        for number in range(1000):
            producer.produce("kept", b"%d" % number, timestamp=1)
        assert producer.flush(10) == 0
        assert _status(server) == 0
        server.start()  # already running: nothing to do
        server.kill()
        assert _status(server) == 1
        server.start()
        assert len(read_topic(address, "kept")[0]) == 1000
    finally:
        server.stop()
    assert _status(server) == 1
    server.stop()  # already stopped: nothing to do


def test_wrong_use_shows_the_verbs(tmp_path: Path) -> None:
    for arguments in ((), ("start",), ("restart", tmp_path, "1")):
        done = subprocess.run(["bash", SCRIPT, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "kafka.sh start DATA PORT" in done.stderr
