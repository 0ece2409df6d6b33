"""The alarms: a run failed, or nothing gets into the lake any more.

Here belongs when a person is told, and told that it is over. Not here: how a text is posted
(``resources/webhook.py``).

What was told is in the cursor. A post that fails is logged and tried again with the next tick, so that an
alarm comes late rather than never, and never twice.
"""

from datetime import UTC, datetime, timedelta
from typing import Literal, TypeVar

import dagster as dg
import msgspec
from pydantic import SecretStr

from wifi_assets.drain import TopicChangedError, pending
from wifi_assets.lake import Lake
from wifi_assets.resources.kafka import KafkaTopic, KafkaUnavailable
from wifi_assets.resources.webhook import WebhookError, post
from wifi_assets.snapshot import KAFKA
from wifi_assets.unreadable import UNREADABLE, unreadable

#: Seconds between two looks.
INTERVAL = 30
#: How far back a first look, or one after a broken cursor, goes.
_LOOK_BACK = timedelta(hours=1)
#: Runs of one look; what is more waits for the next.
_RUNS = 100

State = TypeVar("State", bound=msgspec.Struct)


class Alarm(msgspec.Struct):
    """One thing that fails.

    Attributes:
        run: Id of the first run that failed.
        why: In one line.
        stage: ``new`` (nobody knows), ``told`` (somebody does) or ``over`` (nobody knows that).
    """

    run: str
    why: str
    stage: Literal["new", "told", "over"] = "new"


class Failing(msgspec.Struct):
    """What the run alarm remembers.

    Attributes:
        after: Until when runs have been looked at.
        alarms: Step, or ``job NAME`` where none is to blame -> alarm.
    """

    after: datetime
    alarms: dict[str, Alarm] = {}


class Standing(msgspec.Struct):
    """What the stalled alarm remembers.

    Attributes:
        since: When the lake's positions were first seen as they are.
        positions: Of ``frames``, by Kafka partition, as last seen.
        told: Somebody knows.
    """

    since: datetime
    positions: list[int]
    told: bool = False


def run_failure_sensor(webhook: SecretStr, status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The alarm on failed runs of any job."""

    @dg.sensor(
        name="run_failure_sensor",
        minimum_interval_seconds=INTERVAL,
        default_status=status,
        description="Posts once when a step begins to fail, and once when it works again.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Follow the runs that ended since the last look.

        A sensor, since a run that was killed can tell nothing by itself. Not Dagster's ``run_failure_sensor``,
        which is called for each failed run and cannot remember: a target that is away for a night would raise
        an alarm every few minutes, and nobody would hear that it is back. A run that a user cancelled is no news.
        """
        known = _remembered(context, Failing) or Failing(datetime.now(UTC) - _LOOK_BACK)
        for record in context.instance.get_run_records(
            dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE], updated_after=known.after
            ),
            limit=_RUNS,
            order_by="update_timestamp",
            ascending=True,
        ):
            known.after = record.update_timestamp.replace(tzinfo=UTC)
            _follow(context.instance, record.dagster_run, known.alarms)
        if known.alarms and context.repository_def is not None:
            # Of a target that the settings name no more nothing is heard again.
            there = _subjects(context.repository_def)
            known.alarms = {subject: alarm for subject, alarm in known.alarms.items() if subject in there}
        lines = [_line(subject, alarm) for subject, alarm in known.alarms.items() if alarm.stage != "told"]
        if lines and _posted(context, webhook, "\n".join(lines)):
            known.alarms = {
                subject: msgspec.structs.replace(alarm, stage="told")
                for subject, alarm in known.alarms.items()
                if alarm.stage != "over"
            }
        context.update_cursor(msgspec.json.encode(known).decode())
        failing = ", ".join(sorted(subject for subject, alarm in known.alarms.items() if alarm.stage != "over"))
        return dg.SkipReason(f"failing: {failing}" if failing else "nothing fails")

    return sensor


