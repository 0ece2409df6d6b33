"""Jobs for the tests of what starts runs: two that end by themselves, one that waits to be ended.

Here belongs only that; the tests are in ``test_launcher.py``.
"""

import os
import time

import dagster as dg

from wifi_assets.launcher import NICE


@dg.op
def work() -> dg.Output[None]:
    """Say in which process, and how far it gives way."""
    return dg.Output(None, metadata={"parent": os.getppid(), "nice": os.nice(0)})


@dg.op
def wait() -> None:
    """Longer than any test does."""
    time.sleep(3600)


@dg.job(executor_def=dg.in_process_executor)
def working() -> None:
    """Ends."""
    work()


@dg.job(executor_def=dg.in_process_executor, tags={NICE: "7"})
def giving_way() -> None:
    """Ends, after the others."""
    work()


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    """Ends only when it is ended."""
    wait()


defs = dg.Definitions(jobs=[working, giving_way, waiting])
