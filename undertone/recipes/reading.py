"""How `recognize` gets a value out of a model: the likeliest answer, the answer in words, or the auxiliary heads' choice."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from undertone import settings
from undertone.attributes import ATTRIBUTES, note
from undertone.models import place
from undertone.models.base import Prompt
from undertone.models.chosen import Chosen
from undertone.models.frozen_llm import FrozenLLM
from undertone.recipes.opening import Corridor
from undertone.records import Utterance
from undertone.training.alignment import open_heads


class Said(NamedTuple):
    """What a voice is said to be; `preference`, where likelihoods tell: that of the true value less the mean of the others', logarithms."""

    value: str
    preference: float | None = None


Read = Callable[[Sequence[Utterance]], list[Said]]


def by_likelihood(chosen: settings.Recognize, corridor: Corridor, values: Sequence[str]) -> Read:
    """The value that is the likeliest answer to the attribute's question."""
    return _likeliest(chosen, corridor, {value: value for value in values}, ATTRIBUTES[chosen.attribute].question)


def by_note(chosen: settings.Recognize, corridor: Corridor, values: Sequence[str]) -> Read:
    """The value whose note is the likeliest caption: "the speaker sounds sad"."""
    return _likeliest(chosen, corridor, {value: note({chosen.attribute: value}).strip("()") for value in values}, chosen.captioning)


def _likeliest(chosen: settings.Recognize, corridor: Corridor, words: Mapping[str, str], system: str) -> Read:
    """The value whose `words` are the likeliest reply under the `system` prompt."""
    values, model = list(words), corridor.model

    def read(rows: Sequence[Utterance]) -> list[Said]:
        with torch.inference_mode():
            asked = model.prefill(model.encode([heard(chosen, corridor, row, system) for row in rows]))
            scores = torch.stack([model.log_likelihoods(asked, [one] * len(rows)) for one in words.values()], dim=1)
        true = torch.tensor([[value == row.attributes[chosen.attribute] for value in values] for row in rows], device=scores.device)
        others = scores.masked_fill(true, -torch.inf).logsumexp(1) - math.log(len(values) - 1)
        leans = (scores[true] - others).tolist()
        return [Said(values[i], lean) for i, lean in zip(scores.argmax(1).tolist(), leans, strict=True)]

    return read


def by_reply(chosen: settings.Recognize, corridor: Corridor, values: Sequence[str]) -> Read:
    """What the model answers in words."""
    question = ATTRIBUTES[chosen.attribute].question
    return lambda rows: [Said(text) for text in corridor.model.reply([heard(chosen, corridor, row, question) for row in rows], 24)]


def by_head(chosen: settings.Recognize, corridor: Corridor, values: Sequence[str]) -> Read:
    """The auxiliary head's choice among `values`, from the mean token."""
    if not isinstance(corridor.model, FrozenLLM):
        raise ValueError(f"by: model {chosen.model} has no auxiliary heads; only what undertone align made has")
    heads, names = open_heads(corridor.model, Path(place(chosen.model))), ATTRIBUTES[chosen.attribute].names

    def read(rows: Sequence[Utterance]) -> list[Said]:
        pooled = torch.stack([corridor.heard[row.id].float().mean(0) for row in rows]).to(corridor.model.device)
        with torch.inference_mode():
            scores = heads.logits(pooled, chosen.attribute)[:, [names.index(value) for value in values]]
        return [Said(values[i]) for i in scores.argmax(-1).tolist()]

    return read


def by_choice(chosen: settings.Recognize, corridor: Corridor, values: Sequence[str]) -> Read:
    """The value that the probes of a chosen note find likeliest among `values`; the language model is not asked."""
    model = corridor.model
    made = model.front.projector.note if isinstance(model, FrozenLLM) else None
    if not isinstance(model, FrozenLLM) or not isinstance(made, Chosen) or chosen.attribute not in made.values:
        raise ValueError(f"by: model {chosen.model} does not choose its note by {chosen.attribute}; align it with --note chosen")
    known = made.values[chosen.attribute]
    if unknown := [value for value in values if value not in known]:
        raise ValueError(f"by: {unknown[0]}: model {chosen.model} knows the {chosen.attribute}s {', '.join(known)}; name some in among")
    places = [known.index(value) for value in values]

    def read(rows: Sequence[Utterance]) -> list[Said]:
        _, _, profile = model.inside([corridor.sounds.frames(row) for row in rows])
        scores = made.scores(profile, chosen.attribute)[:, places]
        return [Said(values[i]) for i in scores.argmax(-1).tolist()]

    return read


READERS: Mapping[str, Callable[[settings.Recognize, Corridor, Sequence[str]], Read]] = {
    "likelihood": by_likelihood,
    "note": by_note,
    "reply": by_reply,
    "head": by_head,
    "choice": by_choice,
}


def heard(chosen: settings.Recognize, corridor: Corridor, row: Utterance, system: str) -> Prompt:
    """The clip under `system`, with what a cascade writes beside it, or its words typed."""
    if chosen.typed:
        return Prompt(text=row.text, system=system)
    return Prompt(audio=corridor.heard[row.id], system=system, note=corridor.notes.get(row.id, ""))
