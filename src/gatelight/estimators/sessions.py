"""A model's state in the middle of a text: pieces in, what the model answers to the text so far out.

What follows depends on the text so far alone, bit for bit, however it was cut and whichever sessions were fed
with it. A language model, and a classifier of one direction whose pool can go on (all but attention), read
each token once. Any other classifier reads the text so far anew each time: one of both directions, a text
longer than max_length of which the end counts, unknown words that are drawn by their place.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.labels import Classes
from gatelight.estimators.reading import Reading
from gatelight.estimators.token_streams import END
from gatelight.models.batches import BATCH_ROWS
from gatelight.models.checkpoint import fingerprint
from gatelight.models.generation import Reader
from gatelight.models.inference import Place, Predictor, Running, can_run
from gatelight.models.subwords import Subwords
from gatelight.models.weight_files import read_arrays, write_arrays
from gatelight.text.encoding import NumberedTexts, encode
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary

MARKUP = 400  # characters within which a tag or an entity that began has ended
# Four letters join the grapheme before them, white space too.
_BORDER = re.compile("\\s(?=[^\\W\u0e33\u0eb3\uff9e\uff9f])")
_MARK = re.compile("[<&]")

Floats = NDArray[np.float32]
_NOTHING: Floats = np.zeros(0, np.float32)  # which a language model carries on beside its state


class Position(NamedTuple):
    """Where a model stands in a text; a value, replaced and never changed.

    `answer` float32: the probability of each class [classes], or the score of each token to come [V]. `place`
    is what reading goes on from, None where the text, which is kept then, has to be read anew.
    """

    answer: Floats
    place: Place | None
    text: str = ""

    def arrays(self) -> dict[str, Floats]:
        """Return everything but the text and its length by name."""
        if self.place is None:
            return {"answer": self.answer}
        state = {
            f"state/{layer}/{part}": tensor.numpy()
            for layer, tensors in enumerate(self.place.state)
            for part, tensor in enumerate(tensors)
        }
        return {"answer": self.answer, "carried": self.place.carried, **state}


class Session:
    """A text that is read piece by piece.

    The end of a piece may be half a token. So what more text could change is read on from the position each
    time, and the position itself moves only when it is certain.
    """

    def __init__(self, reader: IncrementalClassifier | IncrementalLanguageModel) -> None:
        """Stand before the first token."""
        self.reader, self._at, self._pending = reader, reader.beginning, ""

    def feed(self, text: str) -> NDArray[Any]:
        """Read a piece of the text; return what `probabilities` does."""
        return feed_all([self], [text])[0]

    def probabilities(self) -> NDArray[Any]:
        """After all text so far: a language model's probability of each token to come next, float64 [V].

        A classifier's probability of each class, float32 [classes], as `predict_proba`.
        """
        return self.reader.probabilities(self.position())

    @property
    def incremental(self) -> bool:
        """Whether the next piece costs as much as it is long, instead of the text being read anew."""
        return self._at.place is not None

    def position(self) -> Position:
        """Where the reader stands after all text so far, what is uncertain included."""
        return _after(self.reader, [self._pending], [self._at])[0]

    def copy(self) -> Session:
        """Return a session that stands at the same place and goes its own way."""
        return copy.copy(self)

    def save(self, path: str | Path) -> None:
        """Write the place in the text, without the model, into one safetensors file."""
        count = None if self._at.place is None else self._at.place.count
        notes = {"model": _identity(self.reader), "at": json.dumps([self._pending, self._at.text, count])}
        write_arrays(Path(path), self._at.arrays(), notes)

    def restore(self, path: str | Path) -> None:
        """Stand where the session that `save` wrote stood; ModelFileError where it is of another model."""
        arrays, notes = read_arrays(Path(path))
        try:
            if notes["model"] != _identity(self.reader):
                raise ValueError("another model")
            pending, text, count = json.loads(notes["at"])
            if not (isinstance(pending, str) and isinstance(text, str)):
                raise ValueError("no text")
            start = self.reader.beginning
            if count is None:
                start = start._replace(place=None)
            if _shapes(arrays) != _shapes(start.arrays()):
                raise ValueError("other shapes")
            place = start.place
            if place is not None:
                state = [
                    tuple(torch.from_numpy(arrays[f"state/{layer}/{part}"]) for part in range(len(tensors)))
                    for layer, tensors in enumerate(place.state)
                ]
                place = Place(int(count), state, arrays["carried"])
        except (KeyError, ValueError, TypeError, RecursionError):
            raise ModelFileError(f"{path} is no session of this model; name a file that it saved") from None
        self._at, self._pending = Position(arrays["answer"], place, text), pending


def feed_all(sessions: Iterable[Session], pieces: Iterable[str]) -> list[NDArray[Any]]:
    """Feed a piece to each of several sessions of one model, all in one pass; what each one's `feed` gives.

    Raises DataError for sessions of different models, one that comes twice, or too few or many pieces.
    """
    sessions, pieces = list(sessions), list(pieces)
    if len(sessions) != len(pieces):
        raise DataError(f"there are {len(sessions)} sessions and {len(pieces)} pieces; give one each")
    if len(set(map(id, sessions))) != len(sessions):
        raise DataError("one session came twice; feed it both pieces as one, or a copy of it")
    if len({id(session.reader.network) for session in sessions}) > 1:
        raise DataError("the sessions are of different models; feed those of one model together")
    if not sessions:
        return []
    reader = sessions[0].reader
    texts = [session._pending + piece for session, piece in zip(sessions, pieces, strict=True)]
    cuts = [reader.certain(text, session._at) for session, text in zip(sessions, texts, strict=True)]
    rests = [text[cut:] for text, cut in zip(texts, cuts, strict=True)]
    certain = [text[:cut] for text, cut in zip(texts, cuts, strict=True)]
    moved = _after(reader, certain, [session._at for session in sessions])
    ends = _after(reader, rests, moved)
    # Nothing is changed before all of it could be read.
    for session, position, rest in zip(sessions, moved, rests, strict=True):
        session._at, session._pending = position, rest
    return [reader.probabilities(end) for end in ends]


def _after(
    reader: IncrementalClassifier | IncrementalLanguageModel, texts: list[str], at: list[Position]
) -> list[Position]:
    """The positions after reading on; one of no text stays where it is."""
    after = list(at)
    going = [k for k, text in enumerate(texts) if text]
    if going:
        found = reader.after([texts[k] for k in going], [at[k] for k in going])
        for k, position in zip(going, found, strict=True):
            after[k] = position
    return after


def _shapes(arrays: Mapping[str, Floats]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _identity(reader: IncrementalClassifier | IncrementalLanguageModel) -> str:
    """A hash of weights and vocabulary."""
    words = np.frombuffer("\n".join(reader.vocabulary.tokens).encode("utf-8", "surrogatepass"), np.uint8)
    return fingerprint([*reader.network.parameters(), words])


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


def can_be_cut(tokenizer: Tokenizer) -> bool:
    """Whether the tokens of a text's beginning stay the same when more follows."""
    return str(tokenizer.settings()["kind"]) != "treebank"


