"""The rows of VoiceBench's subsets → items: which fields each must have, and by which rule its replies are scored."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from undertone.evaluation.suites.base import Item, Loaded, Sound, Source, unique_items
from undertone.evaluation.suites.tables import AUDIO, rows_of, sound_of
from undertone.evaluation.suites.voicebench.instructions import followed
from undertone.evaluation.suites.voicebench.reasoning import conclusion
from undertone.records import BrokenRow, Utterance, build

Rule = Literal["open", "qa", "mcq", "bbh", "ifeval", "harm"]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "alpacaeval": "open",
        "alpacaeval_full": "open",
        "commoneval": "open",
        "wildvoice": "open",
        "sd-qa": "qa",
        "mmsu": "mcq",
        "openbookqa": "mcq",
        "bbh": "bbh",
        "ifeval": "ifeval",
        "advbench": "harm",
    }
)
"""Subset → rule. mtbench, of several turns, has no rule in the official evaluator and is no part of its overall score."""

OVERALL = ("alpacaeval_full", "commoneval", "wildvoice", "sd-qa", "mmsu", "openbookqa", "bbh", "ifeval", "advbench")
"""The nine subsets whose mean is the overall score."""

DEFAULT = tuple("sd-qa:usa" if name == "sd-qa" else name for name in OVERALL)
"""What is asked unless subsets are named: of SD-QA one region, as on the leaderboard; NAME:SPLIT is another one."""

_NEEDED: Mapping[Rule, Sequence[str]] = MappingProxyType(
    {"qa": ("reference",), "mcq": ("reference",), "bbh": ("id", "reference"), "ifeval": ("instruction_id_list", "kwargs")}
)
_TRUTHS = {"mcq": ("A", "B", "C", "D"), "bbh": ("yes", "no", "(a)", "(b)")}


class Part(NamedTuple):
    """A subset, and one of its splits ("": all)."""

    name: str
    split: str

    @property
    def rule(self) -> Rule:
        """How its replies are scored; ValueError lists the subsets where it is none."""
        if self.name not in RULES:
            raise ValueError(f"subsets: unknown {self.name!r}; known: {', '.join(RULES)}")
        return RULES[self.name]


def load(source: Source) -> Loaded:
    """The items of the chosen subsets, in their files' order."""
    sounds: dict[str, Sound] = {}
    items = []
    for chosen in source.subsets or DEFAULT:
        part = Part(*chosen.partition(":")[::2])
        for number, (row, where) in enumerate(rows_of(source.data, part.name, part.split)):
            item = _item(row, part, number, where)
            sounds[item.utterance.id] = sound_of(row.get(AUDIO), source.data, where)
            items.append(item)
    return Loaded(unique_items(items, source.data), lambda row: sounds[row.id])


def _item(row: Mapping[str, Any], part: Part, number: int, where: str) -> Item:
    for field in ("prompt", *_NEEDED.get(part.rule, ())):
        if row.get(field) in (None, "", []):
            raise BrokenRow(f"{where}: no {field}; a row of {part.name} has {', '.join(('prompt', *_NEEDED.get(part.rule, ()), AUDIO))}")
    truth = str(row["reference"]).strip() if "reference" in row and row["reference"] is not None else None
    if truths := _TRUTHS.get(part.rule):
        truth = next((one for one in truths if one.lower() == (truth or "").lower()), None)
        if truth is None:
            raise BrokenRow(f"{where}: reference {row['reference']!r} is none of {', '.join(truths)}")
    name = row.get("id", row.get("key", number))
    fields = {
        "id": f"{part.name}/{name}" + (f"@{part.split}" if part.split else ""),
        "text": str(row["prompt"]),
        "file_name": "",
        "seconds": 0.0,
        "attributes": {},
        "speaker": "unknown",
        "source": "voicebench",
        "split": "test",
        "reply": truth,
    }
    facts = {"rule": part.rule, "task": str(name)} | (dict(_instructions(row, where)) if part.rule == "ifeval" else {})
    try:  # what no reply could be scored by is known before anything is asked
        if part.rule == "bbh":
            conclusion("", str(name))
        if part.rule == "ifeval":
            followed("a reply", facts["kinds"], facts["arguments"])
    except (ValueError, TypeError, AttributeError) as error:
        raise BrokenRow(f"{where}: {error}") from None
    return Item(build(Utterance, fields, where), f"voicebench/{part.name}", facts)


def _instructions(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    kinds, arguments = row["instruction_id_list"], row["kwargs"]
    if not isinstance(kinds, Sequence) or not isinstance(arguments, Sequence) or len(kinds) != len(arguments):
        raise BrokenRow(f"{where}: instruction_id_list and kwargs should be lists of one length")
    if not all(some is None or isinstance(some, Mapping) for some in arguments):
        raise BrokenRow(f"{where}: kwargs should be a list of objects")
    yield from (("kinds", list(kinds)), ("arguments", [dict(some or {}) for some in arguments]))
