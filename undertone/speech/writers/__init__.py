"""Writers of queries and their right replies, one a file, and the one table that names them.

A writer is a function of topics, queries per topic, the arguments of an `Endpoint`, and a folder where it may keep what it bought.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undertone.lookup import resolve

if TYPE_CHECKING:
    from undertone.speech.writers.grammar import Query

WRITERS = {
    "grammar": "undertone.speech.writers.grammar:write",
    "openai": "undertone.speech.writers.openai:write",
}


def write_queries(writer: str, topics: Sequence[str], per_topic: int, endpoint: Mapping[str, Any], folder: Path) -> "Sequence[Query]":
    """Queries by the writer called `writer`."""
    queries: Sequence[Query] = resolve(WRITERS, writer, "writer")(topics, per_topic, endpoint, folder)
    return queries
