"""The webhook against a real HTTP server: what arrives, and what is said of one that refuses."""

import socket
from collections.abc import Iterator
from threading import Thread

import pytest
from pydantic import SecretStr

from wifi_assets.resources.webhook import WebhookError, post
from wifi_assets_tests.receiver import Receiver
from wifi_assets_tests.services import free_port

SECRET = "T0000xB1111xsecret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def refusal(url: str) -> str:
    with pytest.raises(WebhookError) as raised:
        post(SecretStr(url), "hello")
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    return str(raised.value)


def test_a_text_arrives_as_slack_and_telegram_want_it(receiver: Receiver) -> None:
    post(SecretStr(f"{receiver.url}/bot{SECRET}/sendMessage?chat_id=-42"), "Łan is gone\nreally \U0001f4e1")
    assert receiver.texts == ["Łan is gone\nreally \U0001f4e1"]
    assert receiver.paths == [f"/bot{SECRET}/sendMessage?chat_id=-42"]
    assert receiver.types == ["application/json"]


def test_a_long_text_is_cut(receiver: Receiver) -> None:
    post(SecretStr(receiver.url), "x" * 10_000)
    (text,) = receiver.texts
    assert len(text) == 4000
    assert text.endswith("x…")


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
def test_a_refusal_is_told_without_the_secret(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.body = status, f'{{"description": "chat {SECRET}\nnot found"}}'
    said = refusal(f"{receiver.url}/services/{SECRET}?chat_id={SECRET}")
    assert said.startswith(f"webhook at 127.0.0.1:{receiver.port} did not take it: answered {status} ")
    assert "not found" in said
    assert "\n" not in said


def test_a_receiver_that_is_away_is_named() -> None:
    port = free_port()
    said = refusal(f"http://127.0.0.1:{port}/{SECRET}")
    assert f"webhook at 127.0.0.1:{port} did not take it: ConnectionRefusedError" in said


def test_an_answer_that_is_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(65_536)
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.close()

        thread = Thread(target=hang_up)
        thread.start()
        assert "BadStatusLine" in refusal(f"http://127.0.0.1:{port}/{SECRET}")
        thread.join()


@pytest.mark.parametrize(
    "url",
    [
        f"file:///etc/{SECRET}",
        f"ftp://host/{SECRET}",
        f"https:///{SECRET}",
        f"https://user:{SECRET}@127.0.0.1/",
        f"http://127.0.0.1:{SECRET}/",
        SECRET,
        "",
    ],
)
def test_what_is_no_url_that_serves_names_the_setting(url: str) -> None:
    assert refusal(url).startswith("WIFI_WEBHOOK_URL is no ")


def test_a_url_with_blanks_is_not_quoted() -> None:
    assert "did not take it" in refusal(f"http://127.0.0.1:1/{SECRET} {SECRET}")
