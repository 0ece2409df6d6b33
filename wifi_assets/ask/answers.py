"""What the HTTP API answers beside pages of tables: the models that its OpenAPI page shows.

Here belongs the shape of answers. Not here: where they come from (``api.py``), rows of tables (``pages.py``).
"""

from datetime import datetime

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
    age_seconds: float = Field(description="seconds since then; grows while the lake cannot be read")


class Health(BaseModel):
    """The lake as the API sees it."""

    versions: dict[str, int | None] = Field(description="Delta version of each table that is asked; null: never made")
    newest_at: datetime = Field(description="when the lake was last seen to hold nothing newer for lookups, UTC")
    age_seconds: float = Field(description="seconds since then")
