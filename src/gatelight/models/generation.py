"""A language model with fixed weights that reads ids and writes ids, stream by stream.

Legend: H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatelight.models.language_model import LanguageModel
from gatelight.models.network import State, evaluating, read_on
from gatelight.nn import pack
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels.generation import StreamLoop
from gatelight.nn.kernels.sampling import Drawing, choose
from gatelight.nn.recurrent import RecurrentLayers, layer_weights

Ids = NDArray[np.int32]


class Reader:
    """Reads ids and gives scores; with an output layer that is not adaptive it writes in one compiled loop.

    The weights must not change while it is used.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self._loop: StreamLoop | None = None

    def read(self, ids: Ids, state: State) -> tuple[NDArray[np.float32], State]:
        """ids int32 [T] of one stream → scores float32 [T, V] after each, and the state after all."""
        with evaluating(self.model):
            hidden, after = self.model.hidden(np.ascontiguousarray(ids, np.int32), pack([len(ids)]), state)
            return self.model.scores(hidden).numpy(), after

    def read_all(
        self,
        streams: Sequence[Ids],
        states: Sequence[State],
        scores: Sequence[NDArray[np.float32]] | None = None,
    ) -> tuple[list[NDArray[np.float32]], list[State]]:
        """Several streams of ids int32 [T], each with its state → scores float32 [V] and state after each.

        `scores` are those before, which a stream of no ids keeps.
        """
        found, after = list(scores or map(_no_scores, streams)), list(states)
        with evaluating(self.model):
            for going, hidden, packing in read_on(self.model, streams, after):
                last = torch.from_numpy(packing.first[packing.lengths - 1] + np.arange(len(going)))
                rows = self.model.scores(hidden.index_select(0, last)).numpy()[packing.positions]
                for k, row in zip(going, rows, strict=True):
                    found[k] = row.copy()
        return found, after

    def write(
        self,
        scores: NDArray[np.float32],
        state: State,
        allowed: NDArray[np.bool_],
        how: Drawing,
        draws: NDArray[np.float64],
        stop: int,
    ) -> tuple[Ids, NDArray[np.float32], State]:
        """Draw an id for each number of `draws` float64 [n] in [0, 1), up to and with the id `stop`.

        `scores` [V] are those before the first. Returns the ids, and scores and state after the last.
        """
        how_drawn = how.temperature, how.top_k, how.top_p
        if self.model.config.output == "adaptive":
            out = []
            for draw in draws.tolist():
                out.append(choose(scores, allowed, *how_drawn, draw))
                rows, state = self.read(np.array(out[-1:], np.int32), state)
                scores = rows[0]
                if out[-1] == stop:
                    break
            return np.array(out, np.int32), scores, state
        if self._loop is None:
            self._loop = loop_of(self.model)
        h = np.stack([layer[0].numpy()[0, 0] for layer in state])
        c = np.stack([layer[1].numpy()[0, 0] if len(layer) == 2 else h[0, :0] for layer in state])
        written = self._loop.write(h, c, scores, allowed, how, draws, stop)

        def part(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array.copy())[None, None]

        after: State = [
            (part(h), part(c)) if len(c) else (part(h),) for h, c in zip(written.h, written.c, strict=True)
        ]
        return written.ids, written.scores, after


def _no_scores(stream: Ids) -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


def loop_of(model: LanguageModel) -> StreamLoop:
    """The loop that writes with the model's weights as they are."""
    layers: list[Any] = list(model.memory)
    with evaluating(model):
        first = {name: weight.detach().numpy() for name, weight in layers[0].named_parameters()}
        rows = model.get_parameter("embedding.weight").detach().numpy()
        table = RecurrentLayers(layers[0].cell, [layer_weights(layers[0].cell, first)]).input_table(rows)
        output = model.output_layer()

    def of(layer: Any, *names: str) -> tuple[NDArray[Any], ...]:
        return tuple(layer.get_parameter(name).detach().numpy() for name in names)

    return StreamLoop(
        model.config.cell,
        table,
        [of(layer, "weight_ih_l0", "bias_ih_l0") for layer in layers[1:]],  # type: ignore[misc]
        [of(layer, "weight_hh_l0", "bias_hh_l0") for layer in layers],  # type: ignore[misc]
        [of(layer, "weight_peephole_l0")[0] for layer in layers if EQUATIONS[layer.cell].peepholes],
        tuple(part.detach().numpy() for part in output),  # type: ignore[arg-type]
    )
