"""Weights in Keras's order, of version 1, 2, 3 or CuDNN, as weights of a chain; knows arrays, not files.

Keras keeps matrices as [in, out], LSTM's gates as i, f, c, o and GRU's as z, r, h; what comes out has the
order of `memory.equations` and torch's [out, in].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.interop.keras.feedforward import Convolution, Dense, Embedding, Layer
from gatelight.interop.keras.recurrent import Memory
from gatelight.nn.equations import EQUATIONS

Array = NDArray[np.float32]

GATES = {
    "rnn": ("hidden_state",),
    "lstm": ("input_gate", "forget_gate", "candidate", "output_gate"),
    "gru": ("update_gate", "reset_gate", "candidate"),
}
# Keras 1 kept each gate apart (kernel, recurrent kernel, bias of one gate, then of the next).
GATES_OF_KERAS_1 = {
    "lstm": ("input_gate", "candidate", "forget_gate", "output_gate"),
    "gru": ("update_gate", "reset_gate", "candidate"),
}
ABSENT = -2.0  # what a padding mark adds: hidden states are above -1


def converted(layer: Layer, arrays: Sequence[Array]) -> dict[str, Array]:
    """The weights of one layer by the chain's names; DataError, naming the layer, when they cannot be its."""
    try:
        if isinstance(layer, Memory):
            return _memory(layer, arrays)
        if isinstance(layer, Embedding):
            (table,) = arrays
            return {"table": table}
        if isinstance(layer, Dense):
            kernel, *bias = arrays
            return {"weight": kernel.T, **_bias(bias)}
        if isinstance(layer, Convolution):
            kernel, *bias = arrays
            return {"weight": _convolution(layer, kernel).transpose(2, 1, 0), **_bias(bias)}
        () = arrays
    except (ValueError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        shapes = ", ".join(str(list(array.shape)) for array in arrays) or "none"
        raise DataError(
            f"the weights of the layer {layer.name!r} have the shapes {shapes}, which do not fit its settings"
        ) from None
    return {}


def has_weights(layer: Layer) -> bool:
    """Whether a layer has weights at all."""
    return isinstance(layer, (Memory, Embedding, Dense, Convolution))


def is_padding_mark(arrays: Sequence[Array]) -> bool:
    """Whether a table [V, 1] marks the id 0 alone, so low that a maximum of hidden states passes it over."""
    return len(arrays) == 1 and bool((arrays[0][0] <= ABSENT).all()) and not arrays[0][1:].any()


def _bias(arrays: Sequence[Array]) -> dict[str, Array]:
    if not arrays:
        return {}
    (bias,) = arrays
    return {"bias": bias}


def _convolution(layer: Convolution, kernel: Array) -> Array:
    """Keras 1 has [width, 1, in, out], and before that [out, in, width, 1]; since then [width, in, out]."""
    if kernel.ndim == 4 and kernel.shape[1] == 1 and kernel.shape[0] == layer.width:
        return kernel[:, 0]
    if kernel.ndim == 4:
        return kernel[:, :, :, 0].transpose(2, 1, 0)
    if kernel.ndim != 3:
        raise ValueError("not of this kind")
    return kernel


def _memory(layer: Memory, arrays: Sequence[Array]) -> dict[str, Array]:
    each, rest = divmod(len(arrays), len(layer.suffixes))
    if rest:
        raise ValueError("not as many for each direction")
    return {
        name + suffix: array
        for number, suffix in enumerate(layer.suffixes)
        for name, array in _direction(layer, arrays[number * each : (number + 1) * each]).items()
    }


def _direction(layer: Memory, arrays: Sequence[Array]) -> dict[str, Array]:
    cell, gates = layer.cell, len(GATES[layer.cell])
    if cell != "rnn" and len(arrays) == 3 * gates:
        apart = dict(zip(GATES_OF_KERAS_1[cell], np.split(np.arange(3 * gates), gates), strict=True))
        order = [apart[gate] for gate in GATES[cell]]
        arrays = [np.concatenate([arrays[places[part]] for places in order], axis=-1) for part in range(3)]
    kernel, recurrent, *rest = arrays
    hidden = layer.hidden
    bias = rest[0] if rest else np.zeros(gates * hidden, np.float32)
    if len(rest) > 1 or kernel.ndim != 2 or recurrent.shape != (hidden, gates * hidden):
        raise ValueError("not of this size")
    if cell != "rnn" and bias.shape == (2 * gates * hidden,):
        kernel, recurrent, bias = _from_cudnn(layer, kernel, recurrent, bias, gates)
    second = np.zeros(gates * hidden, np.float32)
    if cell == "gru" and bias.shape == (2, gates * hidden):
        if not layer.reset_after:
            raise DataError(
                f"the layer {layer.name!r} is a GRU with reset_after=False, but its weights are of one with "
                "reset_after=True"
            )
        bias, second = bias
    elif cell == "gru" and rest and layer.reset_after:
        raise DataError(
            f"the layer {layer.name!r} is a GRU with reset_after=True, but its weights are of one with "
            "reset_after=False"
        )
    if bias.shape != (gates * hidden,):
        raise ValueError("a bias of another size")
    return {
        "weight_ih": _reordered(kernel.T, cell),
        "weight_hh": _reordered(recurrent.T, cell),
        "bias_ih": _reordered(bias, cell),
        "bias_hh": _reordered(second, cell),
    }


def _reordered(rows: Array, cell: str) -> Array:
    """Blocks of H rows from Keras's gate order into ours."""
    blocks = dict(zip(GATES[cell], np.split(rows, len(GATES[cell])), strict=True))
    return np.concatenate([blocks[gate] for gate in EQUATIONS[cell].gates])


def keras_order(rows: Array, cell: str) -> Array:
    """Blocks of H rows from our gate order into Keras's."""
    blocks = dict(zip(EQUATIONS[cell].gates, np.split(rows, len(GATES[cell])), strict=True))
    return np.concatenate([blocks[gate] for gate in GATES[cell]])


def _from_cudnn(
    layer: Memory, kernel: Array, recurrent: Array, bias: Array, gates: int
) -> tuple[Array, Array, Array]:
    """CuDNN's layers keep each gate's matrices transposed, and a bias for each of the two products."""
    if layer.cell == "gru" and not layer.reset_after:
        raise DataError(
            f"the layer {layer.name!r} is a GRU with reset_after=False, but its weights are of CuDNNGRU, "
            "which has reset_after=True"
        )
    kernels = [part.T.reshape(part.shape, order="F") for part in np.split(kernel, gates, axis=1)]
    recurrents = [part.T for part in np.split(recurrent, gates, axis=1)]
    both = bias.reshape(2, -1)
    return np.hstack(kernels), np.hstack(recurrents), both if layer.cell == "gru" else both.sum(axis=0)
