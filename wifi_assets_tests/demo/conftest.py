"""What the tests of the demo share: one simulated day and tshark's reading of it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from wifi_assets.demo.air import Air
from wifi_assets.demo.frame import Frame
from wifi_assets.demo.pcap import write_pcap
from wifi_assets.frames.fields import TSHARK_FIELDS

#: Hours since 1970 at which 2026-03-01 begins, a Sunday.
FIRST_HOUR = 20_513 * 24
SEED = 7


@pytest.fixture(scope="session")
def day() -> list[Frame]:
    """The frames of one day as they arrive."""
    return [frame for _, frame in Air(SEED, 1100, FIRST_HOUR, 24).arrivals()]


@pytest.fixture(scope="session")
def capture(day: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same day as a capture file."""
    path = tmp_path_factory.mktemp("capture") / "day.pcap"
    assert write_pcap(path, day) == len(day)
    return path


@pytest.fixture(scope="session")
def by_tshark(capture: Path) -> list[dict[str, Any]]:
    """What tshark prints for each frame of the day."""
    tshark = shutil.which("tshark")
    if tshark is None:
        if os.environ.get("WIFI_TESTS_NO_SKIP") == "1":
            pytest.fail("tshark is not installed")
        pytest.skip("tshark is not installed")
    fields = [argument for field in TSHARK_FIELDS for argument in ("-e", field)]
    printed = subprocess.run(
        [tshark, "-r", capture, "-T", "ek", *fields], capture_output=True, check=True, timeout=120
    ).stdout
    return [json.loads(line) for line in printed.splitlines() if line and not line.startswith(b'{"index"')]
