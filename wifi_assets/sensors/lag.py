"""``kafka_lag_sensor``: messages wait, or a table is behind its upstream, so the lake runs.

Here belongs that decision. Not here: the drain (``drain.py``), which alone knows and moves offsets.
"""

from datetime import UTC, date, datetime

import dagster as dg

from wifi_assets.assets.following import FollowConfig
from wifi_assets.drain import TopicChangedError, pending
from wifi_assets.lake import Lake
from wifi_assets.resources.kafka import KafkaTopic, KafkaUnavailable
from wifi_assets.schemas import TABLES
from wifi_assets.sensors.history import failed_days, hold_back, newest_days, under_way
from wifi_assets.steps import behind
from wifi_assets.unreadable import UNREADABLE, unreadable

#: A tick brings what is new; it does not compute whole days anew, as a user's run over days does.
NEW_ONLY = dg.RunConfig(ops={name: FollowConfig(rebuild=False) for name, table in TABLES.items() if table.upstream})


def kafka_lag_sensor(
    lake: Lake, kafka: KafkaTopic, first_day: date, interval: int, status: dg.DefaultSensorStatus
) -> dg.SensorDefinition:
    """The sensor on the topic's watermarks; ``interval`` is the seconds between two looks."""

    @dg.sensor(
        name="kafka_lag_sensor",
        job_name="lake",
        minimum_interval_seconds=interval,
        default_status=status,
        description="Asks for one run of job lake when messages wait on the topic, or a table is behind another.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Compare the topic's high watermarks with the lake's offsets, and its tables with each other.

        A sensor, since messages come when they come: a schedule would run for nothing or late, and no Dagster
        asset says that Kafka holds more. It reads no message and keeps no cursor: how far the lake has come is
        in the lake. No ``run_key``: equal offsets may have to be asked for again, after a failed run.

        The run is over today, and over the days that failed runs of this sensor were to bring up to date. Other days
        that late frames touch, yesterday after midnight above all, it reports by itself: over two days it would leave
        half as many events again in Dagster's history (*measured*).
        """
        now = datetime.now(UTC)
        try:
            state, waiting = pending(lake, kafka)
        except KafkaUnavailable as error:
            return dg.SkipReason(str(error))
        except TopicChangedError as error:
            # Each run would end with the same sentence; a user has to decide.
            return dg.SkipReason(f"{error}. Nothing is asked for until then")
        except UNREADABLE as error:
            return dg.SkipReason(unreadable(lake, error))
        lag = f"{sum(waiting):,} messages wait (by partition: {waiting})"
        if not sum(waiting):
            # A user materialised one table of many, or a run was killed between two.
            try:
                late = behind(lake)
            except UNREADABLE as error:
                # The run will say so, and that it failed is told.
                late = [unreadable(lake, error)]
            if not late:
                return dg.SkipReason(f"nothing waits: topic {kafka.topic} ends at {state.high}, so does the lake")
            lag = f"tables are behind their upstream: {', '.join(late)}"
            # What works now, a backfill of years even, may be bringing them there.
            if (reason := under_way(context.instance)) is not None:
                return dg.SkipReason(f"{lag}, but {reason}")
        if (reason := hold_back(context.instance, ["lake"], now)) is not None:
            return dg.SkipReason(f"{lag}, but {reason}")
        context.log.info(lag)
        # What the last runs were to bring a day up to and did not: else it stayed failed after midnight.
        since = min(failed_days(context.instance, ["lake"]), default=now.date())
        days = (now.date() - since).days + 1
        return dg.RunRequest(job_name="lake", run_config=NEW_ONLY, tags=newest_days(days, first_day, now))

    return sensor
