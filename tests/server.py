"""An OpenAI-compatible server on loopback that misbehaves on demand: chat/completions and audio/speech."""

import io
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import soundfile

KEY = "sk-loopback-0123456789abcdef"
TOKENS = 100
"""What every answer costs."""


class Served(NamedTuple):
    """One request and what was done with it."""

    path: str
    body: dict[str, Any]
    fault: str
    at: float


class Server:
    """Answers by rule, after the `faults` named for the first requests are used up: "" (healthy), slow, 429, 429-after, 429-long,
    429-for-ever, quota, 500, malformed, empty, half, 401-echo, 400, schema (an answer of another form), refusal, echo-key, not-sound.
    A healthy answer takes `seconds`; a fault waits until `together` requests have come."""

    def __init__(
        self,
        faults: Iterable[str] = (),
        write: "Callable[[dict[str, Any]], Any] | None" = None,
        seconds: float = 0.0,
        together: int = 1,
    ) -> None:
        self.faults: Iterator[str] = chain(faults, repeat(""))
        self.write = write or answer
        self.seconds = seconds
        self.together = together
        self.served: list[Served] = []
        self.lock = threading.Lock()
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def sold(self) -> Counter[str]:
        """How often each request was answered well."""
        return Counter(json.dumps(row.body, sort_keys=True) for row in self.served if row.fault in ("", "slow"))

    def rise(self) -> None:
        """Start, or come back at the same address."""
        server = self

        class Handler(_Handler):
            owner = server

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def die(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self.rise()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.die()


class _Handler(BaseHTTPRequestHandler):
    owner: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.owner.lock:
            fault = next(self.owner.faults)
            self.owner.served.append(Served(self.path, body, fault, time.monotonic()))
        while fault and len(self.owner.served) < self.owner.together:
            time.sleep(0.005)
        if self.headers["Authorization"] != f"Bearer {KEY}":
            return self._send(401, b'{"error": {"message": "wrong key"}}')
        if fault in ("", "slow"):
            time.sleep(self.owner.seconds if not fault else 1.0)
        return self._misbehave(fault, body) if fault not in ("", "slow") else self._send(200, self._good(body), self._kind())

    def _kind(self) -> str:
        return "audio/wav" if self.path.endswith("/audio/speech") else "application/json"

    def _good(self, body: dict[str, Any], content: str | None = None) -> bytes:
        if self.path.endswith("/audio/speech"):
            return tone(body)
        made = self.owner.write(body) if content is None else content
        content = made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)
        return json.dumps({"choices": [{"message": {"content": content}}], "usage": {"total_tokens": TOKENS}}).encode()

    def _misbehave(self, fault: str, body: dict[str, Any]) -> None:
        message = {"error": {"message": f"fault {fault}", "code": "insufficient_quota" if fault == "quota" else None}}
        if fault == "401-echo":
            message["error"]["message"] = f"Incorrect API key provided: {self.headers['Authorization']}"
        wait = {"429-after": "1", "429-long": "10", "429-for-ever": "86400"}.get(fault)
        if fault == "half":
            return self._send(200, self._good(body), half=True)
        if fault in ("malformed", "empty", "not-sound"):
            return self._send(200, {"malformed": b'{"choices": [{"mess', "empty": b'{"choices": []}', "not-sound": b'{"error": 1}'}[fault])
        if fault in ("schema", "echo-key"):
            return self._send(200, self._good(body, '{"verdict": "good"}' if fault == "schema" else f"my key is {KEY}"))
        if fault == "refusal":
            choice = {"message": {"content": None, "refusal": "I would rather not"}}
            return self._send(200, json.dumps({"choices": [choice], "usage": {"total_tokens": TOKENS}}).encode())
        status = 429 if fault == "quota" else int(fault[:3])
        return self._send(status, json.dumps(message).encode(), wait=wait)

    def _send(self, status: int, body: bytes, kind: str = "application/json", wait: str | None = None, half: bool = False) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if wait:
                self.send_header("Retry-After", wait)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if half else body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """A right answer: a page of queries or a verdict, made from the request alone."""
    schema = body["response_format"]["json_schema"]
    asked = next(message["content"] for message in body["messages"] if message["role"] == "user")
    return page(asked, schema["schema"]) if schema["name"] == "Page" else verdict(json.loads(asked))


def page(asked: str, schema: dict[str, Any]) -> dict[str, Any]:
    """As many queries as asked for. The first of each later page was there before, and needs to be written again."""
    count, topic = re.search(r'Write (\d+) different requests on the topic "(.+?)"', asked).groups()  # type: ignore[union-attr]
    number = int(re.search(r"page (\d+)", asked)[1])  # type: ignore[index]
    values = list(schema["$defs"].get("Replies", {"properties": {}})["properties"])
    names = [f"{topic} {number - (number > 1 and i == 0)}-{i}" for i in range(int(count))]
    return {
        "queries": [
            {"intent": f"ask {name}", "text": f"How is {name}?", "content_reply": f"{name} it is"}
            | ({"replies": {value: f"{name} for {value}" for value in values}} if values else {})
            for name in names
        ]
    }


def verdict(case: dict[str, Any]) -> dict[str, Any]:
    """+1 where the reply speaks of the speaker, −1 where it speaks of the other one."""
    reply = case["reply"]
    value = 1 if case["speaker"].split()[-1] in reply else -1 if case["other_speaker"].split()[-1] in reply else 0
    return {"why": f"it says {reply}", "verdict": value}


def tone(body: dict[str, Any]) -> bytes:
    """Half a second in stereo at 24 kHz; each voice has its own pitch."""
    wave = 0.5 * np.sin(2 * np.pi * (100 + 10 * len(body["voice"])) * np.arange(12_000) / 24_000)
    file = io.BytesIO()
    soundfile.write(file, np.stack([wave, wave], axis=1), 24_000, format="WAV")
    return file.getvalue()
