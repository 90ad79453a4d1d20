"""A language model's state in the middle of a text: pieces in, probabilities of the next token out.

Knows no files but its own. What follows depends on the text so far alone, bit for bit, however it was cut;
a piece costs as much as it is long.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.arrays import read_arrays, write_arrays
from gatelight.estimators.token_streams import END, Encoder
from gatelight.files import file_written_aside
from gatelight.models.language_model import State
from gatelight.models.writing import Reader
from gatelight.text.tokens import Tokenizer
from gatelight.text.vocabulary import Vocabulary

MARKUP = 400  # characters within which a tag or an entity that began has ended
_BORDER = re.compile(r"\s(?=\w)")
_MARK = re.compile("[<&]")


class LanguageSession:
    """Where a reader stands in a text.

    The end of a piece may be half a token. So what more text could change is read on a copy of the state each
    time, and into the state itself only when it is certain.
    """

    def __init__(self, reader: Reader, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
        """Stand before the first token; DataError where a text's tokens depend on its very end."""
        kind = tokenizer.settings()["kind"]
        if kind == "treebank":
            raise DataError("the cut of 'treebank' depends on a text's end; sessions need another tokenizer")
        self._reader, self._tokenizer, self._vocabulary = reader, tokenizer, vocabulary
        self._encode = Encoder(tokenizer, vocabulary)
        self._whole = kind in ("char", "byte", "note-char") and not tokenizer.settings()["lowercase"]
        self._pending = ""
        self._scores, self._state = self._read(
            np.array([vocabulary.id(END)], np.int32), reader.model.initial(1)
        )

    def feed(self, text: str) -> NDArray[np.float64]:
        """Read a piece of the text; return the probability of each token to come next, float64 [V]."""
        self._pending += text
        at = self._certain()
        certain, self._pending = self._pending[:at], self._pending[at:]
        if certain:
            self._scores, self._state = self._read(self._encode(certain), self._state, self._scores)
        return self.probabilities()

    def probabilities(self) -> NDArray[np.float64]:
        """Return the probability of each token to come next, float64 [V], in the vocabulary's order."""
        scores = self.position()[0].astype(np.float64)
        shares: NDArray[np.float64] = np.exp(scores - scores.max())
        shares /= shares.sum()
        return shares

    def position(self) -> tuple[NDArray[np.float32], State]:
        """Return scores float32 [V] and state after all text so far, what is uncertain included."""
        if not self._pending:
            return self._scores, self._state
        return self._read(self._encode(self._pending), self._state, self._scores)

    def copy(self) -> LanguageSession:
        """Return a session that stands at the same place and goes its own way."""
        other = object.__new__(LanguageSession)
        other.__dict__ = dict(self.__dict__)  # a state is replaced, never changed
        return other

    def save(self, path: str | Path) -> None:
        """Write the place in the text, without the model, into one safetensors file."""
        arrays = {"scores": self._scores}
        for place, layer in enumerate(self._state):
            arrays |= {f"state/{place}/{part}": tensor.numpy() for part, tensor in enumerate(layer)}
        with file_written_aside(Path(path)) as aside:
            write_arrays(aside, arrays, {"pending": json.dumps(self._pending)})

    def restore(self, path: str | Path) -> None:
        """Stand where the session that `save` wrote stood; ModelFileError where it is of another model."""
        arrays, notes = read_arrays(Path(path))
        own = {f"state/{k}/{part}": t for k, layer in enumerate(self._state) for part, t in enumerate(layer)}
        shapes = {"scores": self._scores.shape} | {name: tuple(t.shape) for name, t in own.items()}
        if {name: array.shape for name, array in arrays.items()} != shapes or "pending" not in notes:
            raise ModelFileError(f"{path} is no session of this model; name a file that it saved")
        self._scores, self._pending = arrays["scores"], str(json.loads(notes["pending"]))
        self._state = [
            tuple(torch.from_numpy(arrays[f"state/{k}/{part}"]) for part in range(len(layer)))
            for k, layer in enumerate(self._state)
        ]

    def _read(
        self, ids: NDArray[np.int32], state: State, scores: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], State]:
        if not len(ids) and scores is not None:
            return scores, state
        rows, after = self._reader.read(ids, state)
        return rows[-1].copy(), after

    def _certain(self) -> int:
        """How many of the pending characters no further text can read otherwise."""
        text = self._pending
        end = len(text)
        if self._tokenizer.settings()["clean"]:
            # A tag or an entity that began may still end, and so may one around it.
            while (near := _MARK.search(text, max(0, end - MARKUP), end)) is not None:
                end = near.start()
        if self._whole:
            return end
        # Words, graphemes and lower-case letters depend on their neighbours, but none beyond a white space.
        borders = [found.end() for found in _BORDER.finditer(text, 0, end)]
        return borders[-1] if borders else 0
