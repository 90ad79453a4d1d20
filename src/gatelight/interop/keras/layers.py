"""Keras's layers of version 1, 2 or 3 as layers of a chain; knows no weights and no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gatelight.errors import DataError
from gatelight.interop.keras.architecture import Architecture, Entry, inner
from gatelight.interop.keras.feedforward import (
    Activation,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Form,
    Layer,
    Masking,
    Pool,
    Repeat,
    WindowPool,
)
from gatelight.interop.keras.recurrent import Memory
from gatelight.interop.keras.sequential import Blueprint
from gatelight.interop.keras.settings import Settings

CELLS = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru"}


def blueprint(found: Architecture) -> Blueprint:
    """The chain of an architecture; raises DataError, naming the layer, for what is not supported."""
    layers = tuple(layer_of(entry, found) for entry in found.layers)
    if not layers:
        raise DataError("the model has no layers")
    shape = found.shape
    if isinstance(layers[0], Embedding):
        steps = shape[0] if shape else None
        return Blueprint(Form(steps), without_padding_marks(layers))
    if shape is None or not 1 <= len(shape) <= 2 or shape[-1] is None:
        raise DataError(f"the input's shape is {shape}; expected [steps, features] or [features]")
    form = Form(shape[0], shape[1]) if len(shape) == 2 else Form(None, shape[0], False)
    return Blueprint(form, without_padding_marks(layers))


def without_padding_marks(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Layers without the marks of absent steps, which the maximum after them takes over."""
    out: list[Layer] = []
    for layer in layers:
        if out and isinstance(out[-1], PaddingMark):
            if not isinstance(layer, Pool) or layer.pool != "max":
                raise DataError(
                    f"the layer {out[-1].name!r} adds to each step; supported before a maximum only"
                )
            out[-1] = Pool(layer.name, "max", masked=True)
        else:
            out.append(layer)
    return tuple(out)


class PaddingMark(Layer):
    """Adds a number per id, low where steps are absent, so that a maximum passes them over."""


def layer_of(entry: Entry, found: Architecture) -> Layer:
    """One layer of a chain."""
    if entry.kind not in SUPPORTED and entry.padding is None:
        raise DataError(
            f"the layer {entry.name!r} is {entry.kind!r:.60}, which is not supported; supported are "
            f"{', '.join(SUPPORTED)}"
        )
    if entry.padding is not None:
        return PaddingMark(entry.name)
    settings = Settings(entry, found.version, found.forces_zeros)
    if entry.kind in WRAPPERS:
        within = Settings(inner(entry.config), found.version, found.forces_zeros)
        return WRAPPERS[entry.kind](settings, within)
    layer = LAYERS[entry.kind](settings)
    settings.finish()
    return layer


def _embedding(of: Settings) -> Layer:
    return Embedding(
        of.name, of.get("input_dim"), of.get("output_dim"), bool(of.get("mask_zero", default=False))
    )


def _masking(of: Settings) -> Layer:
    return Masking(of.name, of.get("mask_value", default=0.0))


def _memory(of: Settings) -> Memory:
    cudnn = of.kind.startswith("CuDNN")
    cell = CELLS[of.kind]
    hidden = of.get("units", "output_dim")
    state = of.function("activation", default="tanh")
    gate = of.function(
        "recurrent_activation", "inner_activation",
        default="sigmoid" if cudnn or of.version == 3 else "hard_sigmoid",
    )  # fmt: skip
    of.get("use_bias", "bias")  # the weights show it
    of.wants("return_state", False, False)
    of.wants("time_major", False, False)
    if of.get("stateful"):
        raise DataError(
            f"the layer {of.name!r} is stateful: it goes on where the batch before ended; here every "
            "sequence begins anew. Set stateful to false in the architecture if that is meant"
        )
    reset_after = bool(of.get("reset_after", default=cudnn or of.version == 3)) if cell == "gru" else True
    return Memory(
        of.name, cell, hidden,
        gate="sigmoid" if cell == "rnn" else gate,
        state=state,
        reset_after=reset_after,
        all_steps=bool(of.get("return_sequences", default=False)),
        backwards=bool(of.get("go_backwards", default=False)),
        zeros_where_masked=bool(of.get("zero_output_for_mask", default=False)),
    )  # fmt: skip


def _dense(of: Settings) -> Dense:
    return Dense(
        of.name, of.get("units", "output_dim"), of.function("activation"),
        bool(of.get("use_bias", "bias", default=True)),
    )  # fmt: skip


