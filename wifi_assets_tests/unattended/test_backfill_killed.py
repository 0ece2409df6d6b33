"""A backfill whose processes are killed half way: it is started again and ends as if nothing had been."""

import os
import signal

import dagster as dg
import pytest
import sqlalchemy as sa

from wifi_assets_tests.processes import until
from wifi_assets_tests.unattended.platform import FRAMES, LAKE, Platform, on, sent

#: Many runs, each a process of its own, on a machine that may be busy.
pytestmark = pytest.mark.timeout(3600)


def half_way(platform: Platform, backfill: str) -> dg.DagsterRun:
    """Wait until the run of a backfill has done a part, and hold it there; the run."""
    (run,) = until(lambda: platform.dagster.runs(tags={"dagster/backfill": backfill}))
    until(lambda: "frames" in platform.dagster.steps(run), every=0.05)
    until(lambda: held(platform, run), every=0)
    return run


def held(platform: Platform, run: dg.DagsterRun) -> bool:
    """Whether the run's process was stopped at a moment at which it did not lock Dagster's database."""
    process = platform.dagster.process_of(run)
    os.kill(process, signal.SIGSTOP)
    try:
        platform.dagster.steps(run)
        platform.dagster.runs(run_ids=[run.run_id])
    except sa.exc.OperationalError:
        os.kill(process, signal.SIGCONT)
        return False
    return True


def test_the_run_and_the_daemon_killed_and_started_again(platform: Platform) -> None:
    days = [platform.day(number) for number in range(24, 28)]
    green = {asset: platform.materialised(asset) for asset in LAKE}
    backfill = platform.dagster.backfill(LAKE, days)
    run = half_way(platform, backfill)
    platform.dagster.kill_daemon()
    os.kill(platform.dagster.process_of(run), signal.SIGKILL)
    platform.dagster.start_daemon()
    assert platform.dagster.backfill_ended(backfill) == "COMPLETED_FAILED"
    (run,) = platform.dagster.runs(run_ids=[run.run_id])
    assert run.status == dg.DagsterRunStatus.FAILURE
    # What it had replaced, the sensors have brought into all that stands on it: nothing is stale until the next try.
    platform.settled()

    again = platform.dagster.reexecute_backfill(backfill)
    assert platform.dagster.backfill_ended(again) == "COMPLETED_SUCCESS"
    platform.settled()
    assert [platform.count("frames", on(day)) for day in days] == [FRAMES] * len(days)
    for asset in LAKE:
        assert green[asset] | {str(day) for day in days} <= platform.materialised(asset), asset


def test_the_daemon_alone_killed_under_a_run(platform: Platform) -> None:
    day = platform.day(29)
    backfill = platform.dagster.backfill(LAKE, [day])
    run = half_way(platform, backfill)
    platform.dagster.kill_daemon()
    (run,) = platform.dagster.runs(run_ids=[run.run_id])
    assert not run.is_finished
    os.kill(platform.dagster.process_of(run), signal.SIGCONT)
    # The run is no process of the daemon's.
    until(lambda: platform.dagster.runs(dg.DagsterRunStatus.SUCCESS, run_ids=[run.run_id]))
    sent(platform, [platform.day(30)])
    platform.dagster.start_daemon()
    assert platform.dagster.backfill_ended(backfill) == "COMPLETED_SUCCESS"
    assert len(platform.dagster.runs(tags={"dagster/backfill": backfill})) == 1
    until(lambda: platform.count("frames", on(platform.day(30))) == FRAMES)
    platform.settled()
