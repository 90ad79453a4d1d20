"""How much a client may ask for, and how the service says no; knows no request and no model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of the service: sizes in what their names say, times in seconds."""

    body_bytes: int = 1_000_000
    buffered_bytes: int = 64_000_000  # bodies that are being read, all together
    head_bytes: int = 32_000
    texts: int = 256  # in one request
    characters: int = 20_000  # of one text
    insight_tokens: int = 1_000  # of a text that is traced or explained, whose cost grows faster
    written_tokens: int = 2_000  # of a text that a language model writes
    requests: int = 256  # in work at a time, all clients together
    requests_of_one: int = 64  # of one address
    insights: int = 32  # traces and explanations waiting or in work; and session steps, apart from these
    streams: int = 8  # texts being written
    connections: int = 1_000
    seconds: float = 30.0  # for an answer
    body_seconds: float = 10.0  # for a request to arrive
    sessions: int = 100
    session_seconds: float = 900.0  # without a word
    session_characters: int = 100_000


class Refusal(Exception):
    """A request that is not served: its status, and a sentence that says what to do."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


def too_slow(seconds: float) -> Refusal:
    """Return the refusal of what would take too long."""
    return Refusal(408, f"no answer within {seconds:g} s; ask for less")


def busy(what: str) -> Refusal:
    """Return the refusal of a service that has enough to do."""
    return Refusal(503, f"the service is busy ({what}); try again in a second", retry_after=1)
