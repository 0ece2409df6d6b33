"""``wifi-assets …``: the group of commands, and those that ask or fill the lake.

Here belong options, output and exit codes (0 done, 1 it failed, 2 wrong use). Not here: the work.
"""

import json
import sys
import time

import click
import duckdb
from deltalake.exceptions import DeltaError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table as Grid
from rich.text import Text

from wifi_assets.ask.commands import changes, lookup, serve
from wifi_assets.bot.commands import bot
from wifi_assets.capture.commands import capture
from wifi_assets.cli_settings import settings_or_usage_error
from wifi_assets.cli_values import json_value, shown
from wifi_assets.demo.commands import broker, simulate
from wifi_assets.demo.demo import demo
from wifi_assets.demo.dev import dev
from wifi_assets.engine import engine, named
from wifi_assets.from_settings import lake_of
from wifi_assets.ingest import ingest as run_ingest
from wifi_assets.lake import LakeError, OvertakenError
from wifi_assets.report.commands import report
from wifi_assets.resources.devices import DeviceSourceError
from wifi_assets.resources.kafka import KafkaUnavailable
from wifi_assets.schemas import TABLES
from wifi_assets.unreadable import UNREADABLE, unreadable


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wifi_assets")
def main() -> None:
    """Wi-Fi packet captures through Kafka into Delta tables. Settings: WIFI_… variables or .env."""


main.add_command(capture)
main.add_command(simulate)
main.add_command(broker)
main.add_command(demo)
main.add_command(report)
main.add_command(lookup)
main.add_command(changes)
main.add_command(serve)
main.add_command(bot)
main.add_command(dev)


@main.command()
@click.option("--accept-loss", is_flag=True, help="Go on after offsets were lost or the topic was made again.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def ingest(accept_loss: bool, as_json: bool) -> None:
    """Drain the topic and bring every table of the lake up to date, once.

    Needs Kafka (WIFI_KAFKA_BOOTSTRAP, WIFI_KAFKA_TOPIC) and the lake's folder (WIFI_LAKE). Progress is in
    the lake: whatever ends this command, the next one goes on where the last commit was.
    """
    settings = settings_or_usage_error()
    console = Console(stderr=True)
    began = time.monotonic()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("frames", total=None)
            drained, steps = run_ingest(
                settings,
                accept_loss=accept_loss,
                progress=lambda table, done, total: bar.update(task, description=table, completed=done, total=total),
            )
    except (KafkaUnavailable, LakeError, OvertakenError, DeviceSourceError) as error:
        raise click.ClickException(str(error)) from error
    except (DeltaError, OSError) as error:
        raise click.ClickException(unreadable(lake_of(settings), error, "read or written")) from error
    if drained.group_problem:
        click.echo(drained.group_problem, err=True)
    seconds = time.monotonic() - began
    messages = drained.rows + drained.quarantined
    if as_json:
        summary = {
            "rows": drained.rows,
            "quarantined": drained.quarantined,
            "reasons": dict(drained.reasons),
            "days": sorted(str(day) for day in drained.days),
            "from": drained.start,
            "to": drained.end,
            "lag": drained.lag,
            "seconds": round(seconds, 3),
            "tables": {name: done.rows for name, done in steps.items()},
        }
        click.echo(json.dumps(summary))
        return
    click.echo(
        f"{messages:,} messages: {drained.rows:,} rows, {drained.quarantined:,} quarantined, over "
        f"{len(drained.days)} days; {seconds:.1f} s, {messages / seconds:,.0f} messages a second; {drained.lag:,} left"
    )
    for reason, count in drained.reasons.most_common():
        click.echo(f"  quarantined: {reason}: {count:,}")


@main.command()
@click.argument("statement")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a row.")
def sql(statement: str, as_json: bool) -> None:
    """Ask the lake: a DuckDB SELECT over its tables by name, read only.

    Needs the lake (WIFI_LAKE) as ingest has filled it.

    Example: wifi-assets sql "SELECT frame_subtype, count(*) FROM frames GROUP BY 1"
    """
    lake = lake_of(settings_or_usage_error())
    try:
        with engine() as run:
            if not any(map(lake.exists, TABLES)):
                raise click.ClickException(
                    f"the lake at {lake.url} has no table yet: run wifi-assets ingest, or set WIFI_LAKE"
                )
            for name in named(statement, TABLES):
                table = lake.look(name)
                # Some are made only when there is something for them.
                run.view(name, table.rows() if table is not None else TABLES[name].schema.empty_table())
            result = run.query(statement)
    except duckdb.Error as error:
        raise click.ClickException(f"{error} (tables: {', '.join(TABLES)})") from error
    except UNREADABLE as error:
        raise click.ClickException(unreadable(lake, error)) from error
    if as_json:
        for row in result.to_pylist():
            click.echo(json.dumps({name: json_value(value) for name, value in row.items()}, ensure_ascii=True))
        return
    grid = Grid()
    for name in result.column_names:
        grid.add_column(Text(name))
    for row in result.to_pylist():
        grid.add_row(*(Text(shown(value)) for value in row.values()))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 10_000).print(grid)
