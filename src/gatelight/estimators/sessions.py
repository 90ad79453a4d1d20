"""A model's state in the middle of a text: pieces in, what the model answers to the text so far out.

What follows depends on the text so far alone, bit for bit, however it was cut and whichever sessions were fed
with it. A language model, and a classifier of one direction whose pool can go on (all but attention), read
each token once. Any other classifier reads the text so far anew each time: one of both directions, a text
longer than max_length of which the end counts, unknown words that are drawn by their place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.labels import Classes
from gatelight.estimators.reading import Reading
from gatelight.estimators.saving import read_arrays, write_arrays
from gatelight.estimators.token_streams import END, Encoder
from gatelight.files import file_written_aside
from gatelight.models.batches import BATCH_ROWS
from gatelight.models.checkpoint import fingerprint
from gatelight.models.language_model import State
from gatelight.models.prediction import Predictor
from gatelight.models.running import Place, Running, can_run
from gatelight.models.subwords import Subwords
from gatelight.models.writing import Reader
from gatelight.text.encoding import TRUNCATIONS
from gatelight.text.oov import LEFT_OUT, Indexer
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


Shares = NDArray[np.float32]


class ClassifierPosition(NamedTuple):
    """The probability of each class float32 [classes] after `text` (kept where it may be read again).

    `place` is None where the text has to be read anew.
    """

    shares: Shares
    place: Place | None
    text: str


ClassifierSession = Session[ClassifierPosition]


class ClassifierFollower:
    """A classifier that reads texts on."""

    def __init__(self, classes: Classes, reading: Reading, predictor: Predictor) -> None:
        self._classes, self._reading, self._predictor = classes, reading, predictor
        self._uncut = replace(reading, max_length=None)
        self._settings = reading.tokenizer.settings()
        self._longest = reading.max_length
        self._end_counts = self._longest is not None and reading.truncation != "head"
        self._running = Running(predictor) if can_run(predictor.model.config) else None

    def _anew(self, texts: list[str]) -> Shares:
        encoded = self._reading.encode(texts)
        pieces = self._pieces(encoded.oov)
        return self._columns(self._predictor.probabilities(encoded.ids, encoded.lengths, pieces))

    def _pieces(self, oov: Sequence[str]) -> Subwords | None:
        return self._reading.pieces(oov, self._predictor.model.config.buckets)

    def beginning(self) -> ClassifierPosition:
        """Before the first token."""
        reads_once = can_be_cut(self._reading.tokenizer) and self._reading.unknown != "random"
        place = self._running.beginning() if self._running is not None and reads_once else None
        return ClassifierPosition(self._anew([""])[0], place, "")

    def certain(self, text: str, at: ClassifierPosition) -> int:
        """How many characters can be read into the state; all where the text is kept anyway."""
        return len(text) if at.place is None else certain(text, self._settings)

    def after(self, texts: Sequence[str], at: Sequence[ClassifierPosition]) -> list[ClassifierPosition]:
        """Read one text on from each position."""
        out = list(at)
        going = [k for k, position in enumerate(at) if position.place is not None]
        encoded = self._uncut.encode([texts[k] for k in going])
        ids, numbers, places = [], [], []
        for k, own in zip(going, np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1]), strict=False):
            place = at[k].place
            assert place is not None
            room = len(own) if self._longest is None else self._longest - place.count
            if self._end_counts and len(own) > room:
                continue
            numbers.append(k)
            ids.append(own[:room])
            places.append(place)
        if self._running is not None and numbers:
            pieces = self._pieces(encoded.oov)
            found, stands = self._running.read(ids, places, pieces)
            for k, rows, stand in zip(numbers, found, stands, strict=True):
                shares = self._columns(rows[-1:])[0] if len(rows) else at[k].shares
                out[k] = ClassifierPosition(shares, stand, at[k].text + texts[k] if self._end_counts else "")
        anew = sorted({*range(len(at))} - {*numbers})
        whole = [at[k].text + texts[k] for k in anew]
        for k, text, shares in zip(anew, whole, self._anew(whole), strict=True):
            out[k] = ClassifierPosition(shares, None, text)
        return out

    def answer(self, at: ClassifierPosition) -> Shares:
        """The probability of each class, float32 [classes]."""
        return at.shares.copy()

    def incremental(self, at: ClassifierPosition) -> bool:
        """Whether each token is read once."""
        return at.place is not None

    def identity(self) -> str:
        """A hash of the model."""
        return identity(self._predictor.model, self._reading.vocabulary)

    def saved(self, at: ClassifierPosition) -> tuple[Arrays, str]:
        """Probabilities and, where there is one, the place."""
        arrays: Arrays = {"shares": at.shares}
        if at.place is not None:
            arrays |= {"carried": at.place.carried, **named(at.place.state)}
        return arrays, json.dumps([at.text, None if at.place is None else at.place.count])

    def restored(self, arrays: Arrays, note: str) -> ClassifierPosition:
        """The position that `saved` gave."""
        text, count = json.loads(note)
        start = self.beginning()
        place = None if count is None else start.place
        expected: dict[str, Any] = {"shares": start.shares.shape}
        if place is not None:
            expected |= {"carried": place.carried.shape} | shapes_of(place.state)
        fits = {name: array.shape for name, array in arrays.items()} == expected
        if not fits or not isinstance(text, str) or (count is not None and type(count) is not int):
            raise ValueError("shapes")
        if place is not None and count is not None:
            place = Place(count, state_of(arrays, place.state), arrays["carried"])
        return ClassifierPosition(arrays["shares"], place, text)

    def running(self, text: str) -> Shares:
        """The probabilities of the text up to each of its tokens, float32 [tokens, classes]."""
        reader = Indexer(self._reading.vocabulary, self._reading.unknown, seed=self._reading.seed)
        places = np.array(reader.places(self._reading.tokenizer.tokens(text))[0], np.int32)
        ids, read = places[places != LEFT_OUT], np.cumsum(places != LEFT_OUT)
        pieces = self._pieces(reader.oov)
        rows = [self._predictor.probabilities(ids[:0], np.zeros(1, np.int64), pieces)]
        if self._running is not None:
            found, _ = self._running.read([ids[: self._longest]], [self._running.beginning()], pieces)
            rows += found
        count = sum(map(len, rows))
        if self._longest is not None and not self._end_counts:
            ids, read = ids[: self._longest], np.minimum(read, self._longest)
        for begin, end in self._batches(count, len(ids)):
            prefixes = [self._cut(ids[:length]) for length in range(begin, end)]
            lengths = np.array(list(map(len, prefixes)), np.int64)
            rows.append(self._predictor.probabilities(np.concatenate(prefixes), lengths, pieces))
        shares: Shares = self._columns(np.concatenate(rows))[read]
        return shares

    def _batches(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Lengths `first` to `last` in runs of about BATCH_ROWS ids."""
        while first <= last:
            longest = min(last, self._longest or last)
            end = min(last + 1, first + max(1, BATCH_ROWS // max(longest, 1)))
            yield first, end
            first = end

    def _cut(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        if self._longest is None or len(ids) <= self._longest:
            return ids
        return np.array(TRUNCATIONS[self._reading.truncation](ids.tolist(), self._longest), np.int32)

    def _columns(self, rows: NDArray[np.float32]) -> Shares:
        columns: Shares = self._classes.columns(rows)
        return columns


class LanguagePosition(NamedTuple):
    """Scores float32 [V] of the token to come, and the state after all tokens."""

    scores: NDArray[np.float32]
    state: State


LanguageSession = Session[LanguagePosition]


class LanguageFollower:
    """A language model that reads texts on."""

    def __init__(self, reader: Reader, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
        """Raises DataError where a text's tokens depend on its very end."""
        if not can_be_cut(tokenizer):
            raise DataError("the cut of 'treebank' depends on a text's end; sessions need another tokenizer")
        self.reader, self._vocabulary, self._settings = reader, vocabulary, tokenizer.settings()
        self._encode = Encoder(tokenizer, vocabulary)
        mark = np.array([vocabulary.id(END)], np.int32)
        scores, states = reader.read_all([mark], [reader.model.initial(1)])
        self._beginning = LanguagePosition(scores[0], states[0])

    def beginning(self) -> LanguagePosition:
        """After the mark that precedes every text."""
        return self._beginning

    def certain(self, text: str, at: LanguagePosition) -> int:
        """How many characters can be read into the state."""
        return certain(text, self._settings)

    def after(self, texts: Sequence[str], at: Sequence[LanguagePosition]) -> list[LanguagePosition]:
        """Read one text on from each position."""
        scores, states = self.reader.read_all(
            [self._encode(text) for text in texts],
            [position.state for position in at],
            [position.scores for position in at],
        )
        return [LanguagePosition(*both) for both in zip(scores, states, strict=True)]

    def answer(self, at: LanguagePosition) -> NDArray[np.float64]:
        """The probability of each token to come next, float64 [V], in the vocabulary's order."""
        scores = at.scores.astype(np.float64)
        shares: NDArray[np.float64] = np.exp(scores - scores.max())
        shares /= shares.sum()
        return shares

    def incremental(self, at: LanguagePosition) -> bool:
        """Always."""
        return True

    def identity(self) -> str:
        """A hash of the model."""
        return identity(self.reader.model, self._vocabulary)

    def saved(self, at: LanguagePosition) -> tuple[Arrays, str]:
        """Scores and states."""
        return {"scores": at.scores, **named(at.state)}, ""

    def restored(self, arrays: Arrays, note: str) -> LanguagePosition:
        """The position that `saved` gave."""
        start = self._beginning
        expected = {"scores": start.scores.shape} | shapes_of(start.state)
        if {name: array.shape for name, array in arrays.items()} != expected:
            raise ValueError("shapes")
        return LanguagePosition(arrays["scores"], state_of(arrays, start.state))


def named(state: State) -> Arrays:
    """A state's arrays by name."""
    return {
        f"state/{place}/{part}": tensor.numpy()
        for place, layer in enumerate(state)
        for part, tensor in enumerate(layer)
    }


def shapes_of(state: State) -> dict[str, tuple[int, ...]]:
    """The shapes of a state's arrays by name."""
    return {name: array.shape for name, array in named(state).items()}


def state_of(arrays: Arrays, like: State) -> State:
    """The state whose arrays `named` gave."""
    return [
        tuple(torch.from_numpy(arrays[f"state/{place}/{part}"]) for part in range(len(layer)))
        for place, layer in enumerate(like)
    ]
