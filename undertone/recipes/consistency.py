"""Does the model answer speech as it answers the words with the true note? Reply, probabilities and representation, style by style."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional as F

from undertone import settings
from undertone.attributes import ATTRIBUTES, note
from undertone.evaluation.leaning import leaning, leaning_scores
from undertone.evaluation.metrics import RATE
from undertone.evaluation.overlap import bert_score, rouge
from undertone.intervals import scored_mean
from undertone.models.base import IGNORED, Prompt
from undertone.models.logits import losses
from undertone.progress import bar
from undertone.recipes.opening import Corridor, kept_in
from undertone.recipes.reading import heard
from undertone.records import Score, Utterance
from undertone.run import Run
from undertone.training.alignment import distillation
from undertone.training.teacher import Question, Teacher, teach

LONGEST, CANDIDATES = 48, 32


class Apart(NamedTuple):
    """A reply to speech beside the teacher's to the words and the true note: KL per token of the two (nats), and how much nearer the spoken
    prompt's representation is to its own note's than to another note's (difference of cosines)."""

    reply: str
    taught: str
    kl: float
    matched: float


def consistency(chosen: settings.Recognize, run: Run, corridor: Corridor, rows: Sequence[Utterance], suite: str) -> Iterator[Score]:
    """reply_rouge_1, reply_rouge_l, reply_kl and matched, with a `bert_model` reply_bert_score too, of all rows and of each value of the
    attribute, clustered by speaker."""
    teacher = Teacher(kept_in(chosen, corridor.data, run.folder, "teacher"), corridor.model, CANDIDATES, LONGEST)
    own = [Question(Prompt(text=row.text, note=note(row.attributes))) for row in rows]
    other = [Question(Prompt(text=row.text, note=note(_otherwise(row, chosen.attribute)))) for row in rows]
    teacher.fill([*own, *other], chosen.batch, bar("the teacher answers"))
    found: list[Apart] = []
    for i in bar(f"{run.name}: consistency")(range(0, len(rows), chosen.batch)):
        part = slice(i, i + chosen.batch)
        found += apart(corridor, teacher, rows[part], own[part], other[part])
    metrics, values = dict(_metrics(found, chosen)), [row.attributes[chosen.attribute] for row in rows]
    for group in ("all", *dict.fromkeys(values)):
        kept = [i for i, value in enumerate(values) if group in ("all", value)]
        speakers = [rows[i].speaker for i in kept]
        for metric, each in metrics.items():
            within = RATE if "rouge" in metric else None
            mean = scored_mean([each[i] for i in kept], speakers, chosen.bootstrap, chosen.seed, within)
            yield run.score(suite, metric, group, mean.value, mean.n, low=mean.low, high=mean.high, unscored=len(kept) - mean.n)


def _metrics(found: Sequence[Apart], chosen: settings.Recognize) -> Iterator[tuple[str, Sequence[float | None]]]:
    """Metric → its value for each clip; None: unscored."""
    replies, taught = [one.reply for one in found], [one.taught for one in found]
    yield from zip(("reply_rouge_1", "reply_rouge_l"), rouge(replies, taught), strict=True)
    if chosen.bert_model:
        yield "reply_bert_score", [one.value for one in bert_score(replies, taught, chosen.bert_model, batch=chosen.batch)]
    yield "reply_kl", [one.kl for one in found]
    yield "matched", [one.matched for one in found]


def leaned(chosen: settings.Recognize, run: Run, corridor: Corridor, rows: Sequence[Utterance], suite: str) -> Iterator[Score]:
    """own_likeliest and own_probability: of the teacher's replies to the words beside each value's note, which does the voice call for?"""
    values = [value for value in ATTRIBUTES[chosen.attribute].names if any(row.attributes[chosen.attribute] == value for row in rows)]
    teacher = Teacher(kept_in(chosen, corridor.data, run.folder, "teacher"), corridor.model, 0, LONGEST)
    told = [[Question(Prompt(text=row.text, note=note({**row.attributes, chosen.attribute: value}))) for value in values] for row in rows]
    teacher.fill([one for some in told for one in some], chosen.batch, bar("the teacher answers"))
    found: list[torch.Tensor] = []
    for i in bar(f"{run.name}: leaning")(range(0, len(rows), chosen.batch)):
        part = range(i, min(i + chosen.batch, len(rows)))
        with torch.inference_mode():
            asked = corridor.model.prefill(corridor.model.encode([heard(chosen, corridor, rows[k], "") for k in part]))
            each = [corridor.model.log_likelihoods(asked, [teacher.text(told[k][j]) for k in part]) for j in range(len(values))]
        found.append(torch.stack(each, 1))
    own = [row.attributes[chosen.attribute] for row in rows]
    table = leaning(torch.cat(found).double().cpu().numpy(), [values.index(value) for value in own])
    yield from leaning_scores(table, own, [row.speaker for row in rows], run.score, chosen.bootstrap, chosen.seed, suite)


@torch.inference_mode()
def apart(
    corridor: Corridor, teacher: Teacher, rows: Sequence[Utterance], own: Sequence[Question], other: Sequence[Question]
) -> list[Apart]:
    """One clip a row, against the teacher's lessons on its own and on the other note."""
    model, prompts = corridor.model, [Prompt(audio=corridor.heard[row.id]) for row in rows]
    taught = teach(model, prompts, [teacher[one] for one in own])
    hidden = model.hidden(taught.batch)
    labelled = taught.batch.labels[:, 1:] != IGNORED
    (each,) = losses(
        hidden[:, :-1][labelled],
        model.lm_head,
        lambda logits, part: (distillation(logits, taught.top[part], taught.ids[part], 1.0),),
    )
    kl = [float(part.mean()) for part in torch.split(each, labelled.sum(-1).tolist())]
    spoken = hidden[torch.arange(len(rows)), labelled.int().argmax(-1)].float()
    wrong = torch.stack([teacher[one].read for one in other]).to(spoken.device)
    matched = F.cosine_similarity(spoken, taught.read, dim=-1) - F.cosine_similarity(spoken, wrong, dim=-1)
    replies = model.reply(prompts, LONGEST)
    return [Apart(*one) for one in zip(replies, [teacher.text(one) for one in own], kl, matched.tolist(), strict=True)]


def _otherwise(row: Utterance, attribute: str) -> dict[str, str]:
    """The clip's attributes with the next value of `attribute` in the table."""
    names = ATTRIBUTES[attribute].names
    return {**row.attributes, attribute: names[(names.index(row.attributes[attribute]) + 1) % len(names)]}
