"""Days from the command line: ``dagster asset materialize``, whose function ``dg launch --assets`` calls as well."""

import subprocess

import pytest

from wifi_assets_tests.processes import BIN
from wifi_assets_tests.unattended.platform import LAKE, Platform

#: Many runs, each a process of its own, on a machine that may be busy.
pytestmark = pytest.mark.timeout(3600)

MODULE = "wifi_assets.definitions"


def materialise(platform: Platform, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [BIN / "dagster", "asset", "materialize", "-m", MODULE, *options]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=platform.dagster.home, env=platform.dagster.env
    )


def test_a_day_and_a_range_by_command_and_the_targets_follow(platform: Platform) -> None:
    days = [platform.day(number) for number in range(32, 35)]
    before = {run.run_id for run in platform.dagster.runs()}
    one = materialise(platform, "--select", "probes+", "--partition", str(days[0]))
    assert one.returncode == 0, one.stderr[-3000:]
    many = materialise(platform, "--select", ",".join(LAKE), "--partition-range", f"{days[0]}...{days[-1]}")
    assert many.returncode == 0, many.stderr[-3000:]
    platform.settled()
    started = [run for run in platform.runs_since(before) if "dagster/sensor_name" not in run.tags]
    assert len(started) == 2
    assert all(run.is_success for run in started)
    for asset in LAKE:
        assert {str(day) for day in days} <= platform.materialised(asset), asset


def test_a_day_that_is_none_ends_with_its_name(platform: Platform) -> None:
    done = materialise(platform, "--select", "frames", "--partition", str(platform.day(-1)))
    assert done.returncode != 0
    assert str(platform.day(-1)) in done.stderr
