"""Messages on disk until Kafka has acknowledged them.

Here belongs one file of waiting messages: what is appended survives the program's death, what is forgotten is
gone. Not here: when to send and what Kafka says (``sender.py``).

The file is an SQLite database with a write-ahead log: a batch is in it whole or not at all, so the half of a
batch that a crash left behind is discarded, and what was committed stays. Each topic has its own.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from urllib.parse import quote

from wifi_assets.capture.tshark import Message

_PAGE = 4096
#: An empty file of more pages (16 MiB) gives its space back.
_WORTH_SHRINKING = 4096
#: Octets that the write-ahead log keeps once it is written back: without a limit it stays as large as it ever was.
_LOG_OCTETS = 4 << 20


class SpoolError(RuntimeError):
    """The file cannot be used; one sentence says which, why, and what to do."""


class Waiting(NamedTuple):
    """A message that Kafka has not acknowledged.

    Attributes:
        number: Its place in the order of appending.
        key: As in ``Message``.
        value: As in ``Message``.
        timestamp_ms: As in ``Message``.
    """

    number: int
    key: bytes | None
    value: bytes
    timestamp_ms: int


class Spool:
    """The waiting messages of one topic. Any thread may call.

    Attributes:
        path: The file.
        waiting: Messages in it.
        problem: What was wrong with the file that was found, as a sentence; None: nothing.
    """

    def __init__(self, folder: Path, topic: str, limit_mib: int) -> None:
        """Open the file of a topic, or make it.

        Args:
            folder: Made if there is none.
            topic: Kafka's topic.
            limit_mib: The file takes no more messages when it would grow beyond so many MiB.

        Raises:
            SpoolError: No permission, no space, or another program uses it.
        """
        self.path = folder / f"{quote(topic, safe='')}.spool"
        self.problem: str | None = None
        self._lock = Lock()
        self._synchronous: bool | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._db = self._open(limit_mib)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._set_aside(error)
                self._db = self._open(limit_mib)
            (self.waiting,) = self._db.execute("SELECT count(*) FROM message").fetchone()
        except (OSError, sqlite3.Error) as error:
            busy = "locked" in str(error)
            remedy = (
                "another capture uses it: give each its own --folder"
                if busy
                else f"{error}; give a folder with --folder that this user may write to"
            )
            raise SpoolError(f"{self.path}, where frames wait for Kafka, cannot be used: {remedy}") from error

    def append(self, messages: Sequence[Message], *, synced: bool) -> None:
        """Take the messages in, all or none; when this returns, the death of the program does not lose them.

        Args:
            messages: In order.
            synced: A power cut must not lose them either; costs an fsync.

        Raises:
            SpoolError: None was taken: the limit is reached or the disk refuses.
        """
        rows = [(one.key, one.value, one.timestamp_ms) for one in messages]
        with self._lock:
            try:
                if synced != self._synchronous:
                    self._db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
                    self._synchronous = synced
                with self._db:
                    self._db.executemany("INSERT INTO message (key, value, timestamp_ms) VALUES (?, ?, ?)", rows)
            except sqlite3.Error as error:
                full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
                reason = "has reached its limit (--buffer-mib), or its disk is full" if full else f"refuses: {error}"
                raise SpoolError(f"{self.path} {reason}") from error
            self.waiting += len(rows)

    def oldest(self, after: int, count: int) -> list[Waiting]:
        """The first messages behind a place, in order.

        Args:
            after: A message's number, or 0.
            count: At most so many.

        Raises:
            SpoolError: The disk refuses.
        """
        statement = "SELECT number, key, value, timestamp_ms FROM message WHERE number > ? ORDER BY number LIMIT ?"
        with self._lock:
            try:
                return [Waiting(*row) for row in self._db.execute(statement, (after, count))]
            except sqlite3.Error as error:
                raise SpoolError(f"{self.path} cannot be read: {error}") from error

    def forget(self, through: int) -> None:
        """Remove the messages up to this one, with it.

        Raises:
            SpoolError: The disk refuses; they are still there.
        """
        with self._lock:
            try:
                with self._db:
                    self.waiting -= self._db.execute("DELETE FROM message WHERE number <= ?", (through,)).rowcount
                if not self.waiting and self._db.execute("PRAGMA page_count").fetchone()[0] > _WORTH_SHRINKING:
                    self._db.execute("VACUUM")
            except sqlite3.Error as error:
                raise SpoolError(f"{self.path} refuses: {error}") from error

    def close(self) -> None:
        """Leave the file to the next."""
        with self._lock:
            self._db.close()

    def _open(self, limit_mib: int) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=1, check_same_thread=False)
        try:
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute(f"PRAGMA page_size = {_PAGE}")
            db.execute("PRAGMA journal_mode = WAL")
            if (answer := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(answer)
            # AUTOINCREMENT: a number is never used again, also after all were forgotten.
            db.execute(
                "CREATE TABLE IF NOT EXISTS message (number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB, "
                "value BLOB NOT NULL, timestamp_ms INTEGER NOT NULL)"
            )
            db.execute(f"PRAGMA max_page_count = {limit_mib * 2**20 // _PAGE}")
            db.execute(f"PRAGMA journal_size_limit = {_LOG_OCTETS}")
        except BaseException:
            db.close()
            raise
        return db

    def _set_aside(self, error: sqlite3.Error) -> None:
        aside = self.path.with_suffix(f".damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        self.path.replace(aside)
        for ending in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{ending}").replace(f"{aside}{ending}")
        self.problem = (
            f"{self.path} was damaged ({error}): it is kept as {aside.name}, its frames are not sent, and a new one "
            "was begun"
        )
