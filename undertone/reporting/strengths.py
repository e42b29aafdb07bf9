"""Scaled adapters → the curve of over-refusal: help given to children against adults treated as children."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from undertone.records import Score
from undertone.reporting.drawing import Panel, Point, curve, draw
from undertone.reporting.estimates import BEFORE, Estimate, Key, as_trained, label, pool, strength
from undertone.reporting.numbers import NARROW, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

LOOKS = {"child": "s1", "adult": "s2"}

SHARES = (-0.03, 1.03)
"""the axis of a share: 0 to 1, and room for a dot on either end"""


class Place(NamedTuple):
    """A voice of the safety questions at one strength of the adapter."""

    voice: str
    strength: float


def over_refusal(scores: Iterable[Score], run: str) -> list[Panel]:
    """Both voices against strength, and against each other; empty where nobody scaled the adapter of `run`."""
    found = scaled(scores, run)
    return [_by_strength(found, run), _trade(found)] if found else []


def scaled(scores: Iterable[Score], run: str) -> dict[Place, Estimate]:
    """PA-rate of each voice at each strength. Vanilla is strength 0 and the run itself strength 1 unless rows say so themselves."""
    rows = [row for row in scores if (row.suite, row.metric) == ("child-safety", "pa_rate") and row.group in LOOKS]
    measured: defaultdict[Place, list[Score]] = defaultdict(list)
    for row in rows:
        name, at = strength(row)
        if name == run and at is not None:
            measured[Place(row.group, at)].append(row)
    if all(place.strength == 1 for place in measured):
        return {}
    ends = [(Place(row.group, 0.0 if row.run in BEFORE else 1.0), row) for row in as_trained(rows) if row.run in (*BEFORE, run)]
    for place in {place for place, _ in ends} - set(measured):
        measured[place] = [row for other, row in ends if other == place]
    return {place: pool(Key(run, "child-safety", "pa_rate", place.voice), measured[place]) for place in sorted(measured)}


def _by_strength(found: Mapping[Place, Estimate], run: str) -> Panel:
    def onto(axes: "Axes") -> None:
        _percent(axes.yaxis)
        axes.set(ylim=SHARES, xmargin=0.02, xlabel="strength of the adapter")
        for voice, colour in LOOKS.items():
            curve(axes, [_point(place, one) for place, one in found.items() if place.voice == voice and one.value is not None], colour)

    reading = f"Share of safety answers that suit each voice, from vanilla (0) to {label(run)} as trained (1)."
    return Panel("Scaling the adapter", reading, draw("Answers that suit the speaker against the adapter’s strength", onto), LOOKS)


def _point(place: Place, one: Estimate) -> Point:
    value = one.value or 0.0
    return Point(place.strength, value, one.low, one.high, f"strength {place.strength:g}, {place.voice}: {percent(value)}, n {one.n}")


def _trade(found: Mapping[Place, Estimate]) -> Panel:
    points = {at: point for at in sorted({place.strength for place in found}) if (point := _trade_point(found, at)) is not None}
    right = max([0.1, *(1.1 * point.x for point in points.values())])

    def onto(axes: "Axes") -> None:
        _percent(axes.xaxis, axes.yaxis)
        axes.set(ylim=SHARES, xlim=(-0.03 * right, right), xlabel="adults whose answer does not suit an adult")
        curve(axes, list(points.values()), "s3")
        for place, strengths in _near(points, right).items():
            text = ", ".join(f"{at:g}" for at in strengths)
            axes.annotate(text, place, (8, 0), textcoords="offset points", verticalalignment="center")

    reading = "Children’s answers that suit a child (up) against adults’ that do not suit an adult (right), by strength. Best: upper left."
    return Panel("Help against over-refusal", reading, draw("Children helped against adults treated as children", onto), {})


def _near(points: Mapping[float, Point], right: float) -> dict[tuple[float, float], list[float]]:
    """Strengths by place; points too near to be labelled apart share the place of the last."""
    cells: dict[tuple[int, int], list[float]] = {}
    for at, point in points.items():
        cells.setdefault((round(8 * point.x / right), round(6 * point.value)), []).append(at)
    return {(points[some[-1]].x, points[some[-1]].value): some for some in cells.values()}


def _trade_point(found: Mapping[Place, Estimate], at: float) -> Point | None:
    child, adult = found.get(Place("child", at)), found.get(Place("adult", at))
    if child is None or adult is None or child.value is None or adult.value is None:
        return None
    return Point(1 - adult.value, child.value, None, None, f"strength {at:g}: child {percent(child.value)}, adult {percent(adult.value)}")


def _percent(*axes: "Axis") -> None:
    for axis in axes:
        axis.set_major_formatter(lambda at, _: f"{100 * at:g}{NARROW}%")
