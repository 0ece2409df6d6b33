"""A webhook that takes a line of text: Slack, Mattermost, Rocket.Chat, Telegram.

Here belongs how a text is posted and how a refusal is worded. Not here: when there is something to say
(``sensors/alarms.py``).
"""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

#: How long the answer may take, s: less than a sensor's tick may.
ANSWER_SECONDS = 10
#: What every receiver takes; Telegram refuses more than 4,096 characters.
_CHARACTERS = 4_000
#: Parts of the path from this length on may be a token.
_SECRET_LENGTH = 6


class WebhookError(RuntimeError):
    """The text was not taken; one sentence says by whom and why, without the URL's secret."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as an empty GET, and its answer would look like success."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect())


def post(url: SecretStr, text: str) -> None:
    """Post ``{"text": text}``.

    Args:
        url: ``https://hooks.slack.com/services/…`` or
            ``https://api.telegram.org/bot<token>/sendMessage?chat_id=<id>``; path and query are secret.
        text: Plain text; cut after 4,000 characters.

    Raises:
        WebhookError: The URL is none that serves, or nobody took the text.
    """
    try:
        parts = urlsplit(url.get_secret_value())
        where = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        # Its own words may quote the URL.
        raise WebhookError("WIFI_WEBHOOK_URL is no URL, or its port is no number from 0 to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise WebhookError("WIFI_WEBHOOK_URL is no http(s)://host/path without a login; copy it from the receiver")
    secrets = [piece for piece in parts.path.split("/") if len(piece) >= _SECRET_LENGTH]
    secrets += [value for _, value in parse_qsl(parts.query)]
    shown = text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 1] + "…"
    try:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            url.get_secret_value(),
            data=json.dumps({"text": shown}).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "wifi_assets"},
        )
        with _OPENER.open(request, timeout=ANSWER_SECONDS):
            return
    except urllib.error.HTTPError as error:
        with error:
            said = f"answered {error.code} {error.reason}: {error.read(300).decode(errors='replace')}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        # ValueError and HTTPException: a URL with blanks or controls, an answer that is no HTTP.
        reason = getattr(error, "reason", None) or error
        said = f"{type(reason).__name__}: {reason}"
    for secret in sorted(secrets, key=len, reverse=True):
        said = said.replace(secret, "…")
    line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    raise WebhookError(f"webhook at {where} did not take it: {line}; check WIFI_WEBHOOK_URL")
