"""Runs as the daemon starts them: with everything imported, ended when asked, reported when something kills them."""

import os
import signal
import subprocess
from collections.abc import Iterator

import dagster as dg
import psutil
import pytest
from dagster import DagsterRunStatus

from wifi_assets.settings import Settings
from wifi_assets_tests.processes import Dagster, running, until

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    """Code server, webserver and daemon over two small jobs."""
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    with running(tmp_path_factory.mktemp("launcher") / "dagster", settings, "wifi_assets_tests.launched") as processes:
        yield processes


def launch(dagster: Dagster, job: str) -> str:
    """What the launchpad sends; the run's id."""
    told = dagster.ask(
        """mutation ($p: ExecutionParams!) {
          answer: launchRun(executionParams: $p) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
        p={
            "selector": {
                "repositoryName": "__repository__",
                "repositoryLocationName": "wifi_assets",
                "jobName": job,
            },
            "mode": "default",
        },
    )
    assert told["__typename"] == "LaunchRunSuccess", told
    return str(told["run"]["runId"])


def ended(dagster: Dagster, run_id: str) -> dg.DagsterRun:
    """The run, once it has ended."""

    def found() -> dg.DagsterRun | None:
        run = dagster.instance.get_run_by_id(run_id)
        return run if run is not None and run.is_finished else None

    return until(found)  # type: ignore[no-any-return]


def works(dagster: Dagster, run_id: str) -> bool:
    """Whether the run's step is under way."""
    return any(one.is_dagster_event and one.dagster_event.is_step_start for one in dagster.instance.all_logs(run_id))


def under_way(dagster: Dagster) -> dg.DagsterRun:
    """A run that only ends when it is ended, begun."""
    run_id = launch(dagster, "waiting")
    until(lambda: works(dagster, run_id))
    run = dagster.instance.get_run_by_id(run_id)
    assert run is not None
    return run


def said(dagster: Dagster, run_id: str) -> str:
    return "\n".join(str(one.message) for one in dagster.instance.all_logs(run_id))


def worked(dagster: Dagster, job: str) -> tuple[int, int]:
    """(Parent of the process, how far it gave way) of a run of a job that ends."""
    run = ended(dagster, launch(dagster, job))
    assert run.status == DagsterRunStatus.SUCCESS
    (output,) = [
        one.dagster_event.step_output_data
        for one in dagster.instance.all_logs(run.run_id)
        if one.is_dagster_event and one.dagster_event.is_successful_output
    ]
    return output.metadata["parent"].value, output.metadata["nice"].value


def test_runs_are_copies_of_one_process_of_the_daemon(dagster: Dagster) -> None:
    (parent,) = {worked(dagster, "working")[0] for _ in range(2)}
    assert psutil.Process(parent).ppid() == dagster.daemon.pid
    # Their events are in the instance; the terminal is not told each of them too.
    assert "STEP_START" not in (dagster.home / "daemon.log").read_text()


def test_a_run_gives_way_as_far_as_its_job_says(dagster: Dagster) -> None:
    here = psutil.Process(dagster.daemon.pid).nice()
    # Nothing gives way further than 19.
    assert [worked(dagster, job)[1] for job in ("giving_way", "working")] == [min(here + 7, 19), here]


def test_a_run_that_is_asked_to_end_ends(dagster: Dagster) -> None:
    run_id = under_way(dagster).run_id
    told = dagster.ask(
        "mutation ($id: String!) { answer: terminateRun(runId: $id) { __typename } }",
        id=run_id,
    )
    assert told["__typename"] == "TerminateRunSuccess"
    assert ended(dagster, run_id).status == DagsterRunStatus.CANCELED


def test_a_run_that_was_killed_is_a_failure_that_says_so(dagster: Dagster) -> None:
    run = under_way(dagster)
    run_id = run.run_id
    os.kill(dagster.process_of(run), signal.SIGKILL)
    assert ended(dagster, run_id).status == DagsterRunStatus.FAILURE
    assert f"The process of run {run_id} was terminated by signal 9 (SIGKILL)" in said(dagster, run_id)


def test_what_has_ended_cannot_be_ended(dagster: Dagster) -> None:
    run = ended(dagster, launch(dagster, "working"))
    assert not dagster.instance.run_launcher.terminate(run.run_id)
    assert not dagster.instance.run_launcher.terminate("no such run")
    after = dagster.instance.get_run_by_id(run.run_id)
    assert after is not None
    assert after.status == DagsterRunStatus.SUCCESS


def test_a_daemon_that_is_told_to_end_waits_for_its_runs(dagster: Dagster) -> None:
    run_id = under_way(dagster).run_id
    dagster.daemon.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        dagster.daemon.wait(15)
    assert dagster.instance.run_launcher.terminate(run_id)
    assert ended(dagster, run_id).status == DagsterRunStatus.CANCELED
    assert dagster.daemon.wait(60) == 0
    dagster.start_daemon()


def test_a_run_outlives_its_daemon(dagster: Dagster) -> None:
    run_id = under_way(dagster).run_id
    dagster.kill_daemon()
    dagster.start_daemon()
    assert ended(dagster, launch(dagster, "working")).is_success
    run = dagster.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status == DagsterRunStatus.STARTED
    assert dagster.instance.run_launcher.terminate(run_id)
    assert ended(dagster, run_id).status == DagsterRunStatus.CANCELED


def test_a_run_that_was_killed_with_its_daemon_is_a_failure_when_the_daemon_is_back(dagster: Dagster) -> None:
    run = under_way(dagster)
    run_id = run.run_id
    dagster.kill_daemon()
    os.kill(dagster.process_of(run), signal.SIGKILL)
    dagster.start_daemon()
    assert ended(dagster, run_id).status == DagsterRunStatus.FAILURE
    assert f"The process of run {run_id} is there no more" in said(dagster, run_id)
