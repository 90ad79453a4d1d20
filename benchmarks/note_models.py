"""The two models of the note: which reviews they read, their sizes and weights; knows no library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.note_weights import NoteWeights, random_weights
from benchmarks.reviews import ALPHABET, Reviews, character_reviews, word_reviews

REVIEWS, BATCH = 20_000, 32


@dataclass(frozen=True)
class NoteModel:
    """Frozen rows of D numbers for each id, an LSTM of H over T steps, dropout, flatten, one logit."""

    name: str
    steps: int
    dim: int
    hidden: int
    dropout: float
    read: Callable[[int, int], Reviews]

    @property
    def one_hot(self) -> bool:
        """Whether the rows are one-hot, so that the input product is a choice of rows."""
        return self.dim == ALPHABET

    def reviews(self) -> Reviews:
        """The reviews of one epoch."""
        return self.read(REVIEWS, self.steps)

    def weights(self, vocabulary: int) -> NoteWeights:
        """The same random weights for every library; one-hot rows are the identity, PAD's are zeros."""
        weights = random_weights(vocabulary, self.dim, self.hidden, self.steps)
        if self.one_hot:
            weights.table[:] = np.eye(self.dim, dtype=np.float32)
            weights.table[0] = 0.0
        return weights

    def settings(self) -> dict[str, object]:
        """What of our preset for it must be said anew."""
        return {
            "max_length": self.steps, "embedding_dim": self.dim, "hidden_size": self.hidden,
            "dropout": self.dropout,
            "epochs": 1, "batch_size": BATCH, "random_state": 0, "threads": None,
        }  # fmt: skip

    def work(self, rows: int, distinct: int, training: bool = True) -> float:
        """Floating-point operations of the matrix products that cannot be done without.

        In training: the input product of each distinct token of a batch and its weights' gradient (the
        rows are frozen); for each real step the recurrent product, its gradient for the state before and
        for the weights, and the dense layer with both gradients. In prediction: the recurrent product and the
        dense layer, as the input product of fixed rows is done once for ever. One-hot rows need no input
        product. Gates and optimiser are not counted.
        """
        gates, times = 4 * self.hidden, 3 if training else 1
        of_input = 2 * distinct * self.dim * gates if training and not self.one_hot else 0
        return 2.0 * (of_input + times * rows * self.hidden * (gates + 1))


WORDS = NoteModel("words", 400, 300, 50, 0.2, word_reviews)
CHARACTERS = NoteModel("characters", 1500, ALPHABET, 20, 0.4, character_reviews)
