"""Probabilities of many sequences by a model of torch's with fixed weights; knows ids and lengths only.

No text and no training. Where the kernels serve the model, a `FixedNetwork` of its weights computes, else
the model itself. Legend: B sequences, N packed rows, F features of a row, O outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatelight.errors import DataError
from gatelight.models import batches
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.fixed_network import TABLE_BYTES, FixedNetwork, Probabilities, shares
from gatelight.models.language_model import State
from gatelight.models.predicting import evaluating
from gatelight.models.rows import Ids
from gatelight.models.subwords import Subwords
from gatelight.nn.packing import Packing


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

    def network(self) -> FixedNetwork | None:
        """What computes on arrays, with the weights as they are now; None where the kernels do not serve."""
        weights, network = self._known
        if self._weights_now() != weights:
            self.refresh()
            network = self._known[1]
        return network

    def probabilities(
        self, ids: Ids, lengths: NDArray[np.int64], subwords: Subwords | None = None
    ) -> Probabilities:
        """As `FixedNetwork.probabilities`: ids int32 [N] and lengths int64 [B] → float32 [B, O]."""
        network = self.network()
        if network is not None:
            return network.probabilities(ids, lengths, subwords, self.batch_size)
        sequences = Sequences.of(ids, lengths)
        result = np.empty((len(sequences), self.model.config.outputs), np.float32)
        with evaluating(self.model):
            for some in batches.like_lengths(sequences.lengths, self.batch_size):
                packed, packing = sequences.packed(some)
                logits = self.model.logits(self.model.hidden_rows(packed, packing, None, subwords), packing)
                shares(logits.numpy(), some[packing.order], self.model.config, result)
        return result

    def __getstate__(self) -> dict[str, Any]:
        # What is quickly computed again is neither copied nor pickled.
        return {"model": self.model, "batch_size": self.batch_size, "table_bytes": self.table_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Predictor.__init__(self, **state)

    def hidden(
        self, packed: Ids, packing: Packing, state: State, subwords: Subwords | None = None
    ) -> tuple[Tensor, State]:
        """Packed ids int32 [N], state before them → the last layer's rows [N, F], state after."""
        network = self.network()
        if network is not None:
            before = [tuple(part.numpy() for part in layer) for layer in state]
            array, end = network.hidden(packed, packing, subwords, before)
            return torch.from_numpy(array), [tuple(map(torch.from_numpy, layer)) for layer in end]
        hidden, number = self.model.embedding(packed, None, subwords)
        index: Tensor | None = torch.from_numpy(number)
        after: State = []
        for layer, given in zip(self.model.memory, state, strict=True):
            initial = given if len(given) == 2 else given[0]
            hidden, last = layer.packed(hidden, packing, index, initial)  # type: ignore[operator]
            index = None
            after.append(last if isinstance(last, tuple) else (last,))
        return hidden, after

    def shares(self, logits: NDArray[Any], order: NDArray[np.int64]) -> Probabilities:
        """logits [B, O] → probabilities float32 [B, O], row k at the place order[k]."""
        return shares(logits, order, self.model.config)

    def _weights_now(self) -> list[tuple[int, int]]:
        return [
            (weight.data_ptr(), weight._version)
            for parameters in self._parameters
            for weight in parameters.values()
            if weight is not None
        ]


def _fixed(model: Classifier, table_bytes: int) -> FixedNetwork | None:
    """The model's weights, shared with it as arrays, where all of its layers run in the kernels."""
    layers: list[Any] = list(model.memory)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    types = {weight.dtype for weight in weights.values()}
    on_kernels = all(layer.path() == "kernels" for layer in layers) and len(types) == 1
    if not on_kernels or any(weight.device.type != "cpu" for weight in weights.values()):
        return None
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
