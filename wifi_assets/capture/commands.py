"""``wifi-assets capture``.

Here belong its options, what it prints and its exit codes: 0 every frame of every file is on the topic, 1
it failed, also for one file of many, 2 wrong use. Not here: the work itself (``replay.py``) or the live capture
(``live_commands.py``).
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from wifi_assets.capture.live_commands import LiveOptions, capture_live
from wifi_assets.capture.replay import Replayed, replay
from wifi_assets.capture.tshark import TsharkMissingError, find_tshark
from wifi_assets.cli_settings import settings_or_usage_error
from wifi_assets.resources.producer import CheckedProducer, TopicError


@click.command()
@click.option(
    "--read",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE…",
    help="Capture files, pcap or pcapng, also gzipped.",
)
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="")
@click.option("--interface", help="Network interface in monitor mode, or a FIFO with pcap, or - (standard input).")
@click.option("--keep-hours", type=click.IntRange(1), help="Keep so many hours as pcap files in FOLDER/pcap.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="data/capture",
    show_default=True,
    help="Holds frames that wait for Kafka, and the pcap files.",
)
@click.option(
    "--buffer-mib", type=click.IntRange(1), default=512, show_default=True, help="Limit of what waits for Kafka."
)
@click.option("--hop", help="Channels to hop over, such as 1,6,11; needs iw and root.")
@click.option("--dwell", type=click.FloatRange(0.05), default=0.5, show_default=True, help="Seconds on each channel.")
@click.option("--topic", help="Instead of WIFI_KAFKA_TOPIC.")
@click.option(
    "--create-topic",
    type=click.IntRange(1),
    metavar="PARTITIONS",
    help="Make the topic with so many partitions if there is none, with retention.ms=-1.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def capture(
    context: click.Context,
    read: tuple[Path, ...],
    more: tuple[Path, ...],
    interface: str | None,
    keep_hours: int | None,
    folder: Path,
    buffer_mib: int,
    hop: str | None,
    dwell: float,
    topic: str | None,
    create_topic: int | None,
    as_json: bool,
) -> None:
    """Put frames on the Kafka topic, one message a frame: of capture files, or live from an interface.

    Needs tshark, and Kafka at WIFI_KAFKA_BOOTSTRAP (WIFI_KAFKA_CONFIG holds logins and TLS). The message is
    what tshark prints, its key the transmitter's address or else the receiver's, its time the frame's. Each
    delivery is checked. A file that is cut short delivers its whole frames; the other files are still done.
    Reading a file twice puts its frames on the topic twice.

    With --interface it runs until Ctrl-C or SIGTERM. While Kafka is away frames wait in FOLDER, also over a new
    start; docs/capture.md has the steps for monitor mode.
    """
    paths = [*read, *more]
    if bool(read) == bool(interface) or (interface and more):
        raise click.UsageError("say which files to read: --read FILE…, or where to listen: --interface NAME")
    channels = _channels(hop)
    live_only = ("keep_hours", "folder", "buffer_mib", "hop", "dwell")
    if read and any(context.get_parameter_source(name) != ParameterSource.DEFAULT for name in live_only):
        raise click.UsageError("--keep-hours, --folder, --buffer-mib, --hop and --dwell go with --interface")
    settings = settings_or_usage_error()
    topic = topic or settings.kafka_topic
    config = {"bootstrap.servers": settings.kafka_bootstrap, **settings.kafka_config}
    if interface:
        options = LiveOptions(interface, keep_hours, folder, buffer_mib, channels, dwell)
        context.exit(capture_live(options, config, topic, create_topic, as_json=as_json))
    outcomes = [Replayed(click.format_filename(path)) for path in paths]
    since, error = time.monotonic(), None
    try:
        find_tshark()
        producer = CheckedProducer(config, topic, create_topic)
        if not producer.retention_known:
            click.echo(
                f"This login may not read the settings of topic {topic}: if its retention.ms is not -1, "
                "Kafka may delete old frames within minutes.",
                err=True,
            )
        with _progress() as advance:
            for path, outcome in zip(paths, outcomes, strict=True):
                replay(path, producer, outcome, advance)
    except (TopicError, TsharkMissingError) as reason:
        error = str(reason)
    except KeyboardInterrupt:
        error = "interrupted"
    seconds = time.monotonic() - since
    _print(outcomes, error, f"{topic} on {config['bootstrap.servers']}", seconds, as_json=as_json)
    if error or any(outcome.problem for outcome in outcomes):
        context.exit(1)


def _channels(hop: str | None) -> list[int]:
    try:
        channels = [int(one) for one in hop.split(",")] if hop is not None else []
    except ValueError:
        channels = [0]
    if any(channel < 1 for channel in channels):
        raise click.BadParameter("numbers of channels, such as 1,6,11", param_hint="--hop")
    return channels


def _print(outcomes: list[Replayed], error: str | None, to: str, seconds: float, *, as_json: bool) -> None:
    frames = sum(outcome.frames for outcome in outcomes)
    undecoded = sum(outcome.undecoded for outcome in outcomes)
    if as_json:
        summary = {
            "to": to,
            "frames": frames,
            "undecoded": undecoded,
            "seconds": round(seconds, 3),
            "error": error,
        }
        click.echo(json.dumps(summary | {"files": [asdict(outcome) for outcome in outcomes]}))
    for outcome in outcomes:
        if outcome.problem:
            click.echo(f"{outcome.file} {outcome.problem}", err=True)
        elif not as_json:
            click.echo(f"{outcome.file}: {outcome.frames:,} frames")
    if undecoded:
        click.echo(
            f"tshark found no field of 802.11 in {undecoded:,} of the frames: they are on the topic, and the "
            "platform will quarantine them",
            err=True,
        )
    if error:
        click.echo(f"Error: {error}", err=True)
    if not as_json:
        rate = f", {frames / seconds:,.0f} a second" if frames else ""
        done = sum(not outcome.problem for outcome in outcomes)
        click.echo(f"{frames:,} frames to {to} in {seconds:.1f} s{rate}; {done} of {len(outcomes)} files whole")


class _RateColumn(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f}/s")


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """A line on the terminal (stderr); yields the function that adds frames to it."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.completed:,} frames"), _RateColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as line:
        task = line.add_task("frames", total=None)
        yield lambda frames: line.advance(task, frames)
