"""IFEval (Zhou et al. 2023, arXiv 2311.07911): whether a reply follows 25 kinds of instruction that can be checked, one row a kind.

Each check takes the reply and the instruction's own arguments, under their published names, and says yes, no, or None where that cannot be
told. An argument that the published file leaves out is drawn at random by the official code; here the instruction is unscored. Keywords are
looked for as they are written, not as regular expressions.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from undertone.evaluation.suites.voicebench.counting import capitals, sentences, words
from undertone.evaluation.suites.voicebench.language import language

Check = Callable[..., bool | None]


class Followed(NamedTuple):
    """Of one reply: whether each instruction was followed, as it stands and with leeway; None: unscored."""

    strict: Sequence[bool | None]
    loose: Sequence[bool | None]


class Missing(ValueError):
    """An instruction without an argument that its check needs."""


def followed(reply: str, kinds: Sequence[str], arguments: Sequence[Mapping[str, Any]]) -> Followed:
    """Whether `reply` follows each of the instructions; with leeway, also where its first or last line, or its asterisks, are left out."""
    strict = [_check(reply, kind, some) for kind, some in zip(kinds, arguments, strict=True)]
    loose = [_any(_check(one, kind, some) for one in leeway(reply)) for kind, some in zip(kinds, arguments, strict=True)]
    return Followed(strict, loose)


def leeway(reply: str) -> list[str]:
    """The eight forms of a reply that IFEval's loose accuracy looks at."""
    lines = reply.split("\n")
    cut = [reply, *("\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*cut, *(one.replace("*", "") for one in cut)]


def _any(found: Any) -> bool | None:
    answers = list(found)
    return True if True in answers else None if None in answers else False


def _check(reply: str, kind: str, arguments: Mapping[str, Any]) -> bool | None:
    if kind not in CHECKS:
        raise ValueError(f"ifeval: unknown instruction {kind!r}; known: {', '.join(CHECKS)}")
    if not reply.strip():
        return False
    given = {name: value for name, value in arguments.items() if value}  # the official code drops what is empty or 0 as well
    try:
        return CHECKS[kind](reply, given)
    except Missing:
        return None


def _need(arguments: Mapping[str, Any], name: str) -> Any:
    if name not in arguments:
        raise Missing(name)
    return arguments[name]


def _compared(count: int, arguments: Mapping[str, Any], number: str, relation: str = "relation") -> bool:
    asked, how = _need(arguments, number), _need(arguments, relation)
    if how not in ("less than", "at least"):
        raise ValueError(f"ifeval: {relation} is {how!r}, neither 'less than' nor 'at least'")
    return bool(count < asked) if how == "less than" else bool(count >= asked)


def _keywords(reply: str, given: Mapping[str, Any]) -> bool:
    return all(re.search(re.escape(word), reply, re.IGNORECASE) for word in _need(given, "keywords"))


def _frequency(reply: str, given: Mapping[str, Any]) -> bool:
    return _compared(len(re.findall(re.escape(_need(given, "keyword").strip()), reply, re.IGNORECASE)), given, "frequency")


def _forbidden(reply: str, given: Mapping[str, Any]) -> bool:
    return not any(re.search(rf"\b{re.escape(word)}\b", reply, re.IGNORECASE) for word in _need(given, "forbidden_words"))


def _letters(reply: str, given: Mapping[str, Any]) -> bool:
    letter = _need(given, "letter").strip().lower()
    if not re.fullmatch("[a-z]", letter):
        raise Missing("letter")
    return _compared(reply.lower().count(letter), given, "let_frequency", "let_relation")


def _language(reply: str, given: Mapping[str, Any]) -> bool | None:
    return _is(reply, _need(given, "language"))


def _is(reply: str, asked: str) -> bool | None:
    """Whether `reply` is in the language; without letters it is in any, as in the official code."""
    found = language(reply)
    return None if found is None else found in ("", asked)


def _sentences(reply: str, given: Mapping[str, Any]) -> bool:
    return _compared(len(sentences(reply)), given, "num_sentences")


def _words(reply: str, given: Mapping[str, Any]) -> bool:
    return _compared(words(reply), given, "num_words")


def _paragraphs(reply: str, given: Mapping[str, Any]) -> bool:
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", reply)]
    # Only the first and the last may be empty: a divider above or below all.
    return bool(all(parts[1:-1]) and len(list(filter(None, parts))) == _need(given, "num_paragraphs"))


def _first_word(reply: str, given: Mapping[str, Any]) -> bool:
    place, parts = _need(given, "nth_paragraph"), reply.split("\n\n")
    count = sum(bool(part.strip()) for part in parts)
    if place > count or not parts[place - 1].strip():
        return False
    first = re.split(r"""[.,?!'"]""", parts[place - 1].split()[0].lstrip("'").lstrip('"'))[0].lower()
    return bool(count == _need(given, "num_paragraphs") and first == _need(given, "first_word").lower())


def _placeholders(reply: str, given: Mapping[str, Any]) -> bool:
    return bool(len(re.findall(r"\[.*?\]", reply)) >= _need(given, "num_placeholders"))


def _postscript(reply: str, given: Mapping[str, Any]) -> bool:
    marker = _need(given, "postscript_marker").strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return bool(re.search(known.get(marker, re.escape(marker.lower())), reply.lower()))


def _bullets(reply: str, given: Mapping[str, Any]) -> bool:
    found = re.findall(r"^\s*\*[^*].*$", reply, re.MULTILINE) + re.findall(r"^\s*-.*$", reply, re.MULTILINE)
    return bool(len(found) == _need(given, "num_bullets"))


def _constrained(reply: str, given: Mapping[str, Any]) -> bool:
    return any(f"My answer is {said}." in reply for said in ("yes", "no", "maybe"))


def _highlights(reply: str, given: Mapping[str, Any]) -> bool:
    # **bold** counts by both patterns where it holds something, as in the official code.
    found = [one.strip("*") for one in re.findall(r"\*[^\n*]*\*", reply)]
    found += [one.removeprefix("**").removesuffix("**") for one in re.findall(r"\*\*[^\n*]*\*\*", reply)]
    return bool(sum(bool(one.strip()) for one in found) >= _need(given, "num_highlights"))


def _sections(reply: str, given: Mapping[str, Any]) -> bool:
    splitter = _need(given, "section_spliter").strip()
    return bool(len(re.findall(rf"{re.escape(splitter)}\s?\d+", reply)) >= _need(given, "num_sections"))


def _json(reply: str, given: Mapping[str, Any]) -> bool:
    said = reply.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        said = said.removeprefix(fence)
    try:
        json.loads(said.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _title(reply: str, given: Mapping[str, Any]) -> bool:
    return any(one.lstrip("<").rstrip(">").strip() for one in re.findall(r"<<[^\n]+>>", reply))


def _two(reply: str, given: Mapping[str, Any]) -> bool:
    parts = [part.strip() for part in reply.split("******")]
    said = list(filter(None, parts))
    return all(parts[1:-1]) and len(said) == 2 and said[0] != said[1]


def _repeats(reply: str, given: Mapping[str, Any]) -> bool:
    return bool(reply.strip().lower().startswith(_need(given, "prompt_to_repeat").strip().lower()))


def _ends(reply: str, given: Mapping[str, Any]) -> bool:
    return bool(reply.strip().strip('"').lower().endswith(_need(given, "end_phrase").strip().lower()))


def _capital_words(reply: str, given: Mapping[str, Any]) -> bool:
    return _compared(capitals(reply), given, "capital_frequency", "capital_relation")


def _upper(reply: str, given: Mapping[str, Any]) -> bool | None:
    return _is(reply, "en") if reply.isupper() else False


def _lower(reply: str, given: Mapping[str, Any]) -> bool | None:
    return _is(reply, "en") if reply.islower() else False


def _no_comma(reply: str, given: Mapping[str, Any]) -> bool:
    return "," not in reply


def _quoted(reply: str, given: Mapping[str, Any]) -> bool:
    said = reply.strip()
    return len(said) > 1 and said[0] == said[-1] == '"'


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "keywords:existence": _keywords,
        "keywords:frequency": _frequency,
        "keywords:forbidden_words": _forbidden,
        "keywords:letter_frequency": _letters,
        "language:response_language": _language,
        "length_constraints:number_sentences": _sentences,
        "length_constraints:number_paragraphs": _paragraphs,
        "length_constraints:number_words": _words,
        "length_constraints:nth_paragraph_first_word": _first_word,
        "detectable_content:number_placeholders": _placeholders,
        "detectable_content:postscript": _postscript,
        "detectable_format:number_bullet_lists": _bullets,
        "detectable_format:constrained_response": _constrained,
        "detectable_format:number_highlighted_sections": _highlights,
        "detectable_format:multiple_sections": _sections,
        "detectable_format:json_format": _json,
        "detectable_format:title": _title,
        "combination:two_responses": _two,
        "combination:repeat_prompt": _repeats,
        "startend:end_checker": _ends,
        "change_case:capital_word_frequency": _capital_words,
        "change_case:english_capital": _upper,
        "change_case:english_lowercase": _lower,
        "punctuation:no_comma": _no_comma,
        "startend:quotation": _quoted,
    }
)
"""Kind of instruction → its check."""
