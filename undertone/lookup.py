"""The one way to grow: a plain table of name → "module:Attribute", resolved when asked for.

`my_package.my_module:Thing` is accepted wherever a name is, so what users add needs no registration.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any


def resolve(table: Mapping[str, str], name: str, kind: str) -> Any:
    """The object that `name` stands for in `table`; ValueError lists what is known where it stands for none."""
    address = table.get(name, name)
    if ":" not in address:
        raise ValueError(f"unknown {kind} {name!r}{suggest(name, table)}; known: {', '.join(table)}; or write my_package.my_module:Thing")
    module, _, attribute = address.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), attribute)):
        raise ValueError(f"{kind} {name!r}: {address!r} is no address; write my_package.my_module:Thing")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{kind} {name!r} cannot be loaded from {address!r}: {error}") from error


def suggest(name: str, known: Iterable[str]) -> str:
    """(did you mean 'x'?) for the nearest known name, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
