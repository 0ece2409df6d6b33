"""dumpcap on an interface: its frames as they come.

Here belongs one run of dumpcap, Wireshark's program for capturing, and what its end means. Not here: what the
frames say (``decoder.py``), or that it is started again (``session.py``).

dumpcap apart from tshark, because a tshark that captures writes every frame into a temporary file that only grows,
and takes the frames it has not printed with it when it dies.
"""

import os
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from threading import Event
from typing import IO, cast

from wifi_assets.capture.tshark import LITTLE_ENDIAN, ROOT_WARNING, CaptureError

#: Seconds after which ``records`` says that nothing came.
IDLE_SECONDS = 0.5
_FILE_HEADER, _RECORD_HEADER = 24, 16
#: MiB in the kernel for frames that wait: seconds of them while tshark is started again.
_KERNEL_MIB = "8"
_WORDS_OF_CHANCE = ("Capturing on", "File:", "Packets captured:", "Packets received/dropped", ROOT_WARNING)


class Sniffer:
    """One run of dumpcap.

    Attributes:
        header: The pcap file header that its records follow; b"" before the first frame's.
        problem: What ended it, as a sentence, after ``records`` has ended. None: it was asked to, or its pipe ended.
        refused: dumpcap itself gave up before it captured: the interface or the permission is wrong.
    """

    def __init__(self, interface: str) -> None:
        """Start it.

        Args:
            interface: A network interface, or a FIFO from which pcap is read, or - for the standard input.

        Raises:
            CaptureError: dumpcap is not installed.
        """
        dumpcap = shutil.which("dumpcap")
        if dumpcap is None:
            raise CaptureError(
                "dumpcap, which captures, is not installed; it comes with tshark: apt-get install tshark"
            )
        self.interface = interface
        self.header = b""
        self.problem: str | None = None
        self.refused = False
        self._is_pipe = interface == "-" or Path(interface).is_fifo()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 closed by records
        # Its own session: Ctrl-C on the terminal reaches only us, who then end it in order.
        self._process = subprocess.Popen(
            [dumpcap, "-q", "-P", "-B", _KERNEL_MIB, "-i", interface, "-w", "-"],
            stdin=None if interface == "-" else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            start_new_session=True,
        )

    def records(self, stop: Event) -> Generator[bytes | None, None, None]:
        """Records of pcap, each with its header, as they come.

        Args:
            stop: When set, dumpcap is asked to end, and what it still has is yielded.

        Yields:
            A record; None when none came for a moment.
        """
        with self._complaints, self._process:
            try:
                yield from self._split(cast(IO[bytes], self._process.stdout).fileno(), stop)
                self._judge(self._process.wait(), stop)
            finally:
                self._process.kill()

    def _split(self, stdout: int, stop: Event) -> Generator[bytes | None, None, None]:
        held, asked = b"", False
        while True:
            if stop.is_set() and not asked:
                asked = True
                self._process.send_signal(signal.SIGINT)
            if not select.select([stdout], [], [], IDLE_SECONDS)[0]:
                yield None
                continue
            octets = os.read(stdout, 1 << 16)
            if not octets:
                return
            held += octets
            if not self.header:
                if len(held) < _FILE_HEADER:
                    continue
                self.header, held = held[:_FILE_HEADER], held[_FILE_HEADER:]
            length_at = struct.Struct("<I" if self.header[:4] in LITTLE_ENDIAN else ">I")
            begin = 0
            while len(held) - begin >= _RECORD_HEADER:
                end = begin + _RECORD_HEADER + length_at.unpack_from(held, begin + 8)[0]
                if end > len(held):
                    break
                yield held[begin:end]
                begin = end
            held = held[begin:]

    def _judge(self, status: int, stop: Event) -> None:
        if stop.is_set() or (status == 0 and self._is_pipe):
            return
        self._complaints.seek(0)
        lines = [line.strip() for line in self._complaints.read(1 << 16).decode(errors="replace").splitlines()]
        # What follows is a manual for every system; the sentence below has the remedy for ours.
        words = " ".join(line for line in lines if line and not line.startswith(_WORDS_OF_CHANCE))
        words = re.split("Please |On Debian", words)[0].removeprefix("dumpcap: ").strip().rstrip(".")
        self.refused = status > 0 and not self.header
        if "permission" in words.lower() or "not permitted" in words.lower():
            remedy = (
                "; run this as root, or let dumpcap do it: dpkg-reconfigure wireshark-common, then add this user to "
                "the group wireshark"
            )
        elif self.refused and not self._is_pipe:
            remedy = "; `dumpcap -D` lists the interfaces, `iw dev` those of Wi-Fi"
        else:
            remedy = ""
        ended = f"signal {-status}" if status < 0 else f"status {status}"
        self.problem = f"{self.interface}: dumpcap ended with {ended}{f': {words}' if words else ''}{remedy}"
