"""``unifi_devices_sensor``: the router's devices changed, so ``devices`` runs, and what carries their names.

Here belongs that decision. Not here: how a source tells a change (``resources/``).
"""

from datetime import UTC, date, datetime

import dagster as dg

from wifi_assets.lake import Lake
from wifi_assets.resources.devices import DeviceSource, DeviceSourceError
from wifi_assets.router import devices_stored
from wifi_assets.sensors.history import hold_back, newest_days
from wifi_assets.unreadable import UNREADABLE

#: Seconds between two looks.
INTERVAL = 30
#: The jobs that store them, whichever of them the settings name today.
_JOBS = ("refresh_devices", "relabel")


def unifi_devices_sensor(
    lake: Lake, source: DeviceSource, first_day: date, relabel_days: int, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """The sensor on the router's devices.

    Args:
        lake: Where they go.
        source: Where they come from.
        first_day: First partition.
        relabel_days: Days, with today, whose probe requests get the new names as well; 0: only those to come.
        status: Whether it starts by itself.
    """
    job = "relabel" if relabel_days else "refresh_devices"

    @dg.sensor(
        name="unifi_devices_sensor",
        job_name=job,
        minimum_interval_seconds=INTERVAL,
        default_status=status,
        description=f"Asks for a run of job {job} when the router's devices changed.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Ask the source whether its devices differ from those seen last.

        A sensor, since the change happens in the router's database, which no Dagster asset stands for. The
        cursor is the source's own token: a change stream's place or a hash. None, or one that is broken,
        counts as a change, and a run over the same devices writes nothing.
        """
        now = datetime.now(UTC)
        try:
            changed, token = source.changed(context.cursor)
        except DeviceSourceError as error:
            return dg.SkipReason(str(error))
        # A run that was not finished has not stored what the cursor says was seen, and another lake than that of the
        # last look has none of it.
        unstored = _last_unfinished(context.instance) or not _there(lake)
        if not changed and not unstored:
            context.update_cursor(token)
            return dg.SkipReason("the devices are those seen last")
        if (reason := hold_back(context.instance, _JOBS, now)) is not None:
            # The cursor stays, so that the change is found again.
            return dg.SkipReason(f"the devices changed, but {reason}")
        tags = newest_days(relabel_days, first_day, now) if relabel_days else {}
        return dg.SensorResult([dg.RunRequest(job_name=job, tags=tags)], cursor=token)

    return sensor


def _there(lake: Lake) -> bool:
    try:
        return devices_stored(lake)
    except UNREADABLE:
        # The run will say so, and that it failed is told.
        return False


def _last_unfinished(instance: dg.DagsterInstance) -> bool:
    newest = [record for job in _JOBS for record in instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)]
    last = max(newest, key=lambda record: record.storage_id, default=None)
    return last is not None and last.dagster_run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
