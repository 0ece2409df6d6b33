"""Questions, watches and restarts, over real HTTP and a real lake."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wifi_assets.bot.api import TelegramError
from wifi_assets.bot.state import StateError, load
from wifi_assets.frames.privacy import Privacy
from wifi_assets_tests.ask.conftest import ASGARD, household
from wifi_assets_tests.bot.conftest import Air, Running, mac
from wifi_assets_tests.bot.telegram import HANG_UP, StandIn, refusal

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Start = Callable[..., Running]


def minutes(count: int) -> datetime:
    return NOON + timedelta(minutes=count)


@pytest.fixture
def phone(air: Air) -> Air:
    air.devices(a01="phone", a02="tablet")
    air.hear(("a01", NOON), ("a02", NOON))
    return air


@pytest.fixture
def watching(phone: Air, telegram: StandIn, start: Start) -> Running:
    """A bot that watches the phone, of which it knows noon."""
    running = start()
    telegram.write("/watch phone")
    running.turn()
    assert len(telegram.texts()) == 1
    return running


@pytest.mark.parametrize(
    "asked", ["when was phone last seen?", "When was PHONE seen", "/seen phone", "phone", " DCA6.3200.0001 ", "pho"]
)
def test_when_it_was_last_seen(phone: Air, telegram: StandIn, start: Start, asked: str) -> None:
    telegram.write(asked)
    start().turn()
    (said,) = telegram.texts()
    assert said.startswith("phone was last seen 2026-03-01 12:00:00 UTC, ")
    assert said.endswith(" ago.")


def test_an_address_is_asked_for_as_it_is_in_the_air(telegram: StandIn, tmp_path: Path) -> None:
    privacy = Privacy("all", secret=b"a key of 16 or more")
    lake = household(tmp_path, privacy)
    telegram.write(f"/who {ASGARD.upper()}")
    Running(telegram, lake, tmp_path / "bot.json", frozenset({42}), privacy).turn()
    (said,) = telegram.texts()
    assert said.startswith("Asgard03: known, Espressif, hidden by pseudonyms\n")
    assert f"  {privacy.pseudonym(ASGARD)}" in said


def test_who_it_is(phone: Air, telegram: StandIn, start: Start) -> None:
    telegram.write("/who@wifi_test_bot tablet")
    start().turn()
    (said,) = telegram.texts()
    assert said.startswith("tablet: known, ")
    assert f"  {mac('a02')}" in said
    assert "Looks for the networks (1):\n  home" in said


def test_several_nobody_and_no_name(phone: Air, telegram: StandIn, start: Start) -> None:
    for asked in ("e", "stranger", "/seen", "/start"):
        telegram.write(asked)
    start().turn()
    several, nobody, whom, help_ = telegram.texts()
    assert several == "2 match. Which?\n  phone\n  tablet"
    assert nobody == "No device and no address that was heard matches 'stranger'."
    assert whom == "Say whom: /seen followed by a name or an address."
    assert "/unwatch X" in help_


def test_two_commands_in_one_poll_are_answered_once_and_in_order(phone: Air, telegram: StandIn, start: Start) -> None:
    running = start()
    telegram.write("/seen phone")
    telegram.write("/watching")
    running.turn()
    assert [text[:10] for text in telegram.texts()] == ["phone was ", "This chat "]
    running.turn()
    start().turn()
    assert telegram.texts() == []


def test_a_group_is_answered_only_where_it_asks(phone: Air, telegram: StandIn, start: Start) -> None:
    for text in ("phone", "/seen@another_bot phone", "when was phone last seen?"):
        telegram.write(text, -5, "supergroup")
    start(-5).turn()
    assert [chat for chat, _ in telegram.said] == [-5]


def test_a_stranger_gets_no_answer_and_is_logged_once(phone: Air, telegram: StandIn, start: Start) -> None:
    running = start()
    telegram.write("phone", 666, first_name="E\x1b[31mve")
    telegram.write("/watch phone", 666)
    running.turn()
    assert telegram.texts() == []
    (line,) = running.log
    assert line.startswith(
        "chat 666 (E\\x1b[31mve) wrote and got no answer; to allow it add 666 to WIFI_TELEGRAM_CHATS"
    )


def test_updates_that_are_no_text_are_confirmed(phone: Air, telegram: StandIn, start: Start) -> None:
    running = start()
    telegram.update({"poll": {"id": "1"}})
    telegram.update({"message": {"chat": {"id": 42, "type": "private"}, "sticker": {}}})
    running.turn()
    telegram.write("phone \ud800")
    running.turn()
    assert telegram.texts()[0].endswith(" matches 'phone ?'.")
    assert running.bot.read(0) == []


def test_numbers_that_begin_anew_after_a_quiet_week(phone: Air, telegram: StandIn, start: Start) -> None:
    running = start()
    telegram.begin_anew(1_000_000)
    telegram.write("phone")
    running.turn()
    running.turn()
    telegram.begin_anew(5)
    telegram.write("tablet")
    start().turn()
    assert [text[:6] for text in telegram.texts()] == ["phone ", "tablet"]


def test_another_bot_does_not_go_on_with_the_offset(phone: Air, telegram: StandIn, start: Start) -> None:
    running = start()
    telegram.begin_anew(1_000)
    telegram.write("phone")
    running.turn()
    telegram.bot["id"] = 4712
    telegram.begin_anew(1)
    running = start()
    assert "offset" not in _offset_of_next_poll(telegram, running)


def _offset_of_next_poll(telegram: StandIn, running: Running) -> dict[str, object]:
    running.bot.read(0)
    return telegram.calls[-1][1]


def test_it_appears_after_it_was_absent(phone: Air, telegram: StandIn, watching: Running) -> None:
    phone.hear(("a01", minutes(29)), ("a02", minutes(60)))
    watching.turn()
    assert telegram.texts() == []
    phone.hear(("a01", minutes(59)))
    watching.turn()
    (said,) = telegram.texts()
    assert said.startswith("phone appeared 2026-03-01 12:59:00 UTC, ")
    assert said.endswith(" Before that it was last seen 2026-03-01 12:29:00 UTC, 30 minutes earlier.")
    watching.turn()
    assert telegram.texts() == []


def test_it_is_told_once_over_restarts(phone: Air, telegram: StandIn, watching: Running, start: Start) -> None:
    phone.hear(("a01", minutes(60)))
    for _ in range(3):
        start().turn()
    assert len(telegram.texts()) == 1


def test_one_that_was_there_all_the_time_did_not_appear_while_the_bot_was_away(
    phone: Air, telegram: StandIn, watching: Running, start: Start
) -> None:
    phone.hear(*(("a01", minutes(count)) for count in range(20, 400, 20)))
    start().turn()
    assert telegram.texts() == []


def test_what_happened_while_the_bot_was_away_is_told(
    phone: Air, telegram: StandIn, watching: Running, start: Start
) -> None:
    phone.hear(*(("a01", minutes(count)) for count in (60, 70, 80)))
    phone.hear(("a02", minutes(1440)))
    start().turn()
    (said,) = telegram.texts()
    assert said.startswith("phone appeared 2026-03-01 13:00:00 UTC")


def test_a_late_frame_of_the_past_raises_no_alarm(phone: Air, telegram: StandIn, watching: Running) -> None:
    phone.hear(("a02", minutes(600)))
    watching.turn()
    phone.hear(("a01", minutes(300)))
    watching.turn()
    phone.hear(("a01", minutes(-300)))
    watching.turn()
    assert telegram.texts() == []
    phone.hear(("a01", minutes(580)))
    watching.turn()
    assert len(telegram.texts()) == 1


def test_a_message_that_was_not_taken_is_said_after_a_restart(
    phone: Air, telegram: StandIn, watching: Running, start: Start
) -> None:
    phone.hear(("a01", minutes(60)))
    telegram.fail("sendMessage", HANG_UP)
    with pytest.raises(TelegramError, match="sendMessage: "):
        watching.turn()
    assert telegram.texts() == []
    start().turn()
    start().turn()
    assert len(telegram.texts()) == 1


def test_a_chat_that_refuses_does_not_hold_up_the_others(phone: Air, telegram: StandIn, start: Start) -> None:
    running = start()
    telegram.write("phone")
    telegram.write("tablet")
    telegram.fail("sendMessage", refusal(403, "Forbidden: bot was blocked by the user"))
    running.turn()
    assert [text[:6] for text in telegram.texts()] == ["tablet"]
    assert "chat 42 was not told: " in running.log[0]
    assert "403 Forbidden: bot was blocked by the user" in running.log[0]


def test_a_watch_ends_and_is_listed(phone: Air, telegram: StandIn, watching: Running) -> None:
    for text in ("/watching", "/unwatch Phone", "/unwatch phone", "/watching"):
        telegram.write(text)
    watching.turn()
    listed, ended, none, empty = telegram.texts()
    assert listed == "This chat watches:\n  phone"
    assert ended == "phone is no longer watched in this chat."
    assert none.startswith("This chat does not watch phone.")
    assert empty.startswith("This chat watches nothing.")
    phone.hear(("a01", minutes(60)))
    watching.turn()
    assert telegram.texts() == []


def test_an_address_may_be_watched_before_it_is_heard(air: Air, telegram: StandIn, start: Start) -> None:
    running = start()
    telegram.write("phone")
    telegram.write(f"/watch {mac('a09').upper()}")
    running.turn()
    assert [text[:6] for text in telegram.texts()] == ["No dev", "dc:a6:"]
    air.hear(("a09", NOON))
    running.turn()
    (said,) = telegram.texts()
    assert said.endswith("It was never heard before.")


def test_a_name_that_is_only_alike_is_not_the_watched_one(phone: Air, telegram: StandIn, watching: Running) -> None:
    phone.devices(a02="phone of Bob")
    phone.hear(("a02", minutes(60)))
    watching.turn()
    assert telegram.texts() == []


def test_hostile_names_are_plain_text(air: Air, telegram: StandIn, start: Start) -> None:
    air.devices(a01="<b>x</b> *y*\n/watch z\u202e\x00")
    air.hear(("a01", NOON), ssid="\\x1b[31m https://example.com @all")
    telegram.write(f"/who {mac('a01')}")
    start().turn()
    (said,) = telegram.texts()
    assert said.startswith("<b>x</b> *y*\\x0a/watch z\\xe2\\x80\\xae\\x00: known")
    sent = telegram.calls[-1][1]
    assert "parse_mode" not in sent
    assert sent["link_preview_options"] == {"is_disabled": True}


def test_a_long_answer_is_cut_at_a_line(air: Air, telegram: StandIn, start: Start) -> None:
    air.devices(a01="phone")
    air.hear(("a01", NOON))
    air.devices(**{f"a{number:02x}": "\U0001f4f1" * 90 + f"{number}" for number in range(60)})
    telegram.write("\U0001f4f1")
    start().turn()
    (said,) = telegram.texts()
    assert said.startswith("60 match. Which?\n")
    assert said.endswith(" lines more")
    assert len(said.encode("utf-16-le")) <= 2 * 4096


def test_a_lake_that_cannot_be_read_is_said_once(phone: Air, telegram: StandIn, start: Start, tmp_path: Path) -> None:
    log = tmp_path / "lake" / "devices" / "_delta_log"
    for entry in log.iterdir():
        entry.write_text("{")
    running = start()
    telegram.write("phone")
    running.turn()
    running.turn()
    assert telegram.texts() == ["I cannot read the lake at the moment; my log says why. Ask again later."]
    assert len(running.log) == 1
    assert "cannot be read" in running.log[0]


def test_the_state_is_the_owners_alone_and_whole(watching: Running, tmp_path: Path) -> None:
    path = tmp_path / "state" / "bot.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["bot.json"]
    assert json.loads(path.read_text())["watched"] == {"42": {"phone": "2026-03-01T12:00:00Z"}}


def test_a_damaged_state_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "bot.json"
    path.write_text('{"offset": 1')
    with pytest.raises(StateError, match="is no state of the bot: repair it, or delete it"):
        load(path)
    assert path.read_text() == '{"offset": 1'
