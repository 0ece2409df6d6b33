"""Devices from the UniFi controller's MongoDB: reading them, and telling that they changed.

Here belongs all that speaks to the MongoDB server. Not here: what a row is (``frames/devices.py``).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

from bson import json_util
from bson.errors import BSONError
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.uri_parser import parse_uri

from wifi_assets.frames.devices import COLLECTIONS, FIELDS, Document, content_hash, devices_table, newest_changes
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.resources.devices import BSON, DeviceSourceError, Snapshot

_DATABASE = "ace"
_NOT_AUTHORIZED = 13
_LOGIN_REFUSED = (18, 8000)  # 8000 is what Atlas says
# Dropping the database makes events without a collection.
_OURS = [
    {
        "$match": {
            "$or": [
                {"ns.coll": {"$in": [name.removeprefix("ace.") for name in COLLECTIONS]}},
                {"operationType": {"$in": ["dropDatabase", "invalidate"]}},
            ]
        }
    }
]
# The driver would wait half a minute for a server that is not there. The URL's own options come first.
_PATIENCE: dict[str, Any] = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 15_000,
}


@dataclass(frozen=True)
class MongoDevices:
    """``ace.device`` and ``ace.user`` of a MongoDB server (4.4 or newer) as a ``DeviceSource``.

    Attributes:
        url: ``mongodb://user:password@host:port/?authSource=…`` with any option of MongoDB's URLs.
        privacy: What is hidden of the devices as they are read.
    """

    url: SecretStr
    privacy: Privacy = CLEAR

    def changed(self, token: str | None) -> tuple[bool, str]:
        """As ``DeviceSource.changed``.

        A change stream tells that nothing happened, without reading. Where something did, where the
        token is too old, and where the server has no change streams, the rows' hash tells whether it
        matters: the controller writes ``last_seen`` all the time, which no row holds.
        """
        resume, content = _parsed(token)
        with self._database() as ace:
            now, quiet = _look(ace, resume)
            seen = (content or "") if quiet else content_hash(devices_table(_documents(ace), privacy=self.privacy))
        return seen != content, _token(now, seen)

    def read(self) -> Snapshot:
        """As ``DeviceSource.read``; what changes meanwhile is a change after this snapshot."""
        with self._database() as ace:
            now, _ = _look(ace, None)
            documents = list(_documents(ace))
        fates: Counter[tuple[str, str]] = Counter()
        table = devices_table(documents, fates, self.privacy)
        origin = f"MongoDB at {_Url.parse(self.url).servers}"
        return Snapshot(table, fates, newest_changes(documents), origin, _token(now, content_hash(table)), self.privacy)

    @contextmanager
    def _database(self) -> Iterator[Database[dict[str, Any]]]:
        # `from None`: the driver's errors quote parts of the URL, which a traceback would show.
        url = _Url.parse(self.url)
        try:
            client = MongoClient[dict[str, Any]](
                self.url.get_secret_value(),
                appname="wifi_assets",
                **{name: value for name, value in _PATIENCE.items() if name.lower() not in url.options},
            )
        except (PyMongoError, ValueError, OSError) as error:
            raise DeviceSourceError(f"WIFI_MONGO_URL ({url.servers}): {url.words(error)}") from None
        with client:
            try:
                yield client.get_database(_DATABASE, codec_options=BSON)
            except (PyMongoError, BSONError) as error:
                raise DeviceSourceError(f"MongoDB at {url.servers} (WIFI_MONGO_URL) {url.cause(error)}") from None


@dataclass(frozen=True)
class _Url:
    """What of the setting may be shown, and what not."""

    servers: str
    user: str | None
    options: frozenset[str]
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, url: SecretStr) -> "_Url":
        try:
            parts = parse_uri(url.get_secret_value(), warn=False)
        except ConfigurationError as error:  # of mongodb+srv: the name server's answer
            if isinstance(error, InvalidURI):
                raise _no_url() from None
            raise DeviceSourceError(f"WIFI_MONGO_URL: {error}") from None
        except ValueError:
            raise _no_url() from None
        except OSError as error:  # a file that an option names
            raise DeviceSourceError(f"WIFI_MONGO_URL: {error}") from None
        servers = ",".join(f"{host}:{port}" if port else host for host, port in parts["nodelist"])
        passwords = filter(None, (parts["password"], parts["options"].get("tlscertificatekeyfilepassword")))
        secrets = tuple(form for word in passwords for form in (word, quote(word), quote_plus(word)))
        options = frozenset(name.lower() for name in parts["options"])
        return cls(parts["fqdn"] or servers, parts["username"], options, secrets)

    def words(self, error: Exception) -> str:
        """The driver's words, without the passwords."""
        text = str(error).partition(", full error:")[0]
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def cause(self, error: Exception) -> str:
        who = f"user {self.user}" if self.user else "a client without login"
        words = self.words(error)
        code = error.code if isinstance(error, OperationFailure) else None
        if isinstance(error, ConfigurationError) and "wire version" in words:
            return (
                "is older than 4.4, the oldest that the driver speaks with: export ace.device and ace.user "
                "with mongoexport or mongodump and name the files in WIFI_DEVICES_PATH instead"
            )
        if code in _LOGIN_REFUSED:
            return f"refused the login of {who}: wrong user, password or authSource"
        if code == _NOT_AUTHORIZED:
            return f"does not let {who} read {' and '.join(COLLECTIONS)}: it takes the role read on {_DATABASE}"
        if isinstance(error, ServerSelectionTimeoutError):
            # Behind that stands the same once more, with the driver's inner state.
            reason = words.partition(" (configured")[0].partition(", Timeout:")[0]
            return f"gave no usable answer: {reason}"
        return f"failed: {words}"


