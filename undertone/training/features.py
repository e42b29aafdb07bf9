"""The feature store: what the frozen part (front end, tower, projector) makes of a clip, computed once and kept on disk.

Shards of safetensors, memory-mapped, named after a hash of the frozen weights: another checkpoint, dtype or front end never reads
them. A shard is written whole or not at all, so a killed run goes on behind its last one.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undertone.models.base import Prompt, SpeechLM
from undertone.records import Utterance
from undertone.run import write_atomic

FRONT_END = 1
"""Version of the way from wave to tower; a change here makes every stored feature stale."""


Key = Callable[[Utterance], str]
"""What a clip is stored under: another sound must give another key."""


class FeatureStore:
    """Audio embeddings by utterance id, each (tokens, width), for the rows that `fill` or `look_up` was given."""

    def __init__(self, folder: Path, model: SpeechLM, key: Key = lambda row: row.id) -> None:
        self.folder = folder / fingerprint(model)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._model, self._key = model, key
        self._open: dict[str, Any] = {}
        self._keys: dict[str, str] = {}
        self._read_all()

    def _read_all(self) -> None:
        for shard in sorted(self.folder.glob("*.safetensors")):
            self._read(shard)

    def _read(self, shard: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            handle = safe_open(shard, "pt")
        except SafetensorError as error:
            raise OSError(f"{shard}: no whole feature shard ({error}); delete the file") from None
        self._open |= dict.fromkeys(list(handle.keys()), handle)  # type: ignore[no-untyped-call]

    def __contains__(self, name: str) -> bool:
        return self._keys.get(name) in self._open

    def __getitem__(self, name: str) -> Tensor:
        """(tokens, width), in the model's dtype."""
        key = self._keys[name]
        return self._open[key].get_tensor(key)  # type: ignore[no-any-return]

    def look_up(self, utterances: Sequence[Utterance]) -> None:
        """What another process has computed of `utterances`; nothing is computed."""
        self._keys |= {row.id: self._key(row) for row in utterances}
        self._read_all()

    def fill(
        self,
        utterances: Sequence[Utterance],
        wave: Callable[[Utterance], NDArray[np.float32] | None],
        batch: int = 32,
        shard: int = 512,
        progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    ) -> None:
        """Compute what is missing, `batch` clips at a time. Where `wave` gives None the clip is left out."""
        self._keys |= {row.id: self._key(row) for row in utterances}
        missing = [row for row in utterances if row.id not in self]
        for start in progress(range(0, len(missing), shard)):
            rows = missing[start : start + shard]
            made: dict[str, Tensor] = {}
            for i in range(0, len(rows), batch):
                made |= self._listen(rows[i : i + batch], wave)
            if made:
                self._write(made)

    @torch.inference_mode()
    def _listen(self, rows: Sequence[Utterance], wave: Callable[[Utterance], NDArray[np.float32] | None]) -> dict[str, Tensor]:
        waves = {self._keys[row.id]: sound for row in rows if (sound := wave(row)) is not None}
        if not waves:
            return {}
        batch = self._model.encode([Prompt(audio=sound) for sound in waves.values()])
        counts = self._model.audio_mask(batch).sum(-1).tolist()
        return {key: part.cpu().clone() for key, part in zip(waves, torch.split(self._model.listen(batch), counts), strict=True)}

    def _write(self, made: dict[str, Tensor]) -> None:
        from safetensors.torch import save

        shard = self.folder / f"{hashlib.sha256(''.join(made).encode()).hexdigest()[:16]}.safetensors"
        write_atomic(shard, save(made))
        self._read(shard)


def fingerprint(model: SpeechLM) -> str:
    """Hash of the frozen front: its weights, dtype and version. LoRA never touches it, so adapted and vanilla models share a store."""
    digest = hashlib.sha256(f"{model.family} {FRONT_END} {model.sample_rate} {model.dtype}".encode())
    for name, tensor in sorted(model.frozen_front().state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
