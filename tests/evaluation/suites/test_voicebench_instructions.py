"""Every check of IFEval on replies that follow, that do not, and that cannot be told; sentences, words and languages beneath them."""

from collections.abc import Mapping
from typing import Any

import pytest

from undertone.evaluation.suites.voicebench.counting import capitals, sentences, words
from undertone.evaluation.suites.voicebench.instructions import CHECKS, followed, leeway
from undertone.evaluation.suites.voicebench.language import language

YES_NO: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "keywords:existence": ({"keywords": ["Rain", "sun"]}, "Sun follows rain.", "Only rain."),
    "keywords:frequency": ({"keyword": "rain", "frequency": 2, "relation": "at least"}, "Rain, rain!", "Rain."),
    "keywords:forbidden_words": ({"forbidden_words": ["rain"]}, "It is raining.", "No Rain today."),
    "keywords:letter_frequency": ({"letter": "Z", "let_frequency": 2, "let_relation": "less than"}, "a zebra", "Zz top"),
    "language:response_language": ({"language": "de"}, "Das ist nicht weit von hier.", "That is not far from here."),
    "length_constraints:number_sentences": (
        {"num_sentences": 3, "relation": "less than"},
        "Dr. Lee paid 3.5 dollars. Mr. Fox did not!",
        "One. Two. Three.",
    ),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, "One.\n***\nTwo.\n***", "One.\n\nTwo."),
    "length_constraints:number_words": ({"num_words": 3, "relation": "at least"}, "well-known facts", "two words"),
    "length_constraints:nth_paragraph_first_word": (
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        'First.\n\n"then, it rained."',
        "Then.\n\nFirst.",
    ),
    "detectable_content:number_placeholders": ({"num_placeholders": 2}, "[name], [address]", "[name]"),
    "detectable_content:postscript": ({"postscript_marker": "P.S."}, "Bye.\nP. S. I forgot.", "Bye. PS I forgot."),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, "* one\n- two", "* one\n* two\n* three"),
    "detectable_format:constrained_response": ({}, "My answer is maybe.", "Maybe."),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 2}, "*one* and *two*", "*one* and * *"),
    "detectable_format:multiple_sections": (
        {"section_spliter": "SECTION", "num_sections": 2},
        "SECTION 1\na\nSECTION 2\nb",
        "Section 1\na\nSection 2\nb",
    ),
    "detectable_format:json_format": ({}, '```json\n{"a": [1, 2]}\n```', "{'a': 1}"),
    "detectable_format:title": ({}, "<<rain>>\nIt rains.", "<< >>\nIt rains."),
    "combination:two_responses": ({}, "One.\n******\nTwo.", "One.\n******\nOne."),
    "combination:repeat_prompt": ({"prompt_to_repeat": "Why rain?"}, "why rain? Because.", "Because. Why rain?"),
    "startend:end_checker": ({"end_phrase": "Any other questions?"}, '"Done. any other questions?"', "Any other questions? No."),
    "change_case:capital_word_frequency": (
        {"capital_frequency": 2, "capital_relation": "at least"},
        "A WELL-KNOWN fact",
        "a WELL-KNOWN fact",
    ),
    "change_case:english_capital": ({}, "THE RAIN IS OVER AND WE CAN GO.", "The rain is over and we can go."),
    "change_case:english_lowercase": ({}, "the rain is over and we can go.", "der regen ist vorbei und wir gehen."),
    "punctuation:no_comma": ({}, "Rain and sun.", "Rain, sun."),
    "startend:quotation": ({}, '"Rain."', '"'),
}
"""Kind → its arguments, a reply that follows, one that does not."""


def test_every_kind_has_its_cases() -> None:
    assert list(YES_NO) == list(CHECKS)
    assert len(CHECKS) == 25


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_tells_what_follows_from_what_does_not(kind: str) -> None:
    arguments, good, bad = YES_NO[kind]
    assert followed(good, [kind], [arguments]).strict == [True]
    assert followed(bad, [kind], [arguments]).strict == [False]


@pytest.mark.parametrize("kind", CHECKS)
def test_an_empty_reply_follows_nothing(kind: str) -> None:
    assert followed(" \n", [kind], [YES_NO[kind][0]]) == ([False], [False])


@pytest.mark.parametrize("kind", [kind for kind, (arguments, _, _) in YES_NO.items() if arguments])
def test_what_the_official_code_would_draw_is_unscored(kind: str) -> None:
    assert followed("Some reply.", [kind], [dict.fromkeys(YES_NO[kind][0])]).strict == [None]


@pytest.mark.parametrize(("relation", "follows"), [("at least", True), ("less than", False)])
def test_the_relation_decides_at_the_border(relation: str, follows: bool) -> None:
    assert followed("one two three", ["length_constraints:number_words"], [{"num_words": 3, "relation": relation}]).strict == [follows]


def test_leeway_forgives_an_introduction_a_farewell_and_asterisks() -> None:
    reply = "Sure, here:\n*rain and sun*\nAny time, friend"
    assert followed(reply, ["punctuation:no_comma"], [{}]) == ([False], [True])
    assert leeway("a\n*b*\nc") == ["a\n*b*\nc", "*b*\nc", "a\n*b*", "*b*", "a\nb\nc", "b\nc", "a\nb", "b"]


def test_each_instruction_is_looked_at_by_itself() -> None:
    kinds = ["punctuation:no_comma", "detectable_format:title", "keywords:existence"]
    assert followed("Rain, sun.", kinds, [{}, {}, {"keywords": ["c++"]}]).strict == [False, False, False]


