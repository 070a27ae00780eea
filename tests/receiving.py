"""A real HTTP server on loopback that takes webhooks, or does not, as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(frozen=True)
class Said:
    """What a receiver answers: a status, where else to look, after so many seconds."""

    status: int = 204
    location: str = ""
    after: float = 0.0


@dataclass(frozen=True)
class Got:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """What has arrived, and what is answered: the script, and when that is over, yes."""

    script: list[Said]
    port: int = 0
    got: list[Got] = field(default_factory=list[Got])
    ending: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/alerts"


@contextmanager
def receiving(*script: Said, port: int = 0) -> Generator[Receiver]:
    """Listen while the block runs."""
    receiver = Receiver([*script])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.got.append(Got(self.path, {name.lower(): told for name, told in self.headers.items()}, body))
            said = receiver.script.pop(0) if receiver.script else Said()
            receiver.ending.wait(said.after)
            self.send_response(said.status)
            if said.location:
                self.send_header("location", said.location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who does not wait for the answer is gone; nothing is wrong here."""

    with Server(("127.0.0.1", port), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.ending.set()
            server.shutdown()
            thread.join()
