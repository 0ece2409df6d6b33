"""Telegram's Bot API over HTTP: who the bot is, what was written to it, what it says.

Here belongs how the API is called and how a refusal is worded. Not here: what a message means (``bot.py``).
https://core.telegram.org/bots/api is the source of the rules.
"""

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from wifi_assets.frames.ssid import printable

#: How long an answer may take beyond the time that was asked for, s.
_ANSWER_SECONDS = 20
#: An answer of a hundred messages, which is what getUpdates gives at most, is far smaller.
_ANSWER_OCTETS = 16 * 1024 * 1024


class TelegramError(RuntimeError):
    """Telegram did not do it; one sentence says where and why, without the token.

    Attributes:
        status: HTTP status; None if there was no answer, or none that is the API's.
        retry_after: Seconds to wait, as Telegram said.
    """

    def __init__(self, text: str, status: int | None = None, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after

    @property
    def is_token(self) -> bool:
        """Whether the token is wrong: 401 where it is none of a bot, 404 where it is no token at all."""
        return self.status in (401, 404)

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed later."""
        return self.status is None or self.status in (409, 429) or self.status >= 500


@dataclass(frozen=True)
class Me:
    """The bot.

    Attributes:
        id: Its number.
        username: Its name without @.
    """

    id: int
    username: str


@dataclass(frozen=True)
class Incoming:
    """A message, or another update that is to be confirmed and means nothing here.

    Attributes:
        update_id: Its place among the updates.
        chat: Where an answer goes; None if it is no message.
        private: Whether the chat is with one person.
        title: Of the group, or who wrote; hostile.
        text: What was written; hostile.
    """

    update_id: int
    chat: int | None
    private: bool
    title: str
    text: str


class Telegram:
    """The bot's end of the API.

    Args:
        url: Base URL, ``https://api.telegram.org`` or a server of one's own.
        token: What @BotFather gave.
    """

    def __init__(self, url: str, token: SecretStr) -> None:
        self._url = url.rstrip("/")
        self._token = token
        parts = urlsplit(self._url)
        self.where = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def me(self) -> Me:
        """Who the bot is.

        Raises:
            TelegramError: Telegram is away, or refuses the token.
        """
        answer = self._call("getMe")
        try:
            return Me(int(answer["id"]), str(answer["username"]))
        except (KeyError, TypeError, ValueError):
            raise TelegramError(f"Telegram at {self.where}: getMe answered no bot; check WIFI_TELEGRAM_URL") from None

    def updates(self, offset: int | None, seconds: int) -> list[Incoming]:
        """Updates that were not confirmed, in order; waits for one.

        Args:
            offset: Confirms all updates before it; None confirms none.
            seconds: How long to wait.

        Raises:
            TelegramError: Telegram is away, refuses the token, or another program polls with it.
        """
        asked: dict[str, Any] = {"timeout": seconds, "allowed_updates": ["message"]}
        if offset is not None:
            asked["offset"] = offset
        answer = self._call("getUpdates", asked, seconds)
        try:
            return sorted(map(_incoming, answer), key=lambda one: one.update_id)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise TelegramError(f"Telegram at {self.where}: getUpdates answered no updates") from None

    def send(self, chat: int, text: str) -> None:
        """Say a plain text: no markup is read in it, and no address in it is visited for a preview.

        Raises:
            TelegramError: Telegram is away or refuses.
        """
        self._call("sendMessage", {"chat_id": chat, "text": text, "link_preview_options": {"is_disabled": True}})

    def _call(self, method: str, asked: dict[str, Any] | None = None, seconds: int = 0) -> Any:
        token = self._token.get_secret_value()
        try:
            request = urllib.request.Request(  # noqa: S310 - the setting allows http and https alone
                # A token with blanks would come back in the words of the error.
                f"{self._url}/bot{quote(token, safe=':')}/{method}",
                data=json.dumps(asked or {}).encode(),
                headers={"Content-Type": "application/json", "User-Agent": "wifi_assets"},
            )
            with urllib.request.urlopen(request, timeout=seconds + _ANSWER_SECONDS) as response:  # noqa: S310
                status, content = response.status, response.read(_ANSWER_OCTETS)
        except urllib.error.HTTPError as error:
            with error:
                status, content = error.code, _rest(error)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # ValueError and HTTPException: a base URL that is none, an answer that is no HTTP or ends early.
            reason = getattr(error, "reason", None) or error
            raise self._error(method, f"{type(reason).__name__}: {reason}") from None
        try:
            answer = json.loads(content)
            if answer["ok"] is True:
                return answer["result"]
            said, parameters = str(answer.get("description", "")), answer.get("parameters") or {}
            retry_after, moved = parameters.get("retry_after"), parameters.get("migrate_to_chat_id")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Not the API's own words, so 404 is not its word on the token either.
            own = status if status >= 500 or status == 429 else None
            raise self._error(method, f"answered {status} without the API's JSON", own) from None
        if moved is not None:
            said += f"; the group is chat {moved} now, put that into WIFI_TELEGRAM_CHATS"
        raise self._error(method, f"answered {status} {said}", status, retry_after)

    def _error(self, method: str, said: str, status: int | None = None, retry_after: object = None) -> TelegramError:
        token = self._token.get_secret_value()
        shown = " ".join(printable(_encodable(said.replace(token, "…"))).split())[:400]
        wait = retry_after if isinstance(retry_after, int) and retry_after >= 0 else None
        return TelegramError(f"Telegram at {self.where}: {method}: {shown}", status, wait)


def _rest(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(_ANSWER_OCTETS)
    except (OSError, http.client.HTTPException):
        # The status says enough.
        return b""


def _incoming(update: dict[str, Any]) -> Incoming:
    message = update.get("message") or {}
    chat = message.get("chat") or {}
    who = message.get("from") or {}
    title = chat.get("title") or who.get("username") or who.get("first_name") or ""
    number = chat.get("id")
    return Incoming(
        int(update["update_id"]),
        number if isinstance(number, int) else None,
        chat.get("type") == "private",
        _encodable(str(title)),
        _encodable(str(message.get("text") or "")),
    )


def _encodable(text: str) -> str:
    """Without lone surrogates, which JSON can hold and no file can."""
    return text.encode("utf-8", "replace").decode()
