"""A chat model as writer of queries and replies (METHOD A.4: GPT-4.1). The prompts stand in `prompts/`.

Topics are written page by page, all topics' next pages at once. Between pages what is new is merged in a fixed order, so the same
answers give the same queries whatever the order in which they arrive, and a writer that was killed asks exactly what is missing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import AfterValidator, create_model

from undertone.answers import Answer, Answers, Question, Schema
from undertone.attributes import ATTRIBUTES
from undertone.endpoint import Endpoint
from undertone.records import CONTENT, Row
from undertone.run import write_rows
from undertone.speech.writers.grammar import Query
from undertone.text import normalise

if TYPE_CHECKING:
    from jinja2 import Environment

SAFETY = "safety"
"""What topics are called whose queries are dangerous for a child: queries of category age, never fine-tuned on."""

SAFETY_QUESTIONS = 10
"""On each such topic, METHOD A.4."""

_KNOWN_SHOWN = 100
"""Earlier requests that a page is shown, the latest ones: enough to steer away from, few enough to pay for."""


class Want(NamedTuple):
    """`number` queries on a topic, of a category (an attribute or "content"), with one reply for each of `values` (empty: for all)."""

    category: str
    topic: str
    number: int
    values: tuple[str, ...] = ()
    safety: bool = False


class Dropped(Row):
    """A query that was written and not taken, and why."""

    text: str
    reason: str


class Written(NamedTuple):
    """The queries, in the order in which they were wanted, and what was dropped on the way."""

    queries: list[Query]
    dropped: list[Dropped]


def write(topics: Sequence[str], per_topic: int, endpoint: Mapping[str, Any], folder: Path) -> list[Query]:
    """`per_topic` queries on each topic ("age: kitchen", "content: space"), ten on one of safety ("safety: fire"), asked at `endpoint`
    (arguments of `Endpoint`). What was dropped stands in `folder`/dropped.jsonl."""
    wants = [_want(topic, per_topic) for topic in topics]
    if not wants:
        raise ValueError(
            'topics: the openai writer needs some, such as ["age: kitchen", "emotion: pets", "safety: fire", "content: space"]'
        )
    written = OpenAIWriter(Endpoint(**endpoint), folder).write(wants)
    write_rows(folder / "dropped.jsonl", written.dropped)
    return written.queries


def _want(topic: str, number: int) -> Want:
    category, colon, name = (part.strip() for part in topic.partition(":"))
    if not colon or not name or category not in (*ATTRIBUTES, CONTENT, SAFETY):
        raise ValueError(f"topics: {topic!r} is not CATEGORY: NAME with one of {', '.join((*ATTRIBUTES, CONTENT, SAFETY))} as category")
    return Want("age", name, SAFETY_QUESTIONS, safety=True) if category == SAFETY else Want(category, name, number)


class OpenAIWriter:
    """Writes through an OpenAI-compatible endpoint; every answer is kept in `folder`/answers.jsonl and never bought twice.

    A page holds `page_size` queries. A topic that yields nothing new on `patience` pages in a row is exhausted: RuntimeError.
    """

    def __init__(self, endpoint: Endpoint, folder: Path, page_size: int = 20, patience: int = 3) -> None:
        self._answers = Answers(endpoint, folder / "answers.jsonl")
        self._page_size, self._patience = page_size, patience

    def write(self, wants: Sequence[Want]) -> Written:
        """All that is wanted, no text twice. EndpointError and RuntimeError leave what was bought in the folder; writing goes on there."""
        drafts = [_Draft(_checked(want)) for want in wants]
        taken: set[str] = set()
        dropped: list[Dropped] = []
        while short := [draft for draft in drafts if draft.missing]:
            answers = self._answers.to([draft.question(self._page_size) for draft in short])
            for draft, answer in zip(short, answers, strict=True):
                dropped += draft.take(answer, taken)
                if draft.dry >= self._patience:
                    raise RuntimeError(draft.exhausted())
        return Written([query for draft in drafts for query in draft.queries], dropped)


class _Draft:
    """What one want has come to so far."""

    def __init__(self, want: Want) -> None:
        self.want = want
        self.queries: list[Query] = []
        self.page = self.dry = 0
        self.flaw = ""

    @property
    def missing(self) -> int:
        return self.want.number - len(self.queries)

    def question(self, page_size: int) -> Question[Any]:
        """The next page. It is shown the queries so far, so a question depends on nothing but earlier answers."""
        self.page += 1
        want = self.want
        told = {**want._asdict(), "count": min(page_size, self.missing), "page": self.page, "known": self._known()}
        if want.category != CONTENT:
            attribute = ATTRIBUTES[want.category]
            told |= {"question": attribute.question, "values": [attribute.value(name) for name in want.values]}
        asked = _prompts().get_template("content.txt" if want.category == CONTENT else "pairs.txt").render(told)
        system = _prompts().get_template("system.txt").render()
        return Question(({"role": "system", "content": system}, {"role": "user", "content": asked}), _form(want.values))

    def _known(self) -> list[str]:
        return [query.text for query in self.queries[-_KNOWN_SHOWN:]]

    def take(self, answer: "Answer[Any]", taken: set[str]) -> list[Dropped]:
        """Add a page's good queries to the draft and to `taken`, the texts of all drafts; the others are returned with the reason."""
        before, dropped = len(self.queries), []
        self.flaw = answer.reason
        for query in self._read(answer):
            if reason := _reason_to_drop(query, taken):
                dropped.append(Dropped(text=query.text, reason=reason))
            elif self.missing:
                self.queries.append(query)
                taken.add(normalise(query.text))
        self.dry = 0 if len(self.queries) > before else self.dry + 1
        return dropped

    def _read(self, answer: "Answer[Any]") -> Iterator[Query]:
        want = self.want
        for row in answer.value.queries if answer.value else ():
            replies: Mapping[str, str] = row.replies.model_dump() if want.values else {}
            yield Query(row.text, row.intent, want.topic, want.category, want.safety, row.content_reply, replies)

    def exhausted(self) -> str:
        """What to say when nothing new comes any more."""
        want, got = self.want, len(self.queries)
        why = f"the last answer had no right form: {self.flaw}" if self.flaw else "name more topics or ask for fewer queries"
        return f"topic {want.topic!r} ({want.category}): {got} of {want.number} queries, then nothing new; {why}"


