"""The rows that travel between stages. Rows are frozen: a stage reads rows, writes new ones beside them and joins on `id`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, field_validator, model_validator

from undertone import attributes as table

Split = Literal["train", "dev", "test"]
Suite = Literal["pa", "child-safety", "content"]
Axis = Literal["speaker", "text", "topic"]

CONTENT = "content"
"""The category of what deserves the same reply whoever asks."""


LAYERS = "layers"
"""The suite of scores that sum up layer curves: no replies, so no table compares them."""

CLAIMS = "claims"
"""The suite of a study's comparisons of two runs; their details say what was compared, and the verdict."""


class Row(BaseModel):
    """A frozen row; fields that nobody declared are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


def _said(values: Any) -> Any:
    return {name: value for name, value in values.items() if value is not None} if isinstance(values, Mapping) else values


def _every(values: Mapping[str, str]) -> dict[str, str | None]:
    # The same keys in every line: readers of columns (Hugging Face, Arrow, pandas) make one struct of them.
    return {name: values.get(name) for name in table.ATTRIBUTES}


class Utterance(Row):
    """One clip: who says what, how, and what would be right to answer.

    `pair` groups the same words said with two values of `category`; `contrast` is the other voice's value. `reply` is right for this
    voice, `contrast_reply` for the other one, `content_reply` when nothing is known of the speaker.
    """

    id: str
    text: str
    file_name: str
    seconds: float
    attributes: Annotated[Mapping[str, str], BeforeValidator(_said), PlainSerializer(_every, when_used="json")]
    speaker: str
    source: str
    split: Split
    suite: Suite = "pa"
    category: str = CONTENT
    topic: str = ""
    intent: str = ""
    pair: str | None = None
    contrast: str | None = None
    reply: str | None = None
    contrast_reply: str | None = None
    content_reply: str | None = None

    @field_validator("attributes")
    @classmethod
    def _known(cls, values: Mapping[str, str]) -> Mapping[str, str]:
        table.check(values)
        return values

    @model_validator(mode="after")
    def _category_is_heard(self) -> Self:
        if self.category != CONTENT:
            table.check({self.category: self.attributes.get(self.category, "(none)")})
            if self.contrast is not None:
                table.check({self.category: self.contrast})
        return self

    @property
    def value(self) -> str:
        """The voice's value of its category; of content queries, "all"."""
        return self.attributes.get(self.category, "all")

    @property
    def cluster(self) -> str:
        """What clips must share to be no independent observations: the text, or the pair where nobody wrote down the words."""
        return self.text or self.pair or self.id


class Rejected(Row):
    """A clip that was turned away, and why."""

    id: str
    file_name: str
    reason: str


class Reply(Row):
    """What a run answered to an utterance; `seconds` is its share of its batch's wall clock."""

    utterance_id: str
    run: str
    text: str
    preference: float | None = None
    seconds: float = 0.0


class Judgement(Row):
    """A judge's verdict on a reply: +1 suits the speaker, 0 neutral, −1 suits the contrast; the empathy judge's is a rating from 1 to 10.
    None = unscored, `reason` says why."""

    utterance_id: str
    run: str
    judge: str
    value: float | None
    reason: str = ""
    raw: str = ""


class Score(Row):
    """A number that the program reports. Rates are fractions; `low`, `high` a 95 % interval; `unscored` rows are in no mean."""

    run: str
    suite: str
    metric: str
    group: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    unscored: int = 0
    seed: int
    commit: str
    details: Mapping[str, str | float | int | bool | None] = {}


class LayerScore(Row):
    """One analysis at one layer. `layer` is written as `str(LayerRef)`."""

    layer: str
    analysis: str
    attribute: str
    value: float
    low: float | None = None
    high: float | None = None
    n: int


R = TypeVar("R", bound=Row)


class BrokenRow(ValueError):
    """A line of a file that is no row of its kind."""


def read_rows(path: Path, kind: type[R]) -> Iterator[R]:
    """The rows of a JSONL file; `BrokenRow` names file, line and field of what does not fit."""
    try:
        # Not splitlines: JSON leaves U+2028, U+0085 and the like bare inside strings.
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise BrokenRow(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield parse_row(line, kind, f"{path}:{number}")


def parse_row(line: str, kind: type[R], where: str) -> R:
    """One row from a line of JSON; `BrokenRow` begins with `where`."""
    return build(kind, parse_json(line, where), where)


def parse_json(text: str, where: str) -> Any:
    """What `text` says in JSON; `BrokenRow` begins with `where`."""
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is legal in JSON but can be written nowhere
        return value
    except json.JSONDecodeError as error:
        raise BrokenRow(f"{where}: not JSON ({error.msg} at {f'line {error.lineno} ' * (error.lineno > 1)}column {error.colno})") from None
    except (ValueError, RecursionError) as error:  # half characters, endless numbers and nesting
        raise BrokenRow(f"{where}: not JSON that can be read ({error})") from None


def build(kind: type[R], fields: Any, where: str) -> R:
    """A row from plain fields; `BrokenRow` begins with `where` and names the field."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BrokenRow(f"{where}: {field + ': ' if field else ''}{first['msg']}") from None


def to_line(row: Row) -> str:
    """The row as one line of JSON with its newline."""
    return json.dumps(row.model_dump(mode="json"), ensure_ascii=False) + "\n"


def pairs(rows: Iterable[Utterance]) -> list[list[Utterance]]:
    """The renderings of each pair together, single ones alone, in order of appearance."""
    together: dict[str, list[Utterance]] = {}
    for row in rows:
        together.setdefault(row.pair or row.id, []).append(row)
    return list(together.values())


def unique(rows: Iterable[Utterance], where: Path) -> list[Utterance]:
    """The rows, once it is sure that no id stands twice."""
    seen: dict[str, Utterance] = {}
    for row in rows:
        if row.id in seen:
            raise BrokenRow(f"{where}: duplicate id {row.id!r}")
        seen[row.id] = row
    return list(seen.values())
