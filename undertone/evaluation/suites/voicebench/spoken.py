"""Tokens of some models' chat formats that stand in their replies and say nothing."""

_BEFORE, _AFTER = ("<1>", "<2>", "<3>"), "<|user|>"


def without_marks(reply: str) -> str:
    """`reply` without a leading <1>, <2> or <3> and a trailing <|user|>."""
    said = reply.strip()
    said = next((said.removeprefix(mark).strip() for mark in _BEFORE if said.startswith(mark)), said)
    return said.removesuffix(_AFTER).strip()
