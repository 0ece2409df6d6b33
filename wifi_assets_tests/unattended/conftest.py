"""One platform for all tests of this folder, with its sensors on; each test has days of its own.

What a test rebuilds was heard before it begins, all of it in one run: a test that has to send first costs four runs.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pymongo
import pytest

from wifi_assets.from_settings import lake_of
from wifi_assets_tests.assets.targets import target_on
from wifi_assets_tests.processes import running, until
from wifi_assets_tests.receiver import Receiver
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import settings_of, topic_with
from wifi_assets_tests.unattended.platform import HEARD, Platform, sent

#: Days of partitions before today.
DAYS = 40


@pytest.fixture(scope="package")
def platform(
    kafka: Server, mongo: Server, postgres: Server, neo4j: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    """Everything runs; ``HEARD`` is in all targets, and the router's device is called ``attic``."""
    folder = tmp_path_factory.mktemp("platform")
    topic = topic_with(kafka, partitions=2)
    with (
        pymongo.MongoClient(f"mongodb://127.0.0.1:{mongo.port}") as client,
        target_on("postgres", postgres, folder) as database,
        target_on("neo4j", neo4j, folder) as graph,
        Receiver() as webhook,
    ):
        client.drop_database("ace")
        settings = settings_of(
            topic,
            folder / "lake",
            first_day=datetime.now(UTC).date() - timedelta(days=DAYS),
            mongo_url=f"mongodb://127.0.0.1:{mongo.port}",
            webhook_url=webhook.url,
            lag_seconds=2,
            sensors_on=True,
            **database.settings,
            **graph.settings,
        )
        with running(folder / "dagster", settings, "wifi_assets_tests.unattended.shortened") as dagster:
            platform = Platform(
                settings,
                dagster,
                topic,
                lake_of(settings),
                kafka,
                mongo,
                postgres,
                webhook,
                {"postgres": database, "neo4j": graph},
            )
            platform.name_device("attic")
            until(lambda: platform.lake.exists("devices") and platform.count("devices"))
            sent(platform, [platform.day(number) for number in HEARD])
            platform.settled()
            yield platform
        client.drop_database("ace")
