"""The client against a server that misbehaves."""

import logging
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from server import KEY, TOKENS, Server

from undertone import settings
from undertone.endpoint import Backoff, Done, Endpoint, EndpointError, Refused, SpendLimit, Unreachable

ASKED = {"role": "user", "content": '{"speaker": "is a child", "other_speaker": "is an adult", "reply": "for a child"}'}
FORM = {"response_format": {"json_schema": {"name": "Verdict", "schema": {}}}}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)


def endpoint(server: Server, **more: Any) -> Endpoint:
    plain: dict[str, Any] = {"base_url": server.url, "key_variable": "TEST_KEY", "backoff": Backoff(0.01, 0.05), "timeout": 5.0}
    return Endpoint("judge-1", **(plain | more))


def say(client: Endpoint, number: int = 0) -> str | None:
    return client.complete([ASKED, {"role": "user", "content": ASKED["content"]}], seed=number, **FORM).text


@pytest.mark.parametrize("fault", ["429", "500", "malformed", "empty", "half", "slow"])
def test_a_passing_fault_changes_nothing(fault: str) -> None:
    with Server() as well:
        expected = say(endpoint(well))
    with Server([fault]) as server:
        assert say(endpoint(server, timeout=0.3)) == expected
        assert [row.fault for row in server.served] == [fault, ""]


def test_retry_after_is_honoured() -> None:
    with Server(["429-after"]) as server:
        say(endpoint(server, backoff=Backoff(0.01, 2.0)))
        first, second = server.served
        assert second.at - first.at >= 1.0


def test_a_server_that_wants_a_day_is_given_up_at_once() -> None:
    with Server(["429-for-ever"]) as server:
        with pytest.raises(EndpointError, match="86400 s"):
            say(endpoint(server))
        assert len(server.served) == 1


def test_back_off_doubles_up_to_the_longest() -> None:
    with Server(["500"] * 4) as server:
        say(endpoint(server, backoff=Backoff(0.1, 0.3)))
        at = [row.at for row in server.served]
    waits = [later - earlier for earlier, later in pairwise(at)]
    for wait, least in zip(waits, [0.1, 0.2, 0.3, 0.3], strict=True):
        assert least <= wait < least + 2.0


def test_attempts_are_limited_and_the_address_named() -> None:
    with Server(["500"] * 9) as server:
        with pytest.raises(EndpointError, match=f"{server.url}.*fault 500"):
            say(endpoint(server, attempts=3))
        assert len(server.served) == 3


@pytest.mark.parametrize(("fault", "kind"), [("401-echo", Refused), ("quota", Refused), ("400", EndpointError)])
def test_what_will_not_pass_is_not_asked_twice(fault: str, kind: type[EndpointError]) -> None:
    with Server([fault] * 9) as server:
        with pytest.raises(kind, match=server.url):
            say(endpoint(server))
        assert len(server.served) == 1


def test_unreachable_names_the_address() -> None:
    server = Server()
    server.rise()
    server.die()
    with pytest.raises(Unreachable, match=f"{server.url}.*refused"):
        say(endpoint(server, attempts=2))


def test_too_slow_names_the_setting() -> None:
    with Server(["slow"] * 9) as server, pytest.raises(Unreachable, match=r"0\.2 s, 2 times.*endpoint\.timeout"):
        say(endpoint(server, timeout=0.2, attempts=2))


def test_a_server_that_dies_and_comes_back_is_waited_for() -> None:
    with Server(seconds=0.02) as server:
        client = endpoint(server, concurrency=2, attempts=40, backoff=Backoff(0.02, 0.1))
        results: dict[int, str | None] = {}
        for done in client.each(lambda number: say(client, number), range(12)):
            results[done.place] = done.result
            if len(results) == 4:
                server.die()
                time.sleep(0.2)
                server.rise()
        assert sorted(results) == list(range(12))
        assert len(set(results.values())) == 1


def test_the_spend_limit_stops_and_nothing_finished_is_lost() -> None:
    with Server() as server:
        client = endpoint(server, concurrency=1, max_tokens_spent=5 * TOKENS)
        done: list[Done] = []
        with pytest.raises(SpendLimit, match="500 tokens are spent and max_tokens_spent is 500"):
            done.extend(client.each(lambda number: say(client, number), range(20)))
        assert len(server.served) == len(done) == 5


def test_at_most_concurrency_requests_run_at_once_and_all_that_many_do() -> None:
    with Server(seconds=1.0) as server:
        client = endpoint(server, concurrency=4)
        began = time.monotonic()
        assert len(list(client.each(lambda number: say(client, number), range(8)))) == 8
        at = sorted(row.at - began for row in server.served)
        assert at[4] - at[0] >= 1.0
        assert at[3] - at[0] < 1.0


def test_an_error_ends_the_waits_of_the_others() -> None:
    with Server(["429-long", "401-echo"], together=2) as server:
        client = endpoint(server, concurrency=2, backoff=Backoff(0.01, 60.0))
        began = time.monotonic()
        with pytest.raises(Refused):
            list(client.each(lambda number: say(client, number), range(50)))
        assert time.monotonic() - began < 9
        assert len(server.served) == 2
        assert say(client)


def test_what_was_under_way_when_another_failed_is_given_out() -> None:
    with Server(["401-echo"], seconds=0.2, together=3) as server:
        client = endpoint(server, concurrency=3)
        done: list[Done] = []
        with pytest.raises(Refused):
            done.extend(client.each(lambda number: say(client, number), range(50)))
        assert len(done) == len(server.served) - 1 == 2


@pytest.fixture
def logged() -> Iterator[list[str]]:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, root = Keep(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(level)


def test_the_key_is_in_no_error_log_or_answer(logged: list[str]) -> None:
    with Server(["401-echo", "echo-key"]) as server:
        client = endpoint(server)
        with pytest.raises(Refused) as raised:
            say(client)
        assert say(client) == "my key is [key]"
    assert raised.value.__cause__ is None
    assert "Incorrect API key provided: Bearer [key]" in str(raised.value)
    assert len(logged) > 3
    assert KEY not in "\n".join([*logged, str(raised.value), repr(client)])


def test_a_missing_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(ValueError, match="TEST_KEY holds no key"):
        Endpoint("m", key_variable="TEST_KEY")


def test_a_key_that_no_header_can_carry_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-one\nsk-two")
    with pytest.raises(ValueError, match="TEST_KEY holds spaces") as raised:
        Endpoint("m", key_variable="TEST_KEY")
    assert "sk-" not in str(raised.value)


def test_the_address_comes_from_the_environment_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert say(endpoint(server, base_url=None))
        assert len(server.served) == 1


def test_a_login_in_the_address_is_not_shown() -> None:
    assert Endpoint("m", "http://me:secret@127.0.0.1:1/v1", "TEST_KEY").address == "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("more", "message"),
    [({"model": ""}, "endpoint.model"), ({"base_url": "localhost:8000/v1"}, "endpoint.base_url"), ({"base_url": "http://"}, "base_url")],
)
def test_bad_settings_are_named(more: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Endpoint(**({"model": "m", "key_variable": "TEST_KEY"} | more))  # type: ignore[arg-type]


def test_it_is_made_from_the_settings_as_they_are() -> None:
    chosen = settings.Endpoint(model="m", base_url="http://127.0.0.1:1/v1", key_variable="TEST_KEY", concurrency=2, max_tokens_spent=7)
    client = Endpoint(**chosen.model_dump())
    assert (client.concurrency, client.attempts, client.timeout, client.max_tokens_spent) == (2, 6, 60.0, 7)
