"""The directory that a server holds in memory, and how it follows the lake.

Here belongs when it is read anew: answers never wait for that, and can say how old they are. Not here: what is in
it (``lookup.py``), and the answers (``api.py``).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread

from wifi_assets.ask.lookup import LOOKED_UP, Directory, read_directory, version_of
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.lake import Lake
from wifi_assets.unreadable import UNREADABLE, unreadable

#: Seconds between two looks at the tables' versions.
_LOOK = 1.0


@dataclass(frozen=True)
class Held:
    """A directory, and until when it is known to be the newest.

    Attributes:
        directory: What lookups search.
        newest_at: When the lake was last seen to hold nothing newer.
    """

    directory: Directory
    newest_at: datetime


class Holder:
    """Holds the newest directory; a thread of its own follows the lake.

    Attributes:
        held: Replaced as a whole, so that who has taken it has one version; None before the lake could be read.
        problem: Why the last look failed; None if it did not.
    """

    def __init__(self, lake: Lake, privacy: Privacy = CLEAR) -> None:
        self._lake, self._privacy = lake, privacy
        self.held: Held | None = None
        self.problem: str | None = None
        self._ended = Event()
        self._thread = Thread(target=self._follow, name="directory", daemon=True)

    def refresh(self) -> None:
        """Look at the lake, and read it if a table is another one. A failure is kept as ``problem``."""
        looked_at = datetime.now(UTC)
        try:
            held = self.held
            if held is not None and held.directory.versions == {
                name: version_of(self._lake.look(name)) for name in LOOKED_UP
            }:
                self.held = Held(held.directory, looked_at)
            else:
                self.held = Held(read_directory(self._lake, self._privacy), looked_at)
            self.problem = None
        except UNREADABLE as error:
            self.problem = unreadable(self._lake, error)

    def start(self) -> None:
        """Follow the lake until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._ended.wait(_LOOK):
            self.refresh()
