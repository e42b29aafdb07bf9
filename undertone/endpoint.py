"""One client for every OpenAI-compatible HTTP endpoint: retries, a concurrency limit and a spend limit.

The key comes from an environment variable; it stands in no file, log or error, not even where the server repeats it.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
R = TypeVar("R")

_PASSING = (408, 409, 429)
"""Statuses below 500 that are worth another try."""
_CLOSED = (401, 403, 404)
"""Statuses that every further request would meet as well."""
_DOWN = (502, 503, 504)
"""Statuses of a server that is not there for anybody, whatever is asked."""
_SHORTEST_SECRET = 8
"""Shorter keys are place-holders of local servers ("EMPTY"), which may well stand in an honest answer."""
BYTES_PER_TOKEN = 3
"""For servers that report no usage; low, so that the spend limit errs towards stopping early."""


class EndpointError(RuntimeError):
    """A request that stays without an answer; the message names the endpoint."""


class Unreachable(EndpointError):
    """Nobody answers at the address."""


class Refused(EndpointError):
    """The endpoint turns every request away: wrong key, unknown model, no credit left."""


class Unanswerable(EndpointError):
    """The endpoint does not take this one request, or breaks down over it every time; others may well be answered."""


class SpendLimit(EndpointError):
    """The tokens that may be spent are spent."""


class Backoff(NamedTuple):
    """Seconds between tries: `first`, doubled each time, at most `longest`. A server that asks for more than `longest` is given up."""

    first: float = 1.0
    longest: float = 60.0


BACKOFF = Backoff()


class Completion(NamedTuple):
    """What a chat model said (None: it refused, and `refusal` says why), and what it cost."""

    text: str | None
    refusal: str
    tokens: int


USUAL = "https://api.openai.com/v1"
"""Where the OpenAI client asks when it is told nothing else."""


@dataclass(frozen=True)
class Unasked:
    """An endpoint that is named and never asked, and needs no key: for what asking it would cost."""

    model: str
    base_url: str | None = None
    concurrency: int = 1

    @property
    def address(self) -> str:
        """Where it would be asked, as `Endpoint` finds it."""
        return _address(self.base_url or os.environ.get("OPENAI_BASE_URL") or USUAL)

    def count(self, tokens: int) -> None:
        """Nothing is spent."""


class Done(NamedTuple):
    """A result, and the place of its item."""

    place: int
    result: Any


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Usage(BaseModel):
    total_tokens: int


class _Response(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _Malformed(ValueError):
    """A response with status 200 that is no response."""


class Endpoint:
    """A model at an OpenAI-compatible endpoint. The arguments are the fields of `settings.Endpoint`; `backoff` sets the waits.

    `spent` counts tokens, as the server reports them, else one for three bytes. When it reaches `max_tokens_spent` nothing more is
    sent; requests already under way, `concurrency` at most, are still let in and counted.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        attempts: int = 6,
        timeout: float = 60.0,
        max_tokens_spent: int = 2_000_000,
        backoff: Backoff = BACKOFF,
    ) -> None:
        from openai import OpenAI

        if not model:
            raise ValueError("endpoint.model is empty: name the model to ask")
        self._key = _key(key_variable)
        self._client = OpenAI(api_key=self._key, base_url=base_url or None, timeout=timeout, max_retries=0)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self.model = model
        self.address = _address(str(self._client.base_url))
        self.key_variable = key_variable
        self.concurrency, self.attempts, self.timeout, self.backoff = concurrency, attempts, timeout, backoff
        self.max_tokens_spent = max_tokens_spent
        self.spent = 0
        self.answered = False

    def complete(self, messages: Sequence[Mapping[str, Any]], **options: Any) -> Completion:
        """The model's answer to `messages`; `options` (temperature, response_format …) go to /chat/completions as they are."""
        said = sum(_size(message["content"]) for message in messages)

        def once() -> Completion:
            create: Any = self._client.chat.completions.with_raw_response.create
            body = self._secret_out(create(model=self.model, messages=list(messages), **options).content)
            try:
                response = _Response.model_validate_json(body)
            except ValidationError as error:
                self.count((said + len(body)) // BYTES_PER_TOKEN)
                raise _Malformed(error.errors()[0]["msg"]) from None
            tokens = response.usage.total_tokens if response.usage else (said + len(body)) // BYTES_PER_TOKEN
            self.count(tokens)
            message = response.choices[0].message
            return Completion(message.content, message.refusal or "", tokens)

        return self._insist(once)

    def sound(self, text: str, voice: str, instructions: str) -> bytes:
        """`text` spoken by the model: the bytes of a sound file, as they come from /audio/speech."""

        def once() -> bytes:
            create: Any = self._client.audio.speech.with_raw_response.create
            body = create(model=self.model, input=text, voice=voice, instructions=instructions, response_format="wav").content
            self.count(sound_tokens(text, instructions))
            return bytes(body)

        return self._insist(once)

    def each(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[Done]:
        """`function` of each item, `concurrency` at once, as they come in. After an error nothing more is sent, what is under way may
        finish and is given out, then the error is raised."""
        failures: list[Exception] = []

        def guarded(item: T) -> R:
            try:
                self._go_on()
                return function(item)
            except Exception as error:
                # The first failure is the cause; later ones may only say that they were stopped.
                failures.append(error)
                self._stop.set()
                raise

        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = {pool.submit(guarded, item): place for place, item in enumerate(items)}
            try:
                for future in as_completed(futures):
                    if future.exception() is None:
                        yield Done(futures[future], future.result())
            finally:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                self._stop.clear()
        if failures:
            raise failures[0]

    def count(self, tokens: int) -> None:
        """Add to what is spent."""
        with self._lock:
            self.spent += tokens

    def _insist(self, once: Callable[[], T]) -> T:
        """`once` until it works, up to `attempts` times."""
        import openai
        from tenacity import Retrying, retry_if_exception, sleep_using_event, stop_after_attempt

        tries = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._pause,
            retry=retry_if_exception(self._passes),
            sleep=sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            result: T = tries(self._guarded, once)
            return result
        except (openai.OpenAIError, _Malformed) as error:
            raise self._explained(error) from None

    def _guarded(self, once: Callable[[], T]) -> T:
        self._go_on()
        if self.spent >= self.max_tokens_spent:
            raise SpendLimit(
                f"{self.address}: {self.spent} tokens are spent and max_tokens_spent is {self.max_tokens_spent}; what is finished is kept, "
                "raise the limit and start again to go on"
            )
        result = once()
        self.answered = True
        return result

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise EndpointError(f"{self.address}: given up because another request failed")

    def _passes(self, error: BaseException) -> bool:
        import openai

        if isinstance(error, openai.APIStatusError):
            passing = error.status_code in _PASSING or error.status_code >= 500
            return passing and error.code != "insufficient_quota" and (_asked_wait(error) or 0) <= self.backoff.longest
        return isinstance(error, (openai.APIConnectionError, _Malformed))

    def _pause(self, state: "RetryCallState") -> float:
        """What the server asks for, else exponential with jitter so that parallel requests do not return in step."""
        from tenacity import wait_exponential, wait_random

        asked = _asked_wait(state.outcome.exception() if state.outcome else None)
        if asked is not None:
            return asked
        first, longest = self.backoff
        return (wait_exponential(multiplier=first, max=longest) + wait_random(0, first))(state)

    def _explained(self, error: Exception) -> EndpointError:
        import openai

        said = self._secret_out(str(error).encode()).decode().strip()
        if isinstance(error, openai.APITimeoutError):
            return Unreachable(f"{self.address}: no answer within {self.timeout:g} s, {self.attempts} times; is it up? (endpoint.timeout)")
        if isinstance(error, openai.APIConnectionError):
            return Unreachable(f"{self.address}: cannot be reached ({error.__cause__ or said}); check endpoint.base_url and that it is up")
        if isinstance(error, openai.APIStatusError):
            if error.status_code in _CLOSED or error.code == "insufficient_quota":
                return Refused(f"{self.address}: {said}; check the key in {self.key_variable} and endpoint.model {self.model!r}")
            wait = _asked_wait(error)
            kind = Unanswerable if error.status_code not in (*_PASSING, *_DOWN) else EndpointError
            more = f"; it asks to wait {wait:.0f} s" if wait is not None and wait > self.backoff.longest else ""
            return kind(f"{self.address}: {said}{more}")
        return EndpointError(f"{self.address}: no OpenAI-compatible answer ({said}), {self.attempts} times")

    def _secret_out(self, body: bytes) -> bytes:
        return body.replace(self._key.encode(), b"[key]") if len(self._key) >= _SHORTEST_SECRET else body


def _size(content: str | Sequence[Mapping[str, Any]]) -> int:
    """What `content` counts as, in bytes of text: its text; of a sound so much that 40 ms (1,700 bytes of base64, as 16-bit WAV at
    16 kHz) are a token."""
    if isinstance(content, str):
        return len(content)
    return sum(len(part.get("text", "")) + len(part.get("input_audio", {}).get("data", "")) * BYTES_PER_TOKEN // 1700 for part in content)


def sound_tokens(text: str, instructions: str) -> int:
    """What speaking `text` counts as: its words, for /audio/speech reports no usage; what the sound itself costs is not in it."""
    return len((text + instructions).encode()) // BYTES_PER_TOKEN + 1


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ValueError(f"environment variable {variable} holds no key: set it (any word, where the endpoint wants none)")
    # An HTTP library would quote the whole header in its complaint.
    if not re.fullmatch(r"[!-~]+", key):
        raise ValueError(f"environment variable {variable} holds spaces or characters that no key has")
    return key


def _address(url: str) -> str:
    """The base URL as it may be shown: without a login."""
    parts = urlsplit(url)
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoint.base_url (or OPENAI_BASE_URL) {shown!r} is no address: it begins with http:// or https://")
    return shown


def _asked_wait(error: BaseException | None) -> float | None:
    """Seconds of the response's Retry-After (RFC 9110: seconds or a date); None where it says nothing that can be read."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    said = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None
