"""``wifi-assets demo``: the whole way on one machine, from the air to the answers, checked against the truth.

Here belongs the order of the demo. Not here: its parts.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import dagster as dg
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table as Grid

from wifi_assets.capture.replay import Replayed, replay
from wifi_assets.capture.tshark import TsharkMissingError, find_tshark
from wifi_assets.demo.air import Air
from wifi_assets.demo.broker import embedded_broker
from wifi_assets.demo.compare import compare
from wifi_assets.demo.frame import Frame
from wifi_assets.demo.household import documents, write_documents
from wifi_assets.demo.messages import message
from wifi_assets.demo.pcap import write_pcap
from wifi_assets.demo.publish import Topic
from wifi_assets.demo.truth import Truth
from wifi_assets.from_settings import lake_of
from wifi_assets.resources.producer import CheckedProducer
from wifi_assets.settings import Settings

_DAYS = 3
_SEED = 1
_FRAMES_PER_HOUR = 1_100
#: Dagster tells each event of a run on the terminal; here its errors are enough.
_QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/demo"),
    show_default=True,
    help="Where the demo's lake goes; an earlier demo there is removed.",
)
def demo(folder: Path) -> None:
    """Simulate three days of a household, bring them through Kafka and Dagster, and check what was found.

    Needs nothing but this machine: Kafka is embedded. One of the days goes through a capture file and
    tshark where tshark is installed.
    """
    began = time.monotonic()
    if (folder / "lake").exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin = today - timedelta(days=_DAYS)
    truth = Truth(documents(int(today.timestamp())))
    write_documents(folder / "devices", int(today.timestamp()))
    with embedded_broker("pcap") as bootstrap:
        settings = Settings(
            kafka_bootstrap=bootstrap,
            kafka_topic="pcap",
            kafka_config={},
            lake=str(folder / "lake"),
            devices_path=folder / "devices",
            mongo_url=None,
            sql_url=SecretStr(f"sqlite:///{(folder / 'wifi.db').absolute()}"),
            elasticsearch_url=None,
            neo4j_url=None,
        )
        click.echo(f"an embedded Kafka runs on {bootstrap}")
        _fill(bootstrap, folder, begin, truth)
        _materialise(settings, folder, begin)
    good = _report(settings, truth)
    click.echo(f"\n{time.monotonic() - began:.0f} s in all. To look further:")
    click.echo(f'  WIFI_LAKE={settings.lake} {sys.argv[0]} sql "SELECT * FROM packet_stats ORDER BY packet_count DESC"')
    click.echo("  make dev      opens this lake in the Dagster UI")
    if not good:
        raise click.ClickException("the lake differs from the truth")


def _fill(bootstrap: str, folder: Path, begin: datetime, truth: Truth) -> None:
    """Three days onto the topic, the last of them by a capture file if tshark is here."""
    first_hour = int(begin.timestamp()) // 3600
    try:
        find_tshark()
    except TsharkMissingError as error:
        click.echo(f"no capture file in this demo: {error}")
        live_days = _DAYS
    else:
        live_days = _DAYS - 1

    def heard(first: int, days: int) -> Iterator[Frame]:
        for _, frame in Air(_SEED, _FRAMES_PER_HOUR, first, days * 24).arrivals():
            truth.observe(frame)
            yield frame

    topic = Topic(bootstrap, "pcap", {})
    topic.prepare(begin)
    sent = topic.publish(message(frame) for frame in heard(first_hour, live_days))
    click.echo(f"{sent:,} frames of {live_days} days simulated onto topic pcap")
    if live_days < _DAYS:
        capture = folder / "third-day.pcap"
        write_pcap(capture, heard(first_hour + live_days * 24, 1))
        producer = CheckedProducer(
            {"bootstrap.servers": bootstrap, "compression.type": "zstd", "linger.ms": 100}, "pcap"
        )
        outcome = Replayed(str(capture))
        replay(capture, producer, outcome)
        if outcome.problem:
            raise click.ClickException(f"{capture}: {outcome.problem}")
        click.echo(f"{outcome.frames:,} frames of the third day decoded by tshark from {capture}")


def _materialise(settings: Settings, folder: Path, begin: datetime) -> None:
    # Dagster's definitions are built here and not imported: that module builds those of the environment.
    from wifi_assets.definitions import build_defs

    home = folder / "dagster"
    # `make dev` on settings of one's own keeps its history there.
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    last = begin + timedelta(days=_DAYS - 1)
    tags = {
        "dagster/asset_partition_range_start": f"{begin:%Y-%m-%d}",
        "dagster/asset_partition_range_end": f"{last:%Y-%m-%d}",
    }
    defs = build_defs(settings)
    with dg.DagsterInstance.from_config(str(home.absolute())) as instance:
        for job, run_tags in (("refresh_devices", {}), ("lake", tags), ("sink_postgres", {})):
            since = time.monotonic()
            run = defs.resolve_job_def(job).execute_in_process(instance=instance, tags=run_tags, run_config=_QUIET)
            materialised = {str(e.asset_key.to_user_string()) for e in run.get_asset_materialization_events()
                            if e.asset_key is not None}  # fmt: skip
            click.echo(f"Dagster job {job}: {len(materialised)} assets in {time.monotonic() - since:.1f} s")


def _report(settings: Settings, truth: Truth) -> bool:
    grid = Grid("found", "truth", "lake", "different")
    findings = compare(lake_of(settings), truth.found())
    for one in findings:
        grid.add_row(one.what, f"{one.expected:,}", f"{one.found:,}", f"{one.different:,}")
    Console().print(grid)
    return not any(one.different for one in findings)
