"""When things run: one module for each thing that is watched.

A sensor only looks and asks for runs. None reads a message, none remembers what was done: that is in the
lake, in the targets and in Dagster's history of runs, so that a lost or broken cursor costs nothing.
"""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from wifi_assets.lake import Lake
from wifi_assets.resources.devices import DeviceSource
from wifi_assets.resources.kafka import KafkaTopic
from wifi_assets.sensors.alarms import ingest_stalled_sensor, run_failure_sensor
from wifi_assets.sensors.devices import unifi_devices_sensor
from wifi_assets.sensors.lag import kafka_lag_sensor
from wifi_assets.sensors.sinks import sink_sensors
from wifi_assets.settings import Settings


def build(
    settings: Settings, lake: Lake, kafka: KafkaTopic, source: DeviceSource | None, targets: Sequence[str]
) -> list[dg.SensorDefinition]:
    """The sensors of these settings; without a source of devices or a webhook theirs are not among them."""
    status = dg.DefaultSensorStatus.RUNNING if settings.sensors_on else dg.DefaultSensorStatus.STOPPED
    sensors = [kafka_lag_sensor(lake, kafka, settings.first_day, settings.lag_seconds, status)]
    if source is not None:
        sensors.append(unifi_devices_sensor(lake, source, settings.first_day, settings.relabel_days, status))
    sensors += sink_sensors(targets, status)
    if settings.webhook_url is not None:
        sensors.append(run_failure_sensor(settings.webhook_url, status))
        sensors.append(
            ingest_stalled_sensor(
                lake, kafka, settings.webhook_url, timedelta(minutes=settings.stalled_minutes), status
            )
        )
    return sensors
