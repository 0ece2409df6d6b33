"""A capture file as messages, decoded by tshark.

Here belongs how tshark is run and what it prints. Not here: where the messages go (``replay.py``), what
they mean (``frames/``), or the live path (``live.py``), whose messages are the same.

Python holds one frame at a time. tshark itself starts with some 160 MB and keeps about 200 octets of every
frame that it has read, whatever ``-M`` says: split a file of tens of millions with ``editcap -c``.
"""

import gzip
import re
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import IO, NamedTuple, cast

from wifi_assets.frames.fields import TSHARK_FIELDS

#: Addresses are named by vendor, hosts not at all: the same everywhere, and no question leaves the machine.
RESOLVING = ("-n", "-N", "m")

#: Of pcap, the first four octets of a file whose numbers are little-endian: microseconds, nanoseconds.
LITTLE_ENDIAN = {bytes.fromhex("d4c3b2a1"), bytes.fromhex("4d3cb2a1")}
#: How a line begins that tshark and dumpcap print under root: a warning of every run, no reason why one failed.
ROOT_WARNING = "Running as user"

_GZIP = b"\x1f\x8b"
#: The first four octets of pcap (microseconds, nanoseconds, Kuznetzov's; both byte orders) and of pcapng.
#: tshark takes any text or picture for a capture of one frame, so it is not asked.
_CAPTURES = {
    bytes.fromhex(magic)
    for magic in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1", "a1b2cd34", "34cdb2a1", "0a0d0d0a")
}
_TIMESTAMP = re.compile(rb'\{"timestamp":"(\d+)",')
# An SSID or a device name cannot fake these: tshark writes a quotation mark inside a value as \".
_TRANSMITTER = re.compile(rb'"wlan_ta":\["([^"]+)"')
_RECEIVER = re.compile(rb'"wlan_ra":\["([^"]+)"')


class Message(NamedTuple):
    """One frame, as it goes to Kafka.

    Attributes:
        key: Transmitter's address, else the receiver's, lower case with colons. None: the frame has none.
        value: tshark's JSON document, without the line's end.
        timestamp_ms: When the sniffer heard the frame, ms since 1970.
        decoded: False if tshark found no field of 802.11 in the frame (``"layers":{}``).
    """

    key: bytes | None
    value: bytes
    timestamp_ms: int
    decoded: bool


class TsharkMissingError(RuntimeError):
    """tshark is not installed."""


class CaptureError(RuntimeError):
    """Frames cannot be had, from a file or live; one sentence says why.

    From a file, every whole frame before the fault was yielded first.
    """


def find_tshark() -> str:
    """The path of tshark.

    Raises:
        TsharkMissingError: It is not installed.
    """
    path = shutil.which("tshark")
    if path is None:
        raise TsharkMissingError(
            "tshark, which decodes captures, is not installed; on Debian or Ubuntu: apt-get install tshark"
        )
    return path


def messages_of(path: Path) -> Generator[Message, None, None]:
    """Decode a capture file: pcap or pcapng, also gzipped; in file order, in bounded memory.

    A frame without any field of 802.11 (another link type, a crafted header) is yielded like the others: the
    platform quarantines it, so frames sent and frames accounted for stay equal.

    Yields:
        One message a frame.

    Raises:
        TsharkMissingError: tshark is not installed.
        CaptureError: The file is missing, unreadable, empty, no capture, or cut short or damaged; the last
            two after all whole frames before the damage.
    """
    tshark = find_tshark()
    _check_is_capture(path)
    fields = [argument for field in TSHARK_FIELDS for argument in ("-e", field)]
    command = [tshark, *RESOLVING, "-r", str(path.absolute()), "-T", "ek", *fields]
    # A file, not a pipe: tshark may warn of every frame while nobody reads.
    with tempfile.TemporaryFile() as complaints:
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, bufsize=1 << 20
        ) as process:
            try:
                frames = 0
                for line in cast(IO[bytes], process.stdout):
                    if line.startswith(b'{"timestamp"') and line.endswith(b"\n"):
                        frames += 1
                        yield message_of_line(line.rstrip(b"\n"))
                    elif not line.startswith(b'{"index"') and line.strip():
                        raise CaptureError(f"tshark prints what this program does not know: {line[:80]!r}")
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise CaptureError(_complaint(complaints) or f"tshark ended with {process.returncode}")
    if not frames:
        raise CaptureError("holds no frame")


def message_of_line(line: bytes) -> Message:
    """The message for one of tshark's document lines."""
    timestamp = _TIMESTAMP.match(line)
    if timestamp is None:
        raise CaptureError(f"tshark prints a frame without its time: {line[:80]!r}")
    address = _TRANSMITTER.search(line) or _RECEIVER.search(line)
    key = address[1].lower() if address else None
    return Message(key, line, int(timestamp[1]), not line.endswith(b'"layers":{}}'))


def _check_is_capture(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic.startswith(_GZIP):
            with gzip.open(path) as unpacked:
                magic = unpacked.read(4)
    except EOFError:
        raise CaptureError("is cut short before the first frame") from None
    except (OSError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CaptureError(f"cannot be read: {reason}") from error
    if not magic:
        raise CaptureError("is empty")
    if magic not in _CAPTURES:
        raise CaptureError(
            "is no capture: neither pcap nor pcapng, also gzipped (editcap turns other formats into pcapng)"
        )


def _complaint(stderr: IO[bytes]) -> str:
    """What tshark says, as the rest of a sentence that begins with the file's name."""
    stderr.seek(max(0, stderr.seek(0, 2) - 4096))
    lines = stderr.read().decode(errors="replace").splitlines()
    words = " ".join(line for line in lines if not line.startswith(ROOT_WARNING))
    return re.sub(r'^.*tshark: (The file ".*?" )?', "", words).rstrip(".")
