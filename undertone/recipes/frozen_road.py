"""`undertone demo --road frozen`: the second road on simulated voices, from speech to scores. The language model is never touched."""

from functools import partial
from pathlib import Path
from typing import Any

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.models import EARS
from undertone.recipes.align import align
from undertone.recipes.arms import Laid
from undertone.recipes.evaluate import evaluate
from undertone.recipes.recognize import recognize
from undertone.recipes.sizes import Size
from undertone.recipes.stages import Stage, arithmetic, say, side_by_side
from undertone.recipes.synthesize import synthesize

SUITE = "frozen/synthesised"
"""The suite of what this road shows: speakers, texts and topics that it was never aligned on."""

CONDITIONS: tuple[settings.Condition, ...] = ("clean", "snr20", "snr10", "snr5", "snr0", "telephone", "room")
"""What the voices are heard through."""

NOTE = 14
"""Tokens of a written note on all three attributes."""

NOISY = 200
"""How many voices are asked about in each condition, and of how many the style's own reply is weighed against the others'."""

LEANING = "frozen/leaning"
"""The suite of the judge-free stand-in for empathy: is the reply to the voice's own style the likeliest of all styles' replies?"""

BESIDE = 1200
"""How many voices are asked about, and, a quarter of it of each category, how many replies of a baseline (the full size: all replies)."""


def frozen_road(folder: Path, size: Size, seed: int, name: str) -> dict[str, Laid]:
    """One walk with one seed: speak, align from the shipped semantic stage, ask; returns what was asked. No finished stage is repeated."""
    data = folder / "data"
    say("speaking")
    spoken = partial(settings.Synthesize, train=size.train, dev=size.dev, test=size.test, safety_speakers=0)
    synthesize(spoken(out=data, seed=seed))
    trained = methods(name)
    say(f"aligning {', '.join(trained)}; asking semantic")
    dtype: Any = arithmetic(folder.parent)  # unlike PE-FT, this road keeps its content in bfloat16 without AMX (docs/log.md)
    # On the frozen road, too, what is trained whole learns its topics by heart (docs/log.md): only the note's tokens learn here.
    small: dict[str, Any] = {
        "note_tokens": NOTE,
        "trains": "note",
        "learning_rate": 2e-3,
        "steps": size.aligned,
        "check_every": max(1, size.aligned // 4),
        "dtype": dtype,
    }
    teach = partial(settings.Align, data=data, model=EARS, objectives=settings.Objectives(ctc=0.0, note=1.0), seed=seed, **small)
    alignments = [
        Stage(align, teach(out=folder / "align" / method, name=method).model_copy(update=change)) for method, change in trained.items()
    ]
    metrics = ["pa", "preference", "exact", "rouge"]
    ask = partial(settings.Evaluate, data=data, seed=seed, dtype=dtype, suites=["pa", "content"], together=SUITE, metrics=metrics)
    before = ask(model=EARS, out=folder / "eval" / "semantic", name="semantic")
    side_by_side([*alignments, Stage(evaluate, before)])  # the ears that all begin with are asked while the others still learn

    models = {method: str(folder / "align" / method / "model") for method in trained}
    # The full size weighs claims, for which all are asked the same; else what stands beside the method is asked less.
    beside = partial(ask, limit=0 if name == "full" else BESIDE // 4)
    others = {method: model for method, model in models.items() if method not in ("aligned", "classifier")}
    asked = {"aligned": ask(model=models["aligned"], against=before.out)}
    asked |= {method: beside(model=model, against=before.out) for method, model in others.items()}
    asked |= {
        "cascade": beside(model=models["untagged"], cascade=True, suites=["pa"]),
        "words-only": beside(model=models["aligned"], words="plain", suites=["pa"]),
        "oracle": beside(model=models["aligned"], words="tagged", suites=["pa"]),
    }
    say(f"asking {', '.join(asked)}")
    asked = {run: one.model_copy(update={"out": folder / "eval" / run, "name": run}) for run, one in asked.items()}
    side_by_side(Stage(evaluate, one) for one in asked.values())
    say("recognising")
    heard = recognised(folder, partial(settings.Recognize, data=data, seed=seed, dtype=dtype), models, 0 if name == "full" else BESIDE)
    side_by_side(Stage(recognize, one) for one in heard.values())
    said = {"semantic": (before,)} | {run: (one,) for run, one in asked.items()} | {"classifier": ()}
    return {run: Laid(run, None, one, heard.get(f"{run} emotion")) for run, one in said.items()}


def methods(size: str) -> dict[str, dict[str, object]]:
    """What is aligned: name → how its settings differ from the method's. The full size adds labels alone and the shuffled control."""
    words, style = settings.Objectives(ctc=0.0, style=0.0), settings.Objectives(cross_entropy=0.0, ctc=0.0, style=1.0)
    names = settings.Tasks(reply=0.0, recognition=0.0, captioning=0.0, naming=1.0)
    compared: dict[str, dict[str, object]] = {
        "aligned": {},
        "untagged": {"untagged": True, "version": "v1", "objectives": words},
        "classifier": {"objectives": style},
    }
    further: dict[str, dict[str, object]] = {
        "labels-only": {"tasks": names, "objectives": words},
        "shuffled": {"shuffled": True},
    }
    return compared | further if size == "full" else compared


def recognised(folder: Path, name: partial[settings.Recognize], models: dict[str, str], most: int) -> dict[str, settings.Recognize]:
    """What each model is asked about the voices; `most`: clips at most for the method's own emotion and the classifier's, 0: all."""
    few = partial(name, limit=BESIDE)
    asked = {f"aligned {attribute}": few(model=models["aligned"], attribute=attribute) for attribute in ATTRIBUTES}
    asked["aligned emotion"] = name(model=models["aligned"], limit=most, suite=SUITE, words=True, probe=True, consistency=True)
    through = partial(name, model=models["aligned"], words=True, limit=NOISY)
    asked |= {f"aligned {condition}": through(condition=condition, suite=f"noise/{condition}") for condition in CONDITIONS}
    leaning = partial(name, suite=LEANING, leaning=True, limit=NOISY)
    asked |= {f"{method} leaning": leaning(model=models[method]) for method in ("aligned", "untagged")}
    typed = leaning(model=models["aligned"], typed=True)
    asked |= {"words-only leaning": typed, "cascade leaning": leaning(model=models["untagged"], cascade=True)}
    asked["semantic emotion"] = few(model=EARS, suite=SUITE, words=True)
    asked["classifier emotion"] = name(model=models["classifier"], limit=most, suite=SUITE, by="head")
    asked["words-only emotion"] = few(model=models["aligned"], suite=SUITE, typed=True)
    others = {method: model for method, model in models.items() if method not in ("aligned", "classifier")}
    asked |= {f"{method} emotion": few(model=model, suite=SUITE) for method, model in others.items()}
    return {
        run: one.model_copy(update={"out": folder / "recognize" / run.replace(" ", "-"), "name": run.partition(" ")[0]})
        for run, one in asked.items()
    }
