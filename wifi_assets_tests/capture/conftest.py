"""What the tests of the capture share: generated capture files, and tshark's own words on them."""

import asyncio
import gzip
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from scapy.layers.dot11 import Dot11, Dot11Beacon, Dot11Elt, Dot11ProbeReq, RadioTap
from scapy.packet import Packet, Raw
from scapy.utils import wrpcap, wrpcapng

from wifi_assets.frames.fields import TSHARK_FIELDS
from wifi_assets.resources.kafka import _PASSING
from wifi_assets_tests.processes import until

START = 1_584_802_202
ME, ROUTER, ALL = "3c:22:fb:33:44:55", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"
#: Plain, UTF-8, wildcard, full, NUL, no UTF-8, HTML, and one that spells the key that is looked for.
SSIDS = (
    b"home", "café ☕".encode(), b"", b"x" * 32, b"a\x00b", bytes(range(224, 256)),
    b"</script><b>", b'"wlan_ta":["66:66:66:66:66"]',
)  # fmt: skip
VENDORS = (
    b"\x00\x17\xf2\x0a\x00\x01",
    b"\x00\x50\xf2\x08\x00",
    b"\x00\x17\xf2\x0a\x00\x01",
    b"\x8c\xfd\xf0\x01\x01\x02",
)


@pytest.fixture(autouse=True, scope="module")
def child_watcher() -> Iterator[None]:
    """pyshark replaces asyncio's watcher of processes by one of its own loop; the whole suite has but one watcher."""
    yield
    asyncio.set_child_watcher(None)


def radio(dbm: int | None = -60) -> Packet:
    """A radiotap header, with or without a signal."""
    fields = {"ChannelFrequency": 2437, "ChannelFlags": 0xA0, "Rate": 2}
    if dbm is None:
        return RadioTap(present="Rate+Channel", **fields)
    return RadioTap(present="Rate+Channel+dBm_AntSignal", dBm_AntSignal=dbm, **fields)


def probe(ssid: bytes, *vendors: bytes, source: str = ME, dbm: int | None = -60) -> Packet:
    """A probe request."""
    frame = radio(dbm) / Dot11(type=0, subtype=4, addr1=ALL, addr2=source, addr3=ALL) / Dot11ProbeReq()
    frame /= Dot11Elt(ID=0, info=ssid)
    for data in vendors:
        frame /= Dot11Elt(ID=221, info=data)
    return frame


def device_name(name: bytes) -> bytes:
    """A WPS vendor tag that holds a device name."""
    return b"\x00\x50\xf2\x04\x10\x4a\x00\x01\x10\x10\x11" + struct.pack(">H", len(name)) + name


