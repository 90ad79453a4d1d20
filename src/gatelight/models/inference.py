"""What a classifier of torch's answers with fixed weights: to whole sequences, and after each of their ids.

Knows ids and lengths only, no text and no training. A `FixedNetwork` of the model's weights computes.
Legend: B sequences, N packed rows, T steps of one sequence, F features of a row, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.models import batches
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.fixed_network import TABLE_BYTES, FixedNetwork, Probabilities, probabilities_of
from gatelight.models.heads import HEADS
from gatelight.models.network import State, evaluating, read_on
from gatelight.models.subwords import Ids, Subwords
from gatelight.nn import Packing
from gatelight.nn.linear import linear
from gatelight.nn.trace import Trace


class Predictor:
    """A classifier with fixed weights and, per token met so far, its ready input product.

    It begins anew when torch changed the weights; after changes that go around torch (compiled optimisers)
    call `refresh`. May be used by several threads while the model is in evaluation mode.
    """

    def __init__(
        self, model: Classifier, *, batch_size: int = batches.BATCH, table_bytes: int = TABLE_BYTES
    ) -> None:
        if batch_size < 1:
            raise DataError(f"batch_size is {batch_size}; expected at least 1")
        self.model = model
        self.batch_size = batch_size
        self.table_bytes = table_bytes
        self._parameters = [part._parameters for part in (model.embedding, *model.memory, model.head)]
        self.refresh()

    def refresh(self) -> None:
        """Forget what was computed from the weights."""
        weights = self._weights_now()
        self._known = weights, _fixed(self.model, self.table_bytes)

    def network(self) -> FixedNetwork:
        """What computes, with the weights as they are now."""
        if self._weights_now() != self._known[0]:
            self.refresh()
        return self._known[1]

    def probabilities(
        self, ids: Ids, lengths: NDArray[np.int64], subwords: Subwords | None = None
    ) -> Probabilities:
        """As `FixedNetwork.probabilities`: ids int32 [N] and lengths int64 [B] → float32 [B, O]."""
        return self.network().probabilities(ids, lengths, subwords, self.batch_size)

    def __getstate__(self) -> dict[str, Any]:
        # What is quickly computed again is neither copied nor pickled.
        return {"model": self.model, "batch_size": self.batch_size, "table_bytes": self.table_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Predictor.__init__(self, **state)

    def _weights_now(self) -> list[tuple[int, int]]:
        return [
            (weight.data_ptr(), weight._version)
            for parameters in self._parameters
            for weight in parameters.values()
            if weight is not None
        ]


def _fixed(model: Classifier, table_bytes: int) -> FixedNetwork:
    """The model's weights, shared with it as arrays."""
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    kinds = {(weight.device.type, weight.dtype) for weight in weights.values()}
    if kinds not in ({("cpu", torch.float32)}, {("cpu", torch.float64)}):
        raise DataError("a model predicts with weights that are all float32, or all float64, on the CPU")
    arrays = {name: weight.contiguous().numpy() for name, weight in weights.items()}
    return FixedNetwork(model.config, arrays, table_bytes=table_bytes)


def predict(
    model: Classifier,
    ids: Ids,
    lengths: NDArray[np.int64],
    batch_size: int = batches.BATCH,
    subwords: Subwords | None = None,
) -> Probabilities:
    """Probabilities float32 [B, O] as `Predictor.probabilities`, with the weights as they are now."""
    return Predictor(model, batch_size=batch_size).probabilities(ids, lengths, subwords)


def trace_classifier(
    model: Classifier, ids: Ids, packing: Packing, subwords: Subwords | None = None
) -> tuple[Trace, Probabilities]:
    """Trace a classifier on flat ids int32 [N], sequence after sequence; and its probabilities [B, O].

    These have the bits of `Predictor.probabilities`.
    """
    trace = model.trace(packing.gathered(ids), packing, subwords)
    with evaluating(model):
        logits = model.logits(torch.from_numpy(trace.layers[-1].hidden), packing).numpy()
    return trace, probabilities_of(logits, model.config)[packing.positions]


@dataclass(frozen=True)
class Place:
    """Where one sequence stands: `count` ids read, the layers' state, what the pool carries on."""

    count: int
    state: State
    carried: NDArray[np.float32]


def can_run(config: ClassifierConfig) -> bool:
    """Whether what such a classifier has read of a sequence stays read when more follows."""
    return not config.bidirectional and HEADS[config.pool].causal


class Running:
    """Reads several sequences on from where each stands, at the cost of the new ids alone.

    Answers have the same bits as those of `Predictor` for the ids so far: states are carried on, and sums and
    maxima go on in the same order. The weights must not change meanwhile.
    """

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def beginning(self) -> Place:
        """Before the first id."""
        config = self.model.config
        carried = HEADS[config.pool].carried(config.features, config.outputs)
        return Place(0, self.model.initial(1), np.zeros(carried, np.float32))

    def read(
        self, sequences: Sequence[Ids], places: Sequence[Place], subwords: Subwords | None = None
    ) -> tuple[list[Probabilities], list[Place]]:
        """ids int32 [T] for each sequence → probabilities float32 [T, O] after each id, and the place.

        With a pool "flatten" a place must not come to stand after max_length.
        """
        model, head = self.model, HEADS[self.model.config.pool]
        none = np.zeros((0, model.config.outputs), np.float32)
        parts: list[list[Probabilities]] = [[none] for _ in sequences]
        states, carried = [place.state for place in places], [place.carried for place in places]
        counts = [place.count for place in places]
        weights = {name: weight.detach().numpy() for name, weight in model.head.items()}
        with evaluating(model):
            for going, hidden, packing in read_on(model, sequences, states, subwords):
                rows = hidden.numpy()
                for number, k in enumerate(going):
                    mine = packing.sequence(number)
                    logits, carried[k] = head.step(rows[mine], counts[k], carried[k], weights)
                    if not head.gives_logits:
                        given = torch.from_numpy(np.ascontiguousarray(logits))
                        logits = linear(given, model.head["weight"], model.head["bias"]).numpy()
                    counts[k] += len(mine)
                    parts[k].append(probabilities_of(logits, model.config))
        after = map(Place, counts, states, (part.copy() for part in carried))
        return [np.concatenate(part) for part in parts], list(after)
