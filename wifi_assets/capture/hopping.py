"""The interface through the channels, one after the other.

Here belongs ``iw``, the program that tunes a Wi-Fi interface. Not here: what is heard there.
"""

import shutil
import subprocess
from collections.abc import Callable
from threading import Event, Thread

from wifi_assets.capture.tshark import CaptureError

_ANSWER_SECONDS = 10
#: How iw writes that the card knows no such channel (EINVAL): no later try would mend it.
_INVALID = "(-22)"


class Hopper:
    """Tunes an interface to each channel in turn, on its own thread.

    A channel that fails at the start, or that iw calls invalid, is left out. Whatever else fails may pass, as the
    restart of a firmware does: it is said once and tried again in the next round.
    """

    def __init__(self, interface: str, channels: list[int], dwell: float, say: Callable[[str], None]) -> None:
        """See that the channels can be set; the interface is then on the last of them.

        Args:
            interface: In monitor mode.
            channels: Their numbers, as ``iw phy`` lists them.
            dwell: Seconds on each.
            say: Told of a channel that fails.

        Raises:
            CaptureError: iw is missing, or it takes none of the channels.
        """
        iw = shutil.which("iw")
        if iw is None:
            raise CaptureError("iw, which changes channels (--hop), is not installed; on Debian: apt-get install iw")
        self._command = [iw, "dev", interface, "set", "channel"]
        self._interface, self._dwell, self._say = interface, dwell, say
        refused = {channel: words for channel in channels if (words := self._tune(channel))}
        self._channels = [channel for channel in channels if channel not in refused]
        if not self._channels:
            words = next(iter(refused.values()))
            remedy = "run this as root" if "not permitted" in words else f"see `iw dev {interface} info` and `iw phy`"
            raise CaptureError(f"{interface}: iw sets none of the channels of --hop: {words}; {remedy}")
        for channel, words in refused.items():
            self._left_out(channel, words)
        self._stop = Event()
        self._thread = Thread(target=self._run, name="hopping", daemon=True)

    def start(self) -> None:
        """Begin to hop."""
        self._thread.start()

    def finish(self) -> None:
        """Stay on the channel of now."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        failing: set[int] = set()
        while self._channels and not self._stop.is_set():
            for channel in list(self._channels):
                words = self._tune(channel)
                if words is None:
                    failing.discard(channel)
                elif _INVALID in words:
                    self._channels.remove(channel)
                    self._left_out(channel, words)
                elif channel not in failing:
                    failing.add(channel)
                    self._say(f"{self._interface}: channel {channel} fails: {words}; it is tried again in each round")
                if self._stop.wait(self._dwell):
                    return

    def _left_out(self, channel: int, words: str) -> None:
        rest = f"left are {', '.join(map(str, self._channels))}" if self._channels else "none is left: no more hopping"
        self._say(f"{self._interface}: channel {channel} is left out: {words}; {rest}")

    def _tune(self, channel: int) -> str | None:
        """What iw says against it; None: it is set."""
        try:
            done = subprocess.run(
                [*self._command, str(channel)], capture_output=True, text=True, errors="replace",
                timeout=_ANSWER_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"no answer within {_ANSWER_SECONDS} s"
        return (" ".join(done.stderr.split()) or f"status {done.returncode}") if done.returncode else None
