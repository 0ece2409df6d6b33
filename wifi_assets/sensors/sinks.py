"""One sensor for each target: its lake tables changed, so its assets run.

Here belong the sensors. Not here: the condition that they evaluate, and what a target is given
(``assets/sinks.py``).
"""

from collections.abc import Sequence

import dagster as dg

#: Seconds between two evaluations: each turn of Dagster's sensor loop, which takes 5 s. With 5 a turn that comes a
#: few milliseconds early would be left out, and a target be fresh 5 s later.
INTERVAL = 4


def sink_sensors(targets: Sequence[str], status: dg.DefaultSensorStatus) -> list[dg.SensorDefinition]:
    """A sensor a target, so that one can be paused alone: it evaluates the condition on its assets.

    Sensors, not part of the lake job: a target that is down must stop neither ingestion nor the other targets.
    Evaluated where the code runs, as the other sensors are.
    """
    return [
        dg.AutomationConditionSensorDefinition(
            name=f"sink_{target}_sensor",
            target=dg.AssetSelection.groups(f"sink_{target}").without_checks(),
            minimum_interval_seconds=INTERVAL,
            default_status=status,
            use_user_code_server=True,
            description=f"Asks for a run of {target}'s assets when their tables changed, late days included.",
        )
        for target in targets
    ]
