"""The simulated frames as a capture file: pcap, link type radiotap, microseconds.

Here belongs the file and the radiotap header (radiotap.org). Not here: the frames' own octets
(``frame.py``). Written with struct, frame by frame: a hundred times faster than packet objects, and
memory stays small whatever the size; a test has scapy and tshark read it.
"""

import struct
from collections.abc import Iterable
from pathlib import Path

from wifi_assets.demo.frame import Frame

_IEEE802_11_RADIOTAP = 127
_SNAP_LENGTH = 65_535
# Bits of radiotap's "present" field.
_FLAGS, _RATE, _CHANNEL, _ANTENNA_SIGNAL = 1 << 1, 1 << 2, 1 << 3, 1 << 5
# Bits of radiotap's channel flags.
_CCK, _OFDM, _2GHZ, _5GHZ = 0x0020, 0x0040, 0x0080, 0x0100


def radiotap(frame: Frame) -> bytes:
    """The radiotap header: rate, channel, and the signal where there is one."""
    band = _2GHZ if frame.channel <= 14 else _5GHZ
    megahertz = 2407 + 5 * frame.channel if frame.channel <= 14 else 5000 + 5 * frame.channel
    body = struct.pack("<BBHH", 0, frame.rate, megahertz, band | (_OFDM if frame.is_ofdm else _CCK))
    present = _FLAGS | _RATE | _CHANNEL
    if frame.signal_dbm is not None:
        body += struct.pack("b", frame.signal_dbm)
        present |= _ANTENNA_SIGNAL
    return struct.pack("<BBHI", 0, 0, 8 + len(body), present) + body


def write_pcap(path: Path, frames: Iterable[Frame]) -> int:
    """Write the frames in the order given, which need not be that of their times.

    Returns:
        How many.

    Raises:
        OSError: The file cannot be written.
    """
    count = 0
    with path.open("wb", buffering=1 << 20) as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAP_LENGTH, _IEEE802_11_RADIOTAP))
        for count, frame in enumerate(frames, 1):  # noqa: B007
            packet = radiotap(frame) + frame.octets()
            seconds, microseconds = divmod(frame.time_us, 1_000_000)
            file.write(struct.pack("<IIII", seconds, microseconds, len(packet), len(packet)) + packet)
    return count
