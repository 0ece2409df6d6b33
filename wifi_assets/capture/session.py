"""A live capture from the interface to Kafka.

Here belongs how the parts work together: the interface's frames (``sniffer.py``) through tshark (``decoder.py``)
into the spool (``spool.py``), which the sender empties (``sender.py``); that dumpcap is started again; and the end
in order. Not here: options and what is shown (``live_commands.py``).
"""

import queue
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread

from wifi_assets.capture.decoder import Decoder
from wifi_assets.capture.ring import Ring
from wifi_assets.capture.sender import Sender
from wifi_assets.capture.sniffer import Sniffer
from wifi_assets.capture.spool import Spool, SpoolError
from wifi_assets.capture.tshark import CaptureError, Message

#: Seconds that messages are collected before they are written to the spool: without, and with an fsync.
_COLLECT, _COLLECT_SYNCED = 0.1, 1.0
#: Messages between tshark and the spool; tshark waits when there are more.
_INBOX = 50_000
#: Seconds at the end for Kafka to take what waits.
END_SECONDS = 10.0
#: So many frames without a field of 802.11, and none with, are no chance.
_STRANGE = 20
_STARTS_IN_A_ROW = 8
_LONGEST_WAIT = 60.0
#: Seconds over which the rate is taken.
_RATE_SECONDS = 10.0


@dataclass
class Heard:
    """What became of the frames so far.

    Attributes:
        frames: Decoded by tshark.
        undecoded: Those of them in which it found no field of 802.11.
        dropped: Those of them that the spool did not take.
        restarts: How often dumpcap or tshark was started again.
        most_waiting: The most that waited for Kafka at a time.
    """

    frames: int = 0
    undecoded: int = 0
    dropped: int = 0
    restarts: int = 0
    most_waiting: int = 0


class LiveCapture:
    """One live capture.

    Attributes:
        heard: What became of the frames so far.
        error: What ended it, if nobody asked for its end and its source did not end. None: all is well.
    """

    def __init__(
        self, interface: str, spool: Spool, sender: Sender, ring: Ring | None, say: Callable[[str], None]
    ) -> None:
        """Put the parts together.

        Args:
            interface: As in ``Sniffer``.
            spool: Where frames wait for Kafka.
            sender: Empties it.
            ring: Keeps the frames as pcap files. None: nothing does.
            say: Told what a person should know.
        """
        self.heard = Heard()
        self.error: str | None = None
        self._interface, self._spool, self._sender, self._ring, self._say = interface, spool, sender, ring, say
        self._inbox: queue.Queue[Message] = queue.Queue(_INBOX)
        self._stop = Event()
        self._full = False
        self._marks = deque([(time.monotonic(), 0)])

    def stop(self) -> None:
        """End it in order: what was heard goes to Kafka, or stays in the spool. For signal handlers."""
        self._stop.set()

    @property
    def queued(self) -> int:
        """Decoded frames that are not in the spool yet."""
        return self._inbox.qsize()

    @property
    def rate(self) -> float:
        """Frames a second, of late."""
        (then, before), (now, frames) = self._marks[0], self._marks[-1]
        return (frames - before) / (now - then) if now > then else 0.0

    def run(self, show: Callable[[], None]) -> None:
        """Capture until ``stop``, the end of the pipe, or an error (``error``).

        Args:
            show: Called several times a second.
        """
        self._sender.start()
        source = Thread(target=self._listen, name="dumpcap", daemon=True)
        source.start()
        # Also after the thread's end: what it put last is then still to be taken.
        while source.is_alive() or self._inbox.qsize():
            self._store(self._collect(_COLLECT_SYNCED if self._sender.away else _COLLECT, source))
            show()
        self._sender.finish(END_SECONDS)
        show()

    # ---------------------------------------------------------------- into the spool

    def _collect(self, seconds: float, source: Thread) -> list[Message]:
        until = time.monotonic() + seconds
        batch: list[Message] = []
        while (left := until - time.monotonic()) > 0 and len(batch) < _INBOX:
            try:
                batch.append(self._inbox.get(timeout=left))
            except queue.Empty:
                break
            if not source.is_alive() and not self._inbox.qsize():
                break
        return batch

    def _store(self, batch: list[Message]) -> None:
        now = time.monotonic()
        heard = self.heard
        if batch:
            heard.frames += len(batch)
            heard.undecoded += sum(not message.decoded for message in batch)
            if heard.frames - len(batch) < _STRANGE <= heard.frames == heard.undecoded:
                self._say(
                    f"{self._interface}: tshark finds no field of 802.11 in its frames, and the platform will "
                    "quarantine them; is it in monitor mode? (`iw dev`)"
                )
            try:
                self._spool.append(batch, synced=self._sender.away)
            except SpoolError as error:
                heard.dropped += len(batch)
                if not self._full:
                    self._say(f"{error}: frames are dropped")
                self._full = True
            else:
                if self._full:
                    self._say(f"frames are taken again; {heard.dropped:,} were dropped so far")
                self._full = False
        heard.most_waiting = max(heard.most_waiting, self._spool.waiting + self.queued)
        self._marks.append((now, heard.frames))
        while now - self._marks[0][0] > _RATE_SECONDS:
            self._marks.popleft()

    # ---------------------------------------------------------------- from the interface, on its own thread

    def _listen(self) -> None:
        try:
            self._listen_again_and_again()
        except CaptureError as error:
            self.error = str(error)
        except Exception as error:  # noqa: BLE001 the program's end says it
            self.error = f"{type(error).__name__}: {error}"
        finally:
            if self._ring:
                self._ring.close()

    def _listen_again_and_again(self) -> None:
        ever, failures = False, 0
        while not self._stop.is_set():
            sniffer = Sniffer(self._interface)
            frames = self._hear(sniffer)
            ever, failures = ever or bool(frames), 1 if frames else failures + 1
            if sniffer.problem is None:
                return
            if sniffer.refused and not ever:
                raise CaptureError(sniffer.problem)
            if failures >= _STARTS_IN_A_ROW:
                raise CaptureError(f"{sniffer.problem}; {failures} times in a row without a frame")
            wait = min(_LONGEST_WAIT, 0.25 * 2**failures)
            self._say(f"{sniffer.problem}; started again in {wait:g} s")
            self.heard.restarts += 1
            self._stop.wait(wait)

    def _hear(self, sniffer: Sniffer) -> int:
        """One run of dumpcap, to its end; how many frames it gave."""
        decoder: Decoder | None = None
        frames = restarts = 0
        for record in sniffer.records(self._stop):
            if decoder is None and sniffer.header:
                if self._ring:
                    self._ring.begin(sniffer.header)
                decoder = Decoder(sniffer.header, self._inbox.put, self._say, self._stop)
            if decoder is None:
                continue
            if record is None:
                decoder.check()
                if self._ring:
                    self._ring.flush()
            else:
                frames += 1
                if self._ring:
                    self._ring.write(record)
                decoder.put(record)
            self.heard.restarts += decoder.restarts - restarts
            restarts = decoder.restarts
        if decoder is not None:
            decoder.finish()
        return frames
