"""The HTTP API: read only, with an OpenAPI page that needs no network.

Here belong paths, who may ask, and which status says what. Not here: the search (``lookup.py``), how lookups follow
the lake (``held.py``), rows of tables (``pages.py``), how it is served (``commands.py``).
"""

import ipaddress
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from pydantic import Field, SecretStr
from starlette.exceptions import HTTPException as AnyHTTPException

from wifi_assets.ask.answers import Ambiguous, Health, Lookup, Problem
from wifi_assets.ask.held import Held, Holder
from wifi_assets.ask.lookup import LOOKED_UP, Candidates, find, nobody
from wifi_assets.ask.pages import MissingTableError, Page, View, Window
from wifi_assets.frames.ssid import printable
from wifi_assets.lake import Lake
from wifi_assets.unreadable import UNREADABLE, unreadable

_STATS = View("packet_stats", ("day", "frame_subtype", "packet_count", "earliest_time", "latest_time"))
_SOURCES = View(
    "probe_stats_by_source_device",
    ("source", "probes", "earliest_probe", "latest_probe", "min_signal_dbm", "avg_signal_dbm", "max_signal_dbm",
     "unique_ssids", "probed_ssids", "unique_destinations", "source_addresses"),
)  # fmt: skip
_SESSIONS = View(
    "oui_fingerprint_sessions",
    ("day", "fingerprint", "oui_names", "first_probe", "last_probe", "session_seconds", "probe_count",
     "source_address_count", "source_addresses", "min_signal_dbm", "max_signal_dbm", "within_3_dbm"),
)  # fmt: skip
_ESTIMATES = View(
    "devices_estimated",
    ("day", "hour", "probe_count", "random_addresses", "fingerprints", "devices_estimated", "devices_low",
     "devices_high"),
)  # fmt: skip
_SHOWN = (_STATS, _SOURCES, _SESSIONS, _ESTIMATES)

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "No token, or another one"},
    421: {"model": Problem, "description": "Asked under a name that is not this machine's own"},
    422: {"model": Problem, "description": "A parameter is wrong"},
    503: {"model": Problem, "description": "There is no lake yet, or it cannot be read"},
}


class _Json(JSONResponse):
    """JSON in ASCII: what was heard in the air can't command the terminal of who asks with curl."""

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - as its base has it
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class _SourcesWindow(Window):
    by: Literal["probes", "latest_probe"] = Field("probes", description="what they are sorted by, greatest first")


