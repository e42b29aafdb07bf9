"""The frozen road on recordings of people: four folds of a published corpus, speakers unseen, all folds' answers scored together.

    python benchmarks/frozen/recorded.py --corpus ravdess --data RAVDESS --base runs/demo-frozen/seed-0/align/aligned/model

The note is chosen: what is trained whole, or writes the note, learns a few actors by heart (docs/log.md). Rows go to OUT/scores.jsonl:
suites frozen/CORPUS4 and frozen/CORPUS6, or frozen/age; runs aligned (asked for the value's name), by-note (the same model, by the
likeliest caption), words-only (the same, the words typed), labels-only, shuffled, classifier (the probes that choose the note, without
the language model; same encoder, same clips), untaught (the base as it came, which knows simulated voices; probes on the training speakers
say what its tokens hold of real ones) and statistics, a logistic regression on MFCC and F0 statistics. Finished parts are not repeated.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from undertone import settings
from undertone.analysis.probes import fit
from undertone.evaluation.metrics import MakeScore
from undertone.evaluation.recognition import Named, recognition_scores, ua_difference
from undertone.recipes.align import align
from undertone.recipes.recognize import answers, leans, preference, recognize
from undertone.recipes.stages import Stage, say, side_by_side
from undertone.records import Score, Utterance, read_rows
from undertone.run import Run, commit, write_rows
from undertone.speech.corpora import read_data
from undertone.speech.folder import Data, load_wave
from undertone.speech.prosody import statistics

FOLDS = range(4)
FOUR = ["neutral", "happy", "sad", "angry"]
NAMING = settings.Tasks(reply=0.1, recognition=0.0, captioning=0.1, naming=0.8)
ONLY_NAMES = settings.Tasks(reply=0.0, recognition=0.0, captioning=0.0, naming=1.0)
METHODS: dict[str, dict[str, Any]] = {
    "aligned": {"tasks": NAMING},
    "labels-only": {"tasks": ONLY_NAMES},
    "shuffled": {"tasks": NAMING, "shuffled": True},
}
READ: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in METHODS} | {
    "classifier": ("aligned", {"by": "choice"}),
    "by-note": ("aligned", {"by": "note"}),
    "words-only": ("aligned", {"typed": True}),
    "untaught": ("", {"per_speaker": False}),
}
"""Run → the method whose model is asked ("": the base), and how."""


def suites(corpus: str, attribute: str) -> dict[str, list[str]]:
    """Suite → the values that are asked about; none: all."""
    return {"frozen/age": []} if attribute == "age" else {f"frozen/{corpus}4": FOUR, f"frozen/{corpus}6": []}


def run_all(given: argparse.Namespace) -> list[Score]:
    """Train every method on every fold, ask it about the speakers that it never heard, and score the folds together."""
    return [score for suite, among in suites(given.corpus, given.attribute).items() for score in run_suite(given, suite, among)]


def run_suite(given: argparse.Namespace, suite: str, among: Sequence[str]) -> list[Score]:
    """As `run_all`, on the clips with one of the values `among`, learnt and asked."""
    out, names = given.out / suite.replace("/", "-"), [name for name in METHODS if name in given.methods]
    shared = {"corpus": given.corpus, "per_speaker": given.per_speaker, "data": given.data, "seed": given.seed, "among": among}
    how = {
        "trains": "note",
        "note": "chosen",
        "note_tokens": 14,
        "objectives": settings.Objectives(ctc=0.0, style=0.0),
        "steps": given.steps,
        "check_every": given.steps,
        "learning_rate": given.rate,
        "prosody": given.prosody,
        "augment": given.augment,
        "spec_augment": given.augment,
    }
    teach = partial(settings.Align, model=given.base, attributes=[given.attribute], teacher=given.out / ".teacher", **how, **shared)
    say(f"{suite}: aligning {', '.join(names)}")
    side_by_side(
        Stage(align, teach(out=out / f"{name}-{fold}" / "align", name=name, fold=fold).model_copy(update=METHODS[name]))
        for fold in FOLDS
        for name in names
    )
    able = [*names, *([""] if given.base else [])]
    runs = {run: how for run, how in READ.items() if how[0] in able}
    say(f"{suite}: recognising")
    ask = partial(settings.Recognize, attribute=given.attribute, bootstrap=0, features=given.out / ".features", **shared)
    asked = {
        (run, fold): ask(
            model=str(out / f"{method}-{fold}" / "align" / "model") if method else given.base,
            name=run,
            fold=fold,
            suite=suite,
            out=out / f"{run}-{fold}" / "ask",
        ).model_copy(update=read)
        for run, (method, read) in runs.items()
        for fold in FOLDS
    }
    probed = ask(
        model=given.base, name="untaught", split="train", probe=True, bootstrap=2000, suite=suite, out=out / "untaught-probes" / "ask"
    )
    probes = [probed.model_copy(update=READ["untaught"][1])] if given.base else []
    side_by_side(Stage(recognize, one) for one in (*probes, *asked.values()))
    held = [row for one in probes for row in recognize(one) if row.metric in ("probe_wa", "r2", "r2_encoder")]
    return held + scored(given, suite, {run: pooled(given, [asked[run, fold] for fold in FOLDS]) for run in runs}, among)


class Answered(NamedTuple):
    """What every clip of a corpus was said to be, and how much likelier than the others its true value was, where that is known."""

    named: list[Named]
    leans: list[float]


def pooled(given: argparse.Namespace, asked: Sequence[settings.Recognize]) -> Answered:
    """All folds' answers, each clip's by the model that did not know its speaker."""
    found = Answered([], [])
    for one in asked:
        rows = [
            row for row in clips(given, one.fold) if row.split == "test" and (not one.among or row.attributes[one.attribute] in one.among)
        ]
        found.named.extend(answers(one, rows, one.out / "replies.jsonl"))
        found.leans.extend(leans(rows, one.out / "replies.jsonl"))
    return found


def clips(given: argparse.Namespace, fold: int) -> list[Utterance]:
    """The corpus with the splits of `fold`."""
    found = read_data(given.data, {}, {}, disjoint=["speaker"], corpus=given.corpus, fold=fold).data.utterances
    return [row for row in found if given.attribute in row.attributes]


def link(source: Path, place: Path) -> None:
    """Put a link to `source` at `place`, instead of one that may lie there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(source.resolve())


