"""All six analyses: ours against stock loops, one clip at a time with `output_hidden_states=True` or nnsight, and scikit-learn fits.

    undertone synthesize && python benchmarks/speed/analysis.py --clips 1000

Both sides read the same cached audio embeddings in float32 and draw no intervals; both give the same curves, which is checked before any
number is kept. The peer is written as a careful user would: no gradients, no padding, unpatched passes run once, pooled at once.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from stock_analysis import Curves, stock
from timing import Compared, flags, in_turn, keep, rows

from undertone import settings
from undertone.models.base import Prompt, SpeechLM
from undertone.records import Utterance

FOLDS, PAIRS = 5, 64
"""The recipe's defaults."""

PEERS = {"stock": "output_hidden_states loop", "nnsight": "nnsight 0.8.1", "plain": "engine plain"}
"""What a row calls each peer."""

FITTED, COMPUTED = 5e-3, 1e-3
"""How far a curve may be from the peer's. Both sides' probes stop before the optimum, so of theirs one clip more is allowed."""


class Opened(NamedTuple):
    """What both sides begin with."""

    model: SpeechLM
    rows: list[Utterance]
    heard: Callable[[Utterance], Prompt]


def opened(data: Path, clips: int) -> Opened:
    """The embedded model and so many clips of the training split, which its tower has heard."""
    from undertone.recipes.opening import open_corridor
    from undertone.recipes.rows import sample

    corridor = open_corridor(settings.Analyze(data=data, dtype="float32"), Path(tempfile.mkdtemp()))
    chosen = sample([row for row in corridor.data.utterances if row.split == "train"], clips, seed=0)
    if len(chosen) < clips - 1:
        raise ValueError(f"{data}: {len(chosen)} training clips, {clips} asked for: lower --clips, or make more with undertone synthesize")
    able = corridor.listen(chosen, batch=32)
    return Opened(corridor.model, able, lambda row: Prompt(audio=corridor.heard[row.id]))


def ours(data: Path, clips: int, batch: int, engine: str = "packed") -> Callable[[], Curves]:
    """What `undertone analyze` runs, but for the intervals."""
    from undertone.analysis import ANALYSES
    from undertone.analysis.activations import collect
    from undertone.analysis.curves import Bootstrap, Material
    from undertone.lookup import resolve

    model, chosen, heard = opened(data, clips)
    packed = engine == "packed"

    def run() -> Curves:
        spoken = collect(model, [heard(row) for row in chosen], [row.content_reply for row in chosen], batch, packed=packed)
        written = collect(model, [Prompt(text=row.text) for row in chosen], None, batch, packed=packed, lens=False)
        material = Material(model, chosen, heard, spoken, written, FOLDS, PAIRS, batch, Bootstrap(0, 0), packed)
        found = [row for name in ANALYSES for row in resolve(ANALYSES, name, "analysis")(material)]
        return {(row.analysis, row.attribute, row.layer): row.value for row in found}

    return run


def peer(data: Path, clips: int, nnsight: str = "") -> Callable[[], Curves]:
    """`stock`, on the same clips; by nnsight, where its folder is given."""
    both = opened(data, clips)
    if not nnsight:
        return partial(stock, *both, folds=FOLDS, pairs=PAIRS)
    sys.path.append(nnsight)
    from nnsight_analysis import looking

    return partial(stock, *both, folds=FOLDS, pairs=PAIRS, looking=looking(both.model))


def differences(found: Compared, clips: int) -> dict[str, float]:
    """Largest difference of each analysis's curves over `clips`; ValueError where the two sides did not measure the same."""
    one, other = found.ours.result, found.peer.result
    if one.keys() != other.keys():
        raise ValueError(f"the sides have different curves: {sorted(one.keys() ^ other.keys())[:5]}")
    return dict(_checked(one, other, clips))


def _checked(one: Curves, other: Curves, clips: int) -> Iterator[tuple[str, float]]:
    for analysis in sorted({name for name, _, _ in one}):
        keys = [key for key in one if key[0] == analysis]
        most = max(keys, key=lambda key: abs(one[key] - other[key]))
        difference = abs(one[most] - other[most])
        allowed = FITTED + 1 / clips if analysis.startswith(("probe", "intent")) else COMPUTED
        if difference > allowed:
            raise ValueError(f"{most}: ours {one[most]:.5f}, the peer's {other[most]:.5f}; no ratio between different numbers")
        yield f"difference_{analysis}", difference


def details(clips: int, batch: int, found: Compared) -> Mapping[str, Any]:
    """What the rows say besides times and memory."""
    shape = {
        "clips": clips,
        "batch": batch,
        "folds": FOLDS,
        "pairs_per_category": PAIRS,
        "dtype": "float32",
        "tower": "cached on both sides",
    }
    return {**shape, **differences(found, clips)}


def asked() -> argparse.Namespace:
    """The flags."""
    parser = flags(__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000], help="clips analysed; several numbers: rows for each (1000)")
    parser.add_argument("--data", type=Path, default=Path("data/grammar"), help="what undertone synthesize wrote (data/grammar)")
    parser.add_argument("--batch", type=int, default=64, help="clips per forward pass of ours (64, the recipe's)")
    parser.add_argument("--warm", type=int, default=1, help="rounds before, that do not count (1)")
    parser.add_argument("--peer", choices=list(PEERS), default="stock", help="plain: our own --engine plain (stock)")
    parser.add_argument("--nnsight", default="", help="folder that nnsight was installed into, see nnsight_analysis.py")
    return parser.parse_args()


def side(given: argparse.Namespace, clips: int) -> Callable[[], Callable[[], Curves]]:
    """The peer that is asked for."""
    if given.peer == "plain":
        return partial(ours, given.data, clips, given.batch, "plain")
    if given.peer == "nnsight" and not given.nnsight:
        raise ValueError("--nnsight: name the folder that nnsight was installed into, see nnsight_analysis.py")
    return partial(peer, given.data, clips, given.nnsight if given.peer == "nnsight" else "")


if __name__ == "__main__":
    given = asked()
    for number in given.clips:
        our_side = partial(ours, given.data, number, given.batch)
        found = in_turn(our_side, side(given, number), given.pairs, given.threads, given.warm)
        keep(rows("analysis", PEERS[given.peer], f"{number} clips", found, details(number, given.batch, found)), given.results)
