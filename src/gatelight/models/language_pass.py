"""A language model's training step: its loss, the states it leaves, and the way back to all gradients.

Where kernels serve the whole model the way goes past autograd, on arrays, with the bits of its operators.
Knows ids, neither streams nor documents.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.models.dropout import drop_step
from gatelight.models.language_model import LanguageModel, State, detached
from gatelight.models.loss_kernels import of_next_ids
from gatelight.models.rows import Ids
from gatelight.models.sampled_output import SampledLoss, draw
from gatelight.nn.layer_pass import Back, LayerPass, bare, give, hand_on
from gatelight.nn.packing import Packing
from gatelight.nn.product import linear_back, rows_times_turned

Floats = NDArray[Any]


class Foretold(NamedTuple):
    """Mean loss of a batch, how many targets had the best score, the state after it, and the way back.

    `right` is None where that is not counted; `backward` gives every trained
    parameter its gradient and may be called once.
    """

    loss: float
    right: int | None
    state: State
    backward: Callable[[], None]


class LanguagePass:
    """The passes of one language model; it shares its parameters' memory."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        layers: list[Any] = list(model.memory)
        kernels = model.config.output != "adaptive" and bare(model, layers)
        self._layers = [LayerPass(layer) for layer in layers] if kernels else None

    def foretell(
        self, ids: Ids, targets: Ids, packing: Packing, state: State | None, generator: torch.Generator
    ) -> Foretold:
        """Read packed ids int32 [N] from `state` (None: zeros) on, before targets int32 [N]."""
        if self._layers is None:
            return self._by_autograd(ids, targets, packing, state, generator)
        config, training = self.model.config, self.model.training
        rows, number = self.model.embedding(ids, generator)
        hidden, token, after = rows.detach().numpy(), number, []
        backs: list[Back] = []
        for place, layer in enumerate(self._layers):
            if place and training:
                hidden = drop_step(hidden, config.layer_dropout, generator, backs)
            before = () if state is None else tuple(part.numpy() for part in state[place])
            hidden, end, back = layer.forward(hidden, packing, token, before)
            backs.append(back)
            after.append(tuple(map(torch.from_numpy, end)))
            token = None
        if training:
            hidden = drop_step(hidden, config.dropout, generator, backs)
        loss, right, of_output = self._output(hidden, targets, generator)

        def backward() -> None:
            gradient = of_output()
            for back in backs[:0:-1]:
                gradient = back(gradient, True)
            # Where the table is the output layer too, autograd adds to what has just been given.
            hand_on(rows, backs[0](gradient, rows.requires_grad))

        return Foretold(loss, right, after, backward)

    def _output(
        self, hidden: Floats, targets: Ids, generator: torch.Generator
    ) -> tuple[float, int | None, Callable[[], Floats]]:
        """Loss and hits of hidden rows, and the way back to their gradient and the output layer's."""
        parameters = self.model.output_layer()
        weight, bias = (parameter.detach().numpy() for parameter in parameters)
        right: int | None = None
        if self.model.config.output == "sampled" and self.model.training:
            size, samples = self.model.config.vocabulary_size, self.model.config.samples
            sampled = SampledLoss(hidden, targets, weight, bias, draw(size, samples, generator))
            loss, gradients = sampled.loss, sampled.back
        else:
            scores = rows_times_turned(hidden, [weight], bias)
            loss, right = of_next_ids(scores, targets)
            wanted = [parameter.requires_grad for parameter in parameters]
            gradients = partial(linear_back, scores, hidden, [weight], True, *wanted)

        def back() -> Floats:
            d_hidden, *of_parameters = gradients()
            for parameter, gradient in zip(parameters, of_parameters, strict=True):
                give(parameter, gradient)
            return d_hidden

        return loss, right, back

    def _by_autograd(
        self, ids: Ids, targets: Ids, packing: Packing, state: State | None, generator: torch.Generator
    ) -> Foretold:
        hidden, after = self.model.hidden(ids, packing, state, generator)
        loss, right = self.model.loss(hidden, torch.from_numpy(targets.astype(np.int64)), generator)
        return Foretold(loss.item(), right, detached(after), loss.backward)
