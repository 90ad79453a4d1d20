"""Embedding → recurrent stack → pooling head → dense layer; knows ids and lengths, no text and no training.

Legend: B sequences, N packed rows, D embedding size, H hidden size, F = directions × H, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.errors import DataError
from gatelight.memory import CELLS, Packing, pack
from gatelight.memory.equations import EQUATIONS
from gatelight.memory.operators import linear
from gatelight.memory.threads import single_threaded_torch
from gatelight.models.dropout import dropout, word_dropout, word_spelling
from gatelight.models.embedding import UNKNOWN, Embedding
from gatelight.models.pieces import Pieces
from gatelight.models.pooling import POOLS

# bias_hh does there what bias_ih cannot: the reset gate multiplies it.
BOTH_BIASES = frozenset({"gru"})

Ids = NDArray[np.int32]
Generator = torch.Generator | None
Lengths = NDArray[np.int64]


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
    word_dropout: float = 0.0  # ids turned into UNK, or with pieces into their spelling
    layer_dropout: float = 0.0  # between the recurrent layers
    train_embedding: bool = True
    buckets: int = 0  # rows beyond the vocabulary's, of which ids in `Pieces` are means

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
        _one_of("cell", self.cell, CELLS)
        _one_of("pool", self.pool, POOLS)
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


class Classifier(nn.Module):
    """Logits of sequences of ids."""

    def __init__(
        self,
        config: ClassifierConfig,
        vectors: NDArray[np.float32] | None = None,
        seed: int = 0,
        *,
        backend: str = "auto",
        device: str | None = None,
    ) -> None:
        """Start from `seed` as Keras: Glorot-uniform input weights, orthogonal recurrent ones, forget bias 1.

        `vectors` float32 [V, D] start the embedding; with `train_embedding` off they are shared, not copied.
        Raises DataError when config has no vocabulary_size or the vectors do not fit it.
        """
        super().__init__()
        if config.vocabulary_size is None:
            raise DataError("the classifier needs vocabulary_size, the number of rows of its embedding")
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        self.embedding = Embedding(
            config.vocabulary_size, config.dim, vectors=vectors, trained=config.train_embedding,
            buckets=config.buckets, dropout=config.embedding_dropout, generator=generator, device=device,
        )  # fmt: skip
        self.memory = nn.ModuleList(recurrent_layers(config, backend=backend, device=device))
        self.head = nn.ParameterDict(
            {
                name: nn.Parameter(torch.zeros(shape, device=device))
                for name, shape in head_shapes(config).items()
            }
        )
        if device != "meta":
            with single_threaded_torch():  # the orthogonal start depends on the threads otherwise
                self._start(generator)

    def _start(self, generator: torch.Generator) -> None:
        for layer in self.memory:
            for name, parameter in layer.named_parameters():
                start_recurrent(name, parameter, self.config, generator)
        nn.init.xavier_uniform_(self.head["weight"], generator=generator)

    def forward(
        self,
        ids: Ids | Tensor,
        lengths: Lengths | Tensor,
        generator: Generator = None,
        pieces: Pieces | None = None,
    ) -> Tensor:
        """ids int32 [sum of lengths], sequence after sequence, and lengths int64 [B] → logits [B, outputs].

        In training mode all dropouts draw from `generator` (None: torch's global one). `pieces` says what ids
        beyond the vocabulary are made of, for a model with `buckets`. Raises DataError when
        the lengths do not add up to the ids, an id is outside of the vocabulary or "flatten" meets a sequence
        longer than max_length.
        """
        flat, packing = self.pack(ids, lengths)
        hidden = self.hidden_rows(flat[packing.sequence_rows], packing, generator, pieces)
        logits = self.logits(hidden, packing, generator)
        return logits.index_select(0, torch.from_numpy(packing.positions()))

    def pack(self, ids: Ids | Tensor, lengths: Lengths | Tensor) -> tuple[Ids, Packing]:
        """The ids as an int32 array and the plan of their packed rows; DataError when they do not fit."""
        flat = np.ascontiguousarray(ids, dtype=np.int32)
        packing = pack(np.asarray(lengths))
        if flat.ndim != 1 or len(flat) != packing.rows:
            raise DataError(
                f"ids of shape {flat.shape} and lengths that add up to {packing.rows}; expected as many ids"
            )
        return flat, packing

    def hidden_rows(
        self, ids: Ids, packing: Packing, generator: Generator = None, pieces: Pieces | None = None
    ) -> Tensor:
        """Packed ids int32 [N] → the last layer's hidden states [N, F].

        In training a dropped word becomes UNK, or where `pieces` spell out the vocabulary too, its spelling.
        """
        if self.training and pieces is not None and pieces.first == self.config.vocabulary_size:
            ids = word_spelling(ids, self.config.word_dropout, pieces.first, generator)
        elif self.training:
            ids = word_dropout(ids, self.config.word_dropout, UNKNOWN, generator)
        rows, number = self.embedding(ids, generator, pieces)
        hidden, _ = self.memory[0].packed(rows, packing, token=torch.from_numpy(number))  # type: ignore[operator]
        return self.upper_rows(hidden, packing, generator)

    def upper_rows(self, hidden: Tensor, packing: Packing, generator: Generator = None) -> Tensor:
        """The first layer's hidden states [N, F] → the last layer's [N, F]."""
        for layer in list(self.memory)[1:]:
            if self.training:
                hidden = dropout(hidden, self.config.layer_dropout, generator)
            hidden, _ = layer.packed(hidden, packing)  # type: ignore[operator]
        return hidden

    def logits(self, hidden: Tensor, packing: Packing, generator: Generator = None) -> Tensor:
        """Hidden states [N, F] → logits [B, outputs] in packed order."""
        pool = POOLS[self.config.pool]
        share = self.config.dropout if self.training else 0.0
        weights = dict(self.head.items())
        directions = 2 if self.config.bidirectional else 1
        if pool.holds_dense:
            return pool.function(hidden, packing, weights, directions, share, generator)
        pooled = dropout(pool.function(hidden, packing, weights, directions), share, generator)
        return linear(pooled, weights["weight"], weights["bias"])


def recurrent_layers(
    config: ClassifierConfig, *, backend: str = "auto", device: str | None = None
) -> Iterator[nn.Module]:
    """The stack's layers, one by one.

    torch's layers have two bias vectors that are only ever added together; of these bias_hh is fixed at zero
    and not trained, except in the cells of BOTH_BIASES.
    """
    size = config.dim
    for _ in range(config.layers):
        layer = CELLS[config.cell](
            size, config.hidden, bidirectional=config.bidirectional, backend=backend, device=device
        )
        if config.cell not in BOTH_BIASES:
            for name, parameter in layer.named_parameters():
                if name.startswith("bias_hh"):
                    parameter.requires_grad_(False)
        yield layer
        size = config.features


def head_shapes(config: ClassifierConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of the head's weights: the dense layer's "weight" and "bias" and what the pool itself learns."""
    pool = POOLS[config.pool]
    width = pool.width(config.features) * (config.max_length or 0 if pool.holds_dense else 1)
    return {
        **pool.weights(config.features),
        "weight": (config.outputs, width),
        "bias": (config.outputs,),
    }


def start_recurrent(
    name: str, parameter: nn.Parameter, config: ClassifierConfig, generator: torch.Generator
) -> None:
    """Give a recurrent layer's parameter of this name its start."""
    with torch.no_grad():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter, generator=generator)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter, generator=generator)
        else:  # biases; and peepholes, so that a peephole LSTM starts as an LSTM
            parameter.zero_()
            gates = EQUATIONS[config.cell].gates
            if name.startswith("bias_ih") and "forget_gate" in gates:
                parameter.view(len(gates), -1)[gates.index("forget_gate")] = 1  # Jozefowicz et al. 2015


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DataError(f"{name} is {value!r}; expected a whole number, at least {least}")


def _one_of(name: str, value: Any, choices: Mapping[str, Any]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise DataError(f"{name} is {value!r}; expected one of {', '.join(choices)}")