def _no_url() -> DeviceSourceError:
    # Without the driver's words: where the URL is torn, nobody knows which part is the password.
    return DeviceSourceError(
        "WIFI_MONGO_URL is no MongoDB URL: expected is mongodb://user:password@host:port/?option=value with "
        "user and password percent-encoded and options that MongoDB knows"
    )


def _documents(ace: Database[dict[str, Any]]) -> Iterator[Document]:
    for name in COLLECTIONS:
        for fields in ace[name.removeprefix("ace.")].find({}, projection=FIELDS):
            yield Document(name, fields)


def _look(ace: Database[dict[str, Any]], resume: Mapping[str, Any] | None) -> tuple[Mapping[str, Any] | None, bool]:
    """Where the change stream stands now, None without one, and whether nothing happened since ``resume``.

    Servers without change streams refuse them with different codes (40573 a standalone, 238, 9, 59 or
    none others), and so do those whose user may read but not watch (13); a token that is too old (286),
    or that another server made, is refused with yet others. All of them mean the same: read and compare.
    """
    for start in [resume, None] if resume is not None else [None]:
        try:
            # start_after, since it also goes on behind a dropped database. A new stream's standing comes
            # with its first answer, whatever that holds.
            with ace.watch(_OURS, start_after=start, max_await_time_ms=500 if start else 1) as stream:
                event = stream.try_next()
                if event is None or start is None:
                    return stream.resume_token, start is not None
        except OperationFailure as error:
            if error.code in _LOGIN_REFUSED:
                raise
    return None, False


def _token(resume: Mapping[str, Any] | None, content: str) -> str:
    return json_util.dumps({"resume": resume, "content": content})


def _parsed(token: str | None) -> tuple[Mapping[str, Any] | None, str | None]:
    """Resume token and content hash; None for what is not there or is broken."""
    try:
        values = json_util.loads(token or "")
    except (ValueError, TypeError, BSONError):
        return None, None
    if not isinstance(values, dict) or not isinstance(values.get("content"), str):
        return None, None
    resume = values.get("resume")
    return (resume if isinstance(resume, dict) else None), values["content"]
