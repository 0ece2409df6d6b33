"""A Neo4j server: how to reach it from the settings, and in words why it did not do what it was asked.

Here belongs the address, login, TLS and the errors. Not here: what is written or read (``neo4j.py``).
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import neo4j
import neo4j.exceptions
from pydantic import SecretStr

from wifi_assets.resources.errors import SinkError

#: How long a transaction is tried again while the server is away or short of memory, s.
RETRY_SECONDS = 30.0
#: How long a connection may take, s.
CONNECT_SECONDS = 10.0


class Neo4jServer:
    """One Neo4j server and the login to it.

    Args:
        url: ``(bolt|neo4j)[+s|+ssc]://host[:port]``, without a login.
        user: User name.
        password: Password; None for a server that asks for none.
        ca: PEM file of the CA that signed the server's certificate; None for the system's CAs.

    Raises:
        SinkError: A setting is wrong. Nothing connects before ``driver``.
    """

    def __init__(self, url: SecretStr, user: str, password: SecretStr | None, ca: Path | None = None) -> None:
        self._url = url.get_secret_value()
        self._user = user
        self._options: dict[str, Any] = {}
        try:
            parts = urlsplit(self._url)
            port = parts.port or 7687
        except ValueError as error:
            raise SinkError("WIFI_NEO4J_URL is no URL, or its port is no number from 0 to 65535") from error
        base, _, tls = parts.scheme.partition("+")
        if base not in ("bolt", "neo4j") or tls not in ("", "s", "ssc") or not parts.hostname:
            raise SinkError("WIFI_NEO4J_URL names no Neo4j server; write neo4j://host:7687 or bolt+s://host:7687")
        if parts.username is not None or parts.password is not None:
            raise SinkError(
                "WIFI_NEO4J_URL holds a user or a password; they belong into WIFI_NEO4J_USER and WIFI_NEO4J_PASSWORD"
            )
        self._scheme = parts.scheme
        self.address = f"{parts.hostname}:{port}"
        if password is not None:
            self._options["auth"] = neo4j.basic_auth(user, password.get_secret_value())
        if ca is not None:
            if tls != "s":
                raise SinkError(f"WIFI_NEO4J_CA is set, but {self._scheme}:// checks no certificate; write {base}+s://")
            try:
                self._options["ssl_context"] = ssl.create_default_context(cafile=ca)
            except OSError as error:
                raise SinkError(f"WIFI_NEO4J_CA: {ca} is no readable PEM file of certificates") from error
            # The driver takes a CA only under the scheme without +s.
            self._url = base + self._url[len(self._scheme) :]

    @contextmanager
    def driver(self) -> Iterator[neo4j.Driver]:
        """A driver that has reached the server.

        Transactions by ``execute_…`` are tried again for ``RETRY_SECONDS`` while the server is away.

        Yields:
            The driver; it closes with the block.

        Raises:
            SinkError: In place of each of the driver's errors within the block.
        """
        try:
            with neo4j.GraphDatabase.driver(
                self._url,
                connection_timeout=CONNECT_SECONDS,
                connection_acquisition_timeout=2 * CONNECT_SECONDS,
                max_transaction_retry_time=RETRY_SECONDS,
                # An empty database has none of our labels yet; that is no news.
                notifications_min_severity="OFF",
                user_agent="wifi_assets",
                **self._options,
            ) as driver:
                # Fails at once: a server that is not there now is seldom there within RETRY_SECONDS.
                driver.verify_connectivity()
                yield driver
        except (neo4j.exceptions.Neo4jError, neo4j.exceptions.DriverError) as error:
            raise SinkError(f"Neo4j at {self.address}: {self._cause(error)}") from error

    def _cause(self, error: neo4j.exceptions.Neo4jError | neo4j.exceptions.DriverError) -> str:
        if isinstance(error, neo4j.exceptions.DriverError):
            return self._unreachable(error)
        code = error.code or "no code"
        text = _one_line(error.message or "")
        if isinstance(error, neo4j.exceptions.AuthError):
            return f"refuses the login of user {self._user!r} ({code}); check WIFI_NEO4J_USER and WIFI_NEO4J_PASSWORD"
        if "OutOfMemory" in code:
            return (
                f"has too little memory for a transaction ({code}); "
                "raise dbms.memory.transaction.total.max or the server's heap"
            )
        if ".Schema." in code:
            return f"what it holds stands against our uniqueness constraints; mend it there ({code}: {text})"
        return f"refused ({code}: {text})"

    def _unreachable(self, error: BaseException) -> str:
        reasons = list(_chain(error))
        for reason in reasons:
            if isinstance(reason, ssl.SSLCertVerificationError):
                return (
                    f"its certificate is not trusted ({reason.verify_message}); "
                    "check WIFI_NEO4J_CA and the host name in WIFI_NEO4J_URL"
                )
        root = f"{type(reasons[-1]).__name__}: {_one_line(str(reasons[-1]))}"
        # The driver keeps this class to itself.
        if any(type(reason).__name__ == "BoltSecurityError" for reason in reasons):
            return f"does not answer the TLS of {self._scheme}:// ({root}); check its TLS and WIFI_NEO4J_URL"
        if "incomplete handshake" in str(error):
            return f"closed {self._scheme}:// at the first word; if it takes TLS only, write bolt+s://"
        return f"cannot be reached or went away ({root}); check that it runs, and WIFI_NEO4J_URL"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inner or error.__cause__ or error.__context__


def _one_line(text: str) -> str:
    return " ".join(text.split())