def _checked(want: Want) -> Want:
    if want.category == CONTENT:
        return want._replace(values=())
    if want.category not in ATTRIBUTES:
        raise ValueError(f"unknown category {want.category!r}; known: {', '.join(ATTRIBUTES)}, {CONTENT}")
    values = want.values or ATTRIBUTES[want.category].names
    if len(set(values)) < 2:
        raise ValueError(f"category {want.category!r}: a pair needs two values, {', '.join(values)} given")
    for value in values:
        ATTRIBUTES[want.category].value(value)
    return want._replace(values=tuple(values))


def _said(text: str) -> str:
    # Checked here and not in the schema: endpoints differ in the limits on strings that they take.
    if not text.strip():
        raise ValueError("has no words")
    return " ".join(text.split())


@cache
def _form(values: tuple[str, ...]) -> type[Schema]:
    """A page of queries with one reply per value."""
    said: Any = (Annotated[str, AfterValidator(_said)], ...)
    fields: dict[str, Any] = {"intent": said, "text": said, "content_reply": said}
    if values:
        replies: Any = create_model("Replies", __base__=Schema, **dict.fromkeys(values, said))
        fields["replies"] = (replies, ...)
    query: Any = create_model("WrittenQuery", __base__=Schema, **fields)
    rows: Any = (list[query], ...)
    return create_model("Page", __base__=Schema, queries=rows)


def _reason_to_drop(query: Query, taken: Iterable[str]) -> str:
    said = normalise(query.text)
    if not said:
        return "no words"
    if said in taken:
        return "already written"
    if len(set(map(normalise, query.replies.values()))) < len(query.replies):
        return "two speakers have the same reply"
    return "the words tell the speaker" if _tells(said, query) else ""


def _tells(said: str, query: Query) -> bool:
    """Whether the words say "I am a child", "as a woman", "I feel sad" …: a pair's texts must leave that to the voice."""
    traits = (ATTRIBUTES[query.category].value(name).note.partition(" ")[2] for name in query.replies)
    told = (f" {opening} {trait} " for trait in traits for opening in ("i am", "im", "as", "i feel"))
    return any(words in f" {said} " for words in told)


@cache
def _prompts() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(loader=PackageLoader(__package__ or "", "prompts"), undefined=StrictUndefined, autoescape=False)
