"""A sniffer's frames fed into a live capture: through a FIFO or a virtual interface, at a rate.

Here belongs how octets reach dumpcap. Not here: what is asserted.
"""

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Thread

from wifi_assets.demo.air import Air
from wifi_assets.demo.pcap import radiotap

START = 1_772_323_200
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 127)
_IFF_TAP_NO_PI, _SET_INTERFACE, _SET_LINK = 0x1002, 0x400454CA, 0x400454CD
_ARPHRD_RADIOTAP = 803
#: Whether a virtual interface can be made here.
CAN_MAKE_INTERFACES = os.geteuid() == 0 and os.access("/dev/net/tun", os.W_OK)


def packets(count: int) -> list[bytes]:
    """Octets of a simulated household's frames, radiotap header first."""
    return [radiotap(frame) + frame.octets() for _, frame in islice(Air(5, 5_000, START // 3600).arrivals(), count)]


def records(count: int, rate: int) -> list[bytes]:
    """The same as pcap records, each with a time of its own to the millisecond."""
    made = []
    for number, packet in enumerate(packets(count)):
        second, micro = divmod(number * 1_000_000 // rate, 1_000_000)
        made.append(struct.pack("<IIII", START + second, micro, len(packet), len(packet)) + packet)
    return made


def times(count: int, rate: int) -> list[int]:
    """What ``records`` has as times, in ms."""
    return [START * 1000 + number * 1000 // rate for number in range(count)]


class Feeder(Thread):
    """Writes records into a FIFO at a rate; begins anew, with the header, when its reader was replaced.

    Attributes:
        fed: Records written.
        reopened: How often the reader was replaced.
    """

    def __init__(self, fifo: Path, records: list[bytes], rate: int) -> None:
        super().__init__(daemon=True)
        self._fifo, self._records, self._rate = fifo, records, rate
        self.fed = self.reopened = 0
        os.mkfifo(fifo)

    def run(self) -> None:
        """Open, feed, close: the reader then sees the end."""
        pipe = self._fifo.open("wb", buffering=0)
        pipe.write(HEADER)
        begun = time.monotonic()
        for number, record in enumerate(self._records):
            time.sleep(max(0.0, begun + number / self._rate - time.monotonic()))
            try:
                pipe.write(record)
            except BrokenPipeError:
                self.reopened += 1
                pipe = self._fifo.open("wb", buffering=0)
                pipe.write(HEADER + record)
            self.fed += 1
        pipe.close()


@contextmanager
def radio_interface(name: str) -> Iterator[int]:
    """A virtual interface whose frames begin with radiotap, as one in monitor mode; yields what to write frames to."""
    device = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(device, _SET_INTERFACE, struct.pack("16sH14x", name.encode(), _IFF_TAP_NO_PI))
        fcntl.ioctl(device, _SET_LINK, _ARPHRD_RADIOTAP)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield device
    finally:
        os.close(device)
