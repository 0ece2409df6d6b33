"""Jobs for the tests of what starts runs: one that ends by itself, one that waits to be ended.

Here belongs only that; the tests are in ``test_launcher.py``.
"""

import os
import time

import dagster as dg


@dg.op
def work() -> dg.Output[int]:
    """Say in which process."""
    return dg.Output(os.getppid(), metadata={"parent": os.getppid()})


@dg.op
def wait() -> None:
    """Longer than any test does."""
    time.sleep(3600)


@dg.job(executor_def=dg.in_process_executor)
def working() -> None:
    """Ends."""
    work()


@dg.job(executor_def=dg.in_process_executor)
def waiting() -> None:
    """Ends only when it is ended."""
    wait()


defs = dg.Definitions(jobs=[working, waiting])
