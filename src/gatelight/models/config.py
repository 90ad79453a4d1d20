"""The shape of a network and of its weights, as data.

Legend: D embedding size, F = directions × H, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from gatelight.errors import DataError
from gatelight.models.heads import HEADS
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.recurrent import parameter_shapes

# bias_hh does there what bias_ih cannot: the reset gate multiplies it.
BOTH_BIASES = frozenset({"gru"})
OUTPUTS = ("softmax", "adaptive", "sampled")


class Config:
    """Settings that become JSON and come back; a subclass is a dataclass that checks its values."""

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The settings that `to_dict` gave; DataError for anything else."""
        if not isinstance(values, Mapping):
            raise DataError(f"settings came as {type(values).__name__}; expected names and values")
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        for name in values:
            if name not in known:
                raise DataError(f"unknown setting {name!r}; expected some of {', '.join(known)}")
        return cls(**values)


@dataclass(frozen=True)
class NetworkConfig(Config):
    """What a classifier and a language model share; raises DataError when a value cannot be."""

    vocabulary_size: int | None = None  # V with PAD and UNK; None: known once there are data
    dim: int = 128
    cell: str = "lstm"
    hidden: int = 128
    layers: int = 1
    dropout: float = 0.0  # before the output layer; with "flatten" on the steps' rows
    embedding_dropout: float = 0.0  # elements of the table of distinct rows
    layer_dropout: float = 0.0  # between the recurrent layers

    def __post_init__(self) -> None:
        for name in ("dim", "hidden", "layers"):
            check_whole(name, getattr(self, name), 1)
        if self.vocabulary_size is not None:
            check_whole("vocabulary_size", self.vocabulary_size, 2)
        for name in ("dropout", "embedding_dropout", "layer_dropout"):
            check_number(name, getattr(self, name), least=0.0, below=1.0)
        check_choice("cell", self.cell, EQUATIONS)

    @property
    def directions(self) -> int:
        """1, or 2 where the layers read from both ends."""
        return 1

    @property
    def features(self) -> int:
        """F, the width of a row of hidden states."""
        return self.hidden * self.directions


@dataclass(frozen=True)
class ClassifierConfig(NetworkConfig):
    """The shape of a classifier."""

    bidirectional: bool = False
    pool: str = "last"
    max_length: int | None = None  # longest sequence in steps; "flatten" needs it
    outputs: int = 1  # 1: the sigmoid of two classes; C > 1: softmax, or C sigmoids when multilabel
    multilabel: bool = False
    word_dropout: float = 0.0  # ids turned into UNK, or with subwords into the ids of their n-grams
    train_embedding: bool = True
    buckets: int = 0  # rows after the vocabulary's, of which ids in `Subwords` are means

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("outputs", self.outputs, 1)
        check_whole("buckets", self.buckets, 0)
        if self.max_length is not None:
            check_whole("max_length", self.max_length, 1)
        check_number("word_dropout", self.word_dropout, least=0.0, below=1.0)
        for name in ("bidirectional", "multilabel", "train_embedding"):
            check_flag(name, getattr(self, name))
        check_choice("pool", self.pool, HEADS)
        if self.pool == "flatten" and self.max_length is None:
            raise DataError('pool "flatten" has weights for every step; give max_length, the number of steps')

    @property
    def directions(self) -> int:
        """1, or 2 where the layers read from both ends."""
        return 2 if self.bidirectional else 1


@dataclass(frozen=True)
class LanguageModelConfig(NetworkConfig):
    """The shape of a language model."""

    hidden: int = 256
    tied: bool = False  # whether the output layer's weights are the embedding's
    output: str = "softmax"  # "sampled" only in training; "adaptive": Grave et al. 2017
    samples: int = 1024  # of "sampled": ids drawn for each batch

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("vocabulary_size", self.vocabulary_size, 2)
        check_choice("output", self.output, OUTPUTS)
        check_flag("tied", self.tied)
        check_whole("samples", self.samples, 1)
        if self.tied and self.dim != self.hidden:
            raise DataError(
                "tied weights need vectors as large as the hidden state; "
                f"dim is {self.dim}, hidden {self.hidden}"
            )
        if self.tied and self.output == "adaptive":
            raise DataError("an adaptive output has weights of its own; leave tied off, or choose another")
        if self.output == "adaptive" and self.size < 50:
            raise DataError(
                f"an adaptive output is for large vocabularies, this one has {self.vocabulary_size} tokens; "
                "choose output 'softmax'"
            )

    @property
    def size(self) -> int:
        """V."""
        return self.vocabulary_size or 0


def head_shapes(config: ClassifierConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the head's weights: the dense layer's "weight" and "bias" and what the pool itself learns."""
    head = HEADS[config.pool]
    width = head.width(config.features) * (config.max_length or 0 if head.gives_logits else 1)
    return {**head.shapes(config.features), "weight": (config.outputs, width), "bias": (config.outputs,)}


def layer_shapes(config: NetworkConfig) -> Iterator[dict[str, tuple[int, ...]]]:
    """Yield the shapes of each recurrent layer's weights by name."""
    size = config.dim
    for _ in range(config.layers):
        yield parameter_shapes(config.cell, size, config.hidden, config.directions)
        size = config.features


def weight_shapes(config: ClassifierConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights by name, as in the state_dict of a `Classifier` of this configuration."""
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": ((config.vocabulary_size or 0) + config.buckets, config.dim)
    }
    for number, layer in enumerate(layer_shapes(config)):
        shapes |= {f"memory.{number}.{name}": shape for name, shape in layer.items()}
    return shapes | {f"head.{name}": shape for name, shape in head_shapes(config).items()}


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise DataError unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DataError(f"{name} is {value!r}; expected a whole number, at least {least}")


def check_number(
    name: str, value: Any, *, least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> None:
    """Raise DataError unless `value` is a finite number, at least `least`, above and below the others."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (fits and least <= value and above < value < below):
        low = f"above {above:g}" if above > -math.inf else f"of at least {least:g}"
        high = f", below {below:g}" if below < math.inf else ""
        raise DataError(f"{name} is {value!r}; expected a number {low}{high}")


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise DataError unless `value` is one of the names."""
    if not isinstance(value, str) or value not in choices:
        raise DataError(f"{name} is {value!r}; expected one of {', '.join(choices)}")


def check_flag(name: str, value: Any) -> None:
    """Raise DataError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise DataError(f"{name} is {value!r}; expected true or false")
