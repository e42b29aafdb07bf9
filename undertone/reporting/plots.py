"""Layer scores → one panel an analysis."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.records import LayerScore
from undertone.reporting.drawing import COLOURS, Panel, Point, curve, draw
from undertone.reporting.folder import Selection

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPONENTS = {"audio_tower": "tower", "projector": "proj.", "language_model": "language model layer"}

ASIDE = 0.12
"""how far curves of one panel stand apart, in layers, so that equal ones can be told from each other"""


class Kind(NamedTuple):
    """A panel: its title, what to see in it, the analyses drawn dashed as its control, and what its axis always holds."""

    title: str
    reading: str
    controls: tuple[str, ...] = ()
    holds: tuple[float, ...] = (0, 1)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "probe": Kind(
            "Voice probes", "How well a linear probe reads the voice. Dashed: the same probe given only the words.", ("probe-text-only",)
        ),
        "intent": Kind(
            "Intent probe",
            "How well a linear probe reads what is asked. Dashed: the same probe given only the words.",
            ("intent-text-only",),
        ),
        "same-content": Kind(
            "Same content",
            "Cosine of clips that ask the same. Dashed: that ask something else. The gap is the signal.",
            ("different-content",),
            (),
        ),
        "attribute-conditioned": Kind("Same words, two voices", "Cosine of the two voices of a pair: low where the voices differ.", (), ()),
        "logit-lens": Kind("Logit lens", "Share of items whose final top token is already among the layer’s top three."),
        "patching": Kind(
            "Activation patching",
            "How far the other voice’s state, put in at this layer, moves the answer. Dashed: the other voice throughout.",
            ("patching-full",),
            (0,),
        ),
    }
)
"""The known analyses in order of reading; any other one gets a panel under its own name."""


def ordered(layers: Iterable[str]) -> list[str]:
    """Layers in forward order: tower, projector, language model; ValueError names what is no layer."""
    return sorted(set(layers), key=_place)


def _place(layer: str) -> tuple[int, int]:
    component, _, index = layer.rpartition(".")
    if component not in COMPONENTS or not index.isdigit():
        raise ValueError(f"layers.jsonl: {layer!r} is no layer; written as language_model.3, with {', '.join(COMPONENTS)}")
    return list(COMPONENTS).index(component), int(index)


def panels(rows: Sequence[LayerScore], selection: Selection | None) -> list[Panel]:
    """One panel an analysis over the layers that any analysis saw, the chosen ranges shaded."""
    slots = {layer: at for at, layer in enumerate(ordered(row.layer for row in rows))}
    dashed = {name for kind in KINDS.values() for name in kind.controls}
    found = sorted({row.analysis for row in rows} - dashed, key=lambda name: ([*KINDS, name].index(name), name))
    found += sorted({row.analysis for row in rows} & dashed - {control for name in found for control in _kind(name).controls})
    return [_panel(name, rows, slots, selection) for name in found]


def _kind(name: str) -> Kind:
    return KINDS.get(name, Kind(name.replace("-", " ").capitalize(), "", (), ()))


def _panel(name: str, rows: Sequence[LayerScore], slots: Mapping[str, int], selection: Selection | None) -> Panel:
    kind = _kind(name)
    mine = [row for row in rows if row.analysis == name or row.analysis in kind.controls]
    looks = {attribute: _look(attribute) for attribute in sorted({row.attribute for row in mine}, key=_order)}

    def onto(axes: "Axes") -> None:
        axes.update_datalim([(0, value) for value in kind.holds], updatex=False)
        _ground(axes, slots)
        if selection is not None:
            _ranges(axes, slots, selection)
        for analysis, (at, attribute) in product((*kind.controls, name), enumerate(looks)):
            aside = ASIDE * (at - (len(looks) - 1) / 2)
            curve(axes, _points(mine, analysis, attribute, slots, aside), looks[attribute], analysis != name)

    drawing = draw(f"{kind.title}: value of every layer", onto)
    return Panel(kind.title, kind.reading, drawing, {attribute: look for attribute, look in looks.items() if attribute})


def _order(attribute: str) -> tuple[int, str]:
    known = list(ATTRIBUTES)
    return known.index(attribute) if attribute in known else len(known), attribute


def _look(attribute: str) -> str:
    known = list(ATTRIBUTES)
    return f"s{known.index(attribute) % 6 + 1}" if attribute in known else "s0"


def _points(rows: Iterable[LayerScore], analysis: str, attribute: str, slots: Mapping[str, int], aside: float) -> list[Point]:
    mine = [row for row in rows if (row.analysis, row.attribute) == (analysis, attribute)]
    return [
        Point(slots[row.layer] + aside, row.value, row.low, row.high, _words(row)) for row in sorted(mine, key=lambda row: slots[row.layer])
    ]


def _words(row: LayerScore) -> str:
    span = "" if row.low is None or row.high is None else f" ({row.low:.3f} to {row.high:.3f})"
    return f"{row.layer}: {row.analysis} {row.attribute} {row.value:.3f}{span}, n {row.n:,}".replace("  ", " ")


def _ground(axes: "Axes", slots: Mapping[str, int]) -> None:
    """Layers along the bottom, the parts of the model under them, and the borders between these."""
    parts = {name: own for part, name in COMPONENTS.items() if (own := [at for layer, at in slots.items() if layer.startswith(f"{part}.")])}
    for first in sorted(own[0] for own in parts.values())[1:]:
        axes.axvline(first - 0.5, color=COLOURS["soft"], linewidth=0.5, gid="border")
    every = -(-len(slots) // 16)
    numbers = {at: index for layer, at in slots.items() if int(index := layer.rpartition(".")[2]) % every == 0 and "projector" not in layer}
    axes.xaxis.remove_overlapping_locs = False
    axes.set_xticks(list(numbers), list(numbers.values()))
    axes.set_xticks([sum(own) / len(own) for own in parts.values()], list(parts), minor=True)
    axes.tick_params("x", which="minor", pad=20)
    axes.locator_params("y", nbins=6, steps=(1, 2, 5, 10))
    axes.set(xlim=(-0.5, len(slots) - 0.5), ymargin=0.04)


def _ranges(axes: "Axes", slots: Mapping[str, int], chosen: Selection) -> None:
    """Chosen ranges over the whole height, the hand-over between them, and what is adapted as a bar on the axis."""
    for look, ends, top in (("voice", chosen.paralinguistic, 1), ("meaning", chosen.semantic, 1), ("accent", chosen.adapt, 0.02)):
        if own := _slots(slots, ends):
            axes.axvspan(own[0] - 0.5, own[-1] + 0.5, ymax=top, facecolor=COLOURS[look], linewidth=0, gid=look)
    for at in _slots(slots, (chosen.hand_over, chosen.hand_over)):
        axes.axvline(at, color=COLOURS["ink"], linewidth=1.4, linestyle=(0, (1.2, 2)), gid="turn")


def _slots(slots: Mapping[str, int], ends: tuple[int, int]) -> list[int]:
    """Where the language-model layers from first to last stand; layers that nobody analysed stand nowhere."""
    return [slots[layer] for index in range(ends[0], ends[1] + 1) if (layer := f"language_model.{index}") in slots]
