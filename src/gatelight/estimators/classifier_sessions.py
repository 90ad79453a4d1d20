"""How a classifier reads a text on, and what it answers after each token; knows no files and no training.

A model of one direction whose pool can go on (all but attention) reads each token once. Anything else reads
the text so far anew each time: a model of both directions, a text longer than max_length of which the end
counts, a tokenizer whose cut depends on a text's end, unknown words that are drawn by their place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.language_sessions import named, shapes_of, state_of
from gatelight.estimators.sessions import Arrays, Session, can_be_cut, certain, identity
from gatelight.models.batches import BATCH_ROWS
from gatelight.models.prediction import Predictor
from gatelight.models.running import Place, Running, can_run
from gatelight.text.encoding import TRUNCATIONS
from gatelight.text.oov import LEFT_OUT, Indexer

if TYPE_CHECKING:
    from gatelight.estimators.judging import Judge

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

    def __init__(self, judge: Judge, predictor: Predictor) -> None:
        self._judge, self._reading, self._predictor = judge, judge.reading, predictor
        self._uncut = replace(judge.reading, max_length=None)
        self._settings = judge.reading.tokenizer.settings()
        self._longest = judge.reading.max_length
        self._end_counts = self._longest is not None and judge.reading.truncation != "head"
        self._running = Running(predictor) if can_run(judge.config) else None

    def beginning(self) -> ClassifierPosition:
        """Before the first token."""
        reads_once = can_be_cut(self._reading.tokenizer) and self._reading.unknown != "random"
        place = self._running.beginning() if self._running is not None and reads_once else None
        return ClassifierPosition(self._judge.judge([""])[0][0], place, "")

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
            pieces = self._reading.pieces(encoded.oov, self._judge.config.buckets)
            found, stands = self._running.read(ids, places, pieces)
            for k, rows, stand in zip(numbers, found, stands, strict=True):
                shares = self._columns(rows[-1:])[0] if len(rows) else at[k].shares
                out[k] = ClassifierPosition(shares, stand, at[k].text + texts[k] if self._end_counts else "")
        anew = sorted({*range(len(at))} - {*numbers})
        whole = [at[k].text + texts[k] for k in anew]
        for k, text, shares in zip(anew, whole, self._judge.judge(whole)[0], strict=True):
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
        return identity(self._judge.model, self._reading.vocabulary)

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
        pieces = self._reading.pieces(reader.oov, self._judge.config.buckets)
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
        columns: Shares = self._judge.classes.columns(rows)
        return columns
