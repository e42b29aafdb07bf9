"""Wave → log-mel frames: ours against the official processor's call of its feature extractor, which pads every clip to 300 s.

python benchmarks/speed/front_end.py
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from timing import flags, in_turn, keep, rows

SECONDS = (2, 6, 15)
CLIPS = 4


def waves(seconds: int) -> list[np.ndarray]:
    """Clips of noise."""
    dice = np.random.default_rng(0)
    return [(0.1 * dice.standard_normal(16_000 * seconds)).astype(np.float32) for _ in range(CLIPS)]


def extractor() -> Any:
    """Qwen2.5-Omni's, as its preprocessor_config.json has it."""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=128, chunk_length=300, hop_length=160, n_fft=400, sampling_rate=16_000)


def ours(seconds: int) -> Callable[[], Any]:
    """`log_mel`, clip by clip."""
    from undertone.models.qwen2_5_omni import log_mel

    made, clips = extractor(), waves(seconds)
    return lambda: [log_mel(made, clip) for clip in clips]


def official(seconds: int) -> Callable[[], Any]:
    """What `Qwen2_5OmniProcessor.__call__` asks of the extractor; the frames that its mask calls valid."""
    made, clips = extractor(), waves(seconds)
    how = {"sampling_rate": 16_000, "padding": "max_length", "return_attention_mask": True, "truncation": False, "return_tensors": "np"}

    def run() -> list[np.ndarray]:
        found = made(clips, **how)
        return [mel[:, mask.astype(bool)].T for mel, mask in zip(found.input_features, found.attention_mask, strict=True)]

    return run


if __name__ == "__main__":
    given = flags(__doc__).parse_args()
    for length in SECONDS:
        found = in_turn(partial(ours, length), partial(official, length), given.pairs, given.threads)
        if not all(map(np.array_equal, found.ours.result, found.peer.result)):
            raise ValueError(f"{length} s: the frames are not the same bit for bit; no ratio is claimed")
        about = {"clips": CLIPS, "bit_identical": True}
        keep(rows("front-end", "official processor", f"{length} s", found, about), given.results)
