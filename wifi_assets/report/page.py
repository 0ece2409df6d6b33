"""The page: one file without network and script that holds the pictures and tables of a period.

Here belongs which sections there are, and how the page is put together and written. Not here: what they show
(``charts.py``, ``graph.py``, ``fields.py``, ``tables.py``).

Nothing in the page can run: texts are escaped by jinja2, pictures are ``<img>`` of data, in which a browser runs
nothing, and the page's own policy allows pictures of data and this one style, nothing else.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from wifi_assets.report import charts, tables
from wifi_assets.report.fields import field_distribution
from wifi_assets.report.figures import NARROW, WIDE, Size, count, data_uri, svg
from wifi_assets.report.graph import networks_looked_for
from wifi_assets.report.period import Period
from wifi_assets.report.tables import Grid
from wifi_assets.whole_file import write_whole


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        anchor: Its id in the page.
        title: Heading.
        words: How to read it, one or two sentences.
        figure: Draws the picture; None if it has none.
        grids: Heading and rows of each table.
        needs: Tables without which the section is not shown.
    """

    anchor: str
    title: str
    words: str
    figure: Callable[[Period, Size], Figure] | None = None
    grids: tuple[tuple[str, Callable[[Period], Grid]], ...] = ()
    needs: tuple[str, ...] = ()


SECTIONS = (
    Section(
        "known",
        "Known devices: signal",
        "Mean signal of each known device in three hours, over many days in longer slices. The stronger, the nearer; "
        "grey: no probe request.",
        charts.signal_by_device,
        (("Known devices", tables.known_devices),),
    ),
    Section(
        "days",
        "Addresses and probe requests a day",
        "Unique source addresses of each day, beside its probe requests. Random addresses are no devices: "
        "a telephone takes a new one for each search.",
        charts.addresses_by_day,
        (("Unknown addresses of a vendor", tables.unknown_addresses),),
    ),
    Section("time", "Probe requests over time", "How much is looked for, and by whom.", charts.probes_over_time),
    Section(
        "addresses",
        "Signal of each address",
        "Mean signal of the busiest source addresses in slices of 30 seconds, over days in longer ones.",
        charts.signal_by_address,
    ),
    Section(
        "signal",
        "Signal of all probe requests",
        "How many probe requests were heard at each strength.",
        charts.signal_distribution,
    ),
    Section(
        "networks",
        "Who looks for which network",
        "Devices on the left, the networks they ask for by name on the right; a thicker line is more probe requests.",
        networks_looked_for,
        (("Networks", tables.networks),),
    ),
    Section(
        "devices",
        "Devices behind random addresses",
        "How many devices stand behind the random addresses of each hour, as an estimate with its bounds.",
        charts.devices_over_time,
        (),
        ("devices_estimated",),
    ),
    Section(
        "sessions",
        "Sessions behind random addresses",
        "Probe requests of one fingerprint from more than two addresses, without a gap of more than five minutes: "
        "likely one device.",
        None,
        (("Sessions of most addresses", tables.sessions),),
        ("oui_fingerprint_sessions",),
    ),
    Section(
        "subtypes",
        "Kinds of frames",
        "The share of each subtype in all frames.",
        charts.subtype_shares,
        (("Subtypes", tables.subtypes),),
    ),
    Section(
        "fields",
        "What each field holds",
        "Most frequent values, other values and missing ones of each field of the frames, and its count of each day.",
        field_distribution,
        (("Fields", tables.each_field),),
    ),
    Section(
        "quarantine",
        "Messages that are no frames",
        "Kept with the reason why they are no rows.",
        None,
        (("Quarantined", tables.refused),),
    ),
)


@dataclass(frozen=True)
class _Shown:
    """A section with its pictures as data."""

    anchor: str
    title: str
    words: str
    wide: str
    narrow: str
    sentence: str
    grids: list[tuple[str, Grid]]


def page(period: Period, progress: Callable[[str], None] = lambda title: None) -> str:
    """The page of a period as HTML; of days without anything, a page that says so and which there are.

    Args:
        period: The days.
        progress: Told each section's title before it is made.

    Raises:
        LakeError: A table cannot be used as it is.
    """
    shown = []
    for section in SECTIONS if period.days else ():
        if all(period.has(table) for table in section.needs):
            progress(section.title)
            shown.append(_shown(section, period))
    style = (files("wifi_assets") / "report" / "page.css").read_text()
    template = (files("wifi_assets") / "report" / "page.html").read_text()
    html = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return html.from_string(template).render(
        title="Wi-Fi report",
        words=_days_in_words(period),
        summary=tables.summary(period) if period.days else [],
        sections=shown,
        style=Markup(style),  # noqa: S704 - the project's own file
        style_hash=Markup(f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"),  # noqa: S704
        made=f"Made by wifi_assets at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. All times are UTC.",
    )


def write(html: str, target: Path) -> None:
    """Write the page whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    write_whole(target, html.encode())


def _shown(section: Section, period: Period) -> _Shown:
    wide = narrow = sentence = ""
    if section.figure is not None:
        drawn = section.figure(period, WIDE)
        if drawn.axes:
            wide = data_uri(svg(drawn), "svg+xml")
            narrow = data_uri(svg(section.figure(period, NARROW)), "svg+xml")
        else:
            sentence = str(drawn.get_label())
    grids = [(heading, table(period)) for heading, table in section.grids]
    return _Shown(section.anchor, section.title, section.words, wide, narrow, sentence, grids)


def _days_in_words(period: Period) -> str:
    if not period.stored:
        return "The lake holds no frames yet."
    if not period.days:
        return f"No frame was heard in this period. The lake holds {_span(period.stored)}"
    return _span(period.days)


def _span(days: list[date]) -> str:
    first, last = days[0], days[-1]
    if first == last:
        return f"{first}, one day (UTC)."
    silent = (last - first + timedelta(days=1)).days - len(days)
    return f"{first} to {last} (UTC), {count(len(days), 'day')} with frames" + (
        f", {count(silent, 'day')} without." if silent else "."
    )
