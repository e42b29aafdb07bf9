"""How time and memory grow with the number of clips, their length and the number of layers: log-log slopes, 1 is linear.

    python benchmarks/speed/scaling.py
    python benchmarks/speed/scaling.py --clips 1000 4000 16000 --seconds 2 6 15 30 --layers 4 8 16 28

Three stages: `features` fills a feature store, `training` is one epoch of PE-FT on it, `analysis` pools every layer's states of it. Clips
are noise with a reply of the grammar, the model is the embedded one's class at random weights; every point is a process of its own. Growth
of memory is the largest point's peak over the smallest's: flat in the number of clips means 1.
"""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from timing import Timed, flags, keep, rounds, row

from undertone.records import Score, Utterance

BATCH = 32


class Point(NamedTuple):
    """What is varied: clips, their seconds, the model's layers."""

    clips: int = 256
    seconds: int = 2
    layers: int = 8


class Noise(NamedTuple):
    """Clips of noise, made when they are asked for, drawn in order."""

    clips: list[Utterance]
    seconds: int

    def wave(self, row: Utterance) -> np.ndarray:
        """Samples, the same whenever asked."""
        return (0.1 * np.random.default_rng(int(row.id)).standard_normal(16_000 * self.seconds)).astype(np.float32)

    def batch(self, step: int, size: int) -> list[Utterance]:
        """The clips of a step."""
        return self.clips[step * size : (step + 1) * size]


def noise(point: Point) -> Noise:
    """The clips of a point."""
    voice = {"age": "adult", "gender": "female", "emotion": "neutral"}
    made = [
        Utterance(
            id=str(i), text="", file_name="", seconds=point.seconds, attributes=voice, speaker="", source="noise", split="train",
            category="age", reply="please turn off the power first",
        )
        for i in range(point.clips)
    ]  # fmt: skip
    return Noise(made, point.seconds)


def opened(point: Point) -> Any:
    """The model of a point, at random weights."""
    import torch
    from transformers import Qwen2_5OmniThinkerForConditionalGeneration

    from undertone.models import tiny
    from undertone.models.qwen2_5_omni import Qwen2_5Omni

    torch.manual_seed(0)
    tokenizer = tiny.tokenizer()
    config = tiny.config(tokenizer)
    config.text_config.num_hidden_layers = config.text_config.max_window_layers = point.layers
    config.text_config.layer_types = ["full_attention"] * point.layers
    module = Qwen2_5OmniThinkerForConditionalGeneration(config)
    module.requires_grad_(False)
    return Qwen2_5Omni(module, tokenizer, tiny.feature_extractor())


def features(point: Point) -> Callable[[], Any]:
    """Every clip through front end and tower, into a fresh store."""
    from undertone.training.features import FeatureStore

    model, given = opened(point), noise(point)

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            FeatureStore(Path(folder), model).fill(given.clips, given.wave)
        return point.clips

    return run


def filled(point: Point) -> tuple[Any, Noise, Any, Any]:
    """Model, clips, and the store that holds them, with its folder."""
    from undertone.training.features import FeatureStore

    model, given, folder = opened(point), noise(point), tempfile.TemporaryDirectory()
    store = FeatureStore(Path(folder.name), model)
    store.fill(given.clips, given.wave)
    return model, given, store, folder


def training(point: Point) -> Callable[[], Any]:
    """One epoch of PE-FT in the lower half of the layers."""
    from undertone.training.loop import Encoder, Schedule, train
    from undertone.training.lora import adapt, choose_layers
    from undertone.training.objectives import PeFt

    model, given, store, folder = filled(point)
    layers = choose_layers(f"0-{point.layers // 2}", model)
    adapted = adapt(model, layers, ("q_proj", "v_proj"), 8, 16, dropout=0.0, seed=0)
    objective = PeFt(model, adapted, layers[-1], 0.5, model.text_model.config.hidden_size)
    steps = -(-point.clips // BATCH)
    schedule = Schedule(steps, BATCH, 1, 1e-4, 0.1, 0.0, 1.0, steps)

    def run() -> int:
        with tempfile.TemporaryDirectory(dir=folder.name) as states:
            train(objective, given, [], Encoder(model, store.__getitem__), schedule, Path(states), lambda *_: None)
        return steps

    return run


def analysis(point: Point) -> Callable[[], Any]:
    """Pooled states and logit lens of every layer."""
    from undertone.analysis.activations import collect
    from undertone.models.base import Prompt

    model, given, store, folder = filled(point)

    def run() -> int:
        assert Path(folder.name).exists()  # the store's files live as long as this
        prompts = [Prompt(audio=store[clip.id]) for clip in given.clips]
        return collect(model, prompts, [clip.reply or "" for clip in given.clips]).states.shape[1]

    return run


STAGES: dict[str, Callable[[Point], Callable[[], Any]]] = {"features": features, "training": training, "analysis": analysis}


def slope(sizes: Sequence[int], found: Sequence[Timed], resamples: int = 2000) -> tuple[float, float, float]:
    """The slope of log time over log size by least squares of the medians, and 95 % of those that the rounds give when drawn again."""
    dice, logs = np.random.default_rng(0), np.log(sizes)
    drawn = [np.median(dice.choice(one.seconds, (resamples, len(one.seconds))), axis=1) for one in found]
    low, high = np.percentile(np.polyfit(logs, np.log(drawn), 1)[0], [2.5, 97.5])
    return float(np.polyfit(logs, np.log([median(one.seconds) for one in found]), 1)[0]), float(low), float(high)


def grown(stage: str, axis: str, sizes: Sequence[int], found: Sequence[Timed], details: dict[str, Any]) -> list[Score]:
    """The slope and the growth of memory along an axis."""
    points = {f"seconds_at_{size}": median(one.seconds) for size, one in zip(sizes, found, strict=True)}
    points |= {f"bytes_at_{size}": one.peak for size, one in zip(sizes, found, strict=True)}
    value, low, high = slope(sizes, found)
    told = details | points
    n = len(found[0].seconds)
    return [
        row("scaling", "ours", f"{stage}, {axis}", "slope", value, n, told).model_copy(update={"low": low, "high": high}),
        row("scaling", "ours", f"{stage}, {axis}", "memory_growth", found[-1].peak / found[0].peak, n, told),
    ]


def main() -> None:
    parser = flags(__doc__, pairs=3)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="(all)")
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 4000, 16_000], help="numbers of clips, of 2 s (%(default)s)")
    parser.add_argument("--seconds", type=int, nargs="+", default=[2, 6, 15, 30], help="lengths of 256 clips (%(default)s)")
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 8, 16, 28], help="layers of the language model (%(default)s)")
    parser.add_argument("--usual", type=int, default=Point().clips, help="clips where they are not what is varied (%(default)s)")
    given = parser.parse_args()
    usual = Point(clips=given.usual)
    for stage in given.stages:
        for axis in ("clips", "seconds", "layers"):
            sizes = sorted(getattr(given, axis))
            if len(sizes) < 2 or (stage, axis) == ("features", "layers"):  # the front has none of the language model's
                continue
            points = [usual._replace(**{axis: size}) for size in sizes]
            found = [rounds([partial(STAGES[stage], point)], given.pairs, given.threads)[0] for point in points]
            keep(grown(stage, axis, sizes, found, usual._asdict()), given.results)


if __name__ == "__main__":
    main()
