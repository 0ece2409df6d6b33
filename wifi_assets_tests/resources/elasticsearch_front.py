"""A small HTTP(S) server in front of a real Elasticsearch, which answers some requests itself.

The server core that the tests run has no security, and is never too busy when a test wants it to be.
This front asks for a login, speaks TLS, and refuses where it is told to, in the words and with the
status codes of Elasticsearch 9; everything else the real server behind it answers. Not here: tests.
"""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict]


@dataclass
class Front:
    """What the front does.

    Attributes:
        port: Its port on 127.0.0.1.
        login: The only ``Authorization`` header that it takes; None takes any.
        refuse: Given method and path, the answer in the server's stead, or None.
        requests: Method and path of each request so far.
    """

    port: int = 0
    login: str | None = None
    refuse: Callable[[str, str], Answer | None] = lambda method, path: None
    requests: list[tuple[str, str]] = field(default_factory=list)


def error(status: int, kind: str, reason: str) -> Answer:
    """An error as Elasticsearch words it."""
    cause = {"type": kind, "reason": reason}
    return status, {"error": {"root_cause": [cause]} | cause, "status": status}


@contextmanager
def front(behind: int, context: ssl.SSLContext | None = None) -> Iterator[Front]:
    """Serve in front of the server on port ``behind``, with TLS if a context is given."""
    state = Front()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One packet an answer, else each waits for the acknowledgement of its headers.
        wbufsize = -1

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.requests.append((self.command, self.path))
            answer = state.refuse(self.command, self.path)
            if state.login is not None and self.headers.get("Authorization") != state.login:
                answer = error(401, "security_exception", f"unable to authenticate for REST request [{self.path}]")
            if answer is not None:
                status, content = answer[0], json.dumps(answer[1]).encode()
                kind = self.headers.get("Accept", "application/json").split(",")[0]
            else:
                real = http.client.HTTPConnection("127.0.0.1", behind, timeout=60)
                headers = {k: self.headers[k] for k in ("Content-Type", "Accept") if k in self.headers}
                real.request(self.command, self.path, body, headers)
                reply = real.getresponse()
                status, content, kind = reply.status, reply.read(), reply.headers["Content-Type"]
                real.close()
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if self.command != "HEAD" else b"")

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            """No log: stderr is the tests'."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
