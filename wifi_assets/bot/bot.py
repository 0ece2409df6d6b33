"""The bot: what was written to it and what the lake has new become messages, in turns.

Here belongs the order in which things are read, remembered and said. Not here: the rule of an appearance
(``watch.py``), the sentences (``answers.py``), the API (``api.py``), signals and exit codes (``commands.py``).

A turn stores what came of a message together with its confirmation, and of a look together with how far it went, and
only then speaks. What was stored and not said is said after a restart. Only the moment between Telegram's answer
and the file's next state can make a message come twice; none can get lost.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wifi_assets.ask.held import Holder
from wifi_assets.ask.lookup import Candidates, Device, Directory, find
from wifi_assets.bot import answers
from wifi_assets.bot.api import Incoming, Me, Telegram, TelegramError
from wifi_assets.bot.state import load, save
from wifi_assets.bot.watch import level_of, look, watched_device, watched_key
from wifi_assets.frames.address import mac_of
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.frames.ssid import printable
from wifi_assets.lake import Lake
from wifi_assets.unreadable import UNREADABLE, unreadable

#: Devices that a chat may watch: each is looked up whenever the lake moved.
WATCHED = 100
#: Chats that are not answered and are said so of: strangers find every bot.
_STRANGERS = 100

_COMMAND = re.compile(r"/(\w+)(?:@(\w+))?(?:\s+(.*))?", re.DOTALL)
_QUESTION = re.compile(r"when\s+was\s+(.+?)\s+(?:last\s+)?seen\s*\??", re.IGNORECASE | re.DOTALL)


class Bot:
    """One bot on one lake.

    Args:
        telegram: Where it speaks.
        me: Who it is.
        lake: What it is asked about.
        chats: Who may ask and is told.
        absent: How long a device must be quiet to be absent.
        path: Of the state.
        say: Takes a line for the log.
        privacy: How an address that is asked for is hidden.

    Raises:
        StateError: The state cannot be read.
    """

    def __init__(
        self,
        telegram: Telegram,
        me: Me,
        lake: Lake,
        chats: frozenset[int],
        absent: timedelta,
        path: Path,
        say: Callable[[str], None],
        privacy: Privacy = CLEAR,
    ) -> None:
        self._telegram, self._me, self._lake = telegram, me, lake
        self._chats, self._absent, self._path, self._say = chats, absent, path, say
        self._state = load(path)
        self._holder = Holder(lake, privacy)
        self._looked: Directory | None = None
        self._strangers: set[int] = set()
        self._problem: str | None = None
        if self._state.bot != me.id:
            # Another bot's updates have other numbers.
            self._state.bot, self._state.offset = me.id, None
            self._keep()

    def read(self, seconds: int) -> list[Incoming]:
        """What was written; waits for it so long at most. Nothing changes but in memory.

        Raises:
            TelegramError: Telegram is away or refuses.
        """
        return self._telegram.updates(self._state.offset, seconds)

    def take(self, updates: list[Incoming]) -> None:
        """Remember what came of these updates; they come after all that was read before.

        Raises:
            StateError: The state cannot be written.
        """
        before, self._state.offset = self._state.offset, None
        for update in updates:
            self._state.offset = update.update_id + 1
            if update.chat is not None and update.text.strip():
                self._hear(update, update.chat)
        if before != self._state.offset:
            self._keep()

    def look(self) -> None:
        """Remember what the lake has new of the watched devices.

        Raises:
            StateError: The state cannot be written.
        """
        directory = self._current()
        if directory is None or directory is self._looked:
            return
        now = datetime.now(UTC)
        try:
            for chat, watched in self._state.watched.items():
                for key, last in watched.items() if chat in self._chats else ():
                    device = watched_device(directory, key)
                    if device is None:
                        continue
                    watched[key], found = look(self._lake, device, last, self._state.level, self._absent)
                    if found is not None:
                        self._state.outbox.append((chat, answers.appeared(key, found, now)))
        except UNREADABLE as error:
            self._complain(unreadable(self._lake, error))
            return
        self._state.level = max(filter(None, (self._state.level, level_of(directory, now))), default=None)
        self._keep()
        self._looked = directory

    def speak(self) -> None:
        """Say what is to be said.

        Raises:
            TelegramError: Telegram is away, or refuses the token; the rest stays to be said.
            StateError: The state cannot be written.
        """
        while self._state.outbox:
            chat, text = self._state.outbox[0]
            try:
                self._telegram.send(chat, text)
            except TelegramError as error:
                if error.passes or error.is_token:
                    raise
                self._say(f"chat {chat} was not told: {error}")
            del self._state.outbox[0]
            self._keep()

    def _keep(self) -> None:
        save(self._state, self._path)

    def _hear(self, update: Incoming, chat: int) -> None:
        if chat not in self._chats:
            if chat not in self._strangers and len(self._strangers) < _STRANGERS:
                self._strangers.add(chat)
                self._say(
                    f"chat {chat} ({printable(update.title)[:100]}) wrote and got no answer; to allow it add {chat} to "
                    "WIFI_TELEGRAM_CHATS"
                )
            return
        answer = self._answer(update, chat)
        if answer:
            self._state.outbox.append((chat, answer))

    def _answer(self, update: Incoming, chat: int) -> str:
        text = update.text.strip()
        command = _COMMAND.fullmatch(text)
        question = _QUESTION.fullmatch(text)
        if command:
            name, to, whom = command[1].lower(), command[2], (command[3] or "").strip()
            if to and to.lower() != self._me.username.lower():
                return ""
        elif question:
            name, whom = "seen", question[1]
        elif update.private:
            name, whom = "seen", text
        else:
            # In a group people talk to each other.
            return ""
        if name == "watching":
            return answers.watching(self._state.watched.get(chat, ()))
        if name not in ("seen", "who", "watch", "unwatch"):
            return answers.HELP
        if not whom:
            return answers.whom(name)
        directory = self._current()
        if name == "unwatch":
            return self._unwatch(chat, whom, directory)
        if directory is None:
            return answers.unreadable()
        now = datetime.now(UTC)
        found = find(directory, whom)
        if name == "watch" and not isinstance(found, Candidates):
            return self._watch(chat, whom, directory, found, now)
        if found is None:
            return answers.nobody(directory, whom)
        if isinstance(found, Candidates):
            return answers.several(found)
        return answers.who(found, now) if name == "who" else answers.seen(found, now)

    def _watch(self, chat: int, asked: str, directory: Directory, found: Device | None, now: datetime) -> str:
        key = mac_of(asked) if found is None else watched_key(found, asked)
        if key is None:
            return answers.nobody(directory, asked)
        watched = self._state.watched.setdefault(chat, {})
        if key not in watched:
            if len(watched) >= WATCHED:
                return answers.too_many(WATCHED)
            watched[key] = found.last_seen if found is not None else None
        return answers.watched_unheard(key) if found is None else answers.watched(found, now, self._absent)

    def _unwatch(self, chat: int, asked: str, directory: Directory | None) -> str:
        """By what was asked for, or by what that means now."""
        watched = self._state.watched.get(chat, {})
        found = find(directory, asked) if directory is not None else None
        keys = {asked: asked, **{key.lower(): key for key in watched}}
        wanted = [asked, keys.get(asked.lower()), mac_of(asked), found.name if isinstance(found, Device) else None]
        key = next((one for one in wanted if one in watched), None)
        if key is None:
            return answers.not_watched(asked)
        del watched[key]
        if not watched:
            del self._state.watched[chat]
        return answers.unwatched(key)

    def _current(self) -> Directory | None:
        """What can be looked up, as new as it can be had; None if the lake could not be read yet."""
        self._holder.refresh()
        self._complain(self._holder.problem)
        return self._holder.held.directory if self._holder.held is not None else None

    def _complain(self, problem: str | None) -> None:
        """Say a problem of the lake once, until it is another or over."""
        if problem and problem != self._problem:
            self._say(f"{problem}; I look again")
        self._problem = problem
