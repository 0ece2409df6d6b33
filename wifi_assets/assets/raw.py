"""``frames`` and ``quarantine``: the drain of the topic as assets.

Here belongs only their Dagster wiring. Not here: the drain (``drain.py``).
"""

import time
from datetime import date
from typing import Any

import dagster as dg

from wifi_assets.assets.external import topic_key
from wifi_assets.assets.metadata import (
    days_metadata,
    definition_metadata,
    draws,
    pictures,
    report_late_days,
    said_plainly,
)
from wifi_assets.drain import Drained, drain
from wifi_assets.frames.message import Rules
from wifi_assets.lake import Lake
from wifi_assets.partitions import days_of
from wifi_assets.reparse import Reparsed, reparse
from wifi_assets.resources.devices import DeviceSource
from wifi_assets.resources.kafka import KafkaTopic
from wifi_assets.router import devices_stored, store_devices
from wifi_assets.schemas import TABLES


class FramesConfig(dg.Config):
    """What a user may ask of a run of ``frames``."""

    #: Read the stored days' offsets again from Kafka with today's parser; refused if Kafka lost any of them.
    reparse: bool = False
    #: Go on after offsets were lost to retention or the topic was deleted and made again.
    accept_loss: bool = False


def build(
    lake: Lake,
    kafka: KafkaTopic,
    rules: Rules,
    batch: int,
    source: DeviceSource | None,
    days: dg.PartitionsDefinition,
) -> dg.AssetsDefinition:
    """The two assets; one step, since one drain fills both."""

    def spec(name: str) -> dg.AssetSpec:
        return dg.AssetSpec(
            name,
            deps=[topic_key(kafka.topic)] if name == "frames" else ["frames"],
            group_name="raw",
            kinds={"kafka", "deltalake"},
            owners=["team:wifi_assets"],
            description=TABLES[name].description,
            metadata=definition_metadata(name, lake.uri(name)),
        )

    @dg.multi_asset(
        name="frames",
        specs=[spec("frames"), spec("quarantine")],
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def frames(context: dg.AssetExecutionContext, config: FramesConfig) -> Any:
        """Drain what is pending; with ``reparse``, then read the asked days again from Kafka."""
        asked = days_of(context)
        drawing = draws(context, "frames", asked, rebuilt=config.reparse)
        began = time.monotonic()
        with said_plainly():
            if rules.privacy.hash_ssids and not devices_stored(lake):
                # Which SSIDs are hashed depends on the devices that are known, and what was hashed stays so.
                store_devices(lake, source)
            drained = drain(
                lake,
                kafka,
                rules,
                batch,
                accept_loss=config.accept_loss,
                progress=lambda done, total: context.log.info(f"{done:,} of {total:,} offsets"),
            )
            again = reparse(lake, kafka, rules, asked) if config.reparse else Reparsed()
        if drained.group_problem:
            context.log.warning(drained.group_problem)
        seconds = time.monotonic() - began
        touched, refused = drained.days | again.frames, drained.refused_days | again.quarantine
        told = _metadata(drained, touched, seconds, lake.open("frames").row_count())
        drawn = pictures(lake, "frames", touched | asked if config.reparse else touched) if drawing else {}
        report_late_days(context, lake, "frames", touched - asked)
        # By Kafka's clock, which may say anything.
        refused = {day for day in refused if days.has_partition_key(str(day))}
        report_late_days(context, lake, "quarantine", refused - asked)
        yield dg.MaterializeResult("frames", metadata=told | drawn)
        reasons = {f"reason: {reason}": count for reason, count in drained.reasons.items()}
        held = lake.open("quarantine").row_count()
        yield dg.MaterializeResult(
            "quarantine",
            metadata={
                "dagster/row_count": held,
                "rows": drained.quarantined,
                "days touched": days_metadata(refused),
                "seconds": round(seconds, 3),
                **reasons,
            },
        )

    return frames


def _metadata(drained: Drained, touched: set[date], seconds: float, held: int) -> dict[str, Any]:
    messages = drained.rows + drained.quarantined
    return {
        "dagster/row_count": held,
        "rows": drained.rows,
        "quarantined": drained.quarantined,
        "offsets from": str(drained.start),
        "offsets to": str(drained.end),
        "days touched": days_metadata(touched),
        "lag left": drained.lag,
        "seconds": round(seconds, 3),
        "messages a second": round(messages / seconds) if seconds else 0,
    }
