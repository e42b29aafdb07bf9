"""Words and sentences of a reply, counted without downloads: the official IFEval counts them with models of NLTK.

A sentence ends at . ! ? or …, with closing quotes or brackets behind it, before white space and a beginning; a full stop behind a title, an
initial, an abbreviation or the number of a list ends none. Sentences are not joined over an empty line (NLTK's Punkt joins them).
"""

import re

_TITLES = {
    *("mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "inc", "ltd", "co", "corp", "fig", "no", "vol", "gen", "col", "capt"),
    *(
        "lt",
        "sgt",
        "rev",
        "hon",
        "gov",
        "pres",
        "dept",
        "approx",
        "e.g",
        "i.e",
        "cf",
        "al",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
    ),
    *("sep", "sept", "oct", "nov", "dec", "a.m", "p.m", "u.s", "u.k", "ph.d", "p.s", "p.p.s"),
}
"""Abbreviations behind which a sentence may go on."""
_MAYBE_LAST = {"etc", "a.m", "p.m", "inc", "ltd", "co", "corp", "u.s", "u.k", "ph.d", "jr", "sr", "al"}
"""Those of them that may also end one: they do where a capital follows."""
_END = re.compile(r"(?:[.!?]+|…)[\"'”’)\]*_]*(?=\s|$)")
_TOKEN = re.compile(r"[A-Za-z]+(?:\.[A-Za-z]+)+\.?|n't\b|'(?:s|re|ve|ll|d|m)\b|\w+?(?=n't\b)|\w+(?:[-.,:/&]\w+)*", re.IGNORECASE)


def words(text: str) -> int:
    r"""How many runs of letters, digits and underscores (`\w+`, as IFEval counts words)."""
    return len(re.findall(r"\w+", text))


def sentences(text: str) -> list[str]:
    """The sentences of `text`, in order; a heading or an item of a list without a full stop is one where a line of its own is empty after
    it."""
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        start = 0
        for end in _END.finditer(paragraph):
            if _ends(paragraph, end.start(), end.end(), end[0]):
                found.append(paragraph[start : end.end()].strip())
                start = end.end()
        found.append(paragraph[start:].strip())
    return [one for one in found if one]


def capitals(text: str) -> int:
    """How many tokens are in capitals throughout; a hyphenated word is one, and "DON'T" two (do, n't), as in the Penn Treebank."""
    return sum(token.isupper() for token in _TOKEN.findall(text))


def _ends(text: str, at: int, behind: int, mark: str) -> bool:
    after = text[behind:].lstrip()
    if not mark.startswith(".") or not after:
        return True
    if mark.startswith(".."):
        return not after[0].islower()
    before = text[:at].rsplit(None, 1)[-1].lstrip("\"'“‘([*_") if text[:at].strip() else ""
    if re.fullmatch(r"\d+|[A-Za-z]", before) and (before.isdigit() is False or _begins_line(text, at, before)):
        return False
    if before.lower() in _TITLES:
        return before.lower() in _MAYBE_LAST and after[0].isupper()
    return not after[0].islower()


def _begins_line(text: str, at: int, word: str) -> bool:
    """Whether `word`, which ends before `at`, is the first of its line: the number of a list."""
    return not text[:at].rpartition("\n")[2].removesuffix(word).strip()
