"""One sensor for each target: its lake tables changed, so its assets run.

Here belong the sensors. Not here: the condition that they evaluate, and what a target is given
(``assets/sinks.py``).
"""

import zlib
from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.errors import DagsterError
from dagster._daemon.asset_daemon import asset_daemon_cursor_from_instigator_serialized_cursor as read_cursor
from dagster_shared.serdes.errors import DeserializationError

from wifi_assets.assets.sinks import PATIENT
from wifi_assets.connections import kept_instance

#: Seconds between two evaluations: each turn of Dagster's sensor loop, which takes 5 s. With 5 a turn that comes a
#: few milliseconds early would be left out, and a target be fresh 5 s later.
INTERVAL = 4


class TargetSensor(dg.AutomationConditionSensorDefinition):
    """Dagster's own, with two differences.

    That one fails with each tick, for ever, on a cursor that it cannot read: a broken one, or one that a newer Dagster
    left. This one begins anew, with a first evaluation, which asks for each asset once. And it keeps the connections
    with which it asks Dagster's database, since it asks every few seconds.
    """

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> SensorExecutionData:
        """As Dagster's."""
        if context.instance_ref is not None:
            context._instance = kept_instance(context.instance_ref)
        try:
            read_cursor(context.cursor, None)
        except (DagsterError, DeserializationError, ValueError, zlib.error) as error:
            context.log.warning(f"cursor not understood, it begins anew: {error}")
            context = dg.build_sensor_context(
                context.instance, repository_def=context.repository_def, sensor_name=self.name
            )
        return super().evaluate_tick(context)


def sink_sensors(targets: Sequence[str], status: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    """A sensor a target, so that one can be paused alone: it evaluates the condition on its assets.

    Sensors, not part of the lake job: a target that is down must stop neither ingestion nor the other targets.
    Evaluated where the code runs, as the other sensors are.
    """
    return [
        TargetSensor(
            name=f"sink_{target}_sensor",
            target=dg.AssetSelection.groups(f"sink_{target}"),
            minimum_interval_seconds=INTERVAL,
            default_status=status,
            use_user_code_server=True,
            run_tags=PATIENT,
            description=f"Asks for a run of {target}'s assets when their tables changed, late days included.",
        )
        for target in targets
    ]
