"""What is said of a Telegram that refuses or is away: never the token."""

import pytest
from pydantic import SecretStr

from wifi_assets.bot.api import Telegram, TelegramError
from wifi_assets_tests.bot.telegram import HANG_UP, TOKEN, StandIn, refusal
from wifi_assets_tests.services import free_port


def failure(api: Telegram) -> TelegramError:
    with pytest.raises(TelegramError) as raised:
        api.updates(None, 0)
    assert TOKEN not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is None
    return raised.value


def api_of(telegram: StandIn) -> Telegram:
    return Telegram(f"{telegram.url}/", SecretStr(TOKEN))


@pytest.mark.parametrize(
    ("fault", "said", "passes"),
    [
        (refusal(409, "Conflict: terminated by other getUpdates request"), "409 Conflict", True),
        (refusal(429, "Too Many Requests: retry after 7", retry_after=7), "429 Too Many", True),
        (refusal(502, f"Bad\nGateway {TOKEN}"), "502 Bad\\x0aGateway …", True),
        (refusal(400, "Bad Request", migrate_to_chat_id=-1001), "the group is chat -1001 now", False),
        ((500, b"<html>"), "answered 500 without the API's JSON", True),
        ((404, b"not found"), "answered 404 without the API's JSON", True),
        ((200, b'{"ok": tr'), "answered 200 without the API's JSON", True),
        ((200, b"[]"), "answered 200 without the API's JSON", True),
        ((200, b'{"ok": true, "result": [{}]}'), "getUpdates answered no updates", True),
        ((200, b'{"ok": true, "result": 5}'), "getUpdates answered no updates", True),
        (HANG_UP, "RemoteDisconnected", True),
    ],
)
def test_a_failure_is_told(telegram: StandIn, fault: tuple[int, bytes], said: str, passes: bool) -> None:
    telegram.fail("getUpdates", fault)
    error = failure(api_of(telegram))
    assert str(error).startswith(f"Telegram at 127.0.0.1:{telegram.port}: ")
    assert said in str(error)
    assert error.passes is passes
    assert error.retry_after == (7 if fault[0] == 429 else None)


def test_a_wrong_token(telegram: StandIn) -> None:
    error = failure(Telegram(telegram.url, SecretStr("4711:other")))
    assert error.is_token
    assert not error.passes


def test_a_token_that_is_none_is_not_shown(telegram: StandIn) -> None:
    with pytest.raises(TelegramError) as raised:
        Telegram(telegram.url, SecretStr("two words\n")).me()
    assert raised.value.is_token
    assert "words" not in str(raised.value)


def test_a_server_that_is_away() -> None:
    error = failure(Telegram(f"http://127.0.0.1:{free_port()}", SecretStr(TOKEN)))
    assert "ConnectionRefusedError" in str(error)
    assert error.passes


def test_a_poll_waits_for_a_message(telegram: StandIn) -> None:
    telegram.write("hello", 5)
    (update,) = api_of(telegram).updates(None, 60)
    assert (update.chat, update.private, update.text) == (5, True, "hello")
    assert api_of(telegram).updates(update.update_id + 1, 0) == []
