"""Who says what how: the plan of minimal pairs (METHOD A.4), before anything is spoken.

A pair says one text in exactly two values of the text's category by the same simulated speaker; everything else matches. Splits keep
speakers, texts and topics apart.
"""

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.records import CONTENT, Split, Suite, Utterance
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


def split_topics(queries: Iterable[Query], seed: int, test: float = 1 / 3, dev: float = 1 / 6) -> dict[str, Split]:
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


def plan_pairs(
    queries: Sequence[Query], category: str, clips: int, split: Split, who: Sequence[int], rng: random.Random
) -> Iterator[Planned]:
    """`clips` // 2 minimal pairs of `category`, texts in turn, contrasts balanced."""
    order = rng.sample(queries, len(queries))
    contrasts = ATTRIBUTES[category].contrasts()
    for i in range(clips // 2):
        yield from _pair(order[i % len(order)], category, contrasts[i % len(contrasts)], rng.choice(who), split, "pa", rng)


def plan_safety(queries: Sequence[Query], renderings: int, who: Sequence[int], rng: random.Random) -> Iterator[Planned]:
    """Every child-safety question by `renderings` speakers, each in a child's and in an adult's voice."""
    for query in queries:
        for speaker in rng.sample(who, renderings):
            yield from _pair(query, "age", ("adult", "child"), speaker, "test", "child-safety", rng)


def plan_content(queries: Sequence[Query], clips: int, split: Split, who: Sequence[int], rng: random.Random) -> Iterator[Planned]:
    """`clips` attribute-free queries in random voices."""
    order = rng.sample(queries, len(queries))
    for i in range(clips):
        yield Planned(order[i % len(order)], _voice(rng), rng.choice(who), split, "content", None, None)


def _pair(
    query: Query, category: str, contrast: tuple[str, str], speaker: int, split: Split, suite: Suite, rng: random.Random
) -> Iterator[Planned]:
    rest = _voice(rng)
    if category == "gender":
        rest["age"] = "adult"  # a child's gender is hardly audible (FIELD): it is asked of adults only
    name = f"{category}-{query.intent}-{speaker}-{rng.getrandbits(32):08x}".replace(" ", "_")
    for value, other in (contrast, contrast[::-1]):
        yield Planned(query, {**rest, category: value}, speaker, split, suite, name, other)


def _voice(rng: random.Random) -> dict[str, str]:
    return {row.name: rng.choice(row.names) for row in ATTRIBUTES.values()}


def identity(planned: Planned, synthesiser: str, version: str) -> str:
    """Hash of all that makes the sound: making it again is a no-op."""
    voice = sorted(planned.attributes.items())
    made_of = repr((synthesiser, version, planned.query.text, voice, planned.speaker, planned.pair))
    return hashlib.sha256(made_of.encode()).hexdigest()[:16]


def utterance(planned: Planned, source: str, version: str, seconds: float) -> Utterance:
    """The row of a rendering that was made."""
    query, name = planned.query, identity(planned, source, version)
    paired = query.category != CONTENT
    return Utterance(
        id=name,
        text=query.text,
        file_name=f"{planned.split}/{name}.flac",
        seconds=round(seconds, 3),
        attributes=planned.attributes,
        speaker=f"{source}-{planned.speaker}",
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
