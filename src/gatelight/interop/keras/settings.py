"""One layer's settings in Keras's words of any version; knows no layer's meaning.

A setting that is neither asked for nor known to be harmless is refused by name, unless it is switched off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatelight.errors import DataError
from gatelight.interop.keras.architecture import Entry, inner

# They say how a model begins, is trained or is laid out in memory, none of which changes what it answers.
HARMLESS = {
    "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape", "input_dim", "autocast",
    "input_length", "input_dtype", "batch_size", "seed", "noise_shape", "dropout", "recurrent_dropout",
    "dropout_W", "dropout_U", "consume_less", "implementation", "unroll", "unit_forget_bias",
    "forget_bias_init", "init", "inner_init", "sparse", "use_cudnn",
}  # fmt: skip
HARMLESS_ENDINGS = ("_initializer", "_regularizer", "_constraint", "_init")
USUAL = {"data_format": "channels_last", "axis": -1}
SAME_IN_ALL_VERSIONS = ("linear", "sigmoid", "tanh", "relu", "softmax", "softplus", "softsign", "elu")


class Settings:
    """One layer's settings, of which all must be asked for, be harmless or be switched off.

    `forces_zeros`: Bidirectional gives zeros where masked.
    """

    def __init__(self, entry: Entry, keras_3: bool, forces_zeros: bool) -> None:
        self.kind, self.name, self.mark, self._config = entry.kind, entry.name, entry.mark, entry.config
        self.keras_3, self.forces_zeros = keras_3, forces_zeros
        self._asked: set[str] = set()

    def within(self, key: str = "layer") -> Settings:
        """The settings of the layer that this one wraps."""
        self._asked.add(key)
        return Settings(inner(self._config, key), self.keras_3, self.forces_zeros)

    def get(self, *names: str, default: Any = None) -> Any:
        """The value under the first of these names (versions differ) that is there."""
        self._asked |= set(names)
        return next((self._config[name] for name in names if name in self._config), default)

    def function(self, *names: str, default: str = "linear") -> str:
        """The name of an activation, by our names; DataError for one that there is not."""
        value = self.get(*names, default=default)
        if isinstance(value, Mapping):
            value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
        if value is None:
            return "linear"
        if value == "hard_sigmoid":
            return "hard_sigmoid_sixth" if self.keras_3 else "hard_sigmoid_fifth"
        if value not in SAME_IN_ALL_VERSIONS:
            raise DataError(
                f"the layer {self.name!r} ({self.kind}) has the activation {value!r:.60}, which is not "
                "supported"
            )
        return str(value)

    def finish(self) -> None:
        """Raise DataError for a setting that nobody asked for and that is not switched off."""
        for name, value in self._config.items():
            known = name in self._asked or name in HARMLESS or name.endswith(HARMLESS_ENDINGS)
            if not known and value not in (None, False, 0, "", [], {}, USUAL.get(name)):
                raise DataError(
                    f"the layer {self.name!r} ({self.kind}) has the setting {name} = {value!r:.60}, which is "
                    "not supported; switch it off in the architecture if it does not matter"
                )