def ingest_stalled_sensor(
    lake: Lake, kafka: KafkaTopic, webhook: SecretStr, patience: timedelta, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """The alarm on a lake into which nothing comes."""

    @dg.sensor(
        name="ingest_stalled_sensor",
        minimum_interval_seconds=INTERVAL,
        default_status=status,
        description=f"Posts once when the lake has taken no message for {patience}, and once when it does again.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Look whether the lake's offsets have moved.

        A sensor, since what is to be noticed is that nothing happens: no run fails while a broker is away, a
        capture is dead or the lag sensor is off. Kafka is asked only when an alarm is due, for the reason.
        """
        now = datetime.now(UTC)
        known = _remembered(context, Standing) or Standing(now, [])
        positions, problem = _positions(lake, known.positions)
        if positions != known.positions:
            moved = Standing(now, positions)
            away = _duration(now - known.since)
            if known.told and not _posted(
                context, webhook, f"wifi_assets: the lake takes messages again, after {away}"
            ):
                # Told as soon as the webhook takes it; until then the time stands still.
                moved = known
            known = moved
        stood = now - known.since
        if positions == known.positions and stood >= patience and not known.told:
            why = problem or _why(lake, kafka)
            text = f"wifi_assets: the lake has taken no message for {_duration(stood)}: {why}"
            known.told = _posted(context, webhook, text)
        context.update_cursor(msgspec.json.encode(known).decode())
        stands = f"the lake stands at {positions} for {_duration(stood)}"
        return dg.SkipReason(f"{stands}: {problem}" if problem else stands)

    return sensor


def _remembered(context: dg.SensorEvaluationContext, kind: type[State]) -> State | None:
    """The cursor's content; None if there is none that can be read."""
    if context.cursor is None:
        return None
    try:
        return msgspec.json.decode(context.cursor, type=kind)
    except msgspec.MsgspecError as error:
        context.log.warning(f"cursor not understood, it begins anew: {error}")
        return None


def _follow(instance: dg.DagsterInstance, run: dg.DagsterRun, alarms: dict[str, Alarm]) -> None:
    """Take one finished run into account."""
    worked: set[str] = set()
    if run.status == dg.DagsterRunStatus.FAILURE:
        for subject, why in _failed(instance, run).items():
            alarm = alarms.setdefault(subject, Alarm(run.run_id, why))
            if alarm.stage == "over":
                alarm.stage = "told"
    else:
        worked.add(f"job {run.job_name}")
    if alarms:
        worked |= _steps(instance, run, dg.DagsterEventType.STEP_SUCCESS)
    for subject in worked & alarms.keys():
        if alarms[subject].stage == "new":
            del alarms[subject]
        else:
            alarms[subject].stage = "over"


def _subjects(repository: dg.RepositoryDefinition) -> set[str]:
    """All that an alarm can be about: the steps of the jobs, and the jobs."""
    jobs = repository.get_all_jobs()
    return {f"job {job.name}" for job in jobs} | {step.name for job in jobs for step in job.graph.nodes}


def _failed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, str]:
    """What failed in a run, and why.

    A run that was killed or took too long has no step that failed. Its job is the last resort: the runs of all targets
    and those that a user asks for in the UI share one, so that the next good run of any would call the alarm off.
    """
    failures = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    if failures:
        return {
            str(record.event_log_entry.step_key): _cause(record.event_log_entry.dagster_event) for record in failures
        }
    done = _steps(instance, run, dg.DagsterEventType.STEP_SUCCESS)
    if cut_short := _steps(instance, run, dg.DagsterEventType.STEP_START) - done:
        return dict.fromkeys(cut_short, "the run ended before it did")
    if not_begun := _selected(instance, run) - done:
        return dict.fromkeys(not_begun, "the run ended before it began")
    return {f"job {run.job_name}": "no step failed, but the run did"}


def _steps(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.DagsterEventType) -> set[str]:
    """Steps of which the run reported this."""
    records = instance.get_records_for_run(run.run_id, of_type=event).records
    return {str(record.event_log_entry.step_key) for record in records}


def _selected(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    """Steps that make what the run was asked for; none for a run of a whole job."""
    if not run.asset_selection or run.execution_plan_snapshot_id is None:
        return set()
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    makes = {made.properties.asset_key: step.key for step in plan.steps for made in step.outputs if made.properties}
    # Not the assets' names: one step may make two, and only a step is ever seen to work again.
    return {makes[asset] for asset in run.asset_selection if asset in makes}


def _cause(event: dg.DagsterEvent | None) -> str:
    """Why a step failed: the sentence of the innermost error."""
    failure = event.step_failure_data if event is not None else None
    if failure is not None and failure.user_failure_data is not None and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error if failure is not None else None
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip().splitlines()[0] if error is not None and error.message.strip() else "unknown"


def _line(subject: str, alarm: Alarm) -> str:
    if alarm.stage == "over":
        return f"wifi_assets: {subject} works again"
    return f"wifi_assets: {subject} fails: {alarm.why} (run {alarm.run[:8]})"


def _posted(context: dg.SensorEvaluationContext, webhook: SecretStr, text: str) -> bool:
    """Post; a webhook that fails is a line in the log and nothing more."""
    try:
        post(webhook, text)
    except WebhookError as error:
        context.log.warning(f"{error}. Not told yet: {text}")
        return False
    return True


def _positions(lake: Lake, known: list[int]) -> tuple[list[int], str | None]:
    """Where the lake stands, and why it takes nothing if it is away: then it stands where it was last seen."""
    try:
        frames = lake.look("frames")
        positions = frames.positions(KAFKA) if frames is not None else []
    except UNREADABLE as error:
        return known, unreadable(lake, error)
    if known and not positions:
        return known, f"the lake at {lake.url} is gone or empty; look at its disk"
    return positions, None


def _why(lake: Lake, kafka: KafkaTopic) -> str:
    try:
        waiting = sum(pending(lake, kafka)[1])
    except (KafkaUnavailable, TopicChangedError) as error:
        return str(error)
    except UNREADABLE as error:
        return unreadable(lake, error)
    if waiting:
        return f"{waiting:,} messages wait on topic {kafka.topic}; look at the runs of job lake and at kafka_lag_sensor"
    return f"topic {kafka.topic} has none that wait; look at the capture"


def _duration(time: timedelta) -> str:
    return str(timedelta(seconds=round(time.total_seconds())))
