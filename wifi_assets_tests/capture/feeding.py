"""A sniffer's frames fed into a live capture: through a FIFO or a virtual interface, at a rate.

Here belongs how octets reach dumpcap. Not here: what is asserted.
"""

import fcntl
import multiprocessing
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from multiprocessing.context import SpawnProcess
from pathlib import Path

from wifi_assets.demo.air import Air
from wifi_assets.demo.pcap import radiotap

#: The last full hour, so that no frame's time is old or ahead: of old ones a broker that is restarted may take for new
#: what is sent again (``CheckedProducer``).
START = int(time.time()) // 3600 * 3600
_AIR_OF = 1_772_323_200 // 3600
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 127)
_IFF_TAP_NO_PI, _SET_INTERFACE, _SET_LINK = 0x1002, 0x400454CA, 0x400454CD
_ARPHRD_RADIOTAP = 803
#: Whether a virtual interface can be made here.
CAN_MAKE_INTERFACES = os.geteuid() == 0 and os.access("/dev/net/tun", os.W_OK)


def packets(number: int) -> list[bytes]:
    """Octets of a simulated household's frames, radiotap header first."""
    return list(islice(_packets(), number))


def records(number: int, rate: int) -> list[bytes]:
    """The same as pcap records, each with a time of its own to the millisecond."""
    return list(islice(_records(rate, START), number))


def times(number: int, rate: int, first: int = 0) -> list[int]:
    """What the records have as times from ``first`` on, in ms."""
    return [START * 1000 + one * 1000 // rate for one in range(first, number)]


def _packets() -> Iterator[bytes]:
    return (radiotap(frame) + frame.octets() for _, frame in Air(5, 5_000, _AIR_OF).arrivals())


def _records(rate: int, start: int) -> Iterator[bytes]:
    for number, packet in enumerate(_packets()):
        second, micro = divmod(number * 1_000_000 // rate, 1_000_000)
        yield struct.pack("<IIII", start + second, micro, len(packet), len(packet)) + packet


class Feeder(SpawnProcess):
    """A process that writes records into a FIFO at a rate; begins anew, with the header, when its reader was replaced.

    It feeds ``records(…, rate)`` until ``enough``, and keeps the FIFO open until ``end``.
    """

    def __init__(self, fifo: Path, rate: int, *, most: int | None = None, first: int = 0) -> None:
        """Make the FIFO.

        Args:
            fifo: Where.
            rate: Records a second.
            most: Feed no more than so many.
            first: Leave out so many records.
        """
        super().__init__(daemon=True)
        context = multiprocessing.get_context("spawn")
        self._fifo, self._rate, self._first = fifo, rate, first
        self._last = None if most is None else first + most
        # The process imports this module anew, perhaps in another hour.
        self._start = START
        self._fed, self._reopened = context.Value("q", 0), context.Value("q", 0)
        self._enough, self._end = context.Event(), context.Event()
        self._idle = context.Event()
        os.mkfifo(fifo)

    @property
    def fed(self) -> int:
        """Records written."""
        return self._fed.value

    @property
    def reopened(self) -> int:
        """How often the reader was replaced."""
        return self._reopened.value

    def enough(self) -> int:
        """Feed no more, once the reader is there again if it is not; how many were fed."""
        self._enough.set()
        self._idle.wait()
        return self.fed

    def end(self) -> None:
        """Close the FIFO when no more is fed: its reader sees the end."""
        self._end.set()

    def run(self) -> None:
        """Open, feed, close."""
        pipe = self._fifo.open("wb", buffering=0)
        pipe.write(HEADER)
        begun = time.monotonic()
        for number, record in enumerate(islice(_records(self._rate, self._start), self._first, self._last)):
            time.sleep(max(0.0, begun + number / self._rate - time.monotonic()))
            if self._enough.is_set():
                break
            try:
                pipe.write(record)
            except BrokenPipeError:
                # What the old reader left would be the first that the new one reads.
                pipe.close()
                pipe = self._fifo.open("wb", buffering=0)
                self._reopened.value += 1
                pipe.write(HEADER + record)
            self._fed.value += 1
        self._idle.set()
        self._end.wait()
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
