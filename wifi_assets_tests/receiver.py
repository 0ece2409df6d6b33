"""A real HTTP server that takes what a webhook is sent.

Not here: what is sent.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType


class Receiver:
    """Listens while its block lasts.

    Attributes:
        status: Answered from now on.
        body: Answered with it.
        texts: Texts taken, with status 200 alone.
        paths: Of all requests.
        types: Content types of all requests.
    """

    def __init__(self) -> None:
        self.status = 200
        self.body = "ok"
        self.texts: list[str] = []
        self.paths: list[str] = []
        self.types: list[str | None] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.paths.append(self.path)
                receiver.types.append(self.headers["Content-Type"])
                if receiver.status == 200:
                    receiver.texts.append(json.loads(content)["text"])
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(receiver.body.encode())

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Receiver":
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
