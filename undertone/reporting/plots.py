"""Layer scores → one panel an analysis."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.records import LayerScore
from undertone.reporting.folder import Selection
from undertone.reporting.svg import Axes, Panel, Point, Span, around, steps

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
        "intent": Kind("Intent probe", "How well a linear probe reads what is asked."),
        "same-content": Kind(
            "Same content",
            "Cosine of clips that ask the same. Dashed: that ask something else. The gap is the signal.",
            ("different-content",),
            (),
        ),
        "attribute-conditioned": Kind("Same words, two voices", "Cosine of the two voices of a pair: low where the voices differ.", (), ()),
        "logit-lens": Kind("Logit lens", "Share of items whose final top token is already among the layer’s top three."),
        "patching": Kind(
            "Activation patching", "How far the other voice’s state, put in at this layer, moves the answer. A causal check.", (), (0,)
        ),
        "cka": Kind("CKA", "Linear similarity of representations.", (), ()),
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
    bounds = [bound for row in mine for bound in (row.value, row.low, row.high) if bound is not None]
    axes = Axes(f"{kind.title}: value of every layer", Span(-0.5, len(slots) - 0.5), around(bounds, kind.holds))
    _ground(axes, slots, selection)
    lines = {}
    attributes = list(dict.fromkeys(row.attribute for row in mine))
    for analysis, attribute in dict.fromkeys((row.analysis, row.attribute) for row in mine):
        look = _look(attribute) + (" dashed" if analysis in kind.controls else "")
        aside = ASIDE * (attributes.index(attribute) - (len(attributes) - 1) / 2)
        axes.curve(_points(mine, analysis, attribute, slots, aside), look)
        if analysis == name and attribute:
            lines[attribute] = look
    return Panel(kind.title, kind.reading, axes.markup(), lines)


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


def _ground(axes: Axes, slots: Mapping[str, int], selection: Selection | None) -> None:
    """Chosen ranges, levels, ticks, and the borders between the parts of the model."""
    if selection is not None:
        _ranges(axes, slots, selection)
    for level in steps(axes.y):
        axes.level(level, f"{level:g}".replace("-", "−"))
    if selection is not None and (adapted := _slots(slots, selection.adapt)):
        axes.underline(adapted[0] - 0.5, adapted[-1] + 0.5, "adapt")
    every = -(-len(slots) // 16)
    for component in COMPONENTS:
        own = [at for layer, at in slots.items() if layer.startswith(component + ".")]
        if own:
            axes.name(sum(own) / len(own), COMPONENTS[component])
            if own[0]:
                axes.upright(own[0] - 0.5, "border")
    for layer, at in slots.items():
        component, _, index = layer.rpartition(".")
        if component != "projector" and int(index) % every == 0:
            axes.tick(at, index)


def _ranges(axes: Axes, slots: Mapping[str, int], selection: Selection) -> None:
    for ends, look in ((selection.paralinguistic, "voice"), (selection.semantic, "meaning")):
        if own := _slots(slots, ends):
            axes.shade(own[0] - 0.5, own[-1] + 0.5, look)
    if turn := _slots(slots, (selection.hand_over, selection.hand_over)):
        axes.upright(turn[0], "turn")


def _slots(slots: Mapping[str, int], ends: tuple[int, int]) -> list[int]:
    """Where the language-model layers from first to last stand; layers that nobody analysed stand nowhere."""
    return [slots[layer] for index in range(ends[0], ends[1] + 1) if (layer := f"language_model.{index}") in slots]
