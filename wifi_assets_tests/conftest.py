"""Fixtures for all tests: the real servers, one of each a session, started when a test first asks.

A machine that cannot start one skips the tests that need it and says why; with WIFI_TESTS_NO_SKIP=1
(as ``.ci/run`` sets) that is a failure instead.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from wifi_assets.resources.mongo import _PATIENCE
from wifi_assets_tests.services import Server, Unavailable

# What is set where the tests run is not theirs.
for _name in [name for name in os.environ if re.match("WIFI_(?!TESTS_|SERVICES_)|DAGSTER_", name)]:
    del os.environ[_name]

# A busy machine is no failure: no example has a deadline.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def start_or_skip(server: Server, *arguments: str) -> Server:
    """Start a server, or skip the test with the reason (fail where skips are forbidden)."""
    try:
        return server.start(*arguments)
    except Unavailable as reason:
        if os.environ.get("WIFI_TESTS_NO_SKIP") == "1":
            raise
        pytest.skip(str(reason))


def _session_server(name: str) -> object:
    @pytest.fixture(scope="session", name=name)
    def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
        server = Server(name, tmp_path_factory.mktemp(name) / "data")
        yield start_or_skip(server)
        server.stop()

    return serve


kafka = _session_server("kafka")
mongo = _session_server("mongo")
postgres = _session_server("postgres")
elasticsearch = _session_server("elasticsearch")
neo4j = _session_server("neo4j")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away is waited for only two seconds."""
    monkeypatch.setattr("wifi_assets.resources.kafka.ANSWER_SECONDS", 2)
    monkeypatch.setitem(_PATIENCE, "serverSelectionTimeoutMS", 2000)


CAPTURES = next(
    (
        folder
        for folder in (Path(os.environ.get("WIFI_TESTS_CAPTURES", "")), *Path(__file__).parents[2].glob("*/captures"))
        if any(folder.glob("*.oracle.csv"))
    ),
    None,
)


def pytest_report_header() -> str:
    """Say whether the real captures take part."""
    return (
        f"real captures: {CAPTURES or 'none; set WIFI_TESTS_CAPTURES to a folder of them for the tests that want them'}"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on real captures where there are none: a clone is whole without them."""
    if CAPTURES is None:
        on_captures = [item for item in items if "captures" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=on_captures)
        items[:] = [item for item in items if item not in on_captures]


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of real captures from third parties."""
    assert CAPTURES is not None
    return CAPTURES
