"""An Elasticsearch server: how to reach it from the settings, and in words why it refused.

Here belongs the address, login, TLS and the errors. Not here: what is written or read
(``elasticsearch.py``).
"""

import re
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import elasticsearch
from pydantic import SecretStr

from wifi_assets.resources.errors import SinkError

#: How long the first answer may take, s; a server that is away must not hold up a run.
GREETING_SECONDS = 10.0
#: How long any other answer may take, s; a bulk request on a busy server takes its time.
ANSWER_SECONDS = 120.0


class ElasticsearchServer:
    """One Elasticsearch server and the login to it.

    Args:
        url: ``http(s)://[user:password@]host[:port][/path]``, user and password percent-encoded.
        api_key: API key as Kibana shows it (base64), instead of user and password.
        ca: PEM file of the CA that signed the server's certificate; None for the system's CAs.

    Raises:
        SinkError: A setting is wrong. Nothing connects before ``client``.
    """

    def __init__(self, url: SecretStr, api_key: SecretStr | None = None, ca: Path | None = None) -> None:
        try:
            parts = urlsplit(url.get_secret_value())
            port = parts.port or 9200
        except ValueError:
            # Its own words may quote what stands where a port should: a password with a bare slash.
            raise SinkError(
                "WIFI_ELASTICSEARCH_URL is no URL, or its port is no number from 0 to 65535; "
                "in user and password write / as %2F, @ as %40, # as %23"
            ) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SinkError("WIFI_ELASTICSEARCH_URL names no server; write http://host:9200 or https://…")
        if api_key is not None and parts.username is not None:
            raise SinkError(
                "WIFI_ELASTICSEARCH_API_KEY is set and WIFI_ELASTICSEARCH_URL holds a user; give one of them"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.address = f"{host}:{port}"
        self._login = "no login is set"
        self._options: dict[str, Any] = {"hosts": f"{parts.scheme}://{self.address}{parts.path.rstrip('/')}"}
        if api_key is not None:
            if not re.fullmatch(r"[A-Za-z0-9+/=_-]+", api_key.get_secret_value()):
                raise SinkError("WIFI_ELASTICSEARCH_API_KEY is no API key; give the base64 text of id:key")
            self._options["api_key"] = api_key.get_secret_value()
            self._login = "check WIFI_ELASTICSEARCH_API_KEY"
        elif parts.username is not None:
            # Encoded here, since the client takes ASCII only, and else quotes the password in its error.
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._options["basic_auth"] = b64encode(login.encode()).decode()
            self._login = "check the user and password in WIFI_ELASTICSEARCH_URL"
        if parts.scheme == "https":
            try:
                self._options["ssl_context"] = ssl.create_default_context(cafile=ca)
            except OSError as error:
                raise SinkError(f"WIFI_ELASTICSEARCH_CA: {ca} is no readable PEM file of certificates") from error
        elif ca is not None:
            raise SinkError(
                "WIFI_ELASTICSEARCH_CA is set, but http:// checks no certificate; "
                "write https:// in WIFI_ELASTICSEARCH_URL"
            )

    @contextmanager
    def client(self) -> Iterator[elasticsearch.Elasticsearch]:
        """A client that has reached the server.

        Yields:
            The client; it closes with the block.

        Raises:
            SinkError: In place of each of the client's errors within the block.
        """
        try:
            with elasticsearch.Elasticsearch(
                request_timeout=ANSWER_SECONDS,
                # Not 429: the bulk helper waits before it sends again, the transport would not.
                retry_on_status=(502, 503, 504),
                **self._options,
            ) as client:
                client.options(request_timeout=GREETING_SECONDS, max_retries=0).info()
                yield client
        except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
            raise self.error(self._cause(error)) from error

    def error(self, cause: str) -> SinkError:
        """The error that says ``cause`` of this server."""
        return SinkError(f"Elasticsearch at {self.address}: {cause}")

    def _cause(self, error: elasticsearch.ApiError | elasticsearch.TransportError) -> str:
        if isinstance(error, elasticsearch.TransportError):
            return self._unreachable(error)
        if isinstance(error, elasticsearch.UnsupportedProductError):
            return "does not answer as an Elasticsearch does; check WIFI_ELASTICSEARCH_URL"
        said = f"{error.status_code} {describe(error.body)}"
        kind = error.error if isinstance(error.body, dict) else ""
        if kind == "cluster_block_exception":
            return f"its writes are blocked ({said}); free its disk or lift the block, then run again"
        if error.status_code == 401:
            return f"refuses the login (401); {self._login}"
        if error.status_code == 403:
            return f"the login may not do this ({said}); {self._login}"
        if error.status_code == 429:
            return f"is overloaded and refused all attempts ({said}); run again later or give it more memory"
        return f"refused ({said})"

    def _unreachable(self, error: elasticsearch.TransportError) -> str:
        said = one_line(str(error.message))
        untrusted = re.search(r"certificate verify failed: (.*?) \(_ssl", said)
        if untrusted:
            return (
                f"its certificate is not trusted ({untrusted[1]}); "
                "check WIFI_ELASTICSEARCH_CA and the host name in WIFI_ELASTICSEARCH_URL"
            )
        if isinstance(error, elasticsearch.SSLError):
            return f"does not answer TLS ({said}); check http or https in WIFI_ELASTICSEARCH_URL"
        return f"cannot be reached or went away ({said}); check that it runs, and WIFI_ELASTICSEARCH_URL"


def describe(body: Any) -> str:
    """Type and reason of an error, with its innermost cause, as the server words them.

    Args:
        body: The whole answer, or the ``error`` of one item of a bulk answer.
    """
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return one_line(str(error))
    words = f"{error.get('type')}: {error.get('reason')}"
    while isinstance(error.get("caused_by"), dict):
        error = error["caused_by"]
        words += f", caused by {error.get('type')}: {error.get('reason')}"
    return one_line(words)


def one_line(text: str) -> str:
    """The text on one line, shortened, and with what does not print escaped: it may quote an SSID."""
    line = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return line if len(line) <= 500 else line[:500] + "…"
