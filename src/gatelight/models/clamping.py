"""A network whose gates are clamped: a copy that shares all but the layer in question. Knows no text."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from numpy.typing import ArrayLike
from torch import nn

from gatelight.errors import DataError
from gatelight.nn.clamping import Clamp, clamp

Network = TypeVar("Network", bound=nn.Module)


def with_clamped(
    network: Network,
    gates: dict[str, ArrayLike],
    layer: int = 0,
    direction: int | None = None,
    units: ArrayLike | None = None,
    steps: frozenset[int] | None = None,
) -> Network:
    """Return the network with gates of one layer clamped, as `nn.clamping.Clamp` says; raises DataError."""
    layers: list[Any] = list(network.memory)  # type: ignore[arg-type]
    if not 0 <= layer < len(layers):
        raise DataError(f"layer {layer} is not there; there are {len(layers)}, numbered from 0")
    if not gates:
        raise DataError("no gate was named; give one and its value, like forget_gate=1.0")
    if steps is not None and not all(isinstance(t, int) and t >= 0 for t in steps):
        raise DataError(f"steps are numbered from 0; got {sorted(steps)!r:.60}")
    clamps = [Clamp.of(layers[layer], gate, value, units, direction, steps) for gate, value in gates.items()]
    layers[layer] = clamp(layers[layer], clamps)
    made = copy.copy(network)
    made.__dict__["_modules"] = {**network._modules, "memory": nn.ModuleList(layers)}
    return made.eval()


def frozen(network: Network) -> Network:
    """Return the network with a memory and a head that take no gradient; it shares the embedding."""
    made = copy.copy(network)
    own = {name: copy.deepcopy(part) for name, part in network._modules.items() if name != "embedding"}
    for part in own.values():
        if part is not None:
            part.requires_grad_(False)
    made.__dict__["_modules"] = {**network._modules, **own}
    return made.eval()
