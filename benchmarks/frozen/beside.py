"""What the default frozen demo leaves out beside its method: labels alone and shuffled labels, and a cascade's likeliest replies.

    python benchmarks/frozen/beside.py --frozen runs/demo-frozen --out runs/beside

They are trained and asked as `undertone demo --road frozen --size full` does it, on the data of a demo that has been run. Rows go to
OUT/scores.jsonl. Finished parts are not repeated.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from undertone import settings
from undertone.models import EARS
from undertone.recipes.align import align
from undertone.recipes.evaluate import evaluate
from undertone.recipes.frozen_road import BESIDE, LEANING, NOISY, NOTE, SUITE, methods
from undertone.recipes.recognize import recognize
from undertone.recipes.sizes import SIZES
from undertone.recipes.stages import Stage, arithmetic, say, side_by_side
from undertone.records import Score, read_rows
from undertone.run import write_rows


def run_all(given: argparse.Namespace) -> list[Score]:
    """Train both controls, ask them and the cascade; their rows."""
    demo, out, steps = given.frozen / "seed-0", given.out, SIZES["default"].aligned
    shared: dict[str, Any] = {"data": demo / "data", "seed": 0, "dtype": arithmetic(given.frozen)}
    teach = partial(
        settings.Align, model=EARS, objectives=settings.Objectives(ctc=0.0, note=1.0), note_tokens=NOTE, trains="note", learning_rate=2e-3,
        steps=steps, check_every=steps // 4, **shared,
    )  # fmt: skip
    new = {name: change for name, change in methods("full").items() if name in ("labels-only", "shuffled")}
    say(f"aligning {', '.join(new)}")
    taught = [Stage(align, teach(out=out / "align" / name, name=name).model_copy(update=change)) for name, change in new.items()]
    side_by_side(taught)
    ask = partial(
        settings.Evaluate, suites=["pa", "content"], together=SUITE, metrics=["pa", "preference", "exact", "rouge"], limit=BESIDE // 4,
        against=demo / "eval" / "semantic", **shared,
    )  # fmt: skip
    hear, models = partial(settings.Recognize, **shared), {name: str(out / "align" / name / "model") for name in new}
    asked = [Stage(evaluate, ask(model=model, out=out / "eval" / name, name=name)) for name, model in models.items()]
    asked += [
        Stage(recognize, hear(model=model, out=out / "recognize" / name, name=name, suite=SUITE, limit=BESIDE))
        for name, model in models.items()
    ]
    untagged, leaning = str(demo / "align" / "untagged" / "model"), {"suite": LEANING, "leaning": True, "cascade": True, "limit": NOISY}
    asked.append(Stage(recognize, hear(model=untagged, out=out / "recognize" / "cascade", name="cascade", **leaning)))
    say(f"asking {', '.join(new)}, cascade")
    side_by_side(asked)
    return [row for one in (*taught, *asked) for row in read_rows(one.chosen.out / "scores.jsonl", Score)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frozen", type=Path, default=Path("runs/demo-frozen"))
    parser.add_argument("--out", type=Path, default=Path("runs/beside"))
    chosen = parser.parse_args()
    write_rows(chosen.out / "scores.jsonl", run_all(chosen))
