"""The last hours of a live capture as pcap files.

Here belongs one file an hour and what is thrown away. Not here: where the frames come from (``sniffer.py``).
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

_HOUR = 3600


class Ring:
    """One pcap file for each hour (UTC) of the clock, the oldest removed.

    Also the files of earlier starts are removed when their time has come. A disk that refuses ends the file, not
    the capture: the next hour tries again.
    """

    def __init__(
        self,
        folder: Path,
        interface: str,
        keep_hours: int,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the files here.

        Args:
            folder: Made if there is none.
            interface: Its name begins the files' names.
            keep_hours: A file whose last frame is older is removed.
            say: Told when the disk refuses.
            clock: Seconds since 1970.
        """
        self._folder, self._keep, self._say, self._clock = folder, keep_hours * _HOUR, say, clock
        self._prefix = re.sub(r"[^\w.-]", "_", Path(interface).name)
        self._file: BinaryIO | None = None
        self._hour = -1
        self._header = b""

    def begin(self, header: bytes) -> None:
        """What follows has this pcap header; a new file is begun."""
        self._header, self._hour = header, -1

    def write(self, record: bytes) -> None:
        """One frame with its record header."""
        hour = int(self._clock()) // _HOUR
        try:
            if hour != self._hour:
                self._hour = hour
                self._next()
            if self._file:
                self._file.write(record)
        except OSError as error:
            self._refused(error)

    def flush(self) -> None:
        """Others may read what was written so far."""
        try:
            if self._file:
                self._file.flush()
        except OSError as error:
            self._refused(error)

    def close(self) -> None:
        """End the file."""
        try:
            if self._file:
                self._file.close()
        except OSError as error:
            self._say(f"{self._folder}: the end of the last pcap file is not written: {error.strerror}")
        self._file = None

    def _next(self) -> None:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        oldest = self._clock() - self._keep
        for path in self._folder.glob(f"{self._prefix}-*.pcap"):
            if path.stat().st_mtime < oldest:
                path.unlink()
        name = f"{self._prefix}-{datetime.fromtimestamp(self._clock(), UTC):%Y%m%dT%H%M%S.%f}Z.pcap"
        self._file = (self._folder / name).open("xb", buffering=1 << 16)
        self._file.write(self._header)

    def _refused(self, error: OSError) -> None:
        self._file = None
        self._say(f"{self._folder}: pcap files are not written until the next full hour: {error.strerror}")
