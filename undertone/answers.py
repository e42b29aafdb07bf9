"""Answers of a chat model, checked against a schema or free, and the journal that keeps each so that none is bought twice."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from undertone.endpoint import Endpoint, EndpointError, Refused, SpendLimit, Unanswerable, Unasked, Unreachable
from undertone.progress import bar
from undertone.records import Row
from undertone.run import Journal

M = TypeVar("M", bound="Schema")
T = TypeVar("T")


class Schema(BaseModel):
    """The form of an answer. Endpoints enforce a schema strictly only where nothing is optional and nothing extra."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Asked(Protocol):
    """What can be asked: messages, what goes into the request beside them and the model, and what is wrong with an answer ("": nothing)."""

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]: ...

    def options(self) -> dict[str, Any]: ...

    def flaw(self, text: str) -> str: ...


def key_of(asked: Asked, endpoint: Endpoint | Unasked) -> str:
    """A hash of all that the answer depends on: two servers may call two models by one name."""
    table = [endpoint.address, endpoint.model, list(map(dict, asked.messages)), asked.options()]
    return sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:32]


def whom(endpoint: Endpoint | Unasked) -> str:
    """The model and its server, as a journal that several share tells them apart; hashed, for an address may hold a password."""
    return sha256(f"{endpoint.model} at {endpoint.address}".encode()).hexdigest()[:12]


