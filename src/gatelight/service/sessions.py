"""Texts that clients feed piece by piece, bounded in number and time."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.exceptions import HTTPException

from gatelight.service.limits import Limits


@dataclass
class Session:
    """A text that has not ended, and the model's incremental `reader` of it."""

    name: str
    model: str
    reader: Any
    characters: int = 0
    touched: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)  # one piece is read at a time


class Sessions:
    """Sessions by name; a name cannot be guessed."""

    def __init__(
        self,
        limits: Limits,
        on_change: Callable[[int], object] = lambda number: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._on_change, self._clock = limits, on_change, clock
        self._kept: dict[str, Session] = {}

    def create(self, model: str, reader: Any) -> Session:
        """Keep a new session; HTTP error 429 where there are too many."""
        self.check_room()
        session = Session(secrets.token_urlsafe(16), model, reader, touched=self._clock())
        self._kept[session.name] = session
        self._on_change(len(self._kept))
        return session

    def check_room(self) -> None:
        """Forget what has expired; HTTP error 429 where there are enough."""
        for name, session in list(self._kept.items()):
            if self._expired(session) and not session.lock.locked():
                del self._kept[name]
        self._on_change(len(self._kept))
        if len(self._kept) >= self._limits.sessions:
            message = f"{len(self._kept)} sessions are open, no more are kept; delete one"
            raise HTTPException(429, message, headers={"retry-after": "60"})

    def get(self, name: str) -> Session:
        """Return a session, whose time begins anew; HTTP error 404 where it is not kept."""
        session = self._kept.get(name)
        if session is None or self._expired(session):
            raise HTTPException(404, "there is no such session: it was deleted, has expired or never was")
        session.touched = self._clock()
        return session

    def delete(self, name: str) -> None:
        """Forget a session; HTTP error 404 where it is not kept."""
        self.get(name)
        del self._kept[name]
        self._on_change(len(self._kept))

    def check_room_for(self, session: Session, text: str) -> None:
        """HTTP error 413 where a session's text would become too long."""
        most = self._limits.session_characters
        if session.characters + len(text) > most:
            raise HTTPException(413, f"a session's text may have {most} characters; begin another")

    def _expired(self, session: Session) -> bool:
        return self._clock() - session.touched > self._limits.session_seconds
