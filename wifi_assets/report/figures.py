"""How a figure looks and becomes bytes: sizes, colours, texts that are safe, SVG and PNG.

Here belongs what all charts share. Not here: what they show; the axis of time (``timeaxis.py``).

Figures are matplotlib's own objects without pyplot, so that nothing outlives a figure. A text that may hold a
name or an SSID goes through ``name`` and is drawn with ``parse_math=False``: ``$`` begins no formula.
"""

import base64
import io
import textwrap
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from wifi_assets.frames.ssid import printable

#: Okabe and Ito's colours, told apart with any colour vision: what is known, what is not, what is random.
KNOWN, OTHER, RANDOM, LIGHT, DARK = "#0072B2", "#E69F00", "#009E73", "#D9D9D9", "#404040"
#: What holds nothing: lines of the grid, the ground of a heat map; and letters on bars, which no scheme changes.
FAINT, INK = "#E6E6E6", "#101010"
#: Beside colours of its own hue: the rest.
PALE = "#D5E6F2"
#: Colours of a scale that grow evenly in lightness.
SCALE = "cividis"
#: What stands for a colour where the reader's scheme is dark; data keeps its colours.
_DARK_SCHEME = {
    "#ffffff": "#0d1117",
    "#000000": "#9198a1",
    DARK: "#b7bfc8",
    LIGHT: "#4a525c",
    FAINT: "#2a313a",
    PALE: "#29435a",
}
#: Colours of a PNG; letters need shades of grey, a scale of colours some steps.
_COLOURS = 64


@dataclass(frozen=True)
class Size:
    """Where a figure is shown.

    Attributes:
        width: Inches.
        most: Series, rows or names at most; what is beyond is counted in a note.
        slices: Slices of time at most.
        letters: Of a name, at most.
    """

    width: float
    most: int
    slices: int
    letters: int


WIDE = Size(9.6, 20, 240, 34)
NARROW = Size(4.0, 12, 100, 20)
#: For an event of Dagster, which keeps it for ever.
SMALL = Size(4.6, 10, 100, 20)


def figure(size: Size, height: float) -> Figure:
    """An empty figure, height in inches."""
    return Figure(figsize=(size.width, height), layout="constrained", facecolor="white")


def sentence(size: Size, text: str) -> Figure:
    """Instead of an empty frame: a figure of one sentence. It has no axes, and its label is the sentence."""
    empty = figure(size, 0.5)
    empty.text(0.01, 0.5, text, va="center", fontsize=10, color=DARK, parse_math=False)
    empty.set_label(text)
    return empty


def note(drawn: Figure, text: str) -> None:
    """What the figure leaves out, below it."""
    lines = textwrap.fill(text, int(15 * drawn.get_figwidth()))
    drawn.supxlabel(lines, fontsize=8, color=DARK, x=0.01, ha="left", parse_math=False)


def name(text: str, size: Size) -> str:
    """A name as it is drawn in a figure of this size."""
    return short(text, size.letters)


def short(text: str, letters: int) -> str:
    """A text as it is shown: no control characters, no change of direction, not too long.

    One that is empty, or begins or ends with a blank, stands in quotation marks: it would be invisible, or another's
    double.
    """
    shown = printable(text)
    if not shown or shown != shown.strip():
        shown = f"'{shown}'"
    return shown if len(shown) <= letters else f"{shown[: letters - 1]}…"


def plain(axes: Axes, grid: str = "y") -> Axes:
    """Axes without a box around, with a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=FAINT, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, length=3)
    return axes


def legend(axes: Axes, entries: Iterable[object], columns: int) -> None:
    """The legend above the axes, where it hides nothing."""
    axes.legend(
        handles=list(entries),
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        fontsize=8,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
        borderaxespad=0.2,
    )


def count(number: int, thing: str, things: str | None = None) -> str:
    """A number with its thing, one or many."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def svg(drawn: Figure) -> bytes:
    """The figure as SVG, for a light and a dark page; texts stay texts, which the reader's fonts draw in any script."""
    # matplotlib has these as globals alone; a picture drawn meanwhile in another thread differs in looks only. The salt
    # stands for a random one: the same lake makes the same page.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "wifi_assets"}):
        picture = _saved(drawn, format="svg", metadata={"Date": None})
    return picture.replace(b"</style>", _dark_style().encode() + b"</style>", 1)


def _dark_style() -> str:
    """Style of an SVG, which in a page follows the page's scheme. White letters stand on bars, and stay."""
    rules = " ".join(
        f'{"path" if light == "#ffffff" else ""}[style*="{kind}: {light.lower()}"] {{ {kind}: {dark} !important }}'
        for light, dark in _DARK_SCHEME.items()
        for kind in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} {rules} }}"


def png(drawn: Figure, dpi: int = 90) -> bytes:
    """The figure as PNG of few colours, some kB: flat charts lose nothing, and Dagster keeps an event for ever."""
    image = Image.open(io.BytesIO(_saved(drawn, format="png", dpi=dpi))).convert("RGB").quantize(_COLOURS)
    target = io.BytesIO()
    image.save(target, "png", optimize=True)
    return target.getvalue()


def data_uri(image: bytes, kind: str) -> str:
    """A picture as a part of a page: kind is ``png`` or ``svg+xml``."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _saved(drawn: Figure, **options: Any) -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings():
        # An SSID may hold any letter of any script; matplotlib's own font has not all of them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        drawn.savefig(target, **options)
    return target.getvalue()
