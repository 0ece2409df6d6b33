"""tshark, kept running: frames in, messages out, one for one.

Here belongs that no frame is lost between the two: a frame stays here until its message has come, and when tshark
dies the next one gets all that were not answered. Not here: what tshark is asked for (``live.py``), or where
frames come from (``sniffer.py``).
"""

import asyncio
import os
import struct
from collections import deque
from collections.abc import Callable
from threading import Event, Thread

from pyshark.capture.capture import Capture

from wifi_assets.capture.live import PYSHARK_OPTIONS, read_lines
from wifi_assets.capture.tshark import LITTLE_ENDIAN, ROOT_WARNING, CaptureError, Message

#: Frames after which tshark is replaced: it keeps some 500 octets of each (*measured*), so this bounds it to 300 MB.
RENEW_AFTER = 250_000
#: A frame before which tshark has died so often goes without its help.
_DEATHS_OF_A_FRAME = 3
#: So many deaths with no message between them are no accident.
_DEATHS_IN_A_ROW = 8
_LONGEST_WAIT = 30.0
_NANOSECONDS = {bytes.fromhex("4d3cb2a1"), bytes.fromhex("a1b23c4d")}


class Decoder:
    """tshark behind a pipe. Only one thread may call; ``take`` is called on another.

    Attributes:
        restarts: How often tshark died and was started again.
    """

    def __init__(self, header: bytes, take: Callable[[Message], None], say: Callable[[str], None], stop: Event) -> None:
        """Start tshark.

        Args:
            header: pcap file header of the records to come.
            take: Gets each message, in order.
            say: Told when tshark died.
            stop: When set, nothing is waited for before a new start.
        """
        self._header, self._take, self._say, self._stop = header, take, say, stop
        self.restarts = 0
        self._unanswered: deque[bytes] = deque()
        self._written = self._deaths = 0
        self._suspect: bytes | None = None
        self._suspected = 0
        self._begin()

    def put(self, record: bytes) -> None:
        """One pcap record. Waits while tshark is behind.

        Raises:
            CaptureError: tshark dies again and again.
        """
        if self._written >= RENEW_AFTER:
            self.finish()
            self._begin()
        self._unanswered.append(record)
        if not self._write(record):
            self.check()

    def check(self) -> None:
        """See that tshark runs, and start it again if it does not.

        Raises:
            CaptureError: tshark dies again and again.
        """
        while not self._reader.is_alive():
            self._again()

    def finish(self) -> None:
        """Wait for the last message, and end tshark.

        Raises:
            CaptureError: tshark dies again and again.
        """
        while True:
            self._close_stdin()
            self._reader.join()
            if not self._unanswered:
                return
            self._again()

    def _begin(self) -> None:
        self._answers, self._words, self._status = 0, deque[str](maxlen=5), 0
        self._failure: Exception | None = None
        stdin, self._stdin = os.pipe()
        self._reader = Thread(target=self._read, args=(stdin,), name="tshark", daemon=True)
        self._reader.start()
        self._written = 0
        if self._write(self._header):
            for record in list(self._unanswered):
                if not self._write(record):
                    break

    def _again(self) -> None:
        self._close_stdin()
        self._reader.join()
        self._deaths = 1 if self._answers else self._deaths + 1
        words = str(self._failure) if self._failure else " ".join(self._words)
        how = f"signal {-self._status}" if self._status < 0 else f"status {self._status}"
        what = f"tshark ended with {how}{f': {words}' if words else ''}"
        if self._deaths >= _DEATHS_IN_A_ROW:
            raise CaptureError(f"{what}; {self._deaths} times in a row without a message")
        self._suspect_first()
        wait = min(_LONGEST_WAIT, 0.25 * 2**self._deaths)
        if not self._stop.is_set():
            self._say(f"{what}; started again in {wait:g} s, {len(self._unanswered):,} frames wait for it")
            self._stop.wait(wait)
        self.restarts += 1
        self._begin()

    def _suspect_first(self) -> None:
        """A frame that kills tshark must not do so for ever: its message then says no more than its time."""
        first = self._unanswered[0] if self._unanswered else None
        self._suspected = self._suspected + 1 if first is self._suspect else 1
        self._suspect = first
        if first is not None and self._suspected >= _DEATHS_OF_A_FRAME:
            self._unanswered.popleft()
            order = "<" if self._header[:4] in LITTLE_ENDIAN else ">"
            seconds, fraction = struct.unpack_from(f"{order}II", first)
            time_ms = seconds * 1000 + fraction // (1_000_000 if self._header[:4] in _NANOSECONDS else 1000)
            self._say(f"tshark died {self._suspected} times over the same frame: it goes undecoded to the topic")
            self._take(Message(None, b'{"timestamp":"%d","layers":{}}' % time_ms, time_ms, False))

    def _write(self, octets: bytes) -> bool:
        try:
            while octets:
                octets = octets[os.write(self._stdin, octets) :]
        except BrokenPipeError:
            self._reader.join()
            return False
        self._written += 1
        return True

    def _close_stdin(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    # ---------------------------------------------------------------- on the reader's thread

    def _read(self, stdin: int) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._run(runner.get_loop(), stdin))

    async def _run(self, loop: asyncio.AbstractEventLoop, stdin: int) -> None:
        options = {**PYSHARK_OPTIONS, "custom_parameters": [*PYSHARK_OPTIONS["custom_parameters"], "-r", "-"]}
        capture = Capture(eventloop=loop, **options)
        read_lines(capture)
        capture._handle_process_stderr_forever = self._listen
        # Else a tshark that is already dead has neither words nor status, and a living one is looked for at the end.
        capture._created_new_process = lambda *_, **__: None
        try:
            try:
                process = await capture._get_tshark_process(stdin=stdin)
            finally:
                os.close(stdin)
            try:
                await capture._go_through_packets_from_fd(process.stdout, self._answer)
            except BaseException:
                process.kill()
                raise
            finally:
                self._status = await process.wait()
                await asyncio.gather(*capture._stderr_handling_tasks)
        except Exception as error:  # noqa: BLE001 said by the thread that starts the next one
            self._failure = error

    def _answer(self, message: Message) -> None:
        self._unanswered.popleft()
        self._answers += 1
        self._take(message)

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while line := await stderr.readline():
            text = line.decode(errors="replace").strip()
            if text and not text.startswith(ROOT_WARNING):
                self._words.append(text)
