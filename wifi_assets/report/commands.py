"""``wifi-assets report``: the page of some days as a file.

Here belongs the command: options, output, exit codes. Not here: the page (``page.py``). What draws is imported when
the command runs, so that no other command pays for it.
"""

from datetime import datetime, timedelta
from pathlib import Path

import click
from rich.console import Console

from wifi_assets.cli_settings import settings_or_usage_error
from wifi_assets.from_settings import lake_of
from wifi_assets.unreadable import UNREADABLE, unreadable

_DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--from", "first", type=_DAY, metavar="DAY", help="First day, UTC. Default: the first stored.")
@click.option("--to", "until", type=_DAY, metavar="DAY", help="The day after the last. Default: all that is stored.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The file to write.",
)
def report(first: datetime | None, until: datetime | None, out: Path) -> None:
    """Write a page of charts and tables about the stored days.

    Needs the lake (WIFI_LAKE) as ingest has filled it. The page is one file without scripts that needs no network.
    --to is not part of the report: --from 2026-03-01 --to 2026-04-01 is March.
    """
    if first is not None and until is not None and first >= until:
        last = first + timedelta(days=1)
        raise click.UsageError(
            f"--to {until:%Y-%m-%d} is not after --from; for this one day it is --to {last:%Y-%m-%d}"
        )
    if not out.parent.is_dir():
        raise click.ClickException(f"cannot write {out}: there is no folder {out.parent}")
    lake = lake_of(settings_or_usage_error())
    from wifi_assets.report.page import page, write
    from wifi_assets.report.period import Period

    console = Console(stderr=True)
    try:
        period = Period(lake, first and first.date(), until and until.date())
        if not period.stored:
            raise click.ClickException(
                f"the lake at {lake.url} holds no frames: run wifi-assets ingest, or set WIFI_LAKE"
            )
        with console.status("report") as status:
            html = page(period, lambda title: status.update(title))
    except UNREADABLE as error:
        raise click.ClickException(unreadable(lake, error)) from error
    try:
        write(html, out)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror or error}") from error
    days, stored = period.days, period.stored
    if days:
        click.echo(f"{out}: {days[0]} to {days[-1]} (UTC), {len(html.encode()):,} bytes")
    else:
        click.echo(f"{out}: no frame was heard in this period; the lake holds {stored[0]} to {stored[-1]}")
