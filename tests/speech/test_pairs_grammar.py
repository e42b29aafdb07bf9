"""The grammar is as large as promised, and the plan balances contrasts and keeps splits apart."""

import random
from collections import Counter

import pytest

from undertone.attributes import ATTRIBUTES
from undertone.records import CONTENT
from undertone.speech import pairs
from undertone.speech.pairs import SPLITS, Cast
from undertone.speech.synthesisers.espeak import Espeak
from undertone.speech.writers.grammar import all_queries, topics


def test_the_world_is_large_enough_and_every_query_belongs_to_one_category() -> None:
    queries = all_queries()
    assert len({query.text for query in queries}) == len(queries) >= 2000
    assert len(topics()) >= 20
    safety = Counter(query.topic for query in queries if query.safety)
    assert len(safety) == 7
    assert set(safety.values()) == {10}
    for query in queries:
        if query.category == CONTENT:
            assert not query.replies
        else:
            right = [query.replies[name] for name in ATTRIBUTES[query.category].names]
            assert len(set(right)) == len(right), query.text


def cast(seed: int = 0, **renders: tuple[str, ...]) -> Cast:
    return Cast(range(1000, 1010), renders or Espeak.renders, random.Random(seed))


def test_all_fifteen_contrasts_are_balanced() -> None:
    some = [query for query in all_queries() if query.category == "emotion"]
    planned = list(pairs.plan_pairs(some, "emotion", 300, "train", cast()))
    assert len(planned) == 300
    counts = Counter(frozenset((one.attributes["emotion"], str(one.contrast))) for one in planned[::2])
    assert len(counts) == 15
    assert set(counts.values()) == {10}


def test_a_text_is_not_married_to_one_contrast() -> None:
    some = [query for query in all_queries() if query.category == "emotion"][:30]
    heard: dict[str, set[str]] = {}
    for one in pairs.plan_pairs(some, "emotion", 600, "train", cast()):
        heard.setdefault(one.query.text, set()).add(one.attributes["emotion"])
    assert min(map(len, heard.values())) > 3


def test_gender_is_asked_of_adults() -> None:
    some = [query for query in all_queries() if query.category == "gender"]
    assert {one.attributes["age"] for one in pairs.plan_pairs(some, "gender", 40, "train", cast())} == {"adult"}


def test_only_what_is_rendered_is_planned() -> None:
    flat = cast(age=("adult",), gender=("male", "female"), emotion=("neutral",))
    gender = [query for query in all_queries() if query.category == "gender"]
    voices = [one.attributes for one in pairs.plan_pairs(gender, "gender", 20, "test", flat)]
    assert {voice["emotion"] for voice in voices} == {"neutral"}
    with pytest.raises(ValueError, match="no age pairs"):
        list(pairs.plan_pairs([query for query in all_queries() if query.category == "age"], "age", 2, "test", flat))


@pytest.mark.parametrize("seed", range(5))
def test_splits_share_neither_topic_nor_speaker_and_safety_is_never_trained_on(seed: int) -> None:
    split = pairs.split_topics(all_queries(), seed)
    assert set(split.values()) == set(SPLITS)
    assert {split[topic.name] for topic in topics() if topic.safety} == {"test"}
    for category in (*ATTRIBUTES, CONTENT):
        assert {split[topic.name] for topic in topics() if topic.category == category} == set(SPLITS)
    who = [set(pairs.speakers(name, 40, seed)) for name in SPLITS]
    assert not who[0] & who[1]
    assert not who[0] & who[2]
    assert not who[1] & who[2]


def test_the_same_arguments_give_the_same_samples_and_another_speaker_another_voice() -> None:
    voice = {"age": "child", "gender": "female", "emotion": "fearful"}
    one, same, other = (Espeak().speak("how do i fix the socket", voice, speaker, 1) for speaker in (7, 7, 8))
    assert one.tolist() == same.tolist()
    assert len(one) != len(other) or one.tolist() != other.tolist()


def number(speaker: int) -> frozenset[str]:
    return frozenset({str(speaker)})


def test_speakers_are_dealt_by_number_where_every_number_is_somebody() -> None:
    dealt = pairs.deal(SPLITS, 40, 2, number)
    assert dealt.apart
    assert dealt.numbers == {split: pairs.speakers(split, 40, 2) for split in SPLITS}


def test_few_voices_are_dealt_out_and_fewer_than_splits_are_said_to_be_shared() -> None:
    dealt = pairs.deal(SPLITS, 5, 0, lambda speaker: number(speaker % 4))
    assert dealt.apart
    heard = {split: {speaker % 4 for speaker in dealt.numbers[split]} for split in SPLITS}
    assert sorted(map(len, heard.values())) == [1, 1, 2]
    assert len(set().union(*heard.values())) == 4
    assert len(heard["train"]) == 2
    assert not pairs.deal(SPLITS, 5, 0, lambda speaker: number(speaker % 2)).apart
    assert len(pairs.voice_groups({speaker: number(speaker % 2) for speaker in range(15)})) == 2
    assert pairs.deal(("train", "test"), 5, 0, lambda speaker: number(speaker % 2)).apart
    assert not pairs.deal(SPLITS, 5, 0, lambda speaker: number(speaker) | number(speaker + 1)).apart
    chained = pairs.voice_groups({speaker: number(speaker) | number(speaker + 1) for speaker in range(15)})
    assert len(chained) == 1, "who shares a voice with a neighbour shares it with all"


def test_few_speakers_ask_the_safety_questions_more_than_once() -> None:
    safety = [query for query in all_queries() if query.safety][:2]
    few = Cast([7], Espeak.renders, random.Random(0))
    planned = list(pairs.plan_safety(safety, 3, few))
    assert len(planned) == 2 * 3 * 2
    assert len({one.pair for one in planned}) == 6
