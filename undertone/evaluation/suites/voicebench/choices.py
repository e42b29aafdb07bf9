"""OpenBookQA and MMSU: which of the options A to D a reply chooses. None: it names none that can be told, and is unscored.

The rules are those of VoiceBench's evaluator, from the plainest to the vaguest: the answer is declared, a letter is marked behind a verb, a
letter is marked anywhere, the reply begins with one. Two things differ, and both only leave unscored what was chance: where nothing is
found the official code draws a letter, and it takes the first letter of a word ("the answer is carbon" → C) and the article ("is a gas"
→ A) for an option.
"""

import re

from undertone.evaluation.suites.voicebench.spoken import without_marks

_OPEN = r"""(?:\*\*|["'‘(]|\\[(\[]\s*|\\(?:text|textbf|mathbf|boxed)\{|\{|\}\s)"""
_MARKED = r"([abcd])\b(?!['’]\w)"
_LETTER = rf"""(?:{_OPEN}+{_MARKED}|([bcd])\b(?!['’]\w)|(a)(?=\s*(?:[.,:;)\]}}"'’*\\!?\n(]|because\b|since\b|$)))"""
"""An option as a word of its own, perhaps marked; an unmarked a only where it is no article."""
_HEDGES = r"(?:(?:therefore|typically|likely|most likely|often|the|to be|option|question is):? )*"

_TIERS = tuple(
    re.compile(pattern)
    for pattern in (
        r"答案(?:应该是|就是|是|选)(?:选项)? ?‘?([abcd])|([abcd])是正确|选项([abcd])是最合适的|是([abcd])：",
        rf"answer(?: to the [a-z -]*question)? is:?\s*(?:option {_OPEN}*{_MARKED}|{_LETTER})",
        rf"\b([abcd])\)? is the best answer|\(([abcd])\) would be|would (?:select|choose) (?:option {_OPEN}?{_MARKED}|{_LETTER})",
        rf"\b(?:is|be|was|as|with|suggests|say|corresponds to|closest to|select)\b:?\s*(?:- )?{_HEDGES}:?\s*{_OPEN}+{_MARKED}",
        rf"\bwould be:?\s*{_HEDGES}{_LETTER}|\b(?:is|say)\b:?\s*{_HEDGES}{_LETTER}",
        rf"\boption {_OPEN}*{_MARKED}|:\s*\n\s*{_LETTER}",
        r"(?<= )([abcd])[.,:)]|\*\*([abcd])[.)]|\"([abcd])[.,:\"]|\(([abcd])\)",
        r"^([abcd])(?:$|[.,:)])",
    )
)


def choice(reply: str) -> str | None:
    """The option that `reply` chooses: "A" to "D"; None where it names none."""
    said = without_marks(reply).lower()
    for tier in _TIERS:
        # As in the official code: of several letters found alike, the first of the alphabet.
        if found := sorted(letter for match in tier.finditer(said) for letter in match.groups() if letter):
            return found[0].upper()
    return None
