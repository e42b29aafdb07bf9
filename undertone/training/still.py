"""Where only the note learns, encoder and words stand still: what they make of a clip is computed once and kept in memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

from undertone.models.frozen_llm import FrozenLLM
from undertone.training.frames import KEPT


class Still:
    """Frames → tokens, as `FrozenLLM.hear` makes them, of clips that always sound the same. `most` bytes are kept."""

    def __init__(self, model: FrozenLLM, most: int = KEPT) -> None:
        self._model, self._room = model, most
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, names: Sequence[str], frames: Tensor, lengths: Tensor) -> Tensor:
        """Tokens (token, llm_width) of the clips called `names` in a row, from their `frames` (frame, bins) in a row; the note learns."""
        found = {name: self._kept[name] for name in names if name in self._kept}
        parts = torch.split(frames, lengths.tolist())
        if new := {name: i for i, name in enumerate(names) if name not in found}:
            some = list(new.values())
            for name, made in zip(new, self._made([parts[i] for i in some], lengths[some]), strict=True):
                found[name] = made
                self._keep(name, made)
        with self._model.hearing():
            notes = self._model.front.projector.noted(torch.stack([found[name][1] for name in names]))
        words = [found[name][0] for name in names]
        rows = [torch.cat([note.to(said.dtype), said]) for note, said in zip(notes, words, strict=True)]
        return torch.cat(rows).to(self._model.device)

    @torch.no_grad()
    def _made(self, parts: Sequence[Tensor], lengths: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What the note is not made of, and what it is made of, clip by clip."""
        front, place = self._model.front, next(self._model.front.parameters())
        with self._model.hearing():
            states, counts, whole = front.states(torch.cat(list(parts)).to(place), lengths.to(place.device))
            words = front.projector.words(states, counts)
        clips = [front.projector.count(n) - front.projector.note_tokens for n in counts.tolist()]
        return [(said[:count].clone(), one.clone()) for said, count, one in zip(words, clips, whole, strict=True)]

    def _keep(self, name: str, made: tuple[Tensor, Tensor]) -> None:
        """Keep what was made of a clip, as far as there is room."""
        size = sum(one.nbytes for one in made)
        if size <= self._room:
            self._room -= size
            self._kept[name] = made
