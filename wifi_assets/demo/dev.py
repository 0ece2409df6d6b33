"""``wifi-assets dev``: the Dagster UI with all that runs behind it, for looking around.

Here belongs what is started and with which settings. Not here: the household (``live.py``), the broker
(``broker.py``), and how Dagster is run for good (``deploy/``).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from wifi_assets.cli_settings import settings_or_usage_error
from wifi_assets.demo.broker import embedded_broker
from wifi_assets.demo.household import write_documents
from wifi_assets.demo.live import live
from wifi_assets.demo.messages import Message
from wifi_assets.demo.publish import Topic
from wifi_assets.from_settings import lake_of
from wifi_assets.ingest import ingest
from wifi_assets.resources.producer import TopicError

#: A home's: 28 a second.
_FRAMES_PER_HOUR = 100_000
#: Days of partitions at least; with those since the year 2000 nobody would find the few that the UI shows in green.
_DAYS = 7
#: Whoever looks on wants to see something; what runs for a month looks less often.
_LAG_SECONDS = 10


@click.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data/demo"),
    show_default=True,
    help="Where `wifi-assets demo` left its lake; a new one is begun if there is none.",
)
@click.option("--port", default=3000, show_default=True, help="Of the UI, on 127.0.0.1.")
def dev(folder: Path, port: int) -> None:
    """Run the Dagster UI and the daemon until Ctrl-C, sensors on.

    With WIFI_KAFKA_BOOTSTRAP set they run on your settings. Without it an embedded Kafka is started, on which a
    simulated household is heard as it happens, 28 frames a second, and the folder's lake follows it; your own lake
    and targets are left alone.
    """
    folder = folder.absolute()
    os.environ.setdefault("WIFI_SENSORS_ON", "1")
    os.environ.setdefault("DAGSTER_HOME", str(folder / "dagster"))
    Path(os.environ["DAGSTER_HOME"]).mkdir(parents=True, exist_ok=True)
    settings = settings_or_usage_error()
    if "kafka_bootstrap" in settings.model_fields_set:
        raise SystemExit(_dagster(port))
    with embedded_broker(settings.kafka_topic) as bootstrap, _household(bootstrap, settings.kafka_topic):
        _use(folder, bootstrap, settings.kafka_topic)
        # The broker of an earlier start took its messages with it; what the lake has of them stays.
        drained, _ = ingest(settings_or_usage_error(), accept_loss=True)
        click.echo(f"a simulated household is heard on the embedded Kafka at {bootstrap}; {drained.rows} frames so far")
        raise SystemExit(_dagster(port))


def _use(folder: Path, bootstrap: str, topic: str) -> None:
    """Set what the household needs: a lake and a database of its own, whatever the user has set for true frames."""
    if not (folder / "devices").exists():
        write_documents(folder / "devices", int(time.time()))
    os.environ |= {
        "WIFI_KAFKA_BOOTSTRAP": bootstrap,
        "WIFI_KAFKA_TOPIC": topic,
        "WIFI_LAKE": str(folder / "lake"),
        "WIFI_DEVICES_PATH": str(folder / "devices"),
        "WIFI_SQL_URL": f"sqlite:///{folder / 'wifi.db'}",
    }
    for name in ("WIFI_KAFKA_CONFIG", "WIFI_MONGO_URL", "WIFI_ELASTICSEARCH_URL", "WIFI_NEO4J_URL"):
        os.environ.pop(name, None)
    # Where there is no .env that would name them again.
    os.chdir(folder)
    os.environ.setdefault("WIFI_LAG_SECONDS", str(_LAG_SECONDS))
    frames = lake_of(settings_or_usage_error()).open("frames")
    first = min([*frames.days(), datetime.now(UTC).date() - timedelta(days=_DAYS - 1)])
    os.environ.setdefault("WIFI_FIRST_DAY", str(first))


@contextmanager
def _household(bootstrap: str, topic: str) -> Iterator[None]:
    """Let it be heard on the topic."""
    ended = threading.Event()

    def messages() -> Iterator[Message]:
        for _, message in live(int(time.time()), _FRAMES_PER_HOUR):
            if ended.is_set():
                return
            yield message

    def publish() -> None:
        try:
            Topic(bootstrap, topic).publish(messages())
        except TopicError as error:
            # The broker forgets the oldest of what it was told; the lake has it long since.
            if not ended.is_set():
                click.echo(f"the household is heard no more: {error}", err=True)

    feed = threading.Thread(target=publish)
    feed.start()
    try:
        yield
    finally:
        ended.set()
        feed.join()


def _dagster(port: int) -> int:
    """Run ``dagster dev`` to its end; its exit code.

    SIGTERM is passed on as SIGINT: on SIGTERM it leaves its processes behind.
    """
    dagster = str(Path(sys.executable).parent / "dagster")
    command = [dagster, "dev", "-m", "wifi_assets.definitions", "-h", "127.0.0.1", "-p", str(port)]
    running = subprocess.Popen(command)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.send_signal(signal.SIGINT))
    return running.wait()