class Open(NamedTuple):
    """What is answered as the model likes, in `max_tokens` at most, by greedy decoding."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int

    def options(self) -> dict[str, Any]:
        """What goes into the request beside model and messages."""
        return {"max_tokens": self.max_tokens, "temperature": 0.0}

    def flaw(self, text: str) -> str:
        """Nothing: any text is an answer."""
        return ""


class Question(NamedTuple, Generic[M]):
    """What is asked, the form of the answer, the temperature (None: the endpoint's own), and which of several draws it is."""

    messages: Sequence[Mapping[str, str]]
    form: type[M]
    temperature: float | None = None
    draw: int | None = None

    def options(self) -> dict[str, Any]:
        """What goes into the request beside model and messages."""
        schema = {"name": self.form.__name__, "schema": self.form.model_json_schema(), "strict": True}
        heat = {} if self.temperature is None else {"temperature": self.temperature}
        seed = {} if self.draw is None else {"seed": self.draw}
        return {"response_format": {"type": "json_schema", "json_schema": schema}, **heat, **seed}

    def size(self) -> int:
        """Bytes that are sent, messages and schema."""
        return len(json.dumps([list(map(dict, self.messages)), self.options()], ensure_ascii=False).encode())

    def flaw(self, text: str) -> str:
        """What does not fit the form."""
        try:
            self.form.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            return f"{where}: {first['msg']}" if where else first["msg"]
        return ""


class Answer(NamedTuple, Generic[M]):
    """`value` is None where the model gave no answer of the asked form: `reason` says why, `raw` is what it said."""

    value: M | None
    reason: str
    raw: str


class Bought(Row):
    """An answer that was paid for, under the key of its question; what names no model or server (`of`) counts as spent by all."""

    key: str
    of: str = ""
    raw: str
    reason: str
    tokens: int


def ask(endpoint: Endpoint, question: Asked, tries: int = 3) -> Bought:
    """Ask until the answer has the asked form, `tries` times at most; each time the model is shown what was wrong. A refusal stands."""
    messages, tokens = list(question.messages), 0
    raw = reason = ""
    for _ in range(tries):
        completion = endpoint.complete(messages, **question.options())
        tokens += completion.tokens
        if completion.text is None:
            reason = f"the model refused: {completion.refusal or 'no text'}"
            break
        raw, reason = completion.text, question.flaw(completion.text)
        if not reason:
            break
        again = f"This does not fit the schema ({reason}). Answer again, with JSON that fits and nothing else."
        messages = [*question.messages, {"role": "assistant", "content": raw}, {"role": "user", "content": again}]
    return Bought(key=key_of(question, endpoint), of=whom(endpoint), raw=raw, reason=reason, tokens=tokens)


class Answers:
    """Answers of one endpoint, kept in a journal. What the journal holds is never asked again, and counts as spent."""

    def __init__(self, endpoint: Endpoint | Unasked, path: Path, tries: int = 3) -> None:
        self.endpoint, self.tries = endpoint, tries
        self._journal, self._lock = Journal(path), threading.Lock()
        self._gates: dict[str, threading.Lock] = {}
        kept = self._journal.rows(Bought)
        self._kept = {row.key: row for row in kept}
        endpoint.count(sum(row.tokens for row in kept if row.of in ("", whom(endpoint))))

    @property
    def _open(self) -> Endpoint:
        if isinstance(self.endpoint, Unasked):
            raise EndpointError(f"{self.endpoint.model}: opened to estimate a cost, and not to be asked")
        return self.endpoint

    def missing(self, questions: Sequence[Question[M]]) -> list[Question[M]]:
        """Of the different ones among `questions` those that are not bought yet."""
        different = {key_of(question, self.endpoint): question for question in questions}
        return [question for key, question in different.items() if key not in self._kept]

    def bought(self, questions: Sequence[Question[M]]) -> int:
        """How many different ones among `questions` are bought already."""
        return len({key_of(question, self.endpoint) for question in questions} & self._kept.keys())

    def to(self, questions: Sequence[Question[M]], lenient: bool = False) -> list[Answer[M]]:
        """An answer to each question, in order; equal questions are asked once, and answers are kept as they come.

        A request that fails for good is an EndpointError; where `lenient`, an answer without value and its reason, to be asked again
        another time, unless the endpoint answered nothing at all, turns all away or has cost enough.
        """
        keys = [key_of(question, self.endpoint) for question in questions]
        missing = {key: question for key, question in zip(keys, questions, strict=True) if key not in self._kept}
        buy = self._try if lenient else self._buy
        waiting = bar(f"asking {self.endpoint.model}", len(missing))(self._open.each(buy, missing.values()))
        results = {done.place: done.result for done in waiting}
        failed = {key: results[index] for index, key in enumerate(missing) if results[index] is not None}
        if failed and not self._open.answered:
            raise next(iter(failed.values()))
        return [
            Answer(None, str(failed[key]), "") if key in failed else _read(self._kept[key], question.form)
            for key, question in zip(keys, questions, strict=True)
        ]

    @property
    def tokens(self) -> int:
        """What the kept answers cost."""
        return sum(row.tokens for row in self._kept.values())

    def each(self, items: Sequence[T], question: Callable[[T], Asked]) -> Iterator[tuple[T, Bought | Unanswerable]]:
        """The answer to `question` of each item, as they come in; questions are made when their turn comes, for those with sound are large.

        What the endpoint does not take is given out as its error, to be asked again another time; any other error, or one of the kind on
        everything that is asked at first, ends it, once what is under way was given out.
        """
        failed: list[Unanswerable] = []

        def answer(item: T) -> Bought | Unanswerable:
            asked = question(item)
            key = key_of(asked, self.endpoint)
            with self._lock:
                gate = self._gates.setdefault(key, threading.Lock())
            with gate:  # an equal question that is under way is waited for
                try:
                    if key not in self._kept:
                        self._buy(asked)
                except Unanswerable as error:
                    failed.append(error)
                    if not self._kept and len(failed) >= min(len(items), self._open.concurrency):
                        raise
                    return error
            return self._kept[key]

        for done in self._open.each(answer, items):
            yield items[done.place], done.result

    def _buy(self, question: Asked) -> None:
        bought = ask(self._open, question, self.tries)
        with self._lock:
            self._journal.append([bought])
            self._kept[bought.key] = bought

    def _try(self, question: Question[M]) -> EndpointError | None:
        try:
            self._buy(question)
        except (Refused, SpendLimit):
            raise
        except EndpointError as error:
            if isinstance(error, Unreachable) and not self._open.answered:
                raise
            return error
        return None


def _read(bought: Bought, form: type[M]) -> Answer[M]:
    return Answer(None if bought.reason else form.model_validate_json(bought.raw), bought.reason, bought.raw)
