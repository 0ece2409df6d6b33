"""``wifi-assets lookup``, ``changes`` and ``serve``.

Here belong options, output and exit codes. Not here: the search (``lookup.py``), what changed (``follow.py``), the
HTTP API (``api.py``), which is imported when it is served, so that no other command pays for it.
"""

import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click

from wifi_assets.ask.follow import follow
from wifi_assets.ask.held import Holder
from wifi_assets.ask.lookup import Candidates, Device, find, nobody, read_directory
from wifi_assets.cli_settings import settings_or_usage_error
from wifi_assets.cli_signals import ended_by_signals
from wifi_assets.cli_values import json_value, shown
from wifi_assets.frames.address import vendor_of_oui
from wifi_assets.from_settings import lake_of, privacy_of
from wifi_assets.lake import Lake
from wifi_assets.schemas import TABLES
from wifi_assets.unreadable import UNREADABLE, unreadable


@contextmanager
def _failures(lake: Lake) -> Iterator[None]:
    """What a lake that cannot be read ends a command with."""
    try:
        yield
    except UNREADABLE as error:
        raise click.ClickException(unreadable(lake, error)) from error


@click.command()
@click.argument("name_or_mac")
@click.option("--json", "as_json", is_flag=True, help="Print the device as one JSON object.")
def lookup(name_or_mac: str, as_json: bool) -> None:
    """Who is it, when was it heard, and which networks does it look for?

    NAME_OR_MAC is a device's name, or a part of it, in either case, or an address: aa:bb:cc:dd:ee:ff,
    AA-BB-CC-DD-EE-FF, aabb.ccdd.eeff. Needs the lake (WIFI_LAKE) as ingest has filled it.
    """
    settings = settings_or_usage_error()
    lake = lake_of(settings)
    with _failures(lake):
        directory = read_directory(lake, privacy_of(settings))
        found = find(directory, name_or_mac)
    asked = shown(name_or_mac)
    if found is None:
        if not len(directory.names):
            raise click.ClickException(
                f"the lake at {lake.url} holds no devices: run wifi-assets ingest, or set WIFI_LAKE"
            )
        raise click.ClickException(nobody(directory, name_or_mac))
    if isinstance(found, Candidates):
        lines = [f"{found.count:,} devices match '{asked}':", *(f"  {shown(name)}" for name in found.names)]
        if found.count > len(found.names):
            lines.append(f"  and {found.count - len(found.names):,} more")
        raise click.ClickException("\n".join(lines))
    if as_json:
        # Escaped, so that it can't command the terminal either.
        click.echo(json.dumps(found.model_dump(mode="json"), ensure_ascii=True))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(device: Device) -> Iterator[str]:
    yield shown(device.name)
    known = {None: "no: the router does not know it", True: "no: a guest of the network"}
    counted = [source for source in device.sources if source != device.name]
    rows = {
        "known": "yes" if device.is_known else known.get(device.is_guest, "no"),
        "model": " ".join(filter(None, (device.model, device.type))),
        "IP": device.ip,
        "vendor": device.vendor,
        "random address": "yes" if device.is_randomised else "no",
        "counted as": ", ".join(map(shown, counted)),
        "first seen": _time(device.first_seen),
        "last seen": _time(device.last_seen),
        "probe requests": f"{device.probes:,}",
        "signal": _signal(device),
    }
    for name, value in rows.items():
        if value:
            yield f"  {name:<15} {shown(value)}"
    yield from _listed("address", device.addresses, len(device.addresses))
    yield from _listed("looks for", device.ssids, device.unique_ssids)


def _listed(title: str, values: list[str], count: int) -> Iterator[str]:
    for number, value in enumerate(values):
        yield f"  {'' if number else title:<15} {shown(value)}"
    if count > len(values):
        yield f"  {'':<15} and {count - len(values):,} more"


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else "never"


def _signal(device: Device) -> str | None:
    if device.avg_signal_dbm is None:
        return None
    return f"{device.min_signal_dbm} to {device.max_signal_dbm} dBm, {device.avg_signal_dbm:.1f} on average"


@click.command()
@click.argument("table", type=click.Choice(list(TABLES)), metavar="TABLE")
@click.option("--from-beginning", is_flag=True, help="First all rows that the table holds.")
@click.option("--poll", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds between looks.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row, with its op.")
def changes(table: str, from_beginning: bool, poll: float, as_json: bool) -> None:
    """Follow a table: print its rows as they come, change and go, until Ctrl-C.

    A line begins with + for a row that came or is different, with - for one that is gone. A table that is
    not there yet is waited for. Needs the lake (WIFI_LAKE).
    """
    lake = lake_of(settings_or_usage_error())
    with _failures(lake), ended_by_signals(_interrupt):
        try:
            for changed in follow(
                lake,
                table,
                from_beginning=from_beginning,
                wait=lambda: _reader_waits(poll),
                say=lambda text: click.echo(text, err=True),
            ):
                if as_json:
                    click.echo(json.dumps({"op": changed.op, "row": json_value(changed.row)}, ensure_ascii=True))
                else:
                    cells = (f"{name}={shown(value)}" for name, value in changed.row.items() if value is not None)
                    click.echo(f"{'+' if changed.op == 'upsert' else '-'} {'  '.join(cells)}")
        except (KeyboardInterrupt, BrokenPipeError):
            # What is still in the buffer has no reader.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_waits(seconds: float) -> bool:
    """Wait; False as soon as whoever reads the output is gone."""
    gone = select.poll()
    # Errors are reported without being asked for.
    gone.register(sys.stdout.fileno(), 0)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if gone.poll(left * 1000):
            return False
    return True


def _interrupt() -> None:
    """SIGTERM ends it as Ctrl-C does."""
    raise KeyboardInterrupt


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free one.")
def serve(host: str, port: int) -> None:
    """Answer lookups, stats and sessions by HTTP, read only, until Ctrl-C.

    http://HOST:PORT/docs shows what can be asked. Needs the lake (WIFI_LAKE). With WIFI_API_TOKEN every request needs
    it as Authorization: Bearer …; without it nothing but this machine itself is listened to.
    """
    settings = settings_or_usage_error()
    import uvicorn

    from wifi_assets.ask.api import build_api, is_loopback

    if settings.api_token is None and not is_loopback(host):
        raise click.UsageError(
            f"others can reach --host {host}: set WIFI_API_TOKEN first, to what openssl rand -hex 32 gives"
        )
    lake = lake_of(settings)
    holder = Holder(lake, privacy_of(settings))
    # The registry is read at the first address that it is asked for: 0.2 s that nobody shall wait for.
    vendor_of_oui(0)
    holder.refresh()
    if holder.problem is not None:
        click.echo(f"{holder.problem}; it is tried again", err=True)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    # The path of a request is personal data, and no log needs it. No header of a proxy is used.
    config = uvicorn.Config(
        build_api(lake, holder, settings.api_token),
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
    )
    name = f"[{host}]" if ":" in host else host
    with listening, ended_by_signals(_interrupt):
        holder.start()
        try:
            click.echo(f"http://{name}:{listening.getsockname()[1]}/docs", err=True)
            uvicorn.Server(config).run([listening])
        except KeyboardInterrupt:
            # uvicorn has ended in order, and passes on what it was ended by.
            return
        finally:
            holder.stop()
