"""Sequences of numbers in place of ids: each step is a row of a frozen table, the data.

So a `Classifier` and its training take them as they take ids. Knows rows and lengths, nothing of their
meaning.
Legend: N steps of all sequences, D numbers of a step.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.models.classifier import Classifier
from gatelight.models.embedding import Embedding
from gatelight.models.subwords import UNKNOWN

FIRST = UNKNOWN + 1  # rows before it are those of the blank and of a step left out, zeros here


def table(rows: NDArray[Any]) -> NDArray[np.float32]:
    """rows [N, D] → the table float32 [FIRST + N, D] of which they are the rows from FIRST on."""
    whole = np.zeros((FIRST + len(rows), rows.shape[1]), np.float32)
    whole[FIRST:] = rows
    return whole


def row_ids(count: int) -> NDArray[np.int32]:
    """The ids int32 [N] of all rows of such a table, in their order."""
    return np.arange(FIRST, FIRST + count, dtype=np.int32)


def reading(model: Classifier, vectors: NDArray[np.float32]) -> Classifier:
    """The same network, weights shared, over another table."""
    twin = copy.copy(model)
    twin.config = replace(model.config, vocabulary_size=len(vectors))
    twin._modules = {
        **model._modules,
        "embedding": Embedding(len(vectors), vectors.shape[1], vectors=vectors, trained=False),
    }
    return twin
