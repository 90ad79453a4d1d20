"""A fitted model that only judges texts: reading, network, classes; knows neither fitting nor scikit-learn.

What judges one text from the command line starts in half the time without scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.labels import Classes
from gatelight.estimators.reading import Reading, Understood
from gatelight.estimators.texts import blocks, checked_texts
from gatelight.models.classifier import Classifier
from gatelight.models.prediction import Predictor

BLOCK = 8192  # texts judged together: bounds the memory of ids, keeps batches of like length full


class Judge:
    """Texts in, probabilities and the unknown share out."""

    def __init__(self, classes: Classes, reading: Reading, model: Classifier) -> None:
        self.classes, self.reading, self.model = classes, reading, model
        self._predictor = Predictor(model)

    def judge(self, texts: Iterable[str]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the probability of each class, float32 [n, classes], and each text's unknown share [n]."""
        columns: list[NDArray[np.float32]] = [np.zeros((0, len(self.classes.values)), np.float32)]
        shares: list[NDArray[np.float64]] = [np.zeros(0)]
        for block in blocks(checked_texts(texts), BLOCK):
            encoded = self.reading.encode(block)
            pieces = self.reading.pieces(encoded.beyond, self.model.config.buckets)
            judged = self._predictor.probabilities(encoded.ids, encoded.lengths, pieces)
            columns.append(self.classes.columns(judged))
            shares.append(encoded.unknown_share())
        return np.concatenate(columns), np.concatenate(shares)

    def unknown_share(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return the share of each text's tokens that the model does not know [n]; 0 for a text of none."""
        encoded = (self.reading.encode(block) for block in blocks(checked_texts(texts), BLOCK))
        return np.concatenate([np.zeros(0), *(part.unknown_share() for part in encoded)])

    def understand(self, texts: Iterable[str]) -> list[Understood]:
        """Say of each text which of its tokens are unknown, and what the model reads in their place."""
        return [self.reading.understand(text) for text in checked_texts(texts)]