def by_statistics(given: argparse.Namespace, among: Sequence[str]) -> list[Named]:
    """Logistic regression (C = 0.1, balanced, standardised) on MFCC and F0 statistics, on the same folds."""
    found: list[Named] = []
    for fold in FOLDS:
        rows = [row for row in clips(given, fold) if not among or row.attributes[given.attribute] in among]
        values = sorted({row.attributes[given.attribute] for row in rows})
        data = Data(given.data, rows, ())
        x = torch.from_numpy(np.stack([statistics(load_wave(data, row, 16_000), 16_000) for row in rows]))
        if given.per_speaker:
            for speaker in {row.speaker for row in rows}:
                own = [i for i, row in enumerate(rows) if row.speaker == speaker]
                x[own] = (x[own] - x[own].mean(0)) / x[own].std(0).clamp(min=1e-6)
        y = [values.index(row.attributes[given.attribute]) for row in rows]
        train, test = ([i for i, row in enumerate(rows) if row.split == split] for split in ("train", "test"))
        said = fit(x[train], [y[i] for i in train])(x[test]).argmax(-1).tolist()
        found += [Named(rows[i].attributes[given.attribute], values[guess], rows[i].speaker) for i, guess in zip(test, said, strict=True)]
    return found


def scored(given: argparse.Namespace, suite: str, answered: dict[str, Answered], among: Sequence[str]) -> list[Score]:
    """Scores of every method, and what the method gains on the classifier and on the statistics, clip by clip."""
    named = {name: one.named for name, one in answered.items()} | {"statistics": by_statistics(given, among)}
    scores = identical(given, suite, answered)
    for name, rows in named.items():
        score = Run(given.out, name, given.seed, commit()).score
        learnt = {"per_speaker": given.per_speaker, "prosody": given.prosody, "augment": given.augment} if name != "untaught" else {}
        more = partial(score, details={"corpus": given.corpus} | learnt)
        scores += recognition_scores(rows, more, 2000, given.seed, given.attribute)
        scores += by_sex(given, rows, more)
        if name in answered:
            how = settings.Recognize(attribute=given.attribute, bootstrap=2000, seed=given.seed)
            scores += preference(answered[name].leans, [row.cluster for row in rows], more, how)
        for against in ("classifier", "statistics"):
            if name == "aligned" and against in named:
                gain = ua_difference(rows, named[against], more, 2000, given.seed, given.attribute)
                scores += [one.model_copy(update={"group": f"less {against}"}) for one in gain]
    return [one.model_copy(update={"suite": suite}) for one in scores]


def identical(given: argparse.Namespace, suite: str, answered: Iterable[str]) -> list[Score]:
    """Whether the language model was the same before and after, in all folds of every method; and what their trainings cost together."""
    found: list[Score] = []
    for name in METHODS:
        if name in answered:
            folders = [given.out / suite.replace("/", "-") / f"{name}-{fold}" / "align" for fold in FOLDS]
            run = Run(given.out, name, given.seed, commit())
            rows = [row for folder in folders for row in read_rows(folder / "scores.jsonl", Score)]
            same = [row.value or 0.0 for row in rows if row.metric == "weights_identical"]
            found += [run.score(suite, "weights_identical", "all", min(same), len(same)), *costs_of(folders, suite, run)]
    return found


def costs_of(folders: Sequence[Path], suite: str, run: Run) -> Iterator[Score]:
    """What the trainings in `folders` cost together: the parameters of one, the seconds of all, the memory of the largest."""
    rows = [row for folder in folders for row in read_rows(folder / "scores.jsonl", Score)]
    for metric, group, of in (("trainable_parameters", "all", max), ("seconds", "training", sum), ("peak_bytes", "training", max)):
        if found := [row.value or 0.0 for row in rows if row.metric == metric]:
            yield run.score(suite, metric, group, of(found), len(folders))


def by_sex(given: argparse.Namespace, rows: Sequence[Named], score: MakeScore) -> list[Score]:
    """UA among the women and among the men who speak, where the corpus says who is who of speakers of every value: speechocean762 does not
    of children, and what is left is the adults' recall."""
    sexes = {row.speaker: row.attributes["gender"] for row in clips(given, 0) if "gender" in row.attributes}
    found: list[Score] = []
    for sex in sorted(set(sexes.values())):
        own = [row for row in rows if sexes.get(row.cluster) == sex]
        if {row.truth for row in own} == {row.truth for row in rows}:
            found += [one.model_copy(update={"group": sex}) for one in recognition_scores(own, score, 2000, given.seed, given.attribute)]
    return [one for one in found if one.metric == "ua"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", default="ravdess")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--attribute", default="emotion")
    parser.add_argument("--base", required=True, help="model that every method goes on from; empty: an encoder that learnt nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/recorded"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--rate", type=float, default=2e-2)
    parser.add_argument("--prosody", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--augment", type=float, default=0.0, help="share of the clips that are also heard changed and masked")
    parser.add_argument("--per-speaker", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    write_rows(chosen.out / "scores.jsonl", run_all(chosen))