def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, is this machine as only itself can reach it.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "127.0.0.1.example.org")]
    [True, True, True, False, False]
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def build_api(lake: Lake, holder: Holder, token: SecretStr | None) -> FastAPI:
    """The application.

    Args:
        lake: What it answers from.
        holder: Holds what lookups need; the caller keeps it fresh.
        token: Asked for on every path but the page that describes the API; None: nobody is asked.
    """
    api = FastAPIOffline(
        title="wifi_assets",
        description="Who is in the air, from the tables of the lake. Read only; times are UTC, windows half open.",
        redoc_url=None,
        responses=_PROBLEMS,
        default_response_class=_Json,
        version=version("wifi_assets"),
    )
    _tell_problems(api, lake)
    # The page that describes it is open: a browser that opens it has no token to give.
    paths = APIRouter(dependencies=[Depends(_gate(token))])

    def held() -> Held:
        held = holder.held
        if held is None:
            raise HTTPException(503, holder.problem or f"the lake at {lake.url} was not read yet")
        if not any(held.directory.versions.values()):
            raise MissingTableError(
                f"there is no lake at {lake.url} yet: run wifi-assets ingest, or set WIFI_LAKE; it is looked for again"
            )
        return held

    # Nothing in it waits, so that no thread is needed.
    @paths.get(
        "/lookup/{name_or_mac:path}",
        responses={
            404: {"model": Problem, "description": "Nothing matches"},
            409: {"model": Ambiguous, "description": "Several devices match"},
        },
    )
    async def lookup(
        name_or_mac: Annotated[
            str, Path(description="as it is, in another case, or in part; an address in any notation")
        ],
    ) -> Lookup:
        """A device by its name, a part of it, or an address in any notation."""
        now = held()
        found = find(now.directory, name_or_mac)
        if found is None:
            raise HTTPException(404, nobody(now.directory, name_or_mac))
        if isinstance(found, Candidates):
            told = f"{found.count:,} devices match '{printable(name_or_mac)}'"
            raise HTTPException(409, {"detail": told, "names": found.names})
        return Lookup(device=found, newest_at=now.newest_at, age_seconds=_since(now))

    @paths.get("/stats", response_model=Page[_STATS.row])  # type: ignore[name-defined]
    def stats(window: Annotated[Window, Query()]) -> dict[str, Any]:
        """Frames of each day and subtype, by day and subtype."""
        return _STATS.page(lake, window, "day, frame_subtype")

    @paths.get("/sources", response_model=Page[_SOURCES.row])  # type: ignore[name-defined]
    def sources(window: Annotated[_SourcesWindow, Query()]) -> dict[str, Any]:
        """The sources with most probe requests, or those heard last; the window is of their latest day."""
        return _SOURCES.page(lake, window, f"{window.by} DESC, source")

    @paths.get("/sessions", response_model=Page[_SESSIONS.row])  # type: ignore[name-defined]
    def sessions(window: Annotated[Window, Query()]) -> dict[str, Any]:
        """Sessions of addresses that share a fingerprint, by first probe request; the window is of their first day."""
        return _SESSIONS.page(lake, window, "first_probe, fingerprint")

    @paths.get("/devices_estimated", response_model=Page[_ESTIMATES.row])  # type: ignore[name-defined]
    def devices_estimated(window: Annotated[Window, Query()]) -> dict[str, Any]:
        """How many devices stand behind the random addresses of each hour, by hour."""
        return _ESTIMATES.page(lake, window, "hour")

    @paths.get("/health")
    def health() -> Health:
        """Whether the lake can be read, and how new it is."""
        now = held()
        if holder.problem is not None:
            raise HTTPException(503, holder.problem)
        names = dict.fromkeys((*LOOKED_UP, *(view.table for view in _SHOWN)))
        versions = {name: at.version if (at := lake.look(name)) else None for name in names}
        return Health(versions=versions, newest_at=now.newest_at, age_seconds=_since(now))

    api.include_router(paths)
    return api


def _gate(token: SecretStr | None) -> Callable[..., Any]:
    """Who may ask: whoever has the token; without one, whoever asks this machine by a name of its own."""
    bearer = HTTPBearer(auto_error=False, description="WIFI_API_TOKEN")

    async def with_token(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        # Octets: compare_digest refuses text beyond ASCII.
        wanted = (token.get_secret_value() if token is not None else "").encode()
        if not secrets.compare_digest((given.credentials if given else "").encode(), wanted):
            told = "give the server's WIFI_API_TOKEN as a header, Authorization: Bearer TOKEN"
            raise HTTPException(401, told, {"WWW-Authenticate": "Bearer"})

    async def by_own_name(request: Request) -> None:
        # A page in a browser of this machine could else ask by a name of its own that leads here (DNS rebinding).
        try:
            host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        except ValueError:
            host = ""
        if not is_loopback(host):
            raise HTTPException(421, "ask by 127.0.0.1, [::1] or localhost; other names need a WIFI_API_TOKEN")

    return by_own_name if token is None else with_token


def _tell_problems(api: FastAPI, lake: Lake) -> None:
    """Whatever goes wrong is told in a sentence."""

    async def wrong(_request: Request, error: RequestValidationError) -> _Json:
        told = (f"{one['loc'][-1]}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors())
        return _Json({"detail": "; ".join(told)}, 422)

    async def told(_request: Request, error: AnyHTTPException) -> _Json:
        plain = {404: "there is no such path; /docs shows which there are", 405: "the API is read only: GET"}
        detail: Any = error.detail if isinstance(error, HTTPException) else plain.get(error.status_code, error.detail)
        return _Json(detail if isinstance(detail, dict) else {"detail": detail}, error.status_code, error.headers)

    async def missing(_request: Request, error: MissingTableError) -> _Json:
        return _Json({"detail": str(error)}, 503)

    async def away(_request: Request, error: Exception) -> _Json:
        return _Json({"detail": unreadable(lake, error)}, 503)

    api.exception_handler(RequestValidationError)(wrong)
    api.exception_handler(AnyHTTPException)(told)
    api.exception_handler(MissingTableError)(missing)
    for kind in UNREADABLE:
        api.exception_handler(kind)(away)


def _since(held: Held) -> float:
    return round((datetime.now(UTC) - held.newest_at).total_seconds(), 3)
