"""``wifi-assets bot``.

Here belongs how the bot runs and ends: 0 it was told to, 1 Telegram refuses the token or the state cannot be kept, 2
wrong use; and how long it waits for whom. Not here: what a turn does (``bot.py``).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import click

from wifi_assets.bot.api import Telegram, TelegramError
from wifi_assets.bot.bot import Bot
from wifi_assets.bot.state import StateError
from wifi_assets.cli_settings import settings_or_usage_error
from wifi_assets.cli_signals import ended_by_signals
from wifi_assets.from_settings import lake_of, privacy_of

#: Seconds that a poll waits for a message: the lake is looked at in between.
POLL_SECONDS = 5
#: The longest wait between two tries, s.
LONGEST_WAIT = 60

T = TypeVar("T")


class _EndedError(Exception):
    """SIGINT or SIGTERM came."""


class _Ending:
    """Ends waiting at once, and work when it is done: a message is never half said."""

    def __init__(self) -> None:
        self.asked = self._waiting = False

    def __call__(self) -> None:
        self.asked = True
        if self._waiting:
            raise _EndedError

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        try:
            self._waiting = True
            if self.asked:
                raise _EndedError
            yield
        finally:
            self._waiting = False


class _Patience:
    """Says once that Telegram is away, waits longer each time, and says when it is back."""

    def __init__(self, ending: _Ending, say: Callable[[str], None]) -> None:
        self._ending, self._say, self._tries, self._said = ending, say, 0, ""

    def try_once(self, call: Callable[[], T]) -> T | None:
        """The call's result, or None after a wait if it is to be tried again.

        Raises:
            TelegramError: Trying again is of no use.
        """
        try:
            result = call()
        except TelegramError as error:
            if not error.passes:
                raise
            if str(error) != self._said:
                self._said = str(error)
                hint = ": end the other program, or make another bot for this one" if error.status == 409 else ""
                self._say(f"{error}{hint}; I go on trying")
            wait = error.retry_after if error.retry_after is not None else min(2**self._tries, LONGEST_WAIT)
            self._tries = min(self._tries + 1, 10)
            with self._ending.interruptible():
                time.sleep(wait)
            return None
        if self._said:
            self._say("Telegram answers again")
        self._tries, self._said = 0, ""
        return result


@click.command()
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    default="data/bot.json",
    show_default=True,
    help="File for what must not be forgotten over a restart.",
)
def bot(state: Path) -> None:
    """Answer on Telegram when a device was last seen, and tell when a watched one appears.

    Needs a bot's token from @BotFather (WIFI_TELEGRAM_TOKEN), the chats that may ask (WIFI_TELEGRAM_CHATS, numbers;
    write to the bot and it says which to add) and the lake (WIFI_LAKE). It runs until Ctrl-C or SIGTERM. A device is
    absent after WIFI_BOT_ABSENT_MINUTES without a probe request; docs/bot.md has the steps.
    """
    settings = settings_or_usage_error()
    if settings.telegram_token is None:
        raise click.UsageError("WIFI_TELEGRAM_TOKEN is not set: @BotFather on Telegram gives it")
    telegram = Telegram(settings.telegram_url, settings.telegram_token)
    lake, chats = lake_of(settings), frozenset(settings.telegram_chats)
    absent = timedelta(minutes=settings.bot_absent_minutes)

    def say(text: str) -> None:
        click.echo(text, err=True)

    ending = _Ending()
    with ended_by_signals(ending):
        reading, speaking = _Patience(ending, say), _Patience(ending, say)
        try:
            while (me := reading.try_once(_interruptible(ending, telegram.me))) is None:
                pass
            turning = Bot(telegram, me, lake, chats, absent, state, say, privacy_of(settings))
            told = f"{len(chats)} chat{'' if len(chats) == 1 else 's'}" if chats else "no chat: set WIFI_TELEGRAM_CHATS"
            say(f"@{me.username} at {telegram.where} answers {told} and follows the lake at {lake.url}")
            while True:
                updates = reading.try_once(_interruptible(ending, lambda: turning.read(POLL_SECONDS)))
                if updates is not None:
                    turning.take(updates)
                turning.look()
                speaking.try_once(turning.speak)
        except _EndedError:
            say("ended")
        except TelegramError as error:
            hint = "check WIFI_TELEGRAM_TOKEN and WIFI_TELEGRAM_URL" if error.is_token else "it will not go on"
            raise click.ClickException(f"{error}: {hint}") from None
        except StateError as error:
            raise click.ClickException(str(error)) from error


def _interruptible(ending: _Ending, call: Callable[[], T]) -> Callable[[], T]:
    def interrupted() -> T:
        with ending.interruptible():
            return call()

    return interrupted
