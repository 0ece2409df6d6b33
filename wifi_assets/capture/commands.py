"""``wifi-assets capture``.

Here belong its options, what it prints and its exit codes: 0 every frame of every file is on the topic, 1
it failed, also for one file of many, 2 wrong use. Not here: the work itself (``replay.py``).
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

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
    topic: str | None,
    create_topic: int | None,
    as_json: bool,
) -> None:
    """Put the frames of captures on the Kafka topic, one message a frame.

    Needs tshark, and Kafka at WIFI_KAFKA_BOOTSTRAP (WIFI_KAFKA_CONFIG holds logins and TLS). The message is
    what tshark prints, its key the transmitter's address or else the receiver's, its time the frame's. Each
    delivery is checked. A file that is cut short delivers its whole frames; the other files are still done.
    Reading a file twice puts its frames on the topic twice.
    """
    paths = [*read, *more]
    if not read:
        raise click.UsageError("say which files to read: --read FILE…")
    settings = settings_or_usage_error()
    topic = topic or settings.kafka_topic
    config = {"bootstrap.servers": settings.kafka_bootstrap, **settings.kafka_config}
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
