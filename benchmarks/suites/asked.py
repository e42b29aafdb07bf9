"""The benchmarks that need no hub and no judge's key, asked of both demos' models: conflict, ser, leakage and judge-check.

    python benchmarks/suites/asked.py --demo runs/demo --frozen runs/demo-frozen --ravdess RAVDESS

Rows go to OUT/scores.jsonl: runs vanilla, pe-ft and aligned, and rule, the judge; suites conflict/ATTRIBUTE, ser/data (and ser/data/age …),
ser/ravdess, leakage/ravdess, judge-check, and control/text-only, where the claims of conflict are typed. Finished parts are not repeated.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from undertone import settings
from undertone.attributes import ATTRIBUTES
from undertone.recipes.evaluate import evaluate
from undertone.recipes.stages import Stage, say, side_by_side
from undertone.run import write_rows


def asked(given: argparse.Namespace) -> Iterator[settings.Evaluate]:
    """Every evaluation."""
    demo, frozen = given.demo / "seed-0", given.frozen / "seed-0"
    models = {
        "vanilla": {},
        "pe-ft": {"adapter": demo / "tune" / "pe-ft" / "adapter"},
        "aligned": {"model": str(frozen / "align" / "aligned" / "model")},
    }
    for name, model in models.items():
        ask = partial(settings.Evaluate, name=name, bootstrap=2000, **model)
        yield ask(suite="conflict", out=given.out / name / "conflict")
        yield ask(suite="conflict", control="text-only", out=given.out / name / "conflict-typed")
        for attribute in ATTRIBUTES:
            yield ask(suite="ser", data=frozen / "data", attribute=attribute, limit=given.limit, out=given.out / name / f"ser-{attribute}")
        if given.ravdess:
            for suite in ("ser", "leakage"):
                yield ask(suite=suite, data=given.ravdess, corpus="ravdess", out=given.out / name / f"{suite}-ravdess")
    yield settings.Evaluate(suite="judge-check", data=frozen / "data", name="rule", bootstrap=2000, out=given.out / "judge-check")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"))
    parser.add_argument("--frozen", type=Path, default=Path("runs/demo-frozen"))
    parser.add_argument("--ravdess", type=Path)
    parser.add_argument("--limit", type=int, default=1200, help="clips of ser/data at most")
    parser.add_argument("--out", type=Path, default=Path("runs/suites"))
    chosen = parser.parse_args()
    evaluations = list(asked(chosen))
    say("asking the benchmarks")
    side_by_side(Stage(evaluate, one) for one in evaluations)
    write_rows(chosen.out / "scores.jsonl", [row for one in evaluations for row in evaluate(one)])
