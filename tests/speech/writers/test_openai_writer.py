"""The writer: the same queries whatever the server does, nothing bought twice, killed and resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from server import KEY, TOKENS, Server, page

from undertone.endpoint import Backoff, Endpoint, SpendLimit
from undertone.records import read_rows
from undertone.speech.writers import write_queries
from undertone.speech.writers.openai import Dropped, OpenAIWriter, Want, Written

WANTS = [
    Want("age", "kitchen", 7),
    Want("emotion", "pets", 5, ("happy", "sad")),
    Want("content", "space", 6),
    Want("age", "fire", 4, safety=True),
]
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def write(server: Server, folder: Path, wants: list[Want] = WANTS, **more: Any) -> Written:
    settings: dict[str, Any] = {"key_variable": "TEST_KEY", "backoff": Backoff(0.01, 0.02), "timeout": 5.0, "attempts": 5, "concurrency": 3}
    return OpenAIWriter(Endpoint("m", server.url, **(settings | more)), folder, page_size=3).write(wants)


def test_what_is_wanted_is_written(tmp_path: Path) -> None:
    with Server() as server:
        queries = write(server, tmp_path).queries
    assert [(query.category, query.topic, query.safety) for query in queries] == [
        *[("age", "kitchen", False)] * 7,
        *[("emotion", "pets", False)] * 5,
        *[("content", "space", False)] * 6,
        *[("age", "fire", True)] * 4,
    ]
    assert queries[0].replies == {"adult": "kitchen 1-0 for adult", "child": "kitchen 1-0 for child"}
    assert set(queries[8].replies) == {"happy", "sad"}
    assert queries[12].replies == {}
    assert queries[12].content_reply == "space 1-0 it is"


def test_a_repeated_text_is_dropped_with_its_reason_and_another_one_asked_for(tmp_path: Path) -> None:
    with Server() as server:
        written = write(server, tmp_path)
    assert len({query.text for query in written.queries}) == len(written.queries) == 22
    assert Dropped(text="How is kitchen 1-0?", reason="already written") in written.dropped


def test_prompts_say_what_the_speaker_may_be_and_what_is_there_already(tmp_path: Path) -> None:
    with Server() as server:
        write(server, tmp_path, concurrency=1)
        asked = [row.body["messages"][-1]["content"] for row in server.served]
    assert '"child": the speaker is a child' in asked[0]
    assert "dangerous for a child" not in asked[0]
    assert "dangerous for a child" in asked[3]
    assert '"sad": the speaker sounds sad' in asked[1]
    assert "angry" not in asked[1]
    assert "same reply whoever asks" in asked[2]
    assert "- How is kitchen 1-2?" in asked[4]


def test_a_server_that_misbehaves_gives_the_same_queries_and_sells_nothing_twice(tmp_path: Path) -> None:
    with Server() as well:
        expected = write(well, tmp_path / "well")
    with Server(["429", "half", "malformed", "500", "", "schema", "429", "empty", "", "half"]) as server:
        assert write(server, tmp_path / "ill") == expected
        assert sum(server.sold().values()) == sum(well.sold().values())
        assert set(server.sold().values()) == {1}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"text": "I'm a child, how do I cook?"}, "the words tell the speaker"),
        ({"replies": {"adult": "Go on!", "child": "go on"}}, "two speakers have the same reply"),
        ({"text": "?!"}, "no words"),
    ],
)
def test_what_is_no_minimal_pair_is_dropped(tmp_path: Path, query: dict[str, Any], reason: str) -> None:
    def spoilt(body: dict[str, Any]) -> dict[str, Any]:
        made = page(body["messages"][-1]["content"], body["response_format"]["json_schema"]["schema"])
        if len(server.served) == 1:
            made["queries"][0] |= query
        return made

    with Server(write=spoilt) as server:
        written = write(server, tmp_path, [Want("age", "kitchen", 2)])
    assert [dropped.reason for dropped in written.dropped][:1] == [reason]
    assert len(written.queries) == 2


def test_an_exhausted_topic_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    same = {"queries": [{"intent": "a", "text": "How is it?", "content_reply": "Fine"}]}
    with Server(write=lambda _: same) as server:
        with pytest.raises(RuntimeError, match=r"'space' \(content\): 1 of 3 queries.*name more topics"):
            write(server, tmp_path, [Want("content", "space", 3)])
        assert len(server.served) == 4


def test_answers_of_no_form_are_reported(tmp_path: Path) -> None:
    with Server(write=lambda _: {"queries": [{"text": ""}]}) as server, pytest.raises(RuntimeError, match=r"no right form: queries\.0\."):
        write(server, tmp_path, [Want("content", "space", 3)])


def test_the_spend_limit_stops_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    with Server() as well:
        expected = write(well, tmp_path / "well")
    with Server() as server:
        with pytest.raises(SpendLimit, match="max_tokens_spent is 300"):
            write(server, tmp_path / "a", concurrency=1, max_tokens_spent=3 * TOKENS)
        assert len(server.served) == 3
        assert write(server, tmp_path / "a") == expected
        assert set(server.sold().values()) == {1}


SCRIPT = """
import sys
from pathlib import Path
from undertone.endpoint import Endpoint
from undertone.speech.writers.openai import OpenAIWriter, Want
OpenAIWriter(Endpoint("m", sys.argv[1], "TEST_KEY", concurrency=1), Path(sys.argv[2]), page_size=3).write(WANTS)
""".replace("WANTS", repr(WANTS))


def test_killed_half_way_it_goes_on_without_asking_again(tmp_path: Path) -> None:
    journal = tmp_path / "killed" / "answers.jsonl"
    with Server(seconds=0.3) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, server.url, str(journal.parent)],
            cwd=ROOT,
            env={**os.environ, "TEST_KEY": KEY},
            stderr=subprocess.PIPE,
        )
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= 3):
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        time.sleep(0.4)
        kept, before = journal.read_bytes().count(b"\n"), len(server.served)
        journal.open("ab").write(b'{"key": "torn')
        server.seconds = 0.0
        resumed = write(server, journal.parent)
        bought_again = sum(times - 1 for times in server.sold().values())
    with Server() as well:
        assert resumed == write(well, tmp_path / "well")
        assert len(well.served) - kept == len(server.served) - before
    assert bought_again <= 1, "only the request that was under way when the process died"


def test_the_key_stands_in_no_file(tmp_path: Path) -> None:
    with Server(["echo-key"]) as server:
        write(server, tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("want", "message"),
    [
        (Want("mood", "a", 1), "unknown category 'mood'"),
        (Want("age", "a", 1, ("child",)), "needs two values"),
        (Want("age", "a", 1, ("child", "old")), "age has no value 'old'"),
    ],
)
def test_wants_are_checked_before_anything_is_bought(tmp_path: Path, want: Want, message: str) -> None:
    with Server() as server:
        with pytest.raises(ValueError, match=message):
            write(server, tmp_path, [want])
        assert not server.served


def test_the_recipe_s_door_writes_topics_of_every_kind_and_says_what_was_dropped(tmp_path: Path) -> None:
    with Server() as server:
        where = {"model": "m", "base_url": server.url, "key_variable": "TEST_KEY"}
        queries = write_queries("openai", ["gender: gym", "safety: fire", "content: space"], 25, where, tmp_path)
    assert {(query.category, query.topic, query.safety) for query in queries} == {
        ("gender", "gym", False),
        ("age", "fire", True),
        ("content", "space", False),
    }
    assert len(queries) == 25 + 10 + 25
    assert {row.reason for row in read_rows(tmp_path / "dropped.jsonl", Dropped)} == {"already written"}


@pytest.mark.parametrize("topics", [["kitchen"], ["mood: kitchen"], ["age:"], []])
def test_topics_that_name_no_category_are_an_error(tmp_path: Path, topics: list[str]) -> None:
    with pytest.raises(ValueError, match="topics"):
        write_queries("openai", topics, 1, {"model": "m"}, tmp_path)


def test_the_grammar_goes_through_the_same_door(tmp_path: Path) -> None:
    assert {query.topic for query in write_queries("grammar", ["pets"], 1, {}, tmp_path)} == {"pets"}
    assert len(write_queries("grammar", [], 1, {}, tmp_path)) > 2000
    with pytest.raises(ValueError, match="no 'cars'"):
        write_queries("grammar", ["cars"], 1, {}, tmp_path)
