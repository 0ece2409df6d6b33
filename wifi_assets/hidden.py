"""The lake's one way of hiding rows: the mode and key that it was begun with; rows hidden otherwise are refused.

Here belongs what stands between the parser and a commit of ``frames`` or ``devices``. Not here: what is replaced by
what (``frames/privacy.py``).
"""

from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from wifi_assets.frames.message import Reason
from wifi_assets.frames.privacy import CLEAR, Mode, Privacy
from wifi_assets.lake import Lake, LakeError, overtaken

#: Property of the table ``frames``.
_PRIVACY = "wifi_assets.privacy"
#: Refusals whose whole detail is a quotation of the message.
_QUOTING = pa.array([str(Reason.DUPLICATE_KEY), str(Reason.TIMESTAMP_OUT_OF_RANGE)])


class PrivacyChangedError(LakeError):
    """The lake was begun with other settings of privacy."""


def claim(lake: Lake, privacy: Privacy) -> None:
    """Make sure that the lake holds rows hidden in this way only; a new lake remembers it. Call before any commit.

    Raises:
        PrivacyChangedError: It was begun otherwise.
        OvertakenError: Another run began it meanwhile.
    """
    stored = _mark(lake)
    if stored is None and privacy.on and not _holds_rows(lake):
        with overtaken("frames"):
            lake.open("frames").delta.alter.set_table_properties({_PRIVACY: privacy.mark}, raise_if_not_exists=False)
        return
    # Without the property it is clear text.
    _check(lake, stored or CLEAR.mark, privacy)


def read_mode(lake: Lake, privacy: Privacy) -> Mode:
    """How the lake hides addresses, for a reader, whose settings may hide nothing or must be those of the lake.

    Raises:
        PrivacyChangedError: The settings would make other pseudonyms than the lake has.
    """
    stored = _mark(lake) or CLEAR.mark
    if privacy.on and stored != CLEAR.mark:
        _check(lake, stored, privacy)
    return next(mode for mode in get_args(Mode) if stored.split(",")[0] == mode)


def _check(lake: Lake, stored: str, privacy: Privacy) -> None:
    if stored != privacy.mark:
        raise PrivacyChangedError(
            f"lake {lake.url} was begun with pseudonyms: {stored}; the settings now say: {privacy.mark}; rows of both "
            "would make two devices of each: put WIFI_PSEUDONYMS, WIFI_HASH_SSIDS and WIFI_PSEUDONYM_KEY back, or set "
            "WIFI_LAKE to a new folder, drain the topic into it, and delete the old one"
        )


def hide(lake: Lake, privacy: Privacy, frames: pa.Table, refused: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Parsed messages as they may be stored, by the devices that the lake knows now."""
    known = pa.array([], pa.string())
    if privacy.hash_ssids:
        devices = lake.open("devices").rows().to_table(columns=["mac", "is_guest"])
        known = devices.filter(pc.equal(devices["is_guest"], False))["mac"].combine_chunks()
    return privacy.frames(frames, known), _without_quotes(refused) if privacy.on else refused


def _without_quotes(refused: pa.Table) -> pa.Table:
    """The refusals without key and value, and with a detail that quotes nothing of the message.

    What cannot be read can't be hidden in parts. Its position tells where the topic has the message.
    """
    # Of a value out of range the field's name, from our own list, stays.
    fields = pc.replace_substring_regex(refused["detail"], "(?s):.*", "")
    detail = pc.if_else(pc.equal(refused["reason"], str(Reason.OUT_OF_RANGE)), fields, refused["detail"])
    detail = pc.if_else(pc.is_in(refused["reason"], _QUOTING), "", detail)
    nothing = pa.nulls(len(refused), pa.binary())
    for name, values in {"key": nothing, "value": nothing, "detail": detail}.items():
        place = refused.schema.get_field_index(name)
        refused = refused.set_column(place, refused.field(place), values)
    return refused


def _mark(lake: Lake) -> str | None:
    frames = lake.look("frames")
    return frames.delta.metadata().configuration.get(_PRIVACY) if frames is not None else None


def _holds_rows(lake: Lake) -> bool:
    """Whether anything was ever stored."""
    return lake.topic() is not None or any(lake.open(name).version > 0 for name in ("devices", "device_names"))
