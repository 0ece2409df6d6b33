"""Where the devices come from: the one interface of the Mongo server and of the exported files.

Here belongs what both sources and their user, the asset ``devices``, agree on. Not here: how a source
reads (``mongo.py``, ``device_files.py``) or what a row is (``frames/devices.py``).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
from bson.codec_options import CodecOptions, DatetimeConversion

from wifi_assets.frames.devices import COLLECTIONS, OLDER, ROW
from wifi_assets.frames.privacy import CLEAR, Privacy

# A name that is no UTF-8 keeps its bytes, to be shown escaped; a time out of range stays a number.
BSON: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    unicode_decode_error_handler="surrogateescape",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)


class DeviceSourceError(RuntimeError):
    """The devices could not be read; one sentence says where and why, without any secret."""


@dataclass(frozen=True)
class Snapshot:
    """All devices of a source, read in one go.

    Attributes:
        table: Rows of ``schemas.TABLES["devices"]``.
        fates: (collection, fate) -> documents, as ``frames.devices.devices_table`` counts them.
        newest: Collection -> when it was last written, as ``frames.devices.newest_changes`` tells.
        origin: Server or files, fit to be shown.
        token: What ``changed`` takes to tell whether anything changed since this snapshot.
        privacy: How the rows are hidden.
    """

    table: pa.Table
    fates: Counter[tuple[str, str]]
    newest: Mapping[str, datetime]
    origin: str
    token: str
    privacy: Privacy = CLEAR


class DeviceSource(Protocol):
    """Gives the devices."""

    def changed(self, token: str | None) -> tuple[bool, str]:
        """Look, without side effect, whether the devices differ from those at ``token``.

        Args:
            token: Opaque text: ``Snapshot.token`` or what an earlier call gave. None, or a text that is
                no token (any longer), counts as a change.

        Returns:
            Whether a ``read`` would give other rows, and the token of what was seen.

        Raises:
            DeviceSourceError: The source cannot be read.
        """
        ...

    def read(self) -> Snapshot:
        """Read all devices.

        Raises:
            DeviceSourceError: The source cannot be read.
        """
        ...


def check_not_wiped(old: pa.Table, new: Snapshot, allow: bool) -> None:
    """Refuse a snapshot in which a collection that had devices has none.

    A controller that was just set up anew, a dropped database or half an export look like that.

    Args:
        old: The table ``devices`` as it is stored.
        new: The snapshot that is to replace it.
        allow: The user said that it is right.

    Raises:
        DeviceSourceError: ``ace.device`` or ``ace.user`` gave rows before and has no usable document now.
    """
    if allow:
        return
    before = Counter(old["source"].to_pylist())
    for collection in COLLECTIONS:
        if not before[collection] or new.fates[collection, ROW] or new.fates[collection, OLDER]:
            continue
        refused = ", ".join(
            f"{count} {fate}"
            for (source, fate), count in sorted(new.fates.items())
            if source == collection and not fate.startswith("field: ")
        )
        raise DeviceSourceError(
            f"{collection} of {new.origin} {f'gives no device ({refused})' if refused else 'is empty'}, but "
            f"the table devices holds {before[collection]} from it: nothing was replaced; if that is right, "
            "materialise devices with allow_empty: true"
        )
