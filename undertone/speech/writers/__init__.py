"""Writers of queries and replies, one a file, and the one table that names them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undertone.lookup import resolve
from undertone.speech.writers.grammar import Query

WRITERS = {
    "grammar": "undertone.speech.writers.grammar:write",
    "openai": "undertone.speech.writers.openai:write",
}


def write_queries(
    writer: str, topics: Mapping[str, Sequence[str]], per_topic: int, endpoint: Mapping[str, Any], folder: Path
) -> list[Query]:
    """What `writer` writes: `per_topic` queries on each of `topics` (category → names), with answers kept in `folder`."""
    written: list[Query] = resolve(WRITERS, writer, "writer")(topics, per_topic, endpoint, folder)
    return written