class IncrementalClassifier:
    """A classifier that reads texts on from where they stand."""

    def __init__(self, classes: Classes, reading: Reading, predictor: Predictor) -> None:
        self._classes, self._reading, self._predictor = classes, reading, predictor
        self.network, self.vocabulary = predictor.model, reading.vocabulary
        self._uncut = replace(reading, max_length=None)
        self._longest = reading.max_length
        self._end_counts = self._longest is not None and reading.truncation != "head"
        once = can_run(self.network.config) and can_be_cut(reading.tokenizer) and reading.unknown != "random"
        self._running = Running(predictor.model) if once else None

    @property
    def beginning(self) -> Position:
        """Before the first token."""
        place = None if self._running is None else self._running.beginning()
        return Position(self._anew([""])[0], place)

    def certain(self, text: str, at: Position) -> int:
        """How many characters can be read into the state; all where the text is kept anyway."""
        return len(text) if at.place is None else certain(text, self._reading.tokenizer.settings())

    def after(self, texts: Sequence[str], at: Sequence[Position]) -> list[Position]:
        """Read one text on from each position, all together."""
        after: dict[int, Position] = {}
        if self._running is not None:
            encoded = self._uncut.encode(texts)
            numbers, ids, places = [], [], []
            for k, own in enumerate(np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])):
                place = at[k].place
                left = len(own) if place is None or self._longest is None else self._longest - place.count
                if place is not None and not (self._end_counts and len(own) > left):
                    numbers.append(k)
                    ids.append(own[:left])
                    places.append(place)
            found, stands = self._running.read(ids, places, self._subwords(encoded.oov))
            for k, rows, stand in zip(numbers, found, stands, strict=True):
                answer = self._classes.columns(rows[-1:])[0] if len(rows) else at[k].answer
                after[k] = Position(answer, stand, at[k].text + texts[k] if self._end_counts else "")
        anew = [k for k in range(len(texts)) if k not in after]
        whole = [at[k].text + texts[k] for k in anew]
        for k, text, answer in zip(anew, whole, self._anew(whole), strict=True):
            after[k] = Position(answer, None, text)
        return [after[k] for k in range(len(texts))]

    def probabilities(self, at: Position) -> Floats:
        """The probability of each class, float32 [classes]."""
        return at.answer.copy()

    def running(self, text: str) -> Floats:
        """The probabilities of the text up to each of its tokens, float32 [tokens, classes]."""
        tokens = self._reading.tokenizer.tokens(text)
        whole = self._uncut.encode_tokens([tokens])
        if self._running is not None and not (self._end_counts and len(whole.ids) > (self._longest or 0)):
            start = self.beginning
            assert start.place is not None
            ids = whole.ids[: self._longest]
            (rows,), _ = self._running.read([ids], [start.place], self._subwords(whole.oov))
            columns: Floats = np.concatenate([start.answer[None], self._classes.columns(rows)])
            read = np.searchsorted(self._reading.steps(tokens), np.arange(len(tokens)), side="right")
            return columns[read]
        found = [np.zeros((0, len(self._classes.values)), np.float32)]
        at_once = max(1, BATCH_ROWS // max(len(tokens), 1))
        for begin in range(0, len(tokens), at_once):
            ends = range(begin + 1, min(begin + at_once, len(tokens)) + 1)
            encoded = self._reading.encode_tokens([tokens[:end] for end in ends])
            subwords = self._subwords(encoded.oov)
            rows = self._predictor.probabilities(encoded.ids, encoded.lengths, subwords)
            found.append(self._classes.columns(rows))
        return np.concatenate(found)

    def _anew(self, texts: list[str]) -> Floats:
        encoded = self._reading.encode(texts)
        rows = self._predictor.probabilities(encoded.ids, encoded.lengths, self._subwords(encoded.oov))
        columns: Floats = self._classes.columns(rows)
        return columns

    def _subwords(self, oov: Sequence[str]) -> Subwords | None:
        return self._reading.subwords(oov, self.network.config.buckets)


class IncrementalLanguageModel:
    """A language model that reads texts on from where they stand."""

    def __init__(self, reader: Reader, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
        """Read the mark that precedes every text; DataError where tokens depend on a text's very end."""
        if not can_be_cut(tokenizer):
            raise DataError("the cut of 'treebank' depends on a text's end; sessions need another tokenizer")
        self._reader, self._tokenizer = reader, tokenizer
        self.network, self.vocabulary = reader.model, vocabulary
        mark = np.array([vocabulary.id(END)], np.int32)
        (scores,), (state,) = reader.read_all([mark], [self.network.initial(1)])
        self.beginning = Position(scores, Place(0, state, _NOTHING))

    def certain(self, text: str, at: Position) -> int:
        """How many characters can be read into the state."""
        return certain(text, self._tokenizer.settings())

    def after(self, texts: Sequence[str], at: Sequence[Position]) -> list[Position]:
        """Read one text on from each position, all together."""
        encoded = encode(NumberedTexts.of(texts, self._tokenizer), self.vocabulary)
        ids = np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])
        states = [position.place.state for position in at if position.place is not None]
        scores, states = self._reader.read_all(ids, states, [position.answer for position in at])
        return [Position(row, Place(0, state, _NOTHING)) for row, state in zip(scores, states, strict=True)]

    def probabilities(self, at: Position) -> NDArray[np.float64]:
        """The probability of each token to come next, float64 [V], in the vocabulary's order."""
        return np.asarray(softmax(at.answer.astype(np.float64)))
