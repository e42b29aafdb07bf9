"""Leakage (arXiv 2609.00727): how much answers about the voice follow the words, on clips whose texts are said again and again."""

import random
from collections.abc import Iterator, Sequence
from typing import final

from undertone.evaluation.leakage import leakage, leakage_scores
from undertone.evaluation.metrics import RATE
from undertone.evaluation.suites.base import Answered, Scoring
from undertone.evaluation.suites.ser import Asking, answer
from undertone.intervals import clustered_mean
from undertone.records import Score

SHUFFLES = 20


@final
class Leakage(Asking):
    """Leakage: 0 where answers about the voice depend on the voice alone, 1 where on the words alone."""

    gives = "leakage, and leakage_shuffled, the same answers dealt out at random; unparsed"

    def scores(self, answered: Sequence[Answered], how: Scoring) -> Iterator[Score]:
        """With as many texts as clips everything leaks by chance: what shuffled answers leak says how much that is."""
        for suite in dict.fromkeys(row.item.suite for row in answered):
            rows = [row for row in answered if row.item.suite == suite]
            named = [answer(row, row.item.facts["attribute"]) for row in rows]
            said, truths = [one.said for one in named], [one.truth for one in named]
            texts = [row.item.utterance.cluster for row in rows]
            silent = clustered_mean([one is None for one in said], [one.cluster for one in named], how.resamples, how.seed, RATE)
            yield how.row(suite, "unparsed", "all", silent)
            yield from leakage_scores(said, texts, truths, [one.cluster for one in named], how.score, suite)
            rng = random.Random(how.seed)
            chance = [value for _ in range(SHUFFLES) if (value := leakage(rng.sample(said, len(said)), texts, truths)) is not None]
            mean = sum(chance) / len(chance) if chance else None
            yield how.score(suite, "leakage_shuffled", "all", mean, len(rows) if chance else 0, unscored=0 if chance else len(rows))
