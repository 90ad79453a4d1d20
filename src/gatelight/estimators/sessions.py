"""A model's state in the middle of a text: pieces in, what the model answers to the text so far out.

Knows no files but its own, and no model: a follower reads. What follows depends on the text so far alone,
bit for bit, however it was cut and whichever sessions were fed with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.arrays import read_arrays, write_arrays
from gatelight.files import file_written_aside
from gatelight.models.checkpoint import fingerprint
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary

MARKUP = 400  # characters within which a tag or an entity that began has ended
# Four letters join the grapheme before them, white space too.
_BORDER = re.compile("\\s(?=[^\\W\u0e33\u0eb3\uff9e\uff9f])")
_MARK = re.compile("[<&]")

Arrays = dict[str, NDArray[np.float32]]
Position = TypeVar("Position")


class Follower(Protocol[Position]):
    """What reads texts on from where they stand; a position is a value, replaced and never changed."""

    def beginning(self) -> Position:
        """Before the first token."""

    def certain(self, text: str, at: Position) -> int:
        """How many characters of `text`, which follows, no further text can read otherwise."""

    def after(self, texts: Sequence[str], at: Sequence[Position]) -> list[Position]:
        """Read one text on from each position, all together."""

    def answer(self, at: Position) -> NDArray[Any]:
        """What the model says here."""

    def incremental(self, at: Position) -> bool:
        """Whether more text costs as much as it is long, instead of the text so far being read anew."""

    def identity(self) -> str:
        """A hash of the model: weights and vocabulary."""

    def saved(self, at: Position) -> tuple[Arrays, str]:
        """Everything that going on depends on."""

    def restored(self, arrays: Arrays, note: str) -> Position:
        """What `saved` gave; ValueError where it is of another model."""


class Session(Generic[Position]):
    """Where a reader stands in a text.

    The end of a piece may be half a token. So what more text could change is read on from the position each
    time, and the position itself moves only when it is certain.
    """

    def __init__(self, follower: Follower[Position]) -> None:
        """Stand before the first token."""
        self.follower, self._at, self._pending = follower, follower.beginning(), ""

    def feed(self, text: str) -> NDArray[Any]:
        """Read a piece of the text; return what `probabilities` does."""
        found: NDArray[Any] = feed_all([self], [text])[0]
        return found

    def probabilities(self) -> NDArray[Any]:
        """After all text so far: a language model's probability of each token to come next, float64 [V].

        A classifier's probability of each class, float32 [classes], as `predict_proba`.
        """
        return self.follower.answer(self.position())

    @property
    def incremental(self) -> bool:
        """Whether the next piece costs as much as it is long, instead of the text being read anew."""
        return self.follower.incremental(self._at)

    def position(self) -> Position:
        """Where the reader stands after all text so far, what is uncertain included."""
        return self.follower.after([self._pending], [self._at])[0] if self._pending else self._at

    def copy(self) -> Session[Position]:
        """Return a session that stands at the same place and goes its own way."""
        other: Session[Position] = object.__new__(Session)
        other.__dict__ = dict(self.__dict__)
        return other

    def save(self, path: str | Path) -> None:
        """Write the place in the text, without the model, into one safetensors file."""
        arrays, note = self.follower.saved(self._at)
        notes = {"pending": json.dumps(self._pending), "position": json.dumps(note)}
        notes["model"] = self.follower.identity()
        with file_written_aside(Path(path)) as aside:
            write_arrays(aside, arrays, notes)

    def restore(self, path: str | Path) -> None:
        """Stand where the session that `save` wrote stood; ModelFileError where it is of another model."""
        arrays, notes = read_arrays(Path(path))
        try:
            pending, note = (json.loads(notes[name]) for name in ("pending", "position"))
            if not (isinstance(pending, str) and isinstance(note, str)):
                raise ValueError("no text")
            if notes["model"] != self.follower.identity():
                raise ValueError("another model")
            at = self.follower.restored(arrays, note)
        except (KeyError, ValueError, TypeError, RecursionError):
            raise ModelFileError(f"{path} is no session of this model; name a file that it saved") from None
        self._at, self._pending = at, pending


def feed_all(sessions: Iterable[Session[Any]], pieces: Iterable[str]) -> list[NDArray[Any]]:
    """Feed a piece to each of several sessions of one model, all in one pass; what each one's `feed` gives.

    Raises DataError for sessions of different models, one that comes twice, or too few or many pieces.
    """
    sessions, pieces = list(sessions), list(pieces)
    if len(sessions) != len(pieces):
        raise DataError(f"there are {len(sessions)} sessions and {len(pieces)} pieces; give one each")
    if len(set(map(id, sessions))) != len(sessions):
        raise DataError("one session came twice; feed it both pieces as one, or a copy of it")
    if len({id(session.follower) for session in sessions}) > 1:
        raise DataError("the sessions are of different models; feed those of one model together")
    if not sessions:
        return []
    follower = sessions[0].follower
    moved, texts, rests = [], [], []
    for session, piece in zip(sessions, pieces, strict=True):
        text = session._pending + piece
        at = follower.certain(text, session._at)
        rests.append(text[at:])
        if at:
            moved.append(session)
            texts.append(text[:at])
    after = follower.after(texts, [session._at for session in moved]) if moved else []
    # Nothing is changed before all of it could be read.
    for session, position in zip(moved, after, strict=True):
        session._at = position
    for session, rest in zip(sessions, rests, strict=True):
        session._pending = rest
    behind = [session for session in sessions if session._pending]
    ahead = follower.after([s._pending for s in behind], [s._at for s in behind]) if behind else []
    stands = {id(session): position for session, position in zip(behind, ahead, strict=True)}
    return [follower.answer(stands.get(id(session), session._at)) for session in sessions]


def certain(text: str, settings: Mapping[str, Any]) -> int:
    """How many characters of `text` a tokenizer of these settings reads the same whatever follows."""
    end = len(text)
    if settings["clean"]:
        # A tag or an entity that began may still end, and so may one around it.
        while (near := _MARK.search(text, max(0, end - MARKUP), end)) is not None:
            end = near.start()
    if settings["kind"] in ("char", "byte", "note-char") and not settings["lowercase"]:
        return end
    # Words, graphemes and lower-case letters depend on their neighbours, but none beyond a white space.
    borders = [found.end() for found in _BORDER.finditer(text, 0, end)]
    return borders[-1] if borders else 0


def identity(network: nn.Module, vocabulary: Vocabulary) -> str:
    """A hash of weights and vocabulary."""
    words = np.frombuffer("\n".join(vocabulary.tokens).encode("utf-8", "surrogatepass"), np.uint8)
    return fingerprint([*network.parameters(), words])


def can_be_cut(tokenizer: Tokenizer) -> bool:
    """Whether the tokens of a text's beginning stay the same when more follows."""
    return str(tokenizer.settings()["kind"]) != "treebank"
