"""What a suite is: items to ask, and `Score` rows from the replies and the verdicts on them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, ClassVar, NamedTuple

from undertone.evaluation.metrics import MakeScore
from undertone.intervals import Estimate
from undertone.models.base import Prompt
from undertone.records import Axis, BrokenRow, Judgement, Rejected, Reply, Score, Utterance
from undertone.speech.synthesisers.base import Synthesiser
from undertone.speech.synthesisers.espeak import Espeak

Sound = Path | BinaryIO


class Item(NamedTuple):
    """One question of a suite: the utterance that is heard, the `suite` its scores stand under, and what else the scorer must know.

    What would be right to answer (a reference, an option's letter) is the utterance's `reply`.
    """

    utterance: Utterance
    suite: str
    facts: Mapping[str, Any] = MappingProxyType({})


class Answered(NamedTuple):
    """An item, the reply to it, and the verdict on the reply, where a judge was asked."""

    item: Item
    reply: Reply
    judgement: Judgement | None = None


class Loaded(NamedTuple):
    """The items, where the sound of each is, and the clips that were turned away."""

    items: Sequence[Item]
    sound: Callable[[Utterance], Sound]
    rejected: Sequence[Rejected] = ()


class Source(NamedTuple):
    """Where a suite reads: `data` as the user names it (a file, a folder, a name on the hub), the folder in which it may `make` clips, and
    the settings that some suites need, such as the `speaker` of our own items, which may be left `unspoken`."""

    data: Path
    make: Path
    seed: int = 0
    subsets: Sequence[str] = ()
    corpus: str = ""
    fold: int = -1
    columns: Mapping[str, str] = MappingProxyType({})
    values: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    disjoint: Sequence[Axis] = ()
    attribute: str = "emotion"
    split: str = "test"
    workers: int = 0
    speaker: Callable[[], Synthesiser] = Espeak
    unspoken: bool = False


class Scoring(NamedTuple):
    """How scores are made: `Run.score`, the number of resamples, the seed that draws them, and who scores SD-QA a second way."""

    score: MakeScore
    resamples: int = 1000
    seed: int = 0
    second: Callable[[str, str, str], bool] | None = None

    def row(self, suite: str, metric: str, group: str, found: Estimate, unscored: int = 0) -> Score:
        """A `Score` of an estimate."""
        return self.score(suite, metric, group, found.value, found.n, low=found.low, high=found.high, unscored=unscored)


class Suite(ABC):
    """One benchmark. The first line of its docstring, `reads` and `gives` are its row in README's table.

    `judges` are names of `judges.JUDGES` that its replies need; "chosen" is the one that the user names.
    """

    reads: ClassVar[str]
    gives: ClassVar[str]
    judges: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def load(self, source: Source) -> Loaded:
        """The items of the suite. `BrokenRow` or FileNotFoundError names file, line and field of what cannot be read."""

    @abstractmethod
    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """Every score of the suite. What cannot be scored is in no mean, and counted."""

    def prompt(self, item: Item, audio: Any, system: str) -> Prompt:
        """How the item is put to the model: by its sound alone, unless the suite asks something about it."""
        return Prompt(audio=audio, system=system)

    def groups(self, item: Item) -> tuple[str, ...]:
        """The groups of scores that `item` counts in, beside "all": the voice's value, and the style that the suite names."""
        return tuple(filter(None, (item.utterance.value, str(item.facts.get("style", "")))))

    def judged_by(self, item: Item) -> str:
        """The one of `judges` that judges replies to `item`; "" where none does."""
        return self.judges[0] if self.judges else ""


def unique_items(items: Iterable[Item], where: Path) -> list[Item]:
    """The items, once it is sure that no id stands twice."""
    seen: dict[str, Item] = {}
    for item in items:
        if item.utterance.id in seen:
            raise BrokenRow(f"{where}: duplicate id {item.utterance.id!r}")
        seen[item.utterance.id] = item
    return list(seen.values())


def clusters(answered: Iterable[Answered]) -> list[str]:
    """What makes replies no independent observations."""
    return [row.item.utterance.cluster for row in answered]


def verdicts(answered: Iterable[Answered]) -> list[float | None]:
    """The verdict on each reply; None where there is none."""
    return [row.judgement.value if row.judgement else None for row in answered]
