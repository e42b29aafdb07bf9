"""Axes drawn by hand: a small SVG whose colours come from the page, so that it follows light, dark and print."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

WIDTH, HEIGHT = 470, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 18, 14, 44


class Span(NamedTuple):
    """What an axis covers, in data units."""

    low: float
    high: float


class Point(NamedTuple):
    """A value with its interval (None: none stated) and the words that show when pointed at."""

    x: float
    value: float
    low: float | None
    high: float | None
    words: str


class Panel(NamedTuple):
    """A drawing, its title, how to read it, and its lines: name → look."""

    title: str
    reading: str
    drawing: Markup
    lines: Mapping[str, str]


class Axes:
    """A drawing with a data area. Everything added is drawn over what came before."""

    def __init__(self, words: str, x: Span, y: Span) -> None:
        self.x, self.y = x, y
        self.root = Element("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": words, "class": "plot"})

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Data units → drawing units."""
        across = (x - self.x.low) / (self.x.high - self.x.low)
        up = (y - self.y.low) / (self.y.high - self.y.low)
        return round(LEFT + across * (WIDTH - LEFT - RIGHT), 1), round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM), 1)

    def text(self, x: float, y: float, words: str, look: str) -> None:
        """Words at a place in drawing units."""
        SubElement(self.root, "text", {"x": f"{x:g}", "y": f"{y:g}", "class": look}).text = words

    def level(self, value: float, words: str) -> None:
        """A line across, named on the left."""
        _, y = self.place(self.x.low, value)
        SubElement(self.root, "path", {"d": f"M{LEFT} {y}H{WIDTH - RIGHT}", "class": "grid"})
        self.text(LEFT - 6, y + 4, words, "tick left")

    def tick(self, x: float, words: str) -> None:
        """A name under a place on the x axis."""
        self.text(self.place(x, self.y.low)[0], HEIGHT - BOTTOM + 15, words, "tick")

    def name(self, x: float, words: str) -> None:
        """A name one line lower: what the ticks above it belong to."""
        self.text(self.place(x, self.y.low)[0], HEIGHT - BOTTOM + 31, words, "tick name")

    def upright(self, x: float, look: str) -> None:
        """A line from bottom to top."""
        across, _ = self.place(x, self.y.low)
        SubElement(self.root, "path", {"d": f"M{across} {TOP}V{HEIGHT - BOTTOM}", "class": look})

    def shade(self, first: float, last: float, look: str) -> None:
        """A range of x, over the whole height."""
        (left, bottom), (right, top) = self.place(first, self.y.low), self.place(last, self.y.high)
        box = {"x": f"{left:g}", "y": f"{top:g}", "width": f"{right - left:g}", "height": f"{bottom - top:g}"}
        SubElement(self.root, "rect", {**box, "class": look})

    def underline(self, first: float, last: float, look: str) -> None:
        """A range of x, as a bar on the axis."""
        left, right, y = self.place(first, 0)[0], self.place(last, 0)[0], HEIGHT - BOTTOM
        SubElement(self.root, "path", {"d": f"M{left} {y}H{right}", "class": look})

    def curve(self, points: Sequence[Point], look: str) -> None:
        """A line through the values over the band of their intervals; every point says its words."""
        banded = [point for point in points if point.low is not None and point.high is not None]
        if len(banded) > 1:
            edge = [self.place(point.x, point.high or 0) for point in banded]
            edge += [self.place(point.x, point.low or 0) for point in reversed(banded)]
            SubElement(self.root, "path", {"d": _path(edge) + "Z", "class": f"band {look}"})
        SubElement(self.root, "path", {"d": _path([self.place(point.x, point.value) for point in points]), "class": f"line {look}"})
        for point in points:
            self.dot(point, look)

    def dot(self, point: Point, look: str) -> None:
        """One value."""
        across, up = self.place(point.x, point.value)
        mark = SubElement(self.root, "circle", {"cx": f"{across}", "cy": f"{up}", "r": "2.6", "class": f"dot {look}"})
        SubElement(mark, "title").text = point.words

    def markup(self) -> Markup:
        """The drawing, safe to stand in a page: all words went through an XML writer."""
        return Markup(tostring(self.root, encoding="unicode"))


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in places)


def steps(span: Span, most: int = 6) -> list[float]:
    """Round numbers inside `span`, at most `most` + 1 of them, in steps of 1, 2 or 5 times a power of ten."""
    raw = (span.high - span.low) / most
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    return [round(step * at, 10) for at in range(ceil(span.low / step - 1e-9), floor(span.high / step + 1e-9) + 1)]


def around(values: Sequence[float], holds: Sequence[float] = ()) -> Span:
    """A span with a little room around the values; `holds` are in it too, and no room is added beyond them."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    bottom, top = min(holds, default=low), max(holds, default=high)
    return Span(bottom if holds and low >= bottom else low - room, top if len(holds) > 1 and high <= top else high + room)
