"""Behavioural alignment (METHOD B.3): objectives as pure functions, and their weighted sum as one module that Accelerate can wrap."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undertone.attributes import ATTRIBUTES, note
from undertone.models.base import IGNORED, Batch, Prompt, labelled
from undertone.models.chosen import Chosen
from undertone.models.encoders import is_sinusoid
from undertone.models.frozen_llm import FrozenLLM, Heard
from undertone.models.logits import losses
from undertone.models.projector import TOKEN
from undertone.records import Utterance
from undertone.run import write_atomic
from undertone.training.objectives import Objective, Sizes
from undertone.training.still import Still
from undertone.training.tasks import Exercise, Wording
from undertone.training.teacher import Taught, Teacher, teach


def distillation(logits: Tensor, top: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """(position,) T² · KL(teacher ‖ student), both softened by `temperature` T (Hinton et al. 2015), over the teacher's candidates.

    `logits` (position, vocabulary) of the student; `top` (position, k) logits of the teacher at `ids`. What the teacher gives to tokens
    that are no candidates is left out of its distribution; what the student gives to them is not, so it costs.
    """
    target = (top / temperature).log_softmax(-1)
    own = (logits / temperature).log_softmax(-1).gather(-1, ids)
    return temperature**2 * (target.exp() * (target - own)).sum(-1)


def contrast(heard: Tensor, read: Tensor, same: Tensor, temperature: float = 0.1) -> Tensor:
    """(clip,) InfoNCE (Oord et al. 2018): a spoken prompt's representation `heard` (clip, width) should be nearest to that of its own typed
    and tagged prompt among `read` (clip, width); `same` (clip, clip) marks typed prompts that are one. The others are those of the same
    part of a batch: in parts of one clip there is nothing to tell apart."""
    scores = F.normalize(heard.float(), dim=-1) @ F.normalize(read.float(), dim=-1).T / temperature
    right = scores.masked_fill(~same, -torch.inf).logsumexp(-1)
    return scores.logsumexp(-1) - right


def word_loss(scores: Tensor, lengths: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """(clip,) CTC (Graves et al. 2006) per target token; `scores` (clip, state, 1 + token), class 0 the blank. Clips without known words,
    or too short for them, have no loss."""
    counts = torch.tensor([len(target) for target in targets], device=scores.device)
    rows = scores.float().log_softmax(-1).transpose(0, 1)
    losses = F.ctc_loss(rows, torch.cat(list(targets)), lengths, counts, reduction="none", zero_infinity=True)
    return losses.masked_fill(counts == 0, 0) / counts.clamp(min=1)


def note_loss(tokens: Tensor, notes: Sequence[Tensor], table: Tensor, sharpness: float = 8.0) -> Tensor:
    """(clip,) cross-entropy per token between `tokens` (clip, place, width) and those of the written notes, scored against the language
    model's own embedding `table`: what the voice says should lie where its note would lie [O]. A note longer than its places is cut."""
    directions = F.normalize(table.detach().float(), dim=-1)
    losses = []
    for made, ids in zip(tokens, notes, strict=True):
        count = min(len(ids), len(made))
        scores = sharpness * made[:count] @ directions.T
        losses.append(F.cross_entropy(scores, ids[:count].to(scores.device), reduction="sum") / max(1, count))
    return torch.stack(losses)


class Weights(NamedTuple):
    """How much each objective counts; 0 leaves it out."""

    cross_entropy: float = 1.0
    distillation: float = 0.0
    contrast: float = 0.0
    ctc: float = 0.0
    style: float = 0.0
    note: float = 0.0


class Parts(NamedTuple):
    """The loss and its unweighted parts: per reply token the first two, the others per clip."""

    loss: Tensor
    cross_entropy: Tensor
    distillation: Tensor
    contrast: Tensor
    ctc: Tensor
    style: Tensor
    note: Tensor
    style_right: Tensor
    style_asked: Tensor


