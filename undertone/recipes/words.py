"""What a model makes of the words beside the voice: do its answers follow them, and does it still hear them?"""

from collections.abc import Iterator, Sequence
from functools import partial

from undertone import settings
from undertone.evaluation.leakage import leakage_scores
from undertone.evaluation.overlap import word_errors
from undertone.evaluation.recognition import Named
from undertone.evaluation.replies import ask
from undertone.intervals import clustered_ratio
from undertone.progress import bar
from undertone.recipes.opening import Corridor
from undertone.recipes.reading import heard
from undertone.records import Score, Utterance
from undertone.run import Run


def followed(chosen: settings.Recognize, run: Run, rows: Sequence[Utterance], named: Sequence[Named], suite: str) -> Iterator[Score]:
    """How much the answers follow the words instead of the voice."""
    texts, truths = [row.text for row in rows], [one.truth for one in named]
    yield from leakage_scores([one.said for one in named], texts, truths, [one.cluster for one in named], run.score, suite)


def spoken(chosen: settings.Recognize, run: Run, corridor: Corridor, rows: Sequence[Utterance], suite: str) -> Iterator[Score]:
    """Word errors of what the model repeats."""
    said: dict[str, str] = {}
    prompt = partial(heard, chosen, corridor, system=chosen.recognition)
    for replies in ask(corridor.model, rows, prompt, run.name, chosen.batch, 48, False, bar(f"{run.name}: words")):
        said |= {reply.utterance_id: reply.text for reply in replies}
    errors = word_errors([said[row.id] for row in rows], [row.text for row in rows])
    rate = clustered_ratio(
        [one.errors for one in errors], [one.words for one in errors], [row.speaker for row in rows], chosen.bootstrap, chosen.seed
    )
    yield run.score(suite, "wer", "all", rate.value, rate.n, low=rate.low, high=rate.high)
