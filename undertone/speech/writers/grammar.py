"""The built-in writer: a compositional world of queries and of the replies that suit each speaker.

Query = phrasing × verb × object, read from `grammar.toml`. A query's topic fixes its category (METHOD A.4: a query belongs, by its
text, to one category); its replies are the content reply, given when nothing is known of the speaker, and one per attribute value.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from undertone.attributes import ATTRIBUTES
from undertone.records import CONTENT


class Topic(NamedTuple):
    """A field of life: its category, verbs, objects and the phrases that fill the category's reply templates."""

    name: str
    category: str
    safety: bool
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    phrases: Mapping[str, str]


class Query(NamedTuple):
    """A text, what is asked (`intent`), and the right reply per attribute value beside the content reply."""

    text: str
    intent: str
    topic: str
    category: str
    safety: bool
    content_reply: str
    replies: Mapping[str, str]


@cache
def _world() -> tuple[tuple[str, ...], Mapping[str, Mapping[str, str]], tuple[Topic, ...]]:
    table = tomllib.loads(files(__package__).joinpath("grammar.toml").read_text())
    topics = tuple(
        Topic(
            row["name"],
            row["category"],
            row.get("safety", False),
            tuple(row["verbs"]),
            tuple(row["objects"]),
            {key: value for key, value in row.items() if isinstance(value, str) and key not in ("name", "category")},
        )
        for row in table["topics"]
    )
    return tuple(table["phrasings"]), table["replies"], topics


def topics() -> tuple[Topic, ...]:
    """Every topic of the grammar, in file order."""
    return _world()[2]


def queries(topic: Topic) -> Iterator[Query]:
    """Every query of a topic; a child-safety topic asks each of its ten things in one phrasing."""
    said = phrasings()
    for i, verb in enumerate(topic.verbs):
        for j, thing in enumerate(topic.objects):
            for phrasing in (said[(i + j) % len(said)],) if topic.safety else said:
                yield compose(topic, verb, thing, phrasing)


def compose(topic: Topic, verb: str, thing: str, phrasing: str) -> Query:
    """The query that asks to `verb` the `thing` of `topic`, with its replies."""
    words = {"verb": verb, "object": thing, **topic.phrases}
    replies = {name: template.format(**words) for name, template in _world()[1][topic.category].items()}
    content = replies.pop(CONTENT)
    right = {value: replies.get(value, content) for value in _values(topic.category)}
    return Query(phrasing.format(**words), f"{verb} {thing}", topic.name, topic.category, topic.safety, content, right)


def phrasings() -> tuple[str, ...]:
    """The ways in which everything is asked, with {verb} and {object}."""
    return _world()[0]


def _values(category: str) -> Sequence[str]:
    return () if category == CONTENT else ATTRIBUTES[category].names


@cache
def all_queries() -> tuple[Query, ...]:
    """Every distinct query of the grammar, in a fixed order."""
    return tuple(query for topic in topics() for query in queries(topic))


def write(topics: Sequence[str], per_topic: int, endpoint: Mapping[str, object], folder: Path) -> Sequence[Query]:
    """The grammar as writer: every query of the named topics (none: of all); it asks nobody and keeps nothing."""
    known = {topic.name for topic in _world()[2]}
    for name in topics:
        if name not in known:
            raise ValueError(f"topics: the grammar has no {name!r}; known: {', '.join(sorted(known))}")
    return [query for query in all_queries() if not topics or query.topic in topics]
