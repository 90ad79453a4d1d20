"""Texts that clients feed piece by piece, bounded in number and time; knows no model and no HTTP."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gatelight.service.limits import Limits, Refusal


@dataclass
class Session:
    """A model's place in a text that has not ended."""

    name: str
    model: str
    place: Any
    characters: int = 0
    touched: float = 0.0
    turn: threading.Lock = field(default_factory=threading.Lock)  # one piece is read at a time


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

    def create(self, model: str, place: Any) -> Session:
        """Keep a new session; Refusal 429 where there are too many."""
        self.room()
        session = Session(secrets.token_urlsafe(16), model, place, touched=self._clock())
        self._kept[session.name] = session
        self._on_change(len(self._kept))
        return session

    def room(self) -> None:
        """Forget what has expired; Refusal 429 where there is no room for one more."""
        now = self._clock()
        for name, session in list(self._kept.items()):
            if now - session.touched > self._limits.session_seconds and not session.turn.locked():
                del self._kept[name]
        self._on_change(len(self._kept))
        if len(self._kept) >= self._limits.sessions:
            raise Refusal(
                429, f"{len(self._kept)} sessions are open, no more are kept; delete one", retry_after=60
            )

    def get(self, name: str) -> Session:
        """Return a session, which lives on from now; Refusal 404 where it is not kept."""
        session = self._kept.get(name)
        if session is None or self._clock() - session.touched > self._limits.session_seconds:
            raise Refusal(404, "there is no such session: it was deleted, has expired or never was")
        session.touched = self._clock()
        return session

    def delete(self, name: str) -> None:
        """Forget a session."""
        self.get(name)
        del self._kept[name]
        self._on_change(len(self._kept))

    def check_room_for(self, session: Session, text: str) -> None:
        """Refusal 413 where a session's text would become too long."""
        if session.characters + len(text) > self._limits.session_characters:
            raise Refusal(
                413, f"a session's text may have {self._limits.session_characters} characters; begin another"
            )
