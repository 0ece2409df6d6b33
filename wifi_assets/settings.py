"""Every setting of wifi_assets: its name, its default, its environment variable.

Here belongs whatever a user may set. Not here: constants that a rule or a measurement fixed; they
stand beside the code that uses them.
"""

import re
from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict
from pydantic_settings.sources import PydanticBaseSettingsSource

from wifi_assets.frames.privacy import Mode
from wifi_assets.schemas import TABLES

#: Octets of a key from which on nobody tries all of them.
_KEY_OCTETS = 16
#: What a bearer token may consist of (RFC 6750, 2.1), and from which length on nobody guesses it.
_TOKEN = re.compile(r"[\w.~+/-]{16,}=*", re.ASCII)
_PREFIX = "WIFI_"
#: A URL that pages and logs show, so one with user and password is refused.
_ShownUrl = Annotated[str, Field(pattern=r"^https?://[^@\s]+$")]
#: How like a setting's a name must be to be meant for it; other programs have variables that begin with WIFI_ too.
_ALIKE = 0.75


class MisspeltError(ValueError):
    """A variable is none of the settings, and is named nearly like one: ignored, it would do harm silently."""


def _listed(value: object) -> object:
    """The parts of a text with commas."""
    return [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_names(given: Iterable[str], known: Iterable[str]) -> None:
    settings = [name.upper() for name in known]
    for name in sorted(name.upper() for name in given):
        bare = name.removeprefix(_PREFIX)
        if bare != name and bare not in settings and (alike := get_close_matches(bare, settings, cutoff=_ALIKE)):
            meant = " or ".join(_PREFIX + one for one in alike)
            raise MisspeltError(f"{name} is no setting; is {meant} meant?")


class Settings(BaseSettings):
    """The settings, read from ``WIFI_…`` environment variables and a ``.env`` file.

    A sink whose URL is None is not in the asset graph. URLs may hold a password, so they are
    ``SecretStr``: their text appears in no log, no metadata and no error.
    """

    # A value that is refused may be a secret in the wrong place.
    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        # Compose passes on a variable that its user left empty.
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The usual ones.

        Raises:
            MisspeltError: A variable has a name that is nearly a setting's.
        """
        named = (one for one in (env_settings, dotenv_settings) if isinstance(one, EnvSettingsSource))
        _check_names((name for one in named for name in one.env_vars), settings_cls.model_fields)
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    kafka_bootstrap: str = Field("127.0.0.1:9092", description="host:port of one or more brokers, comma separated")
    kafka_topic: str = Field("pcap", description="topic of decoded frames, one frame a message")
    kafka_config: dict[str, Any] = Field(
        default_factory=dict,
        repr=False,
        description='any librdkafka setting as JSON, e.g. {"security.protocol": "SASL_SSL", "sasl.password": "…"}',
    )
    kafka_group: str = Field("wifi_assets", description="consumer group; only shows lag, progress is in the lake")

    lake: str = Field("data/lake", description="folder or object-store URL of the Delta tables")
    lake_options: dict[str, str] = Field(
        default_factory=dict, repr=False, description="object-store options as JSON (keys, region, endpoint)"
    )
    first_day: date = Field(date(2000, 1, 1), description="first day partition (UTC); older frames are quarantined")
    batch: int = Field(100_000, ge=1, description="messages of one drain commit")
    ssid_encoding: Annotated[str, Field(pattern="^(auto|hex|text)$")] = Field(
        "auto",
        description="how wlan_ssid is written: hex (tshark 3 and later), text (tshark 2), auto tells by the subtype",
    )

    keep: dict[str, int] = Field(
        default_factory=dict,
        description='days before today that a table keeps, as JSON: {"frames": 30, "probes": 90}; the others keep all',
    )

    pseudonyms: Mode = Field(
        "none",
        description="addresses stored as keyed hashes: device (vendor part stays) or all; none: as they were heard",
    )
    hash_ssids: bool = Field(False, description="store SSIDs that unknown devices look for as keyed hashes")
    pseudonym_key: SecretStr | None = Field(
        None,
        validate_default=True,
        description=f"key of the hashes, at least {_KEY_OCTETS} bytes; keep it apart from the lake",
    )

    devices_path: Path | None = Field(
        None, description="folder or file with ace.device and ace.user as mongoexport or mongodump wrote them"
    )
    mongo_url: SecretStr | None = Field(None, description="mongodb://… of the UniFi controller's database")

    sql_url: SecretStr | None = Field(None, description="SQLAlchemy URL, postgresql+psycopg://… or sqlite:///…")
    elasticsearch_url: SecretStr | None = Field(None, description="http(s)://user:password@host:9200")
    elasticsearch_api_key: SecretStr | None = Field(None, description="API key, instead of user and password")
    elasticsearch_ca: Path | None = Field(None, description="PEM file of the CA that signed the server's certificate")
    neo4j_url: SecretStr | None = Field(None, description="neo4j://host:7687, bolt://…, neo4j+s://…")
    neo4j_user: str = Field("neo4j", description="user name")
    neo4j_password: SecretStr | None = Field(None, description="password")
    neo4j_ca: Path | None = Field(None, description="PEM file of the CA that signed the server's certificate")

    lag_seconds: int = Field(
        30,
        ge=1,
        description="seconds between two looks whether messages wait; fewer: fresher tables, but more runs and events",
    )
    kibana_url: _ShownUrl | None = Field(
        None,
        description="where Kibana is in a browser, http(s)://host:5601, without user; the targets' assets link to it",
    )
    neo4j_browser_url: _ShownUrl | None = Field(
        None, description="where Neo4j Browser is, http(s)://host:7474/browser, without user"
    )

    telegram_url: _ShownUrl = Field(
        "https://api.telegram.org", description="base URL of Telegram's Bot API, or of a server of one's own"
    )
    telegram_token: SecretStr | None = Field(None, description="token of the bot, from @BotFather")
    telegram_chats: Annotated[tuple[int, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="numbers of the chats that may ask the bot and are told, comma separated"
    )
    bot_absent_minutes: int = Field(
        30, ge=1, description="minutes without a probe request after which a watched device is absent"
    )

    api_token: SecretStr | None = Field(
        None, description="token that the HTTP API asks for; None: it asks for none, and answers this machine alone"
    )

    sensors_on: bool = Field(False, description="start the sensors and the schedules by themselves")
    keep_runs_days: int = Field(
        7, ge=1, description="days for which Dagster's runs and events are kept; those that a day's state rests on stay"
    )
    relabel_days: int = Field(
        0, ge=0, description="days, with today, whose probe requests are relabelled when a device changed; 0: none"
    )
    webhook_url: SecretStr | None = Field(
        None, description='URL that takes {"text": …}: Slack, or Telegram\'s …/sendMessage?chat_id=…; None: no alarms'
    )
    stalled_minutes: int = Field(
        15, ge=1, description="minutes without a new message in the lake after which the alarm is raised"
    )
    quarantine_share: float = Field(
        0.01, ge=0, le=1, description="share of refused messages in a day from which on the check warns"
    )

    @field_validator("keep")
    @classmethod
    def _check_keep(cls, keep: dict[str, int]) -> dict[str, int]:
        """Tables that have days, and a number of them."""
        have = [name for name, table in TABLES.items() if table.partitioned]
        for name, days in keep.items():
            if name not in have:
                parts = TABLES[name].upstream if name in TABLES else None
                why = f"has no days of its own; it holds what {parts} holds" if parts else "is no table that has days"
                raise PydanticCustomError(
                    "no_days", "{name} {why}; name some of {have}", {"name": name, "why": why, "have": ", ".join(have)}
                )
            if days < 1:
                raise PydanticCustomError("too_few", "{name} keeps at least 1 day", {"name": name})
        return keep

    @field_validator("pseudonym_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """A key where one is needed."""
        asked = [f"WIFI_PSEUDONYMS={info.data.get('pseudonyms')}"] * (info.data.get("pseudonyms") in ("device", "all"))
        asked += ["WIFI_HASH_SSIDS"] * bool(info.data.get("hash_ssids"))
        if key is None and asked:
            raise PydanticCustomError(
                "no_key", f"{' and '.join(asked)} needs a key of at least {_KEY_OCTETS} bytes: openssl rand -hex 32"
            )
        if key is not None and len(key.get_secret_value().encode()) < _KEY_OCTETS:
            raise PydanticCustomError("short_key", f"a key has at least {_KEY_OCTETS} bytes: openssl rand -hex 32")
        return key

    @field_validator("api_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        """A token that a header can carry."""
        if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
            raise PydanticCustomError(
                "bad_token", "a token has 16 letters, digits or -._~+/ at least: openssl rand -hex 32"
            )
        return token
