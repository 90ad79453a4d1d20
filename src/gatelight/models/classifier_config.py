"""The shape of a classifier and of its weights, as data; knows no torch.

Legend: D embedding size, F = directions × H, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from gatelight.errors import DataError
from gatelight.models.heads import HEADS
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.recurrent import parameter_shapes

# bias_hh does there what bias_ih cannot: the reset gate multiplies it.
BOTH_BIASES = frozenset({"gru"})


@dataclass(frozen=True)
class ClassifierConfig:
    """The shape of a classifier; raises DataError when a value cannot be."""

    vocabulary_size: int | None = None  # V with PAD and UNK; None: known once there are data
    dim: int = 128
    cell: str = "lstm"
    hidden: int = 128
    layers: int = 1
    bidirectional: bool = False
    pool: str = "last"
    max_length: int | None = None  # longest sequence in steps; "flatten" needs it
    outputs: int = 1  # 1: the sigmoid of two classes; C > 1: softmax, or C sigmoids when multilabel
    multilabel: bool = False
    dropout: float = 0.0  # before the dense layer; with "flatten" on the steps' rows
    embedding_dropout: float = 0.0  # elements of the table of distinct rows
    word_dropout: float = 0.0  # ids turned into UNK, or with subwords into the ids of their n-grams
    layer_dropout: float = 0.0  # between the recurrent layers
    train_embedding: bool = True
    buckets: int = 0  # rows beyond the vocabulary's, of which ids in `Subwords` are means

    def __post_init__(self) -> None:
        for name in ("dim", "hidden", "layers", "outputs"):
            _whole(name, getattr(self, name), 1)
        _whole("buckets", self.buckets, 0)
        if self.vocabulary_size is not None:
            _whole("vocabulary_size", self.vocabulary_size, 2)
        if self.max_length is not None:
            _whole("max_length", self.max_length, 1)
        for name in ("dropout", "embedding_dropout", "word_dropout", "layer_dropout"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
                raise DataError(f"{name} is {share!r}; expected a share from 0 up to, but not, 1")
        for name in ("bidirectional", "multilabel", "train_embedding"):
            if not isinstance(getattr(self, name), bool):
                raise DataError(f"{name} is {getattr(self, name)!r}; expected true or false")
        _one_of("cell", self.cell, EQUATIONS)
        _one_of("pool", self.pool, HEADS)
        if self.pool == "flatten" and self.max_length is None:
            raise DataError('pool "flatten" has weights for every step; give max_length, the number of steps')

    @property
    def features(self) -> int:
        """F, the width of a row of hidden states."""
        return self.hidden * (2 if self.bidirectional else 1)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassifierConfig:
        """The configuration that `to_dict` gave; DataError for a name that there is not."""
        if not isinstance(values, Mapping):
            kind = type(values).__name__
            raise DataError(f"the classifier's settings came as {kind}; expected names and values")
        # Development versions wrote it, 0 where words were not read by filters over their letters.
        values = {name: value for name, value in values.items() if name != "filters" or value}
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise DataError(f"unknown classifier setting {unknown[0]!r}; expected some of {', '.join(known)}")
        return cls(**values)


def head_shapes(config: ClassifierConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the head's weights: the dense layer's "weight" and "bias" and what the pool itself learns."""
    pool = HEADS[config.pool]
    width = pool.width(config.features) * (config.max_length or 0 if pool.gives_logits else 1)
    return {**pool.shapes(config.features), "weight": (config.outputs, width), "bias": (config.outputs,)}


def layer_shapes(config: ClassifierConfig) -> Iterator[dict[str, tuple[int, ...]]]:
    """Yield the shapes of each recurrent layer's weights by name."""
    size = config.dim
    for _ in range(config.layers):
        yield parameter_shapes(config.cell, size, config.hidden, 1 + config.bidirectional)
        size = config.features


def weight_shapes(config: ClassifierConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights by name, as in the state_dict of a `Classifier` of this configuration."""
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": ((config.vocabulary_size or 0) + config.buckets, config.dim)
    }
    for number, layer in enumerate(layer_shapes(config)):
        shapes |= {f"memory.{number}.{name}": shape for name, shape in layer.items()}
    return shapes | {f"head.{name}": shape for name, shape in head_shapes(config).items()}


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DataError(f"{name} is {value!r}; expected a whole number, at least {least}")


def _one_of(name: str, value: Any, choices: Mapping[str, Any]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise DataError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
