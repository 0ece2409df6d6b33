"""``wifi-assets simulate`` and ``wifi-assets broker``.

Here belong their options, what they print and their exit codes: 0 done, 1 it failed, 2 wrong use. Not
here: the work itself, which is in the other modules of this folder.
"""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from wifi_assets.cli_settings import settings_or_usage_error
from wifi_assets.demo.air import FEWEST_FRAMES_PER_HOUR, Air
from wifi_assets.demo.broker import PARTITIONS, embedded_broker
from wifi_assets.demo.frame import Frame
from wifi_assets.demo.household import documents, write_documents
from wifi_assets.demo.messages import Shape, as_heard, message
from wifi_assets.demo.pcap import write_pcap
from wifi_assets.demo.publish import Topic
from wifi_assets.demo.truth import Truth
from wifi_assets.resources.producer import TopicError

_KAFKA = "kafka"


@dataclass(frozen=True)
class Summary:
    """What ``simulate`` did; ``--json`` prints it."""

    to: str
    frames: int
    first_day: str
    days: int
    seed: int
    frames_per_hour: int
    shape: str | None
    partitions: int | None
    truth: str | None
    devices: str | None
    seconds: float


@click.command()
@click.option(
    "--to",
    default=_KAFKA,
    show_default=True,
    metavar="kafka|FILE.pcap",
    help="The topic WIFI_KAFKA_TOPIC on WIFI_KAFKA_BOOTSTRAP, or a capture file to write.",
)
@click.option("--days", type=click.IntRange(1, 366), default=3, show_default=True, help="Whole days (UTC).")
@click.option(
    "--start",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day (UTC).  [default: so that yesterday is the last]",
)
@click.option("--seed", default=1, show_default=True, help="The same seed and start give the same frames.")
@click.option(
    "--frames-per-hour",
    type=click.IntRange(FEWEST_FRAMES_PER_HOUR),
    default=1100,
    show_default=True,
    help="On average. A home has some 100,000; an embedded broker holds two weeks of the default.",
)
@click.option(
    "--truth",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write here, as JSON, what a correct platform finds in the frames.",
)
@click.option(
    "--devices",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write ace.device.json and ace.user.json into this folder, for WIFI_DEVICES_PATH.",
)
@click.option("--shape", type=click.Choice([one.value for one in Shape]), help="Of the messages.  [default: ek]")
@click.option("--partitions", type=click.IntRange(1), help=f"Of a topic that is made.  [default: {PARTITIONS}]")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def simulate(
    to: str,
    days: int,
    start: datetime | None,
    seed: int,
    frames_per_hour: int,
    truth: Path | None,
    devices: Path | None,
    shape: str | None,
    partitions: int | None,
    as_json: bool,
) -> None:
    """Simulate a household's Wi-Fi frames, with a truth to compare with.

    Needs a Kafka broker (a real one, or one that `wifi-assets broker` runs), or no more than a file to
    write. The topic is made if there is none, with retention.ms=-1: by default Kafka deletes messages whose
    time is more than seven days ago. Nothing is removed from a topic that has messages already.
    """
    settings = settings_or_usage_error()
    if to != _KAFKA:
        if not to.endswith(".pcap"):
            raise click.BadParameter(f"{to!r} is neither kafka nor a path that ends with .pcap", param_hint="--to")
        if shape or partitions:
            raise click.UsageError("--shape and --partitions say how messages go to Kafka; a capture file has neither")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin = today - timedelta(days=days) if start is None else start.replace(tzinfo=UTC)
    end = begin + timedelta(days=days)
    if to == _KAFKA and end > today + timedelta(days=1):
        raise click.BadParameter(f"{days} days from {begin:%Y-%m-%d} reach into the future", param_hint="--start")
    if to == _KAFKA and begin.date() < settings.first_day:
        raise click.BadParameter(
            f"{begin:%Y-%m-%d} is before WIFI_FIRST_DAY ({settings.first_day}): its frames would be quarantined",
            param_hint="--start",
        )
    since = time.monotonic()
    last_seen = int(end.timestamp())
    watched = Truth(documents(last_seen))
    heard_as = Shape(shape or "ek")
    air = Air(seed, frames_per_hour, int(begin.timestamp()) // 3600, days * 24)

    def frames(advance: Callable[[int], None]) -> Iterator[Frame]:
        for number, (_, frame) in enumerate(air.arrivals(), 1):
            if truth:
                watched.observe(as_heard(frame, heard_as))
            if number % 1000 == 0:
                advance(number)
            yield frame

    try:
        if devices:
            write_documents(devices, last_seen)
        with _progress(f"to {to}", frames_per_hour * 24 * days) as advance:
            if to == _KAFKA:
                topic = Topic(settings.kafka_bootstrap, settings.kafka_topic, settings.kafka_config)
                partitions = topic.prepare(begin, partitions)
                sent = topic.publish(message(frame, heard_as) for frame in frames(advance))
                to = f"{settings.kafka_topic} on {settings.kafka_bootstrap}"
            else:
                sent = write_pcap(Path(to), frames(advance))
        summary = Summary(
            to, sent, f"{begin:%Y-%m-%d}", days, seed, frames_per_hour,
            str(heard_as) if partitions else None, partitions,
            str(truth) if truth else None, str(devices) if devices else None,
            round(time.monotonic() - since, 3),
        )  # fmt: skip
        if truth:
            watched.write(truth, asdict(summary))
    except OSError as error:
        raise click.ClickException(f"{error.filename or to} cannot be written: {error.strerror or error}") from error
    except TopicError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(asdict(summary)))
        return
    click.echo(f"{sent:,} frames of {days} days from {begin:%Y-%m-%d} to {to} in {summary.seconds:.1f} s")
    if devices:
        click.echo(f"the router's documents: {devices}")
    if truth:
        click.echo(f"what must be found: {truth}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON.")
def broker(as_json: bool) -> None:
    """Run an embedded Kafka broker until Ctrl-C.

    Needs nothing. It is for a demo: it listens on 127.0.0.1, lives in memory, gives each topic 4 partitions,
    keeps 5 MiB of each, and forgets all when it ends. Set WIFI_KAFKA_BOOTSTRAP to the address that it prints.
    """
    settings = settings_or_usage_error()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with embedded_broker(settings.kafka_topic) as bootstrap:
        if as_json:
            click.echo(json.dumps({"bootstrap": bootstrap, "topic": settings.kafka_topic, "partitions": PARTITIONS}))
        else:
            click.echo(f"WIFI_KAFKA_BOOTSTRAP={bootstrap}")
            click.echo(f"topic {settings.kafka_topic}, {PARTITIONS} partitions; Ctrl-C ends it", err=True)
        ended.wait()


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal (stderr); yields the function that moves it to a number of frames."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda number: bar.update(task, completed=number)
