"""`undertone synthesize`: queries and their right replies, spoken in minimal pairs, filtered, split (METHOD A.4)."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from undertone import settings
from undertone.progress import bar
from undertone.recipes.speaking import synthesiser
from undertone.records import CONTENT, Rejected, Split, Utterance
from undertone.run import Journal, open_run
from undertone.speech import pairs
from undertone.speech.folder import write_folder
from undertone.speech.pairs import SPLITS, Cast, Planned
from undertone.speech.rendering import Tally, ids, jobs, render, tally, unfinished
from undertone.speech.writers import write_queries
from undertone.speech.writers.grammar import Query


def synthesize(chosen: settings.Synthesize) -> Path:
    """Make the data folder; clips that are there already are not spoken again."""
    run = open_run(chosen.out, "synthesize", chosen.model_dump(mode="json"), chosen.seed, usual=chosen.usual())
    if (run.folder / "metadata.jsonl").exists():
        return run.folder
    queries = write_queries(chosen.writer, chosen.topics, chosen.queries_per_topic, chosen.endpoint.model_dump(), run.folder)
    make = synthesiser(chosen)
    speaker = make()
    dealt = pairs.deal([split for split in SPLITS if asked(chosen, split)], chosen.speakers, chosen.seed, speaker.voices)
    work = jobs(plan(queries, chosen, speaker.renders, dealt.numbers))

    kept, rejected = Journal(run.folder / ".kept.jsonl"), Journal(run.folder / ".rejected.jsonl")
    # What was spoken is counted by `speaker`, whose endpoint is the one that `make` gives to all.
    missing = unfinished(work, speaker, kept.rows(Utterance), rejected.rows(Rejected))
    for rendered in bar("speaking", len(missing))(render(missing, make, run.folder, chosen.workers)):
        if chosen.strict and rendered.rejected:
            raise ValueError(f"strict: {rendered.rejected[0].file_name} was rejected: {rendered.rejected[0].reason}")
        kept.append(rendered.kept)
        rejected.append(rendered.rejected)

    rows = list({row.id: row for row in kept.rows(Utterance)}.values())
    place = {name: i for i, name in enumerate(name for job in work for name in ids(job, speaker))}
    rows.sort(key=lambda row: place[row.id])  # threads finish in any order
    if not rows:
        raise ValueError(f"{run.folder}: every clip was rejected; the first because {rejected.rows(Rejected)[0].reason}")
    spoken = {row.id for row in rows}
    turned_away = list({row.id: row for row in rejected.rows(Rejected) if row.id not in spoken}.values())
    counts = tally(work, speaker, spoken, {row.id: row.reason for row in turned_away})
    refuse_empty(counts, run.folder)
    write_folder(run.folder, rows, turned_away, ("speaker", "text", "topic") if dealt.apart else ("text", "topic"))
    print(f"{len(rows)} clips of simulated voices in {run.folder}, {len(turned_away)} rejected (rejected.jsonl says why); kept of asked:")
    for split in SPLITS:
        if some := [f"{one.category} {one.kept}/{one.asked}" for one in counts if one.split == split]:
            print(f"  {split}: {', '.join(some)}")
    if not dealt.apart:
        print(f"speakers stand in several splits: {speaker.name} has too few voices to keep them apart (folder.json leaves speaker out)")
    return run.folder


def refuse_empty(counts: Sequence[Tally], folder: Path) -> None:
    """ValueError names the first category of which a split was to have clips and has none."""
    for split, category, kept, asked, reason in counts:
        if not kept:
            raise ValueError(
                f"{folder}: {split}.{category}: all {asked} clips were rejected, the first because {reason}; finished clips stay; choose "
                f"another synthesiser, or ask for 0 clips of it, with another --out"
            )


def asked(chosen: settings.Synthesize, split: Split) -> bool:
    """Whether anything is to be spoken for `split`."""
    return any(getattr(chosen, split).values()) or (split == "test" and chosen.safety_speakers > 0)


def plan(
    queries: Sequence[Query], chosen: settings.Synthesize, renders: Mapping[str, Sequence[str]], numbers: Mapping[Split, Sequence[int]]
) -> list[Planned]:
    """Every rendering of every split. Ordinary queries are dealt out by topic; child-safety questions are test only."""
    rng = random.Random(chosen.seed)
    topic_split = pairs.split_topics(queries, chosen.seed)
    planned: list[Planned] = []
    for split in SPLITS:
        clips: Mapping[str, int] = getattr(chosen, split)
        cast = Cast(numbers.get(split, ()), renders, rng)
        for category in clips:
            some = [query for query in queries if query.category == category and topic_split[query.topic] == split and not query.safety]
            if clips[category] and not some:
                raise ValueError(f"{split}.{category}: no query of category {category} falls into split {split}; name more topics of it")
            if category == CONTENT:
                planned += pairs.plan_content(some, clips[category], split, cast)
            else:
                planned += pairs.plan_pairs(some, category, clips[category], split, cast)
        if split == "test":
            planned += pairs.plan_safety([query for query in queries if query.safety], chosen.safety_speakers, cast)
    return planned
