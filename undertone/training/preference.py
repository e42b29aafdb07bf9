"""DPO on minimal pairs (Rafailov et al. 2023, arXiv 2305.18290, equation 7): the reply that suits the voice against the contrast's.

The pairs are there already: the same words in two voices, each with its own right reply. Where the model began is frozen, so its margin
between the two replies is computed once a clip, before anything is trained. DPO stands beside SFT and not in its place, for by itself it
lowers what both replies are given (Pang et al. 2024, arXiv 2404.19733, section 3).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from undertone.evaluation.replies import Ask, preferences
from undertone.models.base import Batch, SpeechLM
from undertone.records import Reply, Utterance
from undertone.run import Journal
from undertone.training.heads import Targets
from undertone.training.loop import Encoder
from undertone.training.objectives import Losses, PeFt, Sizes


class Contrast(NamedTuple):
    """Of a part of a batch, the clips that have two replies, once more with the contrast's behind them. `rows` says which they are, `right`
    and `wrong` how many labelled tokens each row has here and there, `margin` (clip,) what the model as it was gave the right one more."""

    batch: Batch
    rows: tuple[int, ...]
    right: tuple[int, ...]
    wrong: tuple[int, ...]
    margin: Tensor


class PreferencePeFt(PeFt):
    """`PeFt`, and `share` · DPO at temperature `beta`."""

    def __init__(self, *like: Any, share: float, beta: float) -> None:
        super().__init__(*like)
        self.share, self.beta = share, beta

    def forward(self, batch: Batch, truth: Targets, contrast: Contrast | None, sizes: Sizes) -> Losses:  # type: ignore[override]
        """As `PeFt`'s; a part without pairs has no `contrast`."""
        model = self.model
        with self.tapped() as states:
            tokens = model.token_losses(batch)
        losses = self.added_up(tokens.sum(), states, batch, truth, sizes)
        if contrast is None:
            return losses
        right = -_by_row(tokens, contrast.right)[list(contrast.rows)]
        gain = right + _by_row(model.token_losses(contrast.batch), contrast.wrong) - contrast.margin
        preference = F.softplus(-self.beta * gain).sum() / max(1, sizes.pairs)
        preferred = (gain > 0).sum() / max(1, sizes.pairs)
        return losses._replace(loss=losses.loss + self.share * preference, preference=preference, preferred=preferred)

    def report(self, sums: Mapping[str, float], sizes: Sizes) -> dict[str, float]:
        """SFT and DPO together choose the checkpoint."""
        known = super().report(sums, sizes)
        pairs = max(1, sizes.pairs)
        chosen = {"sft_and_preference": known["sft"] + self.share * sums["preference"] / pairs}
        return chosen | known | {"preference": sums["preference"] / pairs, "preferred": sums["preferred"] / pairs}


class PairEncoder(NamedTuple):
    """`Encoder`, and for clips with two replies the contrast's; `margins` are those of the model as it was, by clip."""

    encoder: Encoder
    margins: Mapping[str, float]

    @property
    def model(self) -> SpeechLM:
        return self.encoder.model

    def __call__(self, rows: Sequence[Utterance]) -> tuple[Batch, Targets, Contrast | None]:
        """The clips with their right replies, the true classes, and the contrasts."""
        which = tuple(i for i, row in enumerate(rows) if has_pair(row))
        swapped = [rows[i].model_copy(update={"reply": rows[i].contrast_reply}) for i in which]
        if not swapped:
            return *self.encoder(rows), None
        margin = torch.tensor([self.margins[rows[i].id] for i in which], device=self.model.device)
        batch = self.encoder(swapped)[0]
        return *self.encoder(rows), Contrast(batch, which, self._lengths(rows), self._lengths(swapped), margin)

    def _lengths(self, rows: Sequence[Utterance]) -> tuple[int, ...]:
        return tuple(self.encoder.sizes([row]).tokens for row in rows)

    @property
    def packed(self) -> bool:
        return self.encoder.packed

    def lengths(self, rows: Sequence[Utterance]) -> list[int]:
        """A clip with two replies is read with each; where rows are padded each of the two batches fits, and both together may not."""
        both = [[row, row.model_copy(update={"reply": row.contrast_reply})] if has_pair(row) else [row] for row in rows]
        return [sum(self.encoder.lengths(one)) for one in both]

    def sizes(self, rows: Sequence[Utterance]) -> Sizes:
        """As the encoder's, and how many clips have two replies."""
        return self.encoder.sizes(rows)._replace(pairs=sum(map(has_pair, rows)))


def has_pair(row: Utterance) -> bool:
    """Whether a clip has both a right reply and the contrast's."""
    return bool(row.reply and row.contrast_reply)


def margins(
    model: SpeechLM,
    rows: Sequence[Utterance],
    prompt: Ask,
    batch: int,
    journal: Journal,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, float]:
    """Clip → log p(right reply) − log p(the contrast's) of the model as it is, for the clips that have both. Each prompt is read once; what
    `journal` holds already is not computed again."""
    order = sorted(filter(has_pair, rows), key=lambda row: (-row.seconds, row.id))
    known = {reply.utterance_id: reply.preference or 0.0 for reply in journal.rows(Reply)}
    missing = [row for row in order if row.id not in known]
    for start in progress(range(0, len(missing), batch)):
        part = missing[start : start + batch]
        with torch.inference_mode():
            found = preferences(model, model.prefill(model.encode([prompt(row) for row in part])), part)
        made = [Reply(utterance_id=row.id, run="reference", text="", preference=value) for row, value in zip(part, found, strict=True)]
        journal.append(made)
        known |= {reply.utterance_id: reply.preference or 0.0 for reply in made}
    return known


def _by_row(losses: Tensor, lengths: Sequence[int]) -> Tensor:
    """(row,) sums of (token,) losses."""
    return torch.stack([part.sum() for part in torch.split(losses, list(lengths))])
