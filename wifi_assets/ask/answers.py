"""What the HTTP API answers: the models that its OpenAPI page shows.

Here belongs the shape of answers. Not here: where they come from (``api.py``).
"""

from datetime import date, datetime

from pydantic import BaseModel, Field

from wifi_assets.ask.lookup import Device


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="one sentence")


class Ambiguous(Problem):
    """Several devices match."""

    names: list[str] = Field(description="the first of them, sorted; ask for one of these")


class Lookup(BaseModel):
    """A device."""

    device: Device
    newest_at: datetime = Field(description="when the lake was last seen to hold nothing newer, UTC")
    age_seconds: float = Field(description="seconds since then")


class Stat(BaseModel):
    """Frames of a day and subtype."""

    day: date = Field(description="event day, UTC")
    frame_subtype: int = Field(
        description="type x 16 + subtype, 0-63: probe request 4, beacon 8, RTS 27, CTS 28, ACK 29, null 36"
    )
    packet_count: int = Field(description="frames")
    earliest_time: datetime = Field(description="first frame, UTC")
    latest_time: datetime = Field(description="last frame, UTC")


class Stats(BaseModel):
    """A page of packet_stats, by day and subtype."""

    rows: list[Stat]
    more: bool = Field(description="whether there are rows after these: ask with a greater offset")


class Source(BaseModel):
    """A source's totals over all days."""

    source: str = Field(description="device name, else resolved address, else address")
    probes: int = Field(description="probe requests")
    earliest_probe: datetime = Field(description="first probe request, UTC")
    latest_probe: datetime = Field(description="last probe request, UTC")
    min_signal_dbm: int | None = Field(description="weakest signal, dBm")
    max_signal_dbm: int | None = Field(description="strongest signal, dBm")


class Sources(BaseModel):
    """The sources with most probe requests, or those heard last."""

    rows: list[Source]
    sources: int = Field(description="number of all sources")
    newest_at: datetime = Field(description="when the lake was last seen to hold nothing newer, UTC")


class Session(BaseModel):
    """Addresses that share a fingerprint with gaps of at most five minutes: one device, likely."""

    fingerprint: str = Field(description="md5 of the three vendor tag lists")
    oui_names: list[str] | None = Field(description="vendors of the tags (IEEE registry), sorted")
    first_probe: datetime = Field(description="first probe request, UTC")
    last_probe: datetime = Field(description="last probe request, UTC")
    session_seconds: float = Field(description="from the first probe request to the last, s")
    probe_count: int = Field(description="probe requests")
    source_address_count: int = Field(description="distinct source addresses")
    source_addresses: list[str] = Field(description="the first 100 of them, sorted")
    min_signal_dbm: int | None = Field(description="weakest signal, dBm")
    max_signal_dbm: int | None = Field(description="strongest signal, dBm")
    within_3_dbm: bool | None = Field(description="true if the signals lie within 3 dB of each other")


class Sessions(BaseModel):
    """A page of oui_fingerprint_sessions, by first probe request."""

    rows: list[Session]
    more: bool = Field(description="whether there are rows after these: ask with a greater offset")


class TableState(BaseModel):
    """A table of the lake."""

    version: int = Field(description="Delta version")
    committed_at: datetime = Field(description="when this version was committed, UTC")
    age_seconds: float = Field(description="seconds since then")


class Health(BaseModel):
    """The lake as the API sees it."""

    lake: str = Field(description="where it is")
    tables: dict[str, TableState | None] = Field(description="by name; null: never made")
    lookups_newest_at: datetime = Field(description="when the lake was last seen to hold nothing newer for lookups")
    lookups_age_seconds: float = Field(description="seconds since then; grows while the lake cannot be read")
