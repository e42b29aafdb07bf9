"""The feature store: what the frozen part (front end, tower, projector) makes of a clip, computed once and kept on disk.

Shards of safetensors, memory-mapped, in a folder named after a hash of front end and frozen weights: another checkpoint, dtype or front
end never reads them. A shard is written whole or not at all, so a killed run goes on behind its last one. What would make the folder
larger than it may be is not kept but computed anew whenever it is asked for.
"""

import hashlib
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from undertone.models.base import Prompt, SpeechLM
from undertone.records import Utterance
from undertone.run import write_atomic

FRONT_END = 1
"""Version of the way from wave to tower; a change here makes every stored feature stale."""

_HEADER = 160
"""Bytes that a tensor's name and shape take in a file, at most."""

Key = Callable[[Utterance], str]
"""What a clip is stored under: another sound must give another key."""

Listen = Callable[[Utterance], NDArray[np.float32] | None]
"""The wave of a clip, or what the front end made of it; None where it cannot be heard."""


class FeatureStore:
    """Audio embeddings by utterance id, each (tokens, width), for the rows that `fill` or `look_up` was given.

    `most`: bytes that the files below `folder` may take, those of other models among them.
    """

    def __init__(self, folder: Path, model: SpeechLM, key: Key = lambda row: row.id, most: float = math.inf) -> None:
        self.folder = folder / fingerprint(model)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._model, self._key, self._most = model, key, most
        self._open: dict[str, Any] = {}
        self._keys: dict[str, str] = {}
        self._unkept: dict[str, tuple[Utterance, Listen]] = {}
        self._read_all()

    @property
    def unkept(self) -> int:
        """Clips that are computed anew whenever they are asked for, because there was no room."""
        return len(self._unkept)

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
        return self._keys.get(name) in self._open or name in self._unkept

    def __getitem__(self, name: str) -> Tensor:
        """(tokens, width), in the model's dtype. OSError where a clip that is not kept can no longer be heard."""
        key = self._keys[name]
        if key in self._open:
            return self._open[key].get_tensor(key)  # type: ignore[no-any-return]
        row, wave = self._unkept[name]
        made = self._listen([row], wave)
        if not made:
            raise OSError(f"{row.file_name}: could be heard when this run began and cannot be heard now; put the file back")
        return made[key]

    def look_up(self, utterances: Sequence[Utterance], wave: Listen) -> None:
        """What another process has computed of `utterances`, and which it had no room for; nothing is computed."""
        self._keys |= {row.id: self._key(row) for row in utterances}
        self._read_all()
        self._leave([row for row in utterances if row.id not in self], wave)

    def fill(
        self,
        utterances: Sequence[Utterance],
        wave: Listen,
        batch: int = 32,
        shard: int = 512,
        progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
        workers: int = 0,
    ) -> None:
        """Compute what is missing, `batch` clips at a time, as long as there is room. Where `wave` gives None the clip is left out. With
        `workers` so many threads make the frames of the next two batches while the tower listens."""
        self._keys |= {row.id: self._key(row) for row in utterances}
        missing = [row for row in utterances if row.id not in self]
        if not workers:
            self._fill(missing, wave, wave, batch, shard, progress)
            return
        opening = threading.Lock()

        def alone(row: Utterance) -> NDArray[np.float32] | None:
            with opening:  # whoever opens a sound takes notes
                return wave(row)

        with ThreadPoolExecutor(workers) as pool:
            hear = ahead(pool, missing, alone, self._model.frames, 2 * batch)
            self._fill(missing, alone, hear, batch, shard, progress)

    def _fill(
        self,
        missing: Sequence[Utterance],
        wave: Listen,
        hear: Listen,
        batch: int,
        shard: int,
        progress: Callable[[Iterable[Any]], Iterable[Any]],
    ) -> None:
        for start in progress(range(0, len(missing), shard)):
            rows = missing[start : start + shard]
            made: dict[str, Tensor] = {}
            room = self._most - sum(file.stat().st_size for file in self.folder.parent.glob("*/*.safetensors"))
            for i in range(0, len(rows), batch):
                if room <= 0:
                    self._leave(rows[i : i + batch], wave)
                    continue
                heard = self._listen(rows[i : i + batch], hear)
                for row in (row for row in rows[i : i + batch] if self._keys[row.id] in heard):
                    key = self._keys[row.id]
                    room -= heard[key].nbytes + _HEADER
                    if room > 0:
                        made[key] = heard[key]
                    else:
                        self._unkept[row.id] = (row, wave)
            if made:
                self._write(made)

    def _leave(self, rows: Sequence[Utterance], wave: Listen) -> None:
        """Note that `rows` are computed when they are asked for, those that can be heard."""
        self._unkept |= {row.id: (row, wave) for row in rows if wave(row) is not None}

    @torch.no_grad()  # not inference mode: what is not kept goes into training as it is
    def _listen(self, rows: Sequence[Utterance], wave: Listen) -> dict[str, Tensor]:
        waves = {self._keys[row.id]: sound for row in rows if (sound := wave(row)) is not None}
        if not waves:
            return {}
        batch = self._model.encode([Prompt(audio=sound) for sound in waves.values()])
        counts = self._model.audio_mask(batch).sum(-1).tolist()
        with _at_rest(self._model.frozen_front()):
            heard = self._model.listen(batch)
        return {key: part.cpu().clone() for key, part in zip(waves, torch.split(heard, counts), strict=True)}

    def _write(self, made: dict[str, Tensor]) -> None:
        from safetensors.torch import save

        shard = self.folder / f"{hashlib.sha256(''.join(made).encode()).hexdigest()[:16]}.safetensors"
        write_atomic(shard, save(made))
        self._read(shard)


def ahead(
    pool: ThreadPoolExecutor, rows: Iterable[Utterance], wave: Listen, frames: Callable[[Any], NDArray[np.float32]], most: int
) -> Listen:
    """The frames of each of the `rows`, asked for in this order, at most `most` of them made before they are asked for."""
    order = iter(rows)
    made: dict[str, Future[NDArray[np.float32] | None]] = {}

    def make(row: Utterance) -> NDArray[np.float32] | None:
        sound = wave(row)
        return sound if sound is None or sound.ndim == 2 else frames(sound)

    def hear(row: Utterance) -> NDArray[np.float32] | None:
        while len(made) < most and (following := next(order, None)) is not None:
            made[following.id] = pool.submit(make, following)
        return made.pop(row.id).result() if row.id in made else make(row)

    return hear


@contextmanager
def _at_rest(front: nn.Module) -> Iterator[None]:
    """No dropout while open: a tower inside a model that is being trained is in training mode with it."""
    training = front.training
    front.eval()
    try:
        yield
    finally:
        front.train(training)


def fingerprint(model: SpeechLM) -> str:
    """Hash of the frozen front: its front end, weights, dtype and version. LoRA never touches it, so adapted and vanilla models share a
    store."""
    # What the front end makes of a sound says what it is; coarsely, for machines differ in the last bits.
    frames = model.frames(np.random.default_rng(0).normal(0, 0.1, model.sample_rate // 2).astype(np.float32)).astype(np.float64)
    made = f"{frames.shape} {frames.mean():.3f} {frames.std():.3f}"
    digest = hashlib.sha256(f"{model.family} {FRONT_END} {model.sample_rate} {model.dtype} {made}".encode())
    for name, tensor in sorted(model.frozen_front().state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
