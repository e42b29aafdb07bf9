"""matplotlib's drawings as SVG inside the page, in the page's colours and font, so that they follow light, dark and print."""

import re
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 470, 250

VARIABLES = ("rule", "soft", "ink", "accent", "voice", "meaning", "s0", "s1", "s2", "s3", "s4", "s5", "s6")
COLOURS: Mapping[str, str] = MappingProxyType({name: f"#0000{at:02x}" for at, name in enumerate(VARIABLES, start=1)})
"""variable of page.css → what stands for its colour while matplotlib draws"""

STYLE: Mapping[str, object] = MappingProxyType(
    {
        "svg.fonttype": "none",
        "font.sans-serif": "DejaVu Sans",
        "font.size": 11.5,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": COLOURS["rule"],
        "axes.formatter.useoffset": False,
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), COLOURS["soft"]),
        **dict.fromkeys(("xtick.bottom", "ytick.left", *(f"axes.spines.{side}" for side in ("left", "right", "top", "bottom"))), False),
    }
)

REWRITTEN = (
    (r' id="[\w.]+_\d+">', ">"),
    ("<g id=", "<g class="),
    (r'<a xlink:href="([^"]*)"[^>]*>', r"<g><title>\1</title>"),
    ("</a>", "</g>"),
    ("xlink:href", "href"),
)
"""what inline SVG writes otherwise than a file: names are classes, an address is the words that show when pointed at"""


class Point(NamedTuple):
    """A value with its interval (None: none stated) and the words that show when pointed at."""

    x: float
    value: float
    low: float | None
    high: float | None
    words: str


class Panel(NamedTuple):
    """A drawing, its title, how to read it, and its lines: name → colour."""

    title: str
    reading: str
    drawing: Markup
    lines: Mapping[str, str]


def draw(words: str, onto: "Callable[[Axes], None]") -> Markup:
    """What `onto` draws on fresh axes, as one <svg> called `words`; the same input gives the same text, whatever matplotlibrc says."""
    from matplotlib import style
    from matplotlib.figure import Figure

    file = StringIO()
    with style.context(["default", {**STYLE, "svg.hashsalt": words}]):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        onto(figure.add_axes((0.095, 0.16, 0.885, 0.815)))
        for artist in figure.findobj():
            artist.set_clip_on(False)  # a clip is a url(), and a dot on the edge shall be whole
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}" class="plot">').format(WIDTH, HEIGHT, words) + _inline(
        file.getvalue()
    )


def _inline(file: str) -> Markup:
    drawing = file[file.index('<g id="figure_1">') :]
    for pattern, text in REWRITTEN:
        drawing = re.sub(pattern, text, drawing)
    for name, colour in COLOURS.items():
        drawing = drawing.replace(colour, f"var(--{name})")
    return Markup(drawing)


def curve(axes: "Axes", points: Sequence[Point], colour: str, dashed: bool = False) -> None:
    """A line through the values over the band of their intervals; every point says its words."""
    import numpy as np

    if not points:
        return
    look = colour + " dashed" * dashed
    x, value, low, high = np.array([point[:4] for point in points], dtype=float).T
    axes.fill_between(x, low, high, color=COLOURS[colour], alpha=0.09 if dashed else 0.16, linewidth=0, gid=f"band {look}")
    axes.plot(x, value, "--" if dashed else "-", color=COLOURS[colour], linewidth=1.4 if dashed else 2, gid=f"line {look}")
    size, opacity = min(18, 500 / len(points)), 0 if dashed else 1
    words = [point.words for point in points]
    axes.scatter(x, value, size, COLOURS[colour], linewidth=0, alpha=opacity, zorder=3, urls=words, gid=f"dots {look}")
