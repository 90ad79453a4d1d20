"""How a language model reads a text on: what `Session` needs of one; knows no files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.sessions import Arrays, Session, can_be_cut, certain, identity
from gatelight.estimators.token_streams import END, Encoder
from gatelight.models.language_model import State
from gatelight.models.writing import Reader
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary


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
