"""Devices from files that ``mongoexport`` or ``mongodump`` wrote of the controller's database ``ace``.

Here belongs how those files are found and decoded. Not here: what a row is (``frames/devices.py``).
"""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from bson import json_util
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError

from wifi_assets.frames.devices import COLLECTIONS, Document, content_hash, devices_table, newest_changes
from wifi_assets.frames.privacy import CLEAR, Privacy
from wifi_assets.resources.devices import BSON, DeviceSourceError, Snapshot

_NAME = re.compile(r"(?:ace\.)?(device|user)\.(?:json|jsonl|bson)(?:\.gz)?")
#: Where the tools put the files, below the folder that they were given.
_FOLDERS = (".", "ace", "dump/ace")
_EXTENDED = json_util.JSONOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO)


@dataclass(frozen=True)
class DeviceFiles:
    """Exported files as a ``DeviceSource``.

    Attributes:
        path: A file of one collection, or a folder with one file of each: ``ace.device.json``,
            ``device.json`` (``mongoexport``: a document a line, ``--jsonArray``, ``--pretty``),
            ``device.bson``, ``dump/ace/device.bson.gz`` (``mongodump``), and the same with ``user``.
        privacy: What is hidden of the devices as they are read.
    """

    path: Path
    privacy: Privacy = CLEAR

    def changed(self, token: str | None) -> tuple[bool, str]:
        """As ``DeviceSource.changed``; the token is the content's hash, so the files are read."""
        seen = self.read().token
        return seen != token, seen

    def read(self) -> Snapshot:
        """As ``DeviceSource.read``; a collection without a file has no documents."""
        fates: Counter[tuple[str, str]] = Counter()
        files = self._files()
        documents = [Document(name, fields) for name, file in files.items() for fields in _documents(file)]
        table = devices_table(documents, fates, self.privacy)
        origin = ", ".join(str(file) for file in files.values())
        return Snapshot(table, fates, newest_changes(documents), origin, content_hash(table), self.privacy)

    def _files(self) -> dict[str, Path]:
        if not self.path.exists():
            raise DeviceSourceError(f"WIFI_DEVICES_PATH: there is no {self.path}")
        if self.path.is_dir():
            candidates = sorted(file for folder in _FOLDERS for file in (self.path / folder).glob("*"))
        else:
            candidates = [self.path]
        files: dict[str, Path] = {}
        for file in candidates:
            named = _NAME.fullmatch(file.name)
            if not named:
                continue
            collection = f"ace.{named[1]}"
            if collection in files:
                raise DeviceSourceError(
                    f"WIFI_DEVICES_PATH: {files[collection]} and {file} both hold {collection}; leave one"
                )
            files[collection] = file
        if not files:
            raise DeviceSourceError(
                f"WIFI_DEVICES_PATH: {self.path} is or holds no file of {' or '.join(COLLECTIONS)}; expected "
                "are device.json or user.json as mongoexport writes them, or device.bson or user.bson as "
                "mongodump does, also with .gz, also as ace.device.json"
            )
        return files


def _documents(file: Path) -> Iterator[object]:
    try:
        reader: Any = gzip.open if file.suffix == ".gz" else open
        with reader(file, "rb") as content:
            if ".bson" in file.suffixes:
                yield from bson.decode_file_iter(content, BSON)
            else:
                data = content.read()
                # PowerShell's ">" writes UTF-16.
                yield from _json_documents(data.decode(json.detect_encoding(data)))
    except (OSError, EOFError, zlib.error, ValueError, BSONError, RecursionError) as error:
        raise DeviceSourceError(
            f"WIFI_DEVICES_PATH: {file} cannot be read as what mongoexport or mongodump writes: "
            f"{type(error).__name__}: {error}"
        ) from error


def _json_documents(text: str) -> Iterator[object]:
    decoder = json.JSONDecoder(object_hook=_extended)
    text = text.strip().removeprefix("\ufeff").lstrip()
    position = 0
    while position < len(text):
        value, position = decoder.raw_decode(text, position)
        yield from value if isinstance(value, list) else [value]
        while position < len(text) and text[position].isspace():
            position += 1


def _extended(fields: dict[str, Any]) -> object:
    """The value that extended JSON (``$oid``, ``$numberLong``, ``$date``) stands for."""
    try:
        return json_util.object_hook(fields, _EXTENDED)
    except (BSONError, TypeError, ValueError, KeyError, OverflowError):
        return fields  # it only looks like it: an object, with an object's fate