def test_what_is_no_instruction_is_named() -> None:
    with pytest.raises(ValueError, match="unknown instruction 'keywords:rhyme'; known: keywords:existence"):
        followed("x", ["keywords:rhyme"], [{}])
    with pytest.raises(ValueError, match="relation is 'about', neither"):
        followed("x", ["length_constraints:number_words"], [{"num_words": 3, "relation": "about"}])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It rains. It pours!", ["It rains.", "It pours!"]),
        ("Dr. Smith met Mrs. Jones at 5 p.m. on Monday.", ["Dr. Smith met Mrs. Jones at 5 p.m. on Monday."]),
        ("He came at 5 p.m. Then he left.", ["He came at 5 p.m.", "Then he left."]),
        ("It costs 3.50 dollars, e.g. in the U.S. market. Fine?", ["It costs 3.50 dollars, e.g. in the U.S. market.", "Fine?"]),
        ('"Stop!" he said. "Why?"', ['"Stop!"', "he said.", '"Why?"']),
        ("1. Open it.\n2. Close it.", ["1. Open it.", "2. Close it."]),
        ("J. R. Tolkien wrote it... and more. Yes", ["J. R. Tolkien wrote it... and more.", "Yes"]),
        ("A heading\n\nA text.", ["A heading", "A text."]),
        ("In 1999. Then 2000.", ["In 1999.", "Then 2000."]),
        ("", []),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


def test_words_and_capitals() -> None:
    assert words("Don't stop the well-known N_1 band.") == 8
    assert capitals("I DON'T know the U.S. or WELL-KNOWN Things, OK?") == 6


SENTENCES = {
    "en": "I would like to know where the next station is.",
    "es": "Me gustaría saber dónde está la próxima estación y cómo se llega.",
    "pt": "Gostaria de saber onde fica a próxima estação e como se chega lá.",
    "ar": "أود أن أعرف أين تقع المحطة التالية وكيف يمكنني الوصول إليها من هنا",
    "hi": "मैं जानना चाहता हूँ कि अगला स्टेशन कहाँ है और वहाँ कैसे पहुँचा जा सकता है",
    "fr": "Je voudrais savoir où se trouve la prochaine gare et comment y aller.",
    "ru": "Я хотел бы узнать, где находится следующая станция и как до неё доехать.",
    "de": "Ich möchte gern wissen, wo der nächste Bahnhof ist.",
    "ja": "次の駅がどこにあるのか知りたいです。",
    "it": "Vorrei sapere dove si trova la prossima stazione e come ci si arriva.",
    "bn": "আমি জানতে চাই পরবর্তী স্টেশন কোথায়",
    "uk": "Я хотів би дізнатися, де знаходиться наступна станція і як до неї доїхати.",
    "th": "ฉันอยากรู้ว่าสถานีถัดไปอยู่ที่ไหน",
    "ur": "میں جاننا چاہتا ہوں کہ اگلا اسٹیشن کہاں ہے اور وہاں کیسے پہنچا جا سکتا ہے",
    "ta": "அடுத்த நிலையம் எங்கே இருக்கிறது",
    "te": "తదుపరి స్టేషన్ ఎక్కడ ఉందో తెలుసుకోవాలి",
    "bg": "Бих искал да знам къде се намира следващата гара и как се стига до там.",
    "ko": "다음 역이 어디에 있는지 알고 싶습니다.",
    "pl": "Chciałbym wiedzieć, gdzie jest następna stacja i jak się tam dostać.",
    "he": "אני רוצה לדעת איפה התחנה הבאה",
    "fa": "می‌خواهم بدانم ایستگاه بعدی کجاست و چگونه می‌توان با دوچرخه به آن رسید",
    "vi": "Tôi muốn biết nhà ga tiếp theo ở đâu và làm thế nào để đến đó.",
    "ne": "म अर्को स्टेशन कहाँ छ र त्यहाँ कसरी पुग्न सकिन्छ भनेर जान्न चाहन्छु",
    "sw": "Ningependa kujua kituo kijacho kiko wapi na jinsi ya kufika huko kwa baiskeli.",
    "kn": "ಮುಂದಿನ ನಿಲ್ದಾಣ ಎಲ್ಲಿದೆ",
    "mr": "पुढचे स्टेशन कुठे आहे आणि तिथे कसे जायचे हे मला जाणून घ्यायचे आहे",
    "gu": "આગલું સ્ટેશન ક્યાં છે",
    "pa": "ਅਗਲਾ ਸਟੇਸ਼ਨ ਕਿੱਥੇ ਹੈ",
    "ml": "അടുത്ത സ്റ്റേഷൻ എവിടെയാണ്",
    "fi": "Haluaisin tietää, missä seuraava asema on ja miten sinne pääsee.",
}


@pytest.mark.parametrize("code", SENTENCES)
def test_the_thirty_languages(code: str) -> None:
    assert language(SENTENCES[code]) == code


@pytest.mark.parametrize(("text", "found"), [("42 !", ""), ("Zxcvb qwrty", None), ("下一站在哪里", "zh")])
def test_what_is_in_none_of_them(text: str, found: str | None) -> None:
    assert language(text) == found


def test_digits_are_in_any_language_and_riddles_in_none_that_can_be_told() -> None:
    asked = (["language:response_language"], [{"language": "fr"}])
    assert followed("42!", *asked).strict == [True]
    assert followed("Zxcvb qwrty", *asked).strict == [None]
