"""``wifi-assets capture --interface``.

Here belongs what a live capture shows and how it ends: 0 it was told to or its pipe ended, and nothing was lost; 1
it failed, or frames were dropped. Not here: its options (``commands.py``) or the work (``session.py``).
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from wifi_assets.capture.hopping import Hopper
from wifi_assets.capture.ring import Ring
from wifi_assets.capture.sender import Sender
from wifi_assets.capture.session import LiveCapture
from wifi_assets.capture.spool import Spool, SpoolError
from wifi_assets.capture.tshark import CaptureError, TsharkMissingError, find_tshark
from wifi_assets.cli_signals import ended_by_signals
from wifi_assets.resources.producer import TopicError

#: Seconds between two lines where there is no terminal.
_LINE_SECONDS = 60


@dataclass(frozen=True)
class LiveOptions:
    """What the user asked for.

    Attributes:
        interface: Network interface, FIFO, or -.
        keep_hours: Hours of pcap files to keep; None: none.
        folder: Holds the spool and the pcap files.
        buffer_mib: Limit of the spool.
        hop: Channels to hop over; none: stay.
        dwell: Seconds on each.
    """

    interface: str
    keep_hours: int | None
    folder: Path
    buffer_mib: int
    hop: list[int]
    dwell: float


def capture_live(
    options: LiveOptions, config: dict[str, Any], topic: str, create_topic: int | None, *, as_json: bool
) -> int:
    """Capture until SIGINT, SIGTERM or the end of the pipe; the exit code."""
    began = time.monotonic()
    console = Console(stderr=True)
    say = _sayer(console)
    live: LiveCapture | None = None
    spool: Spool | None = None
    error: str | None = None
    sent = 0
    try:
        with ExitStack() as stack:
            find_tshark()
            spool = Spool(options.folder, topic, options.buffer_mib)
            stack.callback(spool.close)
            if spool.problem:
                say(spool.problem)
            if spool.waiting:
                say(f"{spool.waiting:,} frames of an earlier start wait in {spool.path}: they are sent first")
            sender = Sender(spool, config, topic, create_topic, say)
            ring = options.keep_hours and Ring(options.folder / "pcap", options.interface, options.keep_hours, say)
            live = LiveCapture(options.interface, spool, sender, ring or None, say)
            if options.hop:
                hopper = Hopper(options.interface, options.hop, options.dwell, say)
                hopper.start()
                stack.callback(hopper.finish)
            stack.enter_context(ended_by_signals(live.stop))
            live.run(stack.enter_context(_shown(console, live, spool, sender)))
            error, sent = live.error, sender.sent
    except (CaptureError, TsharkMissingError, TopicError, SpoolError) as reason:
        error = str(reason)
    seconds = time.monotonic() - began
    heard = asdict(live.heard) if live else {}
    waiting = spool.waiting if spool else 0
    if as_json:
        summary = {"to": f"{topic} on {config['bootstrap.servers']}", "interface": options.interface}
        counts = {"sent": sent, "waiting": waiting, "seconds": round(seconds, 3), "error": error}
        click.echo(json.dumps(summary | heard | counts))
    elif live:
        click.echo(
            f"{live.heard.frames:,} frames heard on {options.interface} in {seconds:,.0f} s, {sent:,} sent to "
            f"{topic} on {config['bootstrap.servers']}, {live.heard.dropped:,} dropped"
        )
    if waiting and spool:
        click.echo(f"{waiting:,} frames wait in {spool.path} for the next start", err=True)
    if error:
        click.echo(f"Error: {error}", err=True)
    return 1 if error or (live and live.heard.dropped) else 0


def _sayer(console: Console) -> Callable[[str], None]:
    """Prints a line on stderr, above the status line if there is one. From any thread."""
    if not console.is_terminal:
        return lambda text: click.echo(text, err=True)
    return lambda text: console.print(escape(text), soft_wrap=True, highlight=False)


@contextmanager
def _shown(console: Console, live: LiveCapture, spool: Spool, sender: Sender) -> Iterator[Callable[[], None]]:
    """The status on the terminal, or as a line each minute; yields what draws it."""

    def status() -> str:
        heard = live.heard
        kafka = ", Kafka is away" if sender.away else ""
        return (
            f"{live.rate:,.1f} frames/s, {heard.frames:,} heard, {live.queued:,} queued, {spool.waiting:,} spooled, "
            f"{sender.sent:,} sent, {heard.dropped:,} dropped{kafka}"
        )

    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as line:
            yield lambda: line.update(status(), refresh=True)
        return
    said = time.monotonic()

    def each_minute() -> None:
        nonlocal said
        if time.monotonic() - said >= _LINE_SECONDS:
            said = time.monotonic()
            click.echo(status(), err=True)

    yield each_minute
