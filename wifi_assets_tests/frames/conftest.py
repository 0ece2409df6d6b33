"""Fixtures for the tests of messages."""

import pytest


@pytest.fixture(params=[True, False], ids=["layers", "flat"])
def layered(request: pytest.FixtureRequest) -> bool:
    """Either shape of a message."""
    return bool(request.param)
