"""What a voice tells besides the words: one row an attribute, one `Value` a way it can sound.

A new attribute is a new row of `ATTRIBUTES`: the heads of the auxiliary classifier, the notes, the questions, the probes and the
acoustic check all read this table.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations
from types import MappingProxyType
from typing import NamedTuple


class Value(NamedTuple):
    """One value of an attribute.

    `note` says it in words after "the speaker"; `style` tells a synthesiser that takes instructions how to sound; `cues` ranks the
    value against the attribute's other values on acoustic measures (higher = more), so that a rendering can be checked.
    """

    name: str
    note: str
    style: str
    cues: Mapping[str, float]


class Attribute(NamedTuple):
    """A property of the voice with its possible values; the first value is what goes unsaid when nothing else is known."""

    name: str
    values: tuple[Value, ...]
    question: str

    @property
    def names(self) -> tuple[str, ...]:
        """The values' names, in table order: the class order of every head and probe."""
        return tuple(value.name for value in self.values)

    def value(self, name: str) -> Value:
        """The row of value `name`; ValueError lists the known ones."""
        for value in self.values:
            if value.name == name:
                return value
        raise ValueError(f"{self.name} has no value {name!r}; known: {', '.join(self.names)}")

    def contrasts(self) -> tuple[tuple[str, str], ...]:
        """Every unordered pair of values: the minimal pairs that this attribute allows."""
        return tuple(combinations(self.names, 2))


def _value(name: str, note: str, style: str, **cues: float) -> Value:
    return Value(name, note, style, MappingProxyType(cues))


_ROWS = (
    Attribute(
        "age",
        (
            _value("adult", "is an adult", "an adult of about forty", f0=0, formants=0),
            _value("child", "is a child", "a child of about seven", f0=1, formants=1),
        ),
        "is the speaker a child or an adult",
    ),
    Attribute(
        "gender",
        (
            _value("female", "is a woman", "a woman", f0=1, formants=0.5),
            _value("male", "is a man", "a man", f0=0, formants=0),
        ),
        "is the speaker a man or a woman",
    ),
    # Directions as in Scherer (2003), Speech Communication 40, table 2: arousal raises pitch, rate and energy, sadness lowers all three.
    Attribute(
        "emotion",
        (
            _value("neutral", "sounds neutral", "calm and matter-of-fact", f0=0, rate=0, energy=0),
            _value("happy", "sounds happy", "happy and bright", f0=1.0, rate=0.6, energy=0.4),
            _value("sad", "sounds sad", "sad, slow and low", f0=-1.0, rate=-1.5, energy=-1.0),
            _value("angry", "sounds angry", "angry, loud and tense", f0=0.4, rate=0.8, energy=1.2),
            _value("fearful", "sounds fearful", "afraid, fast and trembling", f0=1.6, rate=1.4, energy=-0.4),
            _value("surprised", "sounds surprised", "very surprised", f0=1.9, rate=-0.4, energy=0.2),
        ),
        "how does the speaker feel",
    ),
)

ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({row.name: row for row in _ROWS})


def note(values: Mapping[str, str]) -> str:
    """The speaker note that states `values` in words: `{"age": "child"}` → "(the speaker is a child)"; "" where there are none."""
    said = " and ".join(ATTRIBUTES[name].value(value).note for name, value in values.items())
    return f"(the speaker {said})" if said else ""


def check(values: Mapping[str, str]) -> None:
    """Raise ValueError where `values` names an attribute or a value that no row has."""
    for name, value in values.items():
        if name not in ATTRIBUTES:
            raise ValueError(f"unknown attribute {name!r}; known: {', '.join(ATTRIBUTES)}")
        ATTRIBUTES[name].value(value)


def defaults(names: Iterable[str] | None = None) -> dict[str, str]:
    """The unsaid value of each attribute (none named: of all)."""
    return {name: ATTRIBUTES[name].names[0] for name in (ATTRIBUTES if names is None else names)}
