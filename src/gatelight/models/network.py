"""Embedding → recurrent stack: what a classifier and a language model share; knows ids and lengths, no text.

Legend: B sequences, N packed rows, D embedding size, H hidden size, F = directions × H.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from gatelight.errors import DataError
from gatelight.models.config import BOTH_BIASES, NetworkConfig
from gatelight.models.dropout import dropout
from gatelight.models.embedding import Embedding
from gatelight.models.subwords import Subwords
from gatelight.nn import CELLS, Packing, pack
from gatelight.nn.clamping import Clamp, clamp
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.trace import Trace

Ids = NDArray[np.int32]
Generator = torch.Generator | None
State = list[tuple[Tensor, ...]]
"""Of each layer (h [directions, B, H],) or (h, c), in packed order."""
Network = TypeVar("Network", bound="RecurrentNetwork")

ROWS = 1 << 15  # ids read in one call, about: bounds the memory of long sequences


class RecurrentNetwork(nn.Module):
    """Hidden states of sequences of ids; a subclass adds the output layer."""

    config: NetworkConfig
    embedding: Embedding
    memory: nn.ModuleList

    def hidden(
        self, ids: Ids, packing: Packing, state: State | None = None, generator: Generator = None,
        subwords: Subwords | None = None,
    ) -> tuple[Tensor, State]:  # fmt: skip
        """Packed ids int32 [N], state before them → the last layer's rows [N, F], state after them.

        In training mode all dropouts draw from `generator` (None: torch's global one). `subwords` says what
        ids after the vocabulary are made of, for a model with `buckets`.
        """
        rows, number = self.embedding(ids, generator, subwords)
        return self.recurrent(rows, packing, torch.from_numpy(number), state, generator)

    def recurrent(
        self, rows: Tensor, packing: Packing, token: Tensor | None = None, state: State | None = None,
        generator: Generator = None,
    ) -> tuple[Tensor, State]:  # fmt: skip
        """As `hidden`, for the embedding's rows [N, D], or [U, D] with the number int32 [N] of each id's."""
        after: State = []
        for place, layer in enumerate(self.memory):
            if place and self.training:
                rows = dropout(rows, self.config.layer_dropout, generator, packing.row_numbers)
            before = None if state is None else state[place] if len(state[place]) == 2 else state[place][0]
            rows, end = layer.packed(rows, packing, token, before)  # type: ignore[operator]
            after.append(end if isinstance(end, tuple) else (end,))
            token = None
        return rows, after

    def initial(self, sequences: int) -> State:
        """The state of B sequences before their first id: zeros."""
        config = self.config
        zeros = torch.zeros(config.directions, sequences, config.hidden)
        return [(zeros,) * (2 if EQUATIONS[config.cell].has_cell_state else 1) for _ in self.memory]

    def trace(self, ids: Ids, packing: Packing, subwords: Subwords | None = None) -> Trace:
        """Every gate and state of every layer at packed ids int32 [N], from the kernels that also predict."""
        layers: list[Any] = []
        with evaluating(self):
            rows, number = self.embedding(ids, None, subwords)
            token: Tensor | None = torch.from_numpy(number)
            for layer in self.memory:
                trace: Trace = layer.trace_packed(rows, packing, token)  # type: ignore[operator]
                layers += trace.layers
                rows, token = torch.from_numpy(trace.layers[-1].hidden), None
        return replace(trace, layers=tuple(layers))

    def clamped(
        self: Network, gates: dict[str, ArrayLike], layer: int = 0, direction: int | None = None,
        units: ArrayLike | None = None,
    ) -> Network:  # fmt: skip
        """Return a copy with gates of one layer clamped, as `nn.clamping.Clamp` says; all else is shared.

        Raises DataError.
        """
        layers: list[Any] = list(self.memory)
        if not 0 <= layer < len(layers):
            raise DataError(f"layer {layer} is not there; there are {len(layers)}, numbered from 0")
        if not gates:
            raise DataError("no gate was named; give one and its value, like forget_gate=1.0")
        clamps = [Clamp.of(layers[layer], name, value, units, direction) for name, value in gates.items()]
        layers[layer] = clamp(layers[layer], clamps)
        return self.with_parts(memory=nn.ModuleList(layers)).eval()

    def with_parts(self: Network, **parts: nn.Module) -> Network:
        """Return a copy with some of its modules replaced; the others are shared."""
        made = copy.copy(self)
        made.__dict__["_modules"] = {**self._modules, **parts}
        return made

    def _start_layers(self, generator: torch.Generator) -> None:
        """As Keras: Glorot-uniform input weights, orthogonal recurrent ones, forget bias 1.

        All other biases are zero, and peepholes, so that a peephole LSTM starts as an LSTM.
        """
        gates = EQUATIONS[self.config.cell].gates
        for name, parameter in self.memory.named_parameters():
            kind = name.rpartition(".")[2]
            if kind.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter, generator=generator)
            elif kind.startswith("weight_hh"):
                nn.init.orthogonal_(parameter, generator=generator)
            else:
                parameter.zero_()
                if kind.startswith("bias_ih") and "forget_gate" in gates:
                    parameter.view(len(gates), -1)[gates.index("forget_gate")] = 1  # Jozefowicz et al. 2015


def recurrent_layers(config: NetworkConfig, *, device: str | None = None) -> nn.ModuleList:
    """The stack, layer by layer.

    torch's layers have two bias vectors that are only ever added together; of these bias_hh is fixed at zero
    and not trained, except in the cells of BOTH_BIASES.
    """
    sizes = [config.dim, *[config.features] * (config.layers - 1)]
    both = config.directions == 2
    layers = [CELLS[config.cell](size, config.hidden, bidirectional=both, device=device) for size in sizes]
    for layer in layers:
        for name, parameter in layer.named_parameters():
            if config.cell not in BOTH_BIASES and name.startswith("bias_hh"):
                parameter.requires_grad_(False)
    return nn.ModuleList(layers)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside the block the model drops nothing and keeps nothing for a gradient."""
    training = model.training
    if training:  # setting the mode goes through all modules, which a short text would notice
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if training:
            model.train()


def read_on(
    model: RecurrentNetwork, sequences: Sequence[Ids], states: list[State], subwords: Subwords | None = None
) -> Iterator[tuple[list[int], Tensor, Packing]]:
    """Read sequences on, each from its own state in `states`, which is replaced by the one after it.

    Yields, block after block of steps, which sequences still go on, and the last layer's rows of these.
    """
    longest = max(map(len, sequences), default=0)
    step = max(1, ROWS // max(len(sequences), 1))
    for begin in range(0, longest, step):
        going = [k for k, ids in enumerate(sequences) if len(ids) > begin]
        block = [sequences[k][begin : begin + step] for k in going]
        packing = pack([len(ids) for ids in block])
        order = [going[k] for k in packing.order.tolist()]
        before = [
            tuple(torch.cat(parts, 1) for parts in zip(*layers, strict=True))
            for layers in zip(*(states[k] for k in order), strict=True)
        ]
        ids = packing.gathered(np.ascontiguousarray(np.concatenate(block), np.int32))
        hidden, after = model.hidden(ids, packing, before, subwords=subwords)
        for place, k in enumerate(order):
            states[k] = [tuple(part[:, place : place + 1].clone() for part in layer) for layer in after]
        yield going, hidden, packing
