"""The parts of the platform that the settings name.

Here belongs how a setting becomes a part. Not here: what the settings mean (``settings.py``), the targets
(``assets/sinks.py``).
"""

from wifi_assets.frames.message import Rules
from wifi_assets.frames.privacy import Privacy
from wifi_assets.lake import Lake
from wifi_assets.resources.device_files import DeviceFiles
from wifi_assets.resources.devices import DeviceSource
from wifi_assets.resources.kafka import KafkaTopic
from wifi_assets.resources.mongo import MongoDevices
from wifi_assets.settings import Settings


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
