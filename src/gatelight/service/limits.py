"""Bounds on what a client may ask for, and the HTTP errors of a request that exceeds them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.exceptions import HTTPException


@dataclass(frozen=True)
class Limits:
    """Bounds of the service: sizes in what their names say, times in seconds."""

    body_bytes: int = 1_000_000
    head_bytes: int = 32_000
    texts: int = 256  # in one request
    characters: int = 20_000  # of one text
    insight_tokens: int = 1_000  # of a text that is traced or explained, whose cost grows faster
    generated_tokens: int = 2_000  # of a text that a language model writes
    requests: int = 256  # in work at a time
    insights: int = 32  # traces and explanations waiting or in work
    streams: int = 8  # texts being generated
    connections: int = 1_000
    seconds: float = 30.0  # for an answer
    request_seconds: float = 10.0  # for a request to arrive


def too_slow(seconds: float) -> HTTPException:
    """Return the error of a computation that takes too long."""
    return HTTPException(408, f"no answer within {seconds:g} s; ask for less")


def busy(what: str) -> HTTPException:
    """Return the error of a service that has enough to do."""
    return HTTPException(
        503, f"the service is busy ({what}); try again in a second", headers={"retry-after": "1"}
    )
