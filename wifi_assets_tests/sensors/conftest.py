"""What the tests of the sensors share: a topic, a lake, an instance, a daemon in small."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from wifi_assets.demo.publish import Topic
from wifi_assets.settings import Settings
from wifi_assets_tests.daemon import Daemon
from wifi_assets_tests.services import Server
from wifi_assets_tests.support import settings_of, topic_with


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def topic(kafka: Server) -> Topic:
    return topic_with(kafka, partitions=2)


@pytest.fixture
def settings(topic: Topic, tmp_path: Path) -> Settings:
    return settings_of(topic, tmp_path / "lake")


@pytest.fixture
def daemon(settings: Settings, instance: dg.DagsterInstance) -> Daemon:
    return Daemon(settings, instance)
