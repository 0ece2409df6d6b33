"""The API on a free port of this process, asked over real HTTP.

Not here: what is asked, and the command as a process (``test_serve.py``).
"""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import uvicorn
from pydantic import SecretStr

from wifi_assets.ask.api import build_api
from wifi_assets.ask.held import Holder
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.lake import Lake


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        headers: Lower case.
        octets: The body.
    """

    status: int
    headers: dict[str, str]
    octets: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.octets)


def get(port: int, path: str, *, method: str = "GET", **headers: str) -> Answer:
    """One request, with the path as it is given; ``headers`` by name, ``_`` for a hyphen."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
        reply = connection.getresponse()
        return Answer(reply.status, {name.lower(): text for name, text in reply.getheaders()}, reply.read())
    finally:
        connection.close()


@contextmanager
def served(lake: Lake, token: str | None = None, privacy: Privacy = CLEAR) -> Iterator[int]:
    """Serve until the block ends; gives the port."""
    holder = Holder(lake, privacy)
    holder.refresh()
    api = build_api(lake, holder, SecretStr(token) if token is not None else None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(api, access_log=False, log_level="warning"))
        thread = Thread(target=server.run, args=([listening],))
        holder.start()
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
            holder.stop()