class Styles(nn.Module):
    """The auxiliary heads on a clip's mean token (clip, width), one an attribute; they begin at the embeddings of the values' names:
    a voice is first looked for where its word lies."""

    def __init__(self, model: FrozenLLM) -> None:
        super().__init__()
        table = F.normalize(model.module.get_input_embeddings().weight.detach().float(), dim=-1)  # type: ignore[operator]
        first = {row.name: [model.reply_ids(f" {value.note.rpartition(' ')[2]}")[0] for value in row.values] for row in ATTRIBUTES.values()}
        self.norm = nn.LayerNorm(table.shape[1])
        self.heads = nn.ModuleList(nn.Linear(table.shape[1], len(ids)) for ids in first.values())
        with torch.no_grad():
            for head, ids in zip(self.heads, first.values(), strict=True):
                head.weight.copy_(table[ids])  # type: ignore[operator]

    def logits(self, pooled: Tensor, attribute: str) -> Tensor:
        """(clip, value) of one attribute."""
        return self.heads[list(ATTRIBUTES).index(attribute)](self.norm(pooled))  # type: ignore[no-any-return]

    def forward(self, pooled: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Summed losses, right answers and questions; `truth` (clip, attribute) class numbers, −1 where nobody knows."""
        loss, right = pooled.new_zeros(()), pooled.new_zeros(())
        for attribute, true in zip(ATTRIBUTES, truth.T, strict=True):
            logits = self.logits(pooled, attribute)
            loss = loss + F.cross_entropy(logits, true, ignore_index=-1, reduction="sum")
            right = right + (logits.argmax(-1) == true).sum()
        return loss, right, (truth >= 0).sum().float()


HEADS = "heads.safetensors"
"""The auxiliary heads beside a saved model: it answers without them, but they are the standalone classifier that it is compared with."""


def save_heads(heads: Styles, folder: Path) -> None:
    """Write the heads beside the model in `folder`."""
    from safetensors.torch import save

    write_atomic(folder / HEADS, save({name: value.detach().cpu().contiguous() for name, value in heads.state_dict().items()}))


def open_heads(model: FrozenLLM, folder: Path) -> Styles:
    """The heads that were trained with the model in `folder`; FileNotFoundError where it was trained without any."""
    from safetensors.torch import load_file

    if not (folder / HEADS).exists():
        raise FileNotFoundError(f"{folder}: no {HEADS}; align with objectives.style above 0 to have them")
    heads = Styles(model)
    heads.load_state_dict(load_file(folder / HEADS))
    return heads.eval().to(model.device)


class Lesson(NamedTuple):
    """An encoded part of a batch: the clips' names, what is taught, the true classes (clip, attribute), each clip's words as CTC classes,
    and the tokens of its speaker note."""

    names: tuple[str, ...]
    taught: Taught
    truth: Tensor
    words: tuple[Tensor, ...]
    notes: tuple[Tensor, ...]


class Alignment(Objective):
    """Speech encoder and projector under the weighted objectives; the language model passes gradients on and has none itself.

    `still`: every clip sounds the same whenever it is drawn, so that what does not learn is computed once a clip (`training.still`)."""

    parts = Parts._fields

    def __init__(
        self,
        model: FrozenLLM,
        weights: Weights,
        temperature: float,
        vocabulary: Sequence[int],
        trains: Literal["front", "projector", "note"] = "front",
        still: bool = False,
    ) -> None:
        super().__init__()
        self.front = model.front
        for name, value in self.front.named_parameters():
            open_ear = trains == "front" and not is_sinusoid(name)
            # What tells the prosody is new even where the encoder stays.
            told = name.startswith("encoder.told.") and not isinstance(self.front.projector.note, Chosen)
            heard = told or (open_ear if name.startswith("encoder.") else trains != "note")
            value.requires_grad_(heard or name.startswith("projector.note."))
        if not any(value.requires_grad for value in self.front.parameters()):
            raise ValueError("trains: there is no note to train; set note_tokens above 0")
        made = self.front.projector.note
        self._chosen = made if isinstance(made, Chosen) else None
        self._learner = {"front": self.front, "projector": self.front.projector, "note": self.front.projector.note or self.front}[trains]
        self.weights, self.temperature = weights, temperature
        self.styles = Styles(model) if weights.style else None
        # The words' classes are the language model's tokens, of which only those are scored that occur.
        self.words = nn.Linear(model.front.encoder.width, 1 + len(vocabulary)) if weights.ctc else None
        self._note_tokens = model.front.projector.note_tokens
        if weights.note and not self._note_tokens:
            raise ValueError("objectives.note: the model has no tokens for a note; set note_tokens above 0")
        self._model = [model]  # in a list, so that its modules are not registered twice
        learns = [name for name, value in self.front.named_parameters() if value.requires_grad]
        stands = not weights.ctc and all(name.startswith("projector.note.") for name in learns)
        self._still = Still(model) if still and stands else None

    @property
    def learner(self) -> nn.Module:
        return self._learner  # type: ignore[return-value]

    def save_beside(self, folder: Path) -> None:
        """The auxiliary heads, where there are any."""
        if self.styles is not None:
            save_heads(self.styles, folder)

    def report(self, sums: Mapping[str, float], sizes: Sizes) -> dict[str, float]:
        """What is trained on, weighted, then each part per token or per clip."""
        per = {name: sizes.tokens if name in ("cross_entropy", "distillation") else sizes.clips for name in Weights._fields}
        values = {name: sums[name] / max(1, count) for name, count in per.items()}
        loss = sum(weight * values[name] for name, weight in self.weights._asdict().items())
        asked = {"style_accuracy": sums["style_right"] / sums["style_asked"]} if sums["style_asked"] else {}
        return {"loss": loss, **values, **asked}

    def forward(self, lesson: Lesson, sizes: Sizes) -> Parts:
        """The parts of a part of a batch, each divided by the whole batch's sizes."""
        model, (names, taught, truth, words, notes), weights = self._model[0], lesson, self.weights
        heard, tokens, clips = self._heard(names, taught.batch), max(1, sizes.tokens), max(1, sizes.clips)
        counts = [model.token_count(n) for n in taught.batch.frame_lengths.tolist()]  # type: ignore[union-attr]
        if self._chosen is not None and self.training:
            heard = heard._replace(tokens=self._told(self._chosen, heard.tokens, counts, truth))
        zero = heard.tokens.new_zeros((), dtype=torch.float32)
        found = dict.fromkeys(Parts._fields, zero)
        if weights.cross_entropy or weights.distillation or weights.contrast:
            hidden = model.hidden(replace(taught.batch, heard=heard.tokens, frames=None, frame_lengths=None))
            found |= {name: each.sum() / tokens for name, each in self._said(hidden, taught).items()}
            if weights.contrast:
                where = taught.batch.labels[:, 1:] != IGNORED
                begins = where & ~F.pad(where, (1, 0))[:, :-1]
                spoken = hidden[:, :-1][begins]
                same = (taught.read[:, None] == taught.read[None]).all(-1)
                found["contrast"] = contrast(spoken, taught.read, same).sum() / clips
        if self.words is not None:
            lengths = torch.tensor([model.front.encoder.count(n) for n in taught.batch.frame_lengths.tolist()], device=zero.device)  # type: ignore[union-attr]
            scores = nn.utils.rnn.pad_sequence(list(torch.split(self.words(heard.states.float()), lengths.tolist())), batch_first=True)
            found["ctc"] = word_loss(scores, lengths, words).sum() / clips
        if self.styles is not None:
            pooled = torch.stack([part.mean(0) for part in torch.split(heard.tokens.float(), counts)])
            loss, found["style_right"], found["style_asked"] = self.styles(pooled, truth)
            found["style"] = loss / clips
        if weights.note:
            spoken_note = torch.stack([part[: self._note_tokens] for part in torch.split(heard.tokens.float(), counts)])
            table = model.module.get_input_embeddings().weight  # type: ignore[operator]
            found["note"] = note_loss(spoken_note, notes, table).sum() / clips
        total = zero + sum((weight * found[name] for name, weight in weights._asdict().items()), zero)
        return Parts(**(found | {"loss": total}))

    def _heard(self, names: Sequence[str], batch: Batch) -> Heard:
        if self._still is None or batch.frames is None or batch.frame_lengths is None:
            return self._model[0].hear(batch)
        tokens = self._still(names, batch.frames, batch.frame_lengths)
        return Heard(tokens[:0], tokens)

    def _told(self, note: Chosen, tokens: Tensor, counts: Sequence[int], truth: Tensor) -> Tensor:
        """The `tokens` of all clips in a row, with the note of the `truth` instead of the one that their sound makes probable."""
        place = {name: [of.index(one) if one in of else 0 for one in ATTRIBUTES[name].names] for name, of in note.values.items()}
        told = [torch.tensor(own, device=truth.device)[truth[:, list(ATTRIBUTES).index(name)]] for name, own in place.items()]
        notes = note(torch.stack(told, dim=-1)).to(tokens.dtype)
        parts = torch.split(tokens, list(counts))
        return torch.cat([torch.cat([own, part[len(own) :]]) for own, part in zip(notes, parts, strict=True)])

    def _said(self, hidden: Tensor, taught: Taught) -> dict[str, Tensor]:
        """(position,) losses of what is said, by name."""
        states, targets = labelled(hidden, taught.batch)
        distils = bool(self.weights.distillation)

        def of(logits: Tensor, part: slice) -> tuple[Tensor, ...]:
            plain = F.cross_entropy(logits, targets[part], reduction="none")
            return (plain, distillation(logits, taught.top[part], taught.ids[part], self.temperature)) if distils else (plain,)

        return dict(zip(("cross_entropy", "distillation"), losses(states, self._model[0].lm_head, of), strict=False))


class AlignmentEncoder(NamedTuple):
    """Exercises → lessons. `frames` gives a clip's front-end frames; `classes` numbers the tokens that words are made of, from 1."""

    model: FrozenLLM
    teacher: Teacher
    frames: Callable[[Utterance], Tensor]
    wording: Wording
    noted: bool
    classes: Mapping[int, int]
    packed: bool = True

    def __call__(self, rows: Sequence[Exercise]) -> tuple[Lesson]:
        """The exercises with the teacher's replies."""
        frames = [self.frames(one.row) for one in rows]
        # Places for as many tokens as each clip becomes; what they hold is made in training.
        empty = [torch.zeros(self.model.token_count(len(clip)), 0) for clip in frames]
        prompts = [Prompt(audio=place, system=one.system(self.wording), note=one.written) for place, one in zip(empty, rows, strict=True)]
        lessons = [self.teacher[one.question(self.wording, self.noted)] for one in rows]
        taught = teach(self.model, prompts, lessons)
        lengths = torch.tensor([len(clip) for clip in frames])
        batch = replace(taught.batch, heard=None, frames=torch.cat(frames), frame_lengths=lengths).to(self.model.device)
        batch = batch.packed() if self.packed else batch
        taught, names = taught._replace(batch=batch), tuple(one.row.id for one in rows)
        return (Lesson(names, taught, self._truth(rows), tuple(map(self._words, rows)), tuple(map(self._note, rows))),)

    def lengths(self, rows: Sequence[Exercise]) -> list[int]:
        """Tokens of each exercise: the prompt, audio in it (of the clip as it is; it may be heard changed), and the reply."""
        audio, note = Prompt(audio=torch.zeros(1, 0)), self.model.front.projector.note_tokens
        return [
            len(self.model.prompt_ids(audio._replace(system=one.system(self.wording), note=one.written), 1))
            - 1
            + note
            + math.ceil(1000 * one.row.seconds / TOKEN)
            + len(self.teacher[one.question(self.wording, self.noted)].reply)
            for one in rows
        ]

    def sizes(self, rows: Sequence[Exercise]) -> Sizes:
        """Reply tokens and clips."""
        return Sizes(sum(len(self.teacher[one.question(self.wording, self.noted)].reply) for one in rows), len(rows))

    def _truth(self, rows: Sequence[Exercise]) -> Tensor:
        known = [[row.names.index(one.row.attributes[row.name]) if row.name in one.row.attributes else -1 for row in ATTRIBUTES.values()]
                 for one in rows]  # fmt: skip
        return torch.tensor(known, device=self.model.device)

    def _note(self, exercise: Exercise) -> Tensor:
        return torch.tensor(self.model.reply_ids(note(exercise.row.attributes)), dtype=torch.long)

    def _words(self, exercise: Exercise) -> Tensor:
        ids = self.model.reply_ids(f" {exercise.row.text}") if exercise.row.text else []
        return torch.tensor([self.classes[i] for i in ids if i in self.classes], dtype=torch.long)


def vocabulary(model: FrozenLLM, texts: Sequence[str]) -> dict[int, int]:
    """Token id → CTC class, from 1 (0 is the blank), of the tokens that occur in `texts`."""
    return {token: i for i, token in enumerate(sorted({i for text in set(texts) for i in model.reply_ids(f" {text}")}), start=1)}