def _every_frame() -> list[Packet]:
    frames = [probe(ssid, *VENDORS[: number % 5], dbm=-30 - number) for number, ssid in enumerate(SSIDS)]
    frames += [probe(b"tv", device_name(name)) for name in (b'TV "<\x01\n\t\\', b"M\xfcller", b'","wlan_ta":["66:66')]
    he_capabilities = Dot11Elt(ID=255, info=b"\x23" + bytes(21))
    frames += [
        probe(b"", dbm=None) / he_capabilities / Dot11Elt(ID=221, info=VENDORS[0]),
        probe(b"", source="DA:A1:19:00:00:0A"),
    ]
    for subtype in range(16):
        frames.append(radio() / Dot11(type=0, subtype=subtype, addr1=ALL, addr2=ME, addr3=ROUTER) / Raw(bytes(24)))
        frames.append(
            radio() / Dot11(type=2, subtype=subtype, FCfield=1, addr1=ROUTER, addr2=ME, addr3=ALL) / Raw(bytes(40))
        )
    for subtype in range(7, 16):
        one_address = subtype in (12, 13)
        frames.append(radio() / Dot11(type=1, subtype=subtype, addr1=ROUTER, addr2=None if one_address else ME))
    beacon = radio() / Dot11(type=0, subtype=8, addr1=ALL, addr2=ROUTER, addr3=ROUTER) / Dot11Beacon()
    hidden_inside = bytes([1, 0, 12, 83, 2, 0x11, 4, 0, 3]) + b"abc" + bytes([85, 1, 1])
    frames.append(
        beacon / Dot11Elt(ID=0, info=b"main") / Dot11Elt(ID=71, info=hidden_inside) / Dot11Elt(ID=0, info=b"again")
    )
    frames.append(beacon / Dot11Elt(ID=0, info=bytes(8)) / Dot11Elt(ID=7, info=b"DE \x01\x0b\x14"))
    inner = b"".join(
        bytes.fromhex(f"0200000000{2 * i:02x}0200000000{2 * i + 1:02x}")
        + struct.pack(">H", 12)
        + b"\xaa\xaa\x03\0\0\0\x88\xb5"
        + bytes(6)
        for i in range(5, 8)
    )
    frames.append(
        radio() / Dot11(type=2, subtype=8, FCfield=1, addr1=ROUTER, addr2=ME, addr3=ALL) / Raw(b"\x80\x00" + inner)
    )
    frames.append(RadioTap(len=60_000) / Raw(bytes(20)))  # a header that lies about its length
    for number, frame in enumerate(frames):
        # Every fifth was heard a moment before its predecessor.
        frame.time = START + number * 0.0731 - (0.2 if number % 5 == 4 else 0)
    return frames


@pytest.fixture(scope="session")
def printed(tshark: str) -> Callable[[Path], list[bytes]]:
    """What tshark prints for a file: its documents, line by line."""

    def run(path: Path) -> list[bytes]:
        fields = [argument for field in TSHARK_FIELDS for argument in ("-e", field)]
        done = subprocess.run([tshark, "-r", path, "-T", "ek", *fields], capture_output=True, check=False, timeout=120)
        return [line for line in done.stdout.splitlines() if line and not line.startswith(b'{"index"')]

    return run


@pytest.fixture(scope="session")
def tshark() -> str:
    """The path of tshark."""
    path = shutil.which("tshark")
    if path is None:
        assert os.environ.get("WIFI_TESTS_NO_SKIP") != "1", "tshark is not installed"
        pytest.skip("tshark is not installed")
    return path


@pytest.fixture(scope="session")
def generated(tshark: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same frames, of all types and with all that may be in them, in three kinds of file."""
    folder = tmp_path_factory.mktemp("generated")
    files = {name: folder / name for name in ("all.pcap", "all.pcapng", "all.pcap.gz")}
    frames = _every_frame()
    wrpcap(str(files["all.pcap"]), frames)
    wrpcapng(str(files["all.pcapng"]), frames)
    files["all.pcap.gz"].write_bytes(gzip.compress(files["all.pcap"].read_bytes()))
    return files


def length_of(bootstrap: str, topic: str) -> int:
    """Messages on a topic; none while it is being made, or its broker begins."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "log_level": 0})
    with closing(consumer):
        held = consumer.list_topics(timeout=10).topics.get(topic)
        partitions = held.partitions if held else ()
        try:
            return sum(consumer.get_watermark_offsets(TopicPartition(topic, one), 10)[1] for one in partitions)
        except KafkaException as error:
            if error.args[0].code() not in _PASSING:
                raise
            return 0


def read_topic(bootstrap: str, topic: str) -> list[list[Message]]:
    """All that each partition of a topic holds, in order; it holds something."""
    until(lambda: length_of(bootstrap, topic))
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "error"})
    held = []
    for partition in sorted(consumer.list_topics(topic, 10).topics[topic].partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), 10)
        assert low == 0
        consumer.assign([TopicPartition(topic, partition, 0)])
        messages: list[Message] = []
        while len(messages) < high:
            messages += consumer.consume(high - len(messages), 10)
        assert not any(message.error() for message in messages)
        held.append(messages)
    consumer.close()
    return held
