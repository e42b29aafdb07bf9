"""`undertone recognize`: does the model know what it hears (METHOD B.4)? Prompted recognition, a probe on its tokens, and the words."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from undertone import settings
from undertone.evaluation.cascade import spoken_notes
from undertone.evaluation.metrics import RATE, MakeScore, preferred
from undertone.evaluation.recognition import Named, parse_value, recognition_scores, ua_difference
from undertone.intervals import clustered_mean
from undertone.progress import bar
from undertone.recipes.adapters import as_trained
from undertone.recipes.consistency import consistency, leaned
from undertone.recipes.opening import Corridor, begin, open_corridor
from undertone.recipes.reading import READERS
from undertone.recipes.rows import require, sample
from undertone.recipes.tokens import holds, probed
from undertone.recipes.words import followed, spoken
from undertone.records import Reply, Score, Utterance, read_rows
from undertone.run import Journal, write_rows
from undertone.training.lora import load_adapter


def recognize(chosen: settings.Recognize) -> list[Score]:
    """Writes replies.jsonl (what each voice was said to be) and scores.jsonl; a killed run goes on behind its last answer."""
    chosen = as_trained(chosen).model_copy(update={"name": chosen.name or ("tuned" if chosen.adapter else "vanilla")})
    run = begin(chosen, chosen.name)
    if (run.folder / "scores.jsonl").exists():
        return list(read_rows(run.folder / "scores.jsonl", Score))
    corridor = open_corridor(chosen, run.folder, chosen.condition)
    rows = voices(chosen, corridor)
    if chosen.cascade:
        train = [row for row in corridor.data.utterances if row.split == "train" and row.id in corridor.heard and among(row, chosen)]
        corridor = corridor._replace(notes=spoken_notes(train, rows, corridor.heard.__getitem__))
    if chosen.adapter is not None:
        load_adapter(corridor.model, chosen.adapter)

    journal = Journal(run.folder / "replies.jsonl")
    known = {reply.utterance_id for reply in journal.rows(Reply)}
    missing = [row for row in rows if row.id not in known]
    read = READERS[chosen.by](chosen, corridor, sorted({row.attributes[chosen.attribute] for row in rows}))
    for start in bar(run.name)(range(0, len(missing), chosen.batch)):
        part = missing[start : start + chosen.batch]
        said = zip(part, read(part), strict=True)
        journal.append(Reply(utterance_id=row.id, run=run.name, text=one.value, preference=one.preference) for row, one in said)

    named = answers(chosen, rows, journal.path)
    score = partial(run.score, details={"model": chosen.model, "condition": chosen.condition, "by": chosen.by, "typed": chosen.typed})
    scores = list(recognition_scores(named, score, chosen.bootstrap, chosen.seed, chosen.attribute))
    scores += preference(leans(rows, journal.path), [row.speaker for row in rows], score, chosen)
    if chosen.against:
        before = answers(chosen, rows, chosen.against / "replies.jsonl")
        scores += ua_difference(named, before, score, chosen.bootstrap, chosen.seed, chosen.attribute)
    scores = [one.model_copy(update={"suite": chosen.suite or one.suite}) for one in scores]
    suite = scores[0].suite
    scores += [*probed(chosen, run, corridor, rows, suite), *holds(chosen, run, corridor, rows, suite)] if chosen.probe else []
    scores += [*leaned(chosen, run, corridor, rows, suite)] if chosen.leaning else []
    scores += [*followed(chosen, run, rows, named, suite)] if chosen.leakage else []
    scores += [*consistency(chosen, run, corridor, rows, suite)] if chosen.consistency else []
    scores += [*spoken(chosen, run, corridor, rows, suite)] if chosen.words else []
    write_rows(run.folder / "scores.jsonl", scores)
    return scores


def voices(chosen: settings.Recognize, corridor: Corridor) -> list[Utterance]:
    """The clips that are asked: of the split, with one of the values, and heard."""
    rows = [row for row in corridor.data.utterances if row.split == chosen.split and chosen.attribute in row.attributes]
    rows = [row for row in rows if among(row, chosen)]
    rows = sample(rows, chosen.limit, chosen.seed)
    if len({row.attributes[chosen.attribute] for row in rows}) < 2:
        raise ValueError(f"{chosen.data}: split {chosen.split!r} has no two values of {chosen.attribute}; there is nothing to tell apart")
    if chosen.typed or chosen.words or chosen.leaning or chosen.leakage:
        require(rows, chosen.data, "text")
    asked = {row.id for row in rows}
    others = [row for row in corridor.data.utterances if chosen.cascade and row.split == "train" and row.id not in asked]
    return [row for row in corridor.listen([*rows, *others], chosen.batch) if row.id in asked]


def among(row: Utterance, chosen: settings.Recognize) -> bool:
    """Whether the clip has no other value of the attribute than those that are asked about."""
    return not chosen.among or row.attributes.get(chosen.attribute) in (None, *chosen.among)


def answers(chosen: settings.Recognize, rows: Sequence[Utterance], path: Path) -> list[Named]:
    """What each clip was said to be in the replies at `path`; ValueError where a clip was not asked there."""
    said = {reply.utterance_id: reply.text for reply in read_rows(path, Reply)}
    if missing := [row.id for row in rows if row.id not in said]:
        raise ValueError(f"{path}: {len(missing)} of these clips were not asked there ({missing[0]} …); name a run on the same clips")
    return [Named(row.attributes[chosen.attribute], parse_value(said[row.id], chosen.attribute), row.speaker) for row in rows]


def leans(rows: Sequence[Utterance], path: Path) -> list[float]:
    """How much likelier than the others' mean the true value of each clip was found, where the replies at `path` say it."""
    known = {reply.utterance_id: reply.preference for reply in read_rows(path, Reply)}
    found = [known[row.id] for row in rows]
    return [] if None in found else [lean for lean in found if lean is not None]


def preference(found: Sequence[float], clusters: Sequence[str], score: MakeScore, chosen: settings.Recognize) -> Iterator[Score]:
    """The share of the voices whose true value is the likelier one, a score without a choice or a judge; nothing where nothing is known."""
    if found:
        share = clustered_mean([preferred(lean) for lean in found], clusters, chosen.bootstrap, chosen.seed, RATE)
        yield score(f"recognition/{chosen.attribute}", "value_preference", "all", share.value, share.n, low=share.low, high=share.high)