def _activation(of: Settings) -> Layer:
    return Activation(of.name, of.function("activation"))


def _softmax(of: Settings) -> Layer:
    of.wants("axis", -1, -1)
    return Activation(of.name, "softmax")


def _relu(of: Settings) -> Layer:
    return Activation(of.name, "relu")


def _dropout(of: Settings) -> Layer:
    return Dropout(of.name, of.get("rate", "p", default=0.0), of.kind.startswith("Spatial"))


def _channels_last(of: Settings) -> None:
    of.wants("data_format", "channels_last", "channels_last")


def _flatten(of: Settings) -> Layer:
    _channels_last(of)
    return Flatten(of.name)


def _pool(of: Settings) -> Layer:
    _channels_last(of)
    of.wants("keepdims", False, False)
    return Pool(of.name, "max" if "Max" in of.kind else "mean")


def _repeat(of: Settings) -> Layer:
    return Repeat(of.name, of.get("n"))


def _convolution(of: Settings) -> Layer:
    _channels_last(of)
    of.wants("groups", 1, 1)
    of.get("rank")
    return Convolution(
        of.name,
        of.get("filters", "nb_filter"),
        of.whole("kernel_size", "filter_length"),
        of.whole("strides", "subsample_length", default=1),
        of.whole("dilation_rate", default=1),
        of.get("padding", "border_mode", default="valid"),
        of.function("activation"),
        bool(of.get("use_bias", "bias", default=True)),
    )


def _window_pool(of: Settings) -> Layer:
    _channels_last(of)
    width = of.whole("pool_size", "pool_length", default=2)
    stride = of.whole("strides", "stride")
    return WindowPool(
        of.name, width, width if stride is None else stride, of.get("padding", "border_mode", default="valid")
    )


def _bidirectional(of: Settings, within: Settings) -> Layer:
    if within.kind not in CELLS:
        raise DataError(f"the layer {of.name!r} wraps {within.kind!r:.60}, which is not supported there")
    forwards = _memory(within)
    within.finish()
    other = of.get("backward_layer")
    if other is not None:
        behind = Settings(inner({"name": of.name, "layer": other}), of.version, of.forces_zeros)
        backwards = _memory(behind) if behind.kind == within.kind else None
        if backwards is None or (backwards.functions, backwards.hidden, backwards.all_steps) != (
            forwards.functions, forwards.hidden, forwards.all_steps
        ) or backwards.backwards == forwards.backwards:  # fmt: skip
            raise DataError(f"the layer {of.name!r} has two unlike directions, which is not supported")
    merge = of.get("merge_mode", default="concat")
    if merge is None:
        raise DataError(f"the layer {of.name!r} gives two outputs (merge_mode None), which is not supported")
    of.get("layer")
    of.finish()
    zeros = forwards.all_steps if of.forces_zeros else forwards.zeros_where_masked
    return Memory(
        of.name, forwards.cell, forwards.hidden, forwards.gate, forwards.state, forwards.reset_after,
        forwards.all_steps, forwards.backwards, merge, zeros,
    )  # fmt: skip


def _each_step(of: Settings, within: Settings) -> Layer:
    if within.kind not in ("Dense", "Activation", "Dropout"):
        raise DataError(f"the layer {of.name!r} wraps {within.kind!r:.60}, which is not supported there")
    layer = LAYERS[within.kind](within)
    within.finish()
    of.get("layer")
    of.finish()
    return replace(layer, name=of.name)


WRAPPERS: dict[str, Callable[[Settings, Settings], Layer]] = {
    "Bidirectional": _bidirectional,
    "TimeDistributed": _each_step,
}
LAYERS: dict[str, Callable[[Settings], Layer]] = {
    "Embedding": _embedding,
    "Masking": _masking,
    **dict.fromkeys(CELLS, _memory),
    "Dense": _dense,
    "TimeDistributedDense": _dense,
    "Activation": _activation,
    "ReLU": _relu,
    "Softmax": _softmax,
    **dict.fromkeys(("Dropout", "SpatialDropout1D"), _dropout),
    "Flatten": _flatten,
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalAveragePooling1D"), _pool),
    "RepeatVector": _repeat,
    **dict.fromkeys(("Conv1D", "Convolution1D"), _convolution),
    "MaxPooling1D": _window_pool,
}
SUPPORTED = sorted({*LAYERS, *WRAPPERS, "InputLayer"})
