"""The frozen road in other mouths: English accents of the synthesiser, German recordings untrained, and after training on simulated German.

    python benchmarks/frozen/languages.py --frozen runs/demo-frozen --emodb EMODB --out runs/languages

Rows go to OUT/scores.jsonl: suites accent/NAME (the demo's aligned model; its ears and its notes have heard en-us alone) and frozen/emodb4
(runs aligned, and aligned-german, which went on with simulated German, no recording among it). Finished parts are not repeated.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from recorded import FOLDS, FOUR, NAMING, pooled

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.evaluation.recognition import recognition_scores
from undertone.recipes.align import align
from undertone.recipes.evaluate import evaluate
from undertone.recipes.recognize import recognize
from undertone.recipes.stages import Stage, say, side_by_side
from undertone.recipes.synthesize import synthesize
from undertone.records import Score
from undertone.run import Run, commit, write_rows
from undertone.speech.writers.grammar import Query

SUITE = "frozen/emodb4"
ACCENTS = ("en-us", "en-gb-x-rp", "en-gb-scotland", "en-029")
SAID = {"age": 200, "gender": 200, "emotion": 400, "content": 200}

THINGS = {
    "haushalt": ("der lappen liegt auf dem eisschrank", "das fenster im bad ist wieder offen", "ich habe den schlüssel heute gefunden"),
    "arbeit": ("wir sehen uns morgen im büro", "das treffen beginnt um neun uhr", "er hat den brief schon geschrieben"),
    "reise": ("der zug kommt heute eine stunde später", "sie fahren am wochenende ans meer", "unser koffer steht noch am bahnhof"),
    "küche": ("die suppe kocht seit zehn minuten", "auf dem tisch steht noch brot", "sie bringt den kuchen am abend mit"),
    "garten": ("die äpfel sind in diesem jahr sehr groß", "der hund liegt unter dem baum", "hinter dem haus wachsen rote blumen"),
    "schule": ("in einer woche schreiben wir die prüfung", "das buch gehört meinem bruder", "die lehrerin hat heute gelacht"),
    "stadt": ("vor dem rathaus spielt eine kapelle", "die straße ist seit gestern gesperrt", "am markt wohnt jetzt mein freund"),
    "wetter": ("es regnet schon den ganzen tag", "morgen soll es wieder schneien", "der wind kommt heute von norden"),
}
"""Everyday sentences that say nothing of how they are said; none is one of the corpus' ten."""


def write(topics: Sequence[str], per_topic: int, endpoint: Mapping[str, object], folder: Path) -> list[Query]:
    """The German sentences as a writer of emotion queries; what is right to answer is the emotion's name."""
    replies = {name: name for name in ATTRIBUTES["emotion"].names}
    return [Query(text, text, topic, "emotion", False, "", replies) for topic, texts in THINGS.items() for text in texts]


def accents(given: argparse.Namespace, model: str) -> Iterator[Score]:
    """The demo's test of unseen texts, topics and speakers, spoken in other accents."""
    for accent in ACCENTS:
        say(f"asking in {accent}")
        data, out, suite = given.out / accent / "data", given.out / accent, f"accent/{accent}"
        synthesize(settings.Synthesize(out=data, language=accent, train={}, dev={}, test=SAID, safety_speakers=0))
        ask = settings.Evaluate(
            data=data, model=model, name="aligned", together=suite, suites=["pa"], metrics=["pa", "preference", "exact"], out=out / "eval"
        )
        hear = settings.Recognize(data=data, model=model, name="aligned", suite=suite, words=True, out=out / "recognize")
        side_by_side([Stage(evaluate, ask), Stage(recognize, hear)])
        yield from (row for row in [*evaluate(ask), *recognize(hear)] if row.suite == suite)


def german(given: argparse.Namespace, model: str) -> Iterator[Score]:
    """EmoDB's speakers, all of them unseen: emotions as they were learnt from simulated English, and from simulated German after it."""
    data = given.out / "german" / "data"
    say("speaking German")
    synthesize(
        settings.Synthesize(
            out=data, language="de", writer="languages:write", train={"emotion": 1200}, dev={"emotion": 60}, test={}, safety_speakers=0
        )
    )
    teach = settings.Align(
        data=data, model=model, name="aligned-german", attributes=["emotion"], tasks=NAMING.model_copy(update={"reply": 0.0}),
        objectives=settings.Objectives(ctc=0.0, style=1.0, note=1.0), steps=given.steps, check_every=given.steps // 4, learning_rate=5e-4,
        out=given.out / "german" / "align",
    )  # fmt: skip
    models = {"aligned": model, "aligned-german": str(align(teach))}
    where = argparse.Namespace(corpus="emodb", data=given.emodb, attribute="emotion")
    for name, one in models.items():
        say(f"asking {name} in German")
        hear = partial(
            settings.Recognize, model=one, name=name, suite=SUITE, corpus="emodb", data=given.emodb, attribute="emotion", among=FOUR,
            bootstrap=0, features=given.out / ".features",
        )  # fmt: skip
        asked = [hear(fold=fold, out=given.out / "german" / f"{name}-{fold}") for fold in FOLDS]
        side_by_side(Stage(recognize, one) for one in asked)
        score = partial(Run(given.out, name, 0, commit()).score, details={"corpus": "emodb"})
        found = recognition_scores(pooled(where, asked).named, score, 2000, 0, "emotion")
        yield from (row.model_copy(update={"suite": SUITE}) for row in found)


def run_all(given: argparse.Namespace) -> Iterator[Score]:
    """Accents, then German where its corpus is at hand."""
    model = str(given.frozen / "seed-0" / "align" / "aligned" / "model")
    yield from accents(given, model)
    if given.emodb:
        yield from german(given, model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frozen", type=Path, default=Path("runs/demo-frozen"))
    parser.add_argument("--emodb", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/languages"))
    chosen = parser.parse_args()
    rows: list[Score] = []
    for row in run_all(chosen):
        rows.append(row)
        write_rows(chosen.out / "scores.jsonl", rows)
