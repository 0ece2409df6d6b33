"""A stand-in of Telegram's Bot API: a real HTTP server that keeps its rules of updates and confirmations.

Not here: what is written to the bot.
"""

import json
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from types import TracebackType
from typing import Any

TOKEN = "4711:AAsecretTokenOfTheTests"

#: A fault that closes the connection without an answer.
HANG_UP = (0, b"")


def refusal(status: int, description: str, **parameters: Any) -> tuple[int, bytes]:
    """An answer in the API's form that says no."""
    answer = {"ok": False, "error_code": status, "description": description, "parameters": parameters}
    return status, json.dumps(answer).encode()


class StandIn:
    """Listens while its block lasts.

    Attributes:
        said: (chat, text) of each sendMessage that was taken.
        calls: Method and arguments of each call with the right token.
        faults: Method -> answers to its next calls, before any right one.
        bot: What getMe answers.
    """

    def __init__(self) -> None:
        self.said: list[tuple[int, str]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, deque[tuple[int, bytes]]] = {}
        self.bot = {"id": 4711, "is_bot": True, "username": "wifi_test_bot"}
        self._updates: list[dict[str, Any]] = []
        self._next = 1
        self._changed = Condition()
        self._ended = False
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, content = stand_in._answer(self.path, asked)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "StandIn":
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def fail(self, method: str, *faults: tuple[int, bytes]) -> None:
        """Answer the next calls of a method so."""
        self.faults.setdefault(method, deque()).extend(faults)

    def write(self, text: str, chat: int = 42, kind: str = "private", first_name: str = "Ann") -> None:
        """Somebody writes to the bot."""
        chat_of = {"id": chat, "type": kind, "title": "a group"} if kind != "private" else {"id": chat, "type": kind}
        self.update({"message": {"chat": chat_of, "from": {"id": 7, "first_name": first_name}, "text": text}})

    def update(self, content: dict[str, Any]) -> None:
        """Anything that getUpdates gives."""
        with self._changed:
            self._updates.append({"update_id": self._next, **content})
            self._next += 1
            self._changed.notify_all()

    def begin_anew(self, number: int) -> None:
        """Number updates from here on, as after a quiet week."""
        self._next = number

    def texts(self) -> list[str]:
        """What was said since this was asked before."""
        said, self.said = self.said, []
        return [text for _, text in said]

    def _answer(self, path: str, asked: dict[str, Any]) -> tuple[int, bytes]:
        bot, method = path.strip("/").split("/")
        if bot != f"bot{TOKEN}":
            return refusal(401, "Unauthorized")
        self.calls.append((method, asked))
        if self.faults.get(method):
            return self.faults[method].popleft()
        result: Any = True
        if method == "getMe":
            result = self.bot
        elif method == "getUpdates":
            result = self._waited(asked.get("offset"), asked["timeout"])
        elif not asked["text"] or len(asked["text"].encode("utf-16-le")) > 2 * 4096:
            return refusal(400, "Bad Request: message is empty or too long")
        else:
            self.said.append((asked["chat_id"], asked["text"]))
        return 200, json.dumps({"ok": True, "result": result}).encode()

    def _waited(self, offset: int | None, seconds: int) -> list[dict[str, Any]]:
        end = time.monotonic() + seconds
        with self._changed:
            if offset is not None:
                self._updates = [one for one in self._updates if one["update_id"] >= offset]
            while not self._updates and not self._ended and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            return list(self._updates)
