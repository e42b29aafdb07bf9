"""BBH, spoken: what a reply concludes on one of four tasks, yes or no, (a) or (b). None: it says neither, and is unscored.

The rules are VoiceBench's: a declared answer first, then what the task's own words say, then a reply that begins or ends with yes or no.
Where nothing is found the official code draws an answer. Three of its rules read the opposite of what is said (a bare "b" as (a), "must be
lying" as yes, "the sentence … is not plausible" as yes) and are read here as they are meant.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from undertone.evaluation.suites.voicebench.spoken import without_marks

YES, NO, FIRST, SECOND = "yes", "no", "(a)", "(b)"

_DECLARED = re.compile(
    r"(?:answer|conclusion|answer as|answer to the question)(?: is)?(?: directly| without any modification)?(?: it)?(?: is)? "
    r"?(?:\$|\\boxed\{|\\text\{)*(yes|no|true|false)\b"
)
_EDGE = re.compile(r"^(yes|no)\b|\b(yes|no)$")
_DENIED = re.compile(r"\b(?:not|never|cannot|(?:doesn|didn|haven|isn|don|won|can|hasn) t)\b")

_START = re.compile(r"\b(?:starting (?:point|position)|where (?:you|we|i|he|she|they) started)\b")
_BACK = re.compile(r"\b(?:return|returns|returned|back|end up|ends up|at the starting|in the starting|answer is the starting|facing)\b")

_TRUTH = re.compile(r"\btell(?:s|ing)? the truth$|\b(?:answer is|conclude that) .{0,80}?tell(?:s|ing)? the truth|answer is the truth")
_LIE = re.compile(r"\b(?:lying|lies|tells (?:a|the) lie)$|answer is .{0,80}?(?:tells a lie|lies|says lie)|statement cannot be true")

_UNLIKELY = re.compile(
    r"\b(?:implausible|unlikely|not (?:\w+ ){0,2}(?:plausible|possible|accurate)|no (?:the|this) (?:original )?sentence|question no)\b"
)
_LIKELY = re.compile(r"\b(?:plausible|likely true|makes sense|flexible and realistic|seems to be a possible)\b")

_OPTION = r"[(\[]?(?:option |sentence )?[(\[]?([ab])\b"
_SAYS = re.compile(
    rf"(?:answer|order|adjectiv\w*|sentence|sequence|options?|one|match)(?: \w+){{0,4}}? (?:is|would be|should be|for|answer)(?: is)?"
    rf"(?: directly| without any modification| found| provided| in| the(?: \w+){{0,3}}(?= option)| the| \(.+?\))* {_OPTION}"
    rf"|final answer {_OPTION}"
)
_PRAISED = re.compile(
    r"\b(?:option|sentence) [(\[]?([ab])[)\]]?(?! is (?:in|not))(?: \w+){0,6}? "
    r"(?:is the|is more|is closer|is correct|has|follows|uses|correctly|seems|would be)\b"
    r"|\bin option ([ab]) the adjectives are in the correct order|adjectives in option ([ab]) are in the correct"
)
_ORDINAL = re.compile(r"\border is (?:in )?the (first|second) option")


def conclusion(reply: str, task: str) -> str | None:
    """What `reply` concludes on `task` (its id names sports_understanding, hyperbaton, navigate or web_of_lies): yes, no, (a), (b).

    ValueError where the task is none of these.
    """
    for name, read in _TASKS.items():
        if name in task:
            return read(plain(reply))
    raise ValueError(f"bbh: task {task!r} is none of {', '.join(_TASKS)}")


def plain(reply: str) -> str:
    """`reply` in lower case, the marks : " - , . and ** made spaces, words one space apart; an apostrophe is a space too."""
    said = without_marks(reply).lower().replace("<|turn_end|>", "").replace("**", " ")
    return " ".join(re.sub(r"[:：\"\-,.'’]", " ", said).split())


def _declared(said: str) -> str | None:
    found = _DECLARED.search(said)
    return None if found is None else YES if found[1] in ("yes", "true") else NO


def _edge(said: str) -> str | None:
    found = _EDGE.search(said)
    return None if found is None else found[1] or found[2]


def _navigate(said: str) -> str | None:
    if answer := _declared(said) or _first_edge(said):
        return answer
    if "yes following these" in said:
        return YES
    # The last clause that speaks of the start is the conclusion.
    for place in reversed([found.start() for found in _START.finditer(said)]):
        clause = said[max(0, place - 60) : place + 20]
        if _BACK.search(clause):
            return NO if _DENIED.search(clause) else YES
    return _edge(said)


def _first_edge(said: str) -> str | None:
    found = re.match(r"(yes|no)\b", said)
    return found[1] if found else None


def _lies(said: str) -> str | None:
    if answer := _declared(said):
        return answer
    if _LIE.search(said):
        return NO
    if found := _TRUTH.search(said):
        return NO if _DENIED.search(said[max(0, found.start() - 40) : found.end()]) else YES
    return _edge(said)


def _sports(said: str) -> str | None:
    if answer := _declared(said):
        return answer
    if answer := _first_edge(said):
        return answer
    return NO if _UNLIKELY.search(said) else YES if _LIKELY.search(said) else _edge(said)


def _hyperbaton(said: str) -> str | None:
    if said in ("a", "b"):
        return FIRST if said == "a" else SECOND
    for rule in (_SAYS, _PRAISED):
        if found := rule.search(said):
            return FIRST if next(filter(None, found.groups())) == "a" else SECOND
    if found := _ORDINAL.search(said):
        return FIRST if found[1] == "first" else SECOND
    found = re.match(r"[(\[]?([ab])(?:[)\]]| )", said)
    return None if found is None else FIRST if found[1] == "a" else SECOND


_TASKS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {"sports_understanding": _sports, "hyperbaton": _hyperbaton, "navigate": _navigate, "web_of_lies": _lies}
)
