"""What a classifier of one direction answers after each id, at the cost of that id; knows no text.

Legend: B sequences, T steps, F features of a row, O outputs. Answers have the same bits as those of
`Predictor` for the ids so far alone: states are carried on, and sums and maxima go on in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.models.classifier import zero_state
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.fixed_network import Probabilities
from gatelight.models.heads import HEADS
from gatelight.models.language_model import State
from gatelight.models.predicting import evaluating
from gatelight.models.prediction import Predictor
from gatelight.models.rows import Ids
from gatelight.models.states import in_blocks, side_by_side, taken_apart
from gatelight.models.subwords import Subwords
from gatelight.nn import pack
from gatelight.nn.linear import linear

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """Where one sequence stands: `count` ids read, the layers' state, what the pool carries on."""

    count: int
    state: State
    carried: Floats


def can_run(config: ClassifierConfig) -> bool:
    """Whether what such a classifier has read of a sequence stays read when more follows."""
    return not config.bidirectional and HEADS[config.pool].causal


class Running:
    """Reads several sequences on from where each stands; the weights must not change meanwhile."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor, self.model = predictor, predictor.model
        self.config = self.model.config

    def beginning(self) -> Place:
        """Before the first id."""
        config = self.config
        wide = HEADS[config.pool].carried(config.features, config.outputs)
        return Place(0, zero_state(config, 1), np.zeros(wide, np.float32))

    def read(
        self, sequences: Sequence[Ids], places: Sequence[Place], subwords: Subwords | None = None
    ) -> tuple[list[Probabilities], list[Place]]:
        """ids int32 [T] for each sequence → probabilities float32 [T, O] after each id, and the place.

        With a pool "flatten" a place must not come to stand beyond max_length.
        """
        parts: list[list[Probabilities]] = [
            [np.zeros((0, self.config.outputs), np.float32)] for _ in sequences
        ]
        after = list(places)
        with evaluating(self.model):
            for going, block in in_blocks(sequences):
                found, stands = self._block(block, [after[k] for k in going], subwords)
                for k, shares, place in zip(going, found, stands, strict=True):
                    parts[k].append(shares)
                    after[k] = place
        return [np.concatenate(part) for part in parts], after

    def _block(
        self, sequences: list[Ids], places: list[Place], subwords: Subwords | None
    ) -> tuple[list[Probabilities], list[Place]]:
        packing = pack([len(ids) for ids in sequences])
        packed = packing.gathered(np.ascontiguousarray(np.concatenate(sequences), np.int32))
        state = side_by_side([place.state for place in places], packing.order)
        hidden, after = self.predictor.hidden(packed, packing, state, subwords)
        flat = np.empty((packing.rows, self.config.features), np.float32)
        flat[packing.sequence_rows] = hidden.numpy()
        states = taken_apart(after, packing.order)
        weights = {name: weight.detach().numpy() for name, weight in self.model.head.items()}
        pool = HEADS[self.config.pool]
        pooled, stands, begin = [], [], 0
        for ids, place, own in zip(sequences, places, states, strict=True):
            rows, carried = pool.step(flat[begin : begin + len(ids)], place.count, place.carried, weights)
            begin += len(ids)
            pooled.append(rows)
            stands.append(Place(place.count + len(ids), own, carried.copy()))
        logits = torch.from_numpy(np.concatenate(pooled))
        if not pool.gives_logits:
            logits = linear(logits, self.model.head["weight"], self.model.head["bias"])
        shares = self.predictor.shares(logits.numpy(), np.arange(len(logits)))
        cuts = np.cumsum([len(ids) for ids in sequences])[:-1]
        return np.split(shares, cuts), stands
