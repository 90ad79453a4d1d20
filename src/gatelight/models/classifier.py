"""Embedding → recurrent stack → pooling head → dense layer; knows ids and lengths, no text and no training.

Legend: B sequences, N packed rows, D embedding size, F = directions × H, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.errors import DataError
from gatelight.models.batches import packed
from gatelight.models.config import ClassifierConfig, head_shapes
from gatelight.models.dropout import dropout, word_dropout
from gatelight.models.embedding import Embedding
from gatelight.models.heads import HEADS
from gatelight.models.network import Generator, Ids, RecurrentNetwork, State, recurrent_layers
from gatelight.models.pooling import pooled
from gatelight.models.subwords import UNKNOWN, Subwords
from gatelight.nn import Packing
from gatelight.nn.linear import linear
from gatelight.nn.threads import single_threaded_torch


class Classifier(RecurrentNetwork):
    """Logits of sequences of ids."""

    config: ClassifierConfig

    def __init__(
        self,
        config: ClassifierConfig,
        vectors: NDArray[np.float32] | None = None,
        seed: int = 0,
        *,
        device: str | None = None,
    ) -> None:
        """Start from `seed` as Keras does.

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
        self.memory = recurrent_layers(config, device=device)
        self.head = nn.ParameterDict(
            {
                name: nn.Parameter(torch.zeros(shape, device=device))
                for name, shape in head_shapes(config).items()
            }
        )
        if device != "meta":
            with single_threaded_torch(), torch.no_grad():  # an orthogonal start depends on the threads
                self._start_layers(generator)
                nn.init.xavier_uniform_(self.head["weight"], generator=generator)

    def forward(
        self,
        ids: Ids | Tensor,
        lengths: NDArray[np.int64] | Tensor,
        generator: Generator = None,
        subwords: Subwords | None = None,
    ) -> Tensor:
        """ids int32 [sum of lengths], sequence after sequence, and lengths int64 [B] → logits [B, outputs].

        `generator` and `subwords` as in `hidden`. Raises DataError when the lengths do not add up to the ids,
        an id is outside of the vocabulary or "flatten" meets a sequence longer than max_length.
        """
        flat, packing = packed(ids, np.asarray(lengths))
        hidden, _ = self.hidden(packing.gathered(flat), packing, None, generator, subwords)
        logits = self.logits(hidden, packing, generator)
        return logits.index_select(0, torch.from_numpy(packing.positions))

    def hidden(
        self, ids: Ids, packing: Packing, state: State | None = None, generator: Generator = None,
        subwords: Subwords | None = None,
    ) -> tuple[Tensor, State]:  # fmt: skip
        """As every network's; a dropped word becomes UNK, or its n-grams where `subwords` have all words'."""
        if self.training:
            first = self.config.vocabulary_size
            instead: int | Ids = UNKNOWN
            if subwords is not None and subwords.first == first:
                instead = np.where(ids < first, ids + first, ids)
            ids = word_dropout(ids, self.config.word_dropout, instead, generator, packing.row_numbers)
        return super().hidden(ids, packing, state, generator, subwords)

    def logits(self, hidden: Tensor, packing: Packing, generator: Generator = None) -> Tensor:
        """Hidden states [N, F] → logits [B, outputs] in packed order."""
        config, weights = self.config, dict(self.head.items())
        rate = config.dropout if self.training else 0.0
        if HEADS[config.pool].gives_logits:
            hidden = dropout(hidden, rate, generator, packing.row_numbers)
            return pooled(config.pool, hidden, packing, weights, config.directions)
        rows = pooled(config.pool, hidden, packing, weights, config.directions)
        rows = dropout(rows, rate, generator, packing.sequence_numbers)
        return linear(rows, weights["weight"], weights["bias"])


def classifier_of(config: ClassifierConfig, weights: Mapping[str, NDArray[Any]]) -> Classifier:
    """A classifier in evaluation mode that shares its weights with arrays, named as its state_dict is."""
    model = Classifier(config, device="meta")
    # A table that was frozen stays so, and bias_hh untrained.
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, assign=True)
    return model.eval()
