"""Embedding → recurrent stack → pooling head → dense layer; knows ids and lengths, no text and no training.

Legend: B sequences, N packed rows, D embedding size, H hidden size, F = directions × H, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.errors import DataError
from gatelight.models.batches import packed
from gatelight.models.classifier_config import BOTH_BIASES, ClassifierConfig, head_shapes
from gatelight.models.dropout import dropout, word_dropout, word_to_subwords
from gatelight.models.embedding import Embedding
from gatelight.models.heads import HEADS
from gatelight.models.pooling import pooled
from gatelight.models.rows import UNKNOWN
from gatelight.models.subwords import Subwords
from gatelight.nn import CELLS, Packing
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.linear import linear
from gatelight.nn.threads import single_threaded_torch

Ids = NDArray[np.int32]
Generator = torch.Generator | None
Lengths = NDArray[np.int64]


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
        subwords: Subwords | None = None,
    ) -> Tensor:
        """ids int32 [sum of lengths], sequence after sequence, and lengths int64 [B] → logits [B, outputs].

        In training mode all dropouts draw from `generator` (None: torch's global one). `subwords` says
        what ids beyond the vocabulary are made of, for a model with `buckets`. Raises DataError when the
        lengths do not add up to the ids, an id is outside of the vocabulary or "flatten" meets a sequence
        longer than max_length.
        """
        flat, packing = packed(ids, np.asarray(lengths))
        hidden = self.hidden_rows(packing.gathered(flat), packing, generator, subwords)
        logits = self.logits(hidden, packing, generator)
        return logits.index_select(0, torch.from_numpy(packing.positions))

    def hidden_rows(
        self, ids: Ids, packing: Packing, generator: Generator = None, subwords: Subwords | None = None
    ) -> Tensor:
        """Packed ids int32 [N] → the last layer's hidden states [N, F]."""
        rows, number = self.read(ids, generator, subwords)
        hidden, _ = self.memory[0].packed(rows, packing, index=torch.from_numpy(number))  # type: ignore[operator]
        return self.upper_rows(hidden, packing, generator)

    def read(
        self, ids: Ids, generator: Generator = None, subwords: Subwords | None = None
    ) -> tuple[Tensor, Ids]:
        """Packed ids int32 [N] → rows [U, D] of the distinct ones, number int32 [N] of the row of each.

        In training a dropped word becomes UNK, or its n-grams where `subwords` have some for each."""
        if self.training and subwords is not None and subwords.first == self.config.vocabulary_size:
            ids = word_to_subwords(ids, self.config.word_dropout, subwords.first, generator)
        elif self.training:
            ids = word_dropout(ids, self.config.word_dropout, UNKNOWN, generator)
        return self.embedding(ids, generator, subwords)  # type: ignore[no-any-return]

    def upper_rows(self, hidden: Tensor, packing: Packing, generator: Generator = None) -> Tensor:
        """The first layer's hidden states [N, F] → the last layer's [N, F]."""
        for layer in list(self.memory)[1:]:
            if self.training:
                hidden = dropout(hidden, self.config.layer_dropout, generator)
            hidden, _ = layer.packed(hidden, packing)  # type: ignore[operator]
        return hidden

    def logits(self, hidden: Tensor, packing: Packing, generator: Generator = None) -> Tensor:
        """Hidden states [N, F] → logits [B, outputs] in packed order."""
        pool = self.config.pool
        share = self.config.dropout if self.training else 0.0
        weights = dict(self.head.items())
        directions = 2 if self.config.bidirectional else 1
        if HEADS[pool].gives_logits:
            return pooled(pool, dropout(hidden, share, generator), packing, weights, directions)
        rows = dropout(pooled(pool, hidden, packing, weights, directions), share, generator)
        return linear(rows, weights["weight"], weights["bias"])


def classifier_of(config: ClassifierConfig, weights: Mapping[str, NDArray[Any]]) -> Classifier:
    """A classifier in evaluation mode that shares its weights with arrays, named as its state_dict is."""
    model = Classifier(config, device="meta")
    # A table that was frozen stays so, and bias_hh untrained.
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, assign=True)
    return model.eval()


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


def zero_state(config: ClassifierConfig, sequences: int) -> list[tuple[Tensor, ...]]:
    """The state of each layer of one direction before the first id: (h [1, B, H],) or (h, c), zeros."""
    zeros = torch.zeros(1, sequences, config.hidden)
    return [(zeros,) * (2 if EQUATIONS[config.cell].has_cell_state else 1) for _ in range(config.layers)]


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
