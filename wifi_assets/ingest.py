"""One run of the whole lake until it has caught up, without Dagster.

Here belongs the order of the steps. Not here: the steps, and what is printed (``cli.py``).
"""

from collections.abc import Callable
from datetime import UTC, datetime

from wifi_assets.drain import Drained, drain
from wifi_assets.engine import engine
from wifi_assets.frames.devices import renamed
from wifi_assets.frames.message import Rules
from wifi_assets.frames.privacy import Privacy
from wifi_assets.hidden import claim
from wifi_assets.lake import Lake
from wifi_assets.resources.device_files import DeviceFiles
from wifi_assets.resources.devices import DeviceSource, check_not_wiped
from wifi_assets.resources.kafka import KafkaTopic
from wifi_assets.resources.mongo import MongoDevices
from wifi_assets.schemas import TABLES
from wifi_assets.settings import Settings
from wifi_assets.steps import Done, catch_up, repeat_when_overtaken


def lake_of(settings: Settings) -> Lake:
    """The lake that the settings name."""
    return Lake(settings.lake, settings.lake_options)


def topic_of(settings: Settings) -> KafkaTopic:
    """The topic that the settings name."""
    return KafkaTopic(settings.kafka_bootstrap, settings.kafka_topic, settings.kafka_config, settings.kafka_group)


def rules_of(settings: Settings) -> Rules:
    """The user's part of what a message means."""
    return Rules(settings.first_day, settings.ssid_encoding, privacy_of(settings))


def privacy_of(settings: Settings) -> Privacy:
    """What is hidden; its ``pseudonym`` gives what the lake has in place of an address."""
    key = settings.pseudonym_key
    secret = key.get_secret_value().encode() if key is not None else b""
    return Privacy(settings.pseudonyms, settings.hash_ssids, secret)


def devices_of(settings: Settings) -> DeviceSource | None:
    """Where the devices come from: MongoDB before files; None if neither is set."""
    if settings.mongo_url is not None:
        return MongoDevices(settings.mongo_url, privacy_of(settings))
    if settings.devices_path is not None:
        return DeviceFiles(settings.devices_path, privacy_of(settings))
    return None


def store_devices(lake: Lake, source: DeviceSource | None, *, allow_empty: bool = False) -> Done:
    """Replace the table ``devices`` by what the source holds now; nothing if it holds the same.

    Raises:
        DeviceSourceError: The source cannot be read, or a collection that had devices is empty.
        PrivacyChangedError: The lake hides its rows otherwise.
    """
    done = Done()
    if source is None:
        return done
    snapshot = source.read()

    def replace() -> None:
        claim(lake, snapshot.privacy)
        own = lake.open("devices")
        stored = own.rows().to_table()
        if stored.sort_by("mac").equals(snapshot.table.select(stored.column_names).sort_by("mac")):
            return
        check_not_wiped(stored, snapshot, allow_empty)
        lake.replace(own, snapshot.table, None, {})
        done.add(len(snapshot.table), ())

    repeat_when_overtaken(replace)
    repeat_when_overtaken(lambda: _follow_names(lake))
    return done


def _follow_names(lake: Lake) -> None:
    """Bring ``device_names`` to what ``devices`` holds now."""
    own, devices = lake.open("device_names"), lake.open("devices")
    seen = own.upstream_version("devices")
    if seen == devices.version:
        return
    with engine() as run:
        # By its own account: the version of devices that it saw may be gone.
        run.view("device_names", own.rows())
        old = run.query(
            """SELECT mac, arg_max_null(new_name, "at") AS name FROM device_names
            GROUP BY mac HAVING arg_max(event, "at") <> 'vanished'"""
        )
        newest = run.query('SELECT max("at") AS "at" FROM device_names')["at"][0].as_py()
    at = datetime.now(UTC)
    if newest is not None:
        # The clock may have been set back, and the newest event is the one that counts.
        at = max(at, newest + newest.resolution)
    events = renamed(old, devices.rows().to_table(), at)
    lake.append(own, events, {}, {"devices": devices.version})


def ingest(
    settings: Settings,
    *,
    accept_loss: bool = False,
    progress: Callable[[str, int, int], None] = lambda table, done, total: None,
) -> tuple[Drained, dict[str, Done]]:
    """Drain the topic and bring every table up to date.

    Returns:
        What the drain did, and what each table's step did.
    """
    lake, topic = lake_of(settings), topic_of(settings)
    # A broker that is down ends the run before anything is written.
    topic.look()
    steps = {"devices": store_devices(lake, devices_of(settings))}
    drained = drain(
        lake,
        topic,
        rules_of(settings),
        settings.batch,
        accept_loss=accept_loss,
        progress=lambda done, total: progress("frames", done, total),
    )
    followers = [name for name, table in TABLES.items() if table.upstream]
    for number, name in enumerate(followers, 1):
        steps[name] = catch_up(lake, name)
        progress(name, number, len(followers))
    return drained, steps
