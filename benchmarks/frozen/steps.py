"""What each step buys on recordings: the probes that choose a note, fitted to what the encoder makes of RAVDESS, arm by arm.

    python benchmarks/frozen/steps.py --data RAVDESS --base runs/demo-frozen/seed-0/align/aligned/model \
        --simulated runs/demo-frozen/seed-0/data --recordings emodb=EMODB speechocean762=SPEECHOCEAN

The language model relays what the probes choose (recorded.py), so these are asked alone, on the same four folds. Rows go to
OUT/scores.jsonl, suites frozen/ravdess4 and frozen/ravdess6: runs base (all steps: ears that were aligned on simulated voices, told the
prosody, each clip heard relative to its speaker's others), ears (before that alignment), untrained (an encoder that learnt nothing),
base with one step less or more, and base fitted to 10, 30 and 50 % of every speaker's clips. With --simulated, also base and untrained
that were pre-trained (acoustic stage of align) on simulated voices and every recording, words and labels unused, but for the speakers that
are asked. Finished parts are not repeated.
"""

import argparse
import random
from functools import partial
from pathlib import Path
from typing import Any

from pretraining import PRETRAINED, pretrain, pretrained
from recorded import FOLDS, ONLY_NAMES, clips, link, pooled, suites

from undertone import settings
from undertone.evaluation.recognition import recognition_scores, ua_difference
from undertone.models import EARS
from undertone.recipes.align import align
from undertone.recipes.recognize import recognize
from undertone.recipes.stages import Stage, say, side_by_side
from undertone.records import Score
from undertone.run import Run, commit, write_rows

ARMS: dict[str, dict[str, Any]] = {
    "base": {},
    "without speaker": {"per_speaker": False},
    "without prosody": {"per_speaker": False, "prosody": False},
    "augmented": {"augment": 0.5, "spec_augment": 0.5},
    "ears": {"model": EARS},
    "untrained": {"model": ""},
}
"""Run → how it differs from the base. An encoder that is not told the prosody knows no usual speaker either."""

SHARES = {"10 %": 0.1, "30 %": 0.3, "50 %": 0.5}
"""Run → the share of the training clips that the base is fitted to."""


def thinned(given: argparse.Namespace, fold: int, share: float, among: list[str], out: Path) -> Path:
    """The corpus as a folder of links, with `share` of each speaker's clips with one of the values `among` in the training split of `fold`
    (at least one), and with all clips of its other splits."""
    rows = [row for row in clips(given, fold) if not among or row.attributes["emotion"] in among]
    rng = random.Random(fold)
    for speaker in sorted({row.speaker for row in rows}):
        own = sorted((row for row in rows if row.speaker == speaker), key=lambda row: row.id)
        if own[0].split == "train":
            own = rng.sample(own, max(1, round(share * len(own))))
        for row in own:
            link(given.data / row.file_name, out / row.file_name)
    return out


def run_suite(given: argparse.Namespace, suite: str, among: list[str]) -> list[Score]:
    """Fit the probes of every arm and fold, and score the folds' answers together."""
    out, data = given.out / suite.replace("/", "-"), {"corpus": "ravdess", "data": given.data, "among": among}
    where = argparse.Namespace(corpus="ravdess", data=given.data, attribute="emotion")
    fit = partial(
        settings.Align, model=given.base, attributes=["emotion"], trains="note", note="chosen", note_tokens=14, tasks=ONLY_NAMES,
        prosody=True, per_speaker=True, objectives=settings.Objectives(ctc=0.0, style=0.0), steps=1, check_every=1,
        teacher=given.out / ".teacher", **data,
    )  # fmt: skip
    arms = given.arms
    say(f"{suite}: fitting {', '.join(arms)}")
    place = {(arm, fold): out / f"{arm.replace(',', '').replace(' ', '-')}-{fold}" for arm in arms for fold in FOLDS}
    sounds = {(arm, fold): {"model": str(pretrained(given.out, arm, fold))} for arm in arms if arm in PRETRAINED for fold in FOLDS}
    few = {
        (arm, fold): {"data": thinned(where, fold, SHARES[arm], among, folder / "data")}
        for (arm, fold), folder in place.items()
        if arm in SHARES
    }
    side_by_side(
        Stage(
            align,
            fit(out=folder / "align", name=arm, fold=fold).model_copy(
                update=ARMS.get(arm, {}) | few.get((arm, fold), {}) | sounds.get((arm, fold), {})
            ),
        )
        for (arm, fold), folder in place.items()
    )
    ask = partial(settings.Recognize, attribute="emotion", by="choice", bootstrap=0, suite=suite, features=given.out / ".features", **data)
    asked = {
        (arm, fold): ask(
            model=str(folder / "align" / "model"),
            name=arm,
            fold=fold,
            per_speaker=ARMS.get(arm, {}).get("per_speaker", True),
            out=folder / "ask",
        )
        for (arm, fold), folder in place.items()
    }
    side_by_side(Stage(recognize, one) for one in asked.values())
    named = {arm: pooled(where, [asked[arm, fold] for fold in FOLDS]).named for arm in arms}
    scores: list[Score] = []
    for arm, rows in named.items():
        score = partial(Run(given.out, arm, 0, commit()).score, details={"corpus": "ravdess", "by": "choice"})
        scores += recognition_scores(rows, score, 2000, 0, "emotion")
        for other in sorted({"base", arm.partition(",")[0] if arm in PRETRAINED else "base"} & (named.keys() - {arm})):
            gain = ua_difference(rows, named[other], score, 2000, 0, "emotion")
            scores += [one.model_copy(update={"group": f"less {other}"}) for one in gain]
    return [one.model_copy(update={"suite": suite}) for one in scores]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", required=True, help="model that was aligned on simulated voices")
    parser.add_argument("--arms", nargs="+", default=[*ARMS, *SHARES, *PRETRAINED], help="runs, comma and all; default: every one")
    parser.add_argument("--simulated", type=Path, help="data folder of simulated voices, to pre-train on")
    parser.add_argument("--recordings", nargs="*", default=[], metavar="CORPUS=FOLDER", help="corpora beside RAVDESS, to pre-train on")
    parser.add_argument("--steps", type=int, default=300, help="of the acoustic stage")
    parser.add_argument("--dtype", default="float32", help="of the acoustic stage")
    parser.add_argument("--out", type=Path, default=Path("runs/steps"))
    chosen = parser.parse_args()
    pretrain(chosen)
    rows = [row for suite, among in suites("ravdess", "emotion").items() for row in run_suite(chosen, suite, among)]
    write_rows(chosen.out / "scores.jsonl", rows)
