"""Who says what how: the plan of minimal pairs (METHOD A.4), before anything is spoken.

A pair says one text in exactly two values of the text's category by the same simulated speaker; everything else matches. Splits keep
speakers, texts and topics apart.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.records import CONTENT, Split, Suite, Utterance
from undertone.speech.synthesisers import who_renders
from undertone.speech.writers.grammar import Query

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
FIRST_SPEAKER = 1_000
"""Simulated speakers below are those the embedded model has heard."""


class Planned(NamedTuple):
    """One rendering to be made."""

    query: Query
    attributes: Mapping[str, str]
    speaker: int
    split: Split
    suite: Suite
    pair: str | None
    contrast: str | None


def split_topics(queries: Iterable[Query], seed: int, test: float = 1 / 4, dev: float = 1 / 12) -> dict[str, Split]:
    """Topic → split. Of each category's topics a share is drawn for test and dev, at least one each where there are three;
    child-safety topics are always test."""
    rng = random.Random(seed)
    split: dict[str, Split] = {}
    by_category: dict[str, list[str]] = {}
    for query in queries:
        if query.safety:
            split[query.topic] = "test"
        elif query.topic not in by_category.setdefault(query.category, []):
            by_category[query.category].append(query.topic)
    for names in by_category.values():
        rng.shuffle(names)
        held, checked = max(1, round(len(names) * test)), max(1, round(len(names) * dev))
        for i, name in enumerate(names):
            split[name] = "test" if i < held else "dev" if i < held + checked else "train"
    return split


def speakers(split: Split, count: int, seed: int) -> range:
    """The speaker numbers of a split; no number stands in two splits or seeds."""
    first = FIRST_SPEAKER + (seed * len(SPLITS) + SPLITS.index(split)) * count
    return range(first, first + count)


class Dealt(NamedTuple):
    """Speaker numbers of each split, and whether no voice stands in two splits."""

    numbers: Mapping[Split, Sequence[int]]
    apart: bool


def deal(splits: Sequence[Split], count: int, seed: int, voices: Callable[[int], frozenset[str]]) -> Dealt:
    """`count` speakers for each of `splits`, fewer where numbers share `voices`: those are dealt out by voice, if there are enough."""
    numbers: dict[Split, Sequence[int]] = {split: speakers(split, count, seed) for split in splits}
    groups = voice_groups({number: voices(number) for some in numbers.values() for number in some})
    if len(groups) == count * len(splits):
        return Dealt(numbers, True)
    if len(groups) < len(splits):
        return Dealt(numbers, False)
    first = sorted(splits, key=("train", "test", "dev").index)  # where a voice more is worth most
    return Dealt({split: sorted(chain(*groups[i :: len(first)])) for i, split in enumerate(first)}, True)


def voice_groups(voices: Mapping[int, frozenset[str]]) -> list[list[int]]:
    """Numbers that share a voice with one another, directly or through others."""
    groups: list[tuple[frozenset[str], list[int]]] = []
    for number, names in voices.items():
        near = [group for group in groups if group[0] & names]
        groups = [group for group in groups if not group[0] & names]
        groups.append((names.union(*(group[0] for group in near)), [*chain(*(group[1] for group in near)), number]))
    return sorted((group[1] for group in groups), key=min)


class Cast(NamedTuple):
    """Who may speak: speaker numbers, the values that the synthesiser makes audible (attribute → values), and the dice."""

    speakers: Sequence[int]
    renders: Mapping[str, Sequence[str]]
    rng: random.Random

    def contrasts(self, category: str) -> list[tuple[str, str]]:
        """The contrasts of `category` that can be rendered; ValueError where there is none."""
        able = set(self.renders.get(category, ()))
        found = [pair for pair in ATTRIBUTES[category].contrasts() if able.issuperset(pair)]
        if not found:
            raise ValueError(
                f"no {category} pairs: the synthesiser renders {sorted(able) or 'no value'} of it (able to: "
                f"{who_renders(category, ATTRIBUTES[category].names[-1])}); choose another or ask for 0 clips of {category}"
            )
        return found

    def voice(self) -> dict[str, str]:
        """A random voice."""
        return {name: self.rng.choice([value for value in row.names if value in self.renders[name]])
                for name, row in ATTRIBUTES.items() if self.renders.get(name)}  # fmt: skip


def plan_pairs(queries: Sequence[Query], category: str, clips: int, split: Split, cast: Cast) -> Iterator[Planned]:
    """`clips` // 2 minimal pairs of `category`, texts in turn, contrasts balanced.

    Contrasts are dealt in a fresh order each lap: two fixed orders would marry a text to one contrast, and the words would tell the voice.
    """
    order = cast.rng.sample(queries, len(queries))
    contrasts = cast.contrasts(category) if clips else []
    for i in range(clips // 2):
        if i % len(contrasts) == 0:
            lap = cast.rng.sample(contrasts, len(contrasts))
        yield from _pair(order[i % len(order)], category, lap[i % len(lap)], cast.rng.choice(cast.speakers), split, "pa", cast)


def plan_safety(queries: Sequence[Query], renderings: int, cast: Cast) -> Iterator[Planned]:
    """Every child-safety question by `renderings` speakers, each in a child's and in an adult's voice; where there are fewer, some ask
    twice."""
    contrasts = cast.contrasts("age") if queries and renderings else []
    for query in queries:
        enough = [*cast.speakers] * -(-renderings // max(1, len(cast.speakers)))
        for speaker in cast.rng.sample(enough, renderings):
            yield from _pair(query, "age", contrasts[0], speaker, "test", "child-safety", cast)


def plan_content(queries: Sequence[Query], clips: int, split: Split, cast: Cast) -> Iterator[Planned]:
    """`clips` attribute-free queries in random voices."""
    order = cast.rng.sample(queries, len(queries))
    for i in range(clips):
        yield Planned(order[i % len(order)], cast.voice(), cast.rng.choice(cast.speakers), split, "content", None, None)


def _pair(
    query: Query, category: str, contrast: tuple[str, str], speaker: int, split: Split, suite: Suite, cast: Cast
) -> Iterator[Planned]:
    rest = cast.voice()
    if category == "gender" and "age" in rest:
        rest["age"] = "adult"  # a child's gender is hardly audible (FIELD): it is asked of adults only
    name = f"{category}-{query.intent}-{speaker}-{cast.rng.getrandbits(32):08x}".replace(" ", "_")
    for value, other in (contrast, contrast[::-1]):
        yield Planned(query, {**rest, category: value}, speaker, split, suite, name, other)


def identity(planned: Planned, synthesiser: str, version: str) -> str:
    """Hash of all that makes the sound: making it again is a no-op."""
    voice = sorted(planned.attributes.items())
    made_of = repr((synthesiser, version, planned.query.text, voice, planned.speaker, planned.pair))
    return hashlib.sha256(made_of.encode()).hexdigest()[:16]


def file_name(planned: Planned, name: str) -> str:
    """Where the clip called `name` lies in the data folder."""
    return f"{planned.split}/{name}.flac"


def utterance(planned: Planned, source: str, version: str, seconds: float, speaker: str) -> Utterance:
    """The row of a rendering that was made; `speaker` is the name of the voice."""
    query, name = planned.query, identity(planned, source, version)
    paired = query.category != CONTENT
    return Utterance(
        id=name,
        text=query.text,
        file_name=file_name(planned, name),
        seconds=round(seconds, 3),
        attributes=planned.attributes,
        speaker=f"{source}-{speaker}",
        source=source,
        split=planned.split,
        suite=planned.suite,
        category=query.category,
        topic=query.topic,
        intent=query.intent,
        pair=planned.pair,
        contrast=planned.contrast,
        reply=query.replies[planned.attributes[query.category]] if paired else query.content_reply,
        contrast_reply=query.replies[planned.contrast] if planned.contrast else None,
        content_reply=query.content_reply,
    )
