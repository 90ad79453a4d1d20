"""Embedding → recurrent stack → output layer over the vocabulary: scores of the next id.

Legend: N packed rows, H hidden size, V vocabulary. Scores are unnormalised logarithms; a row's scores have
the same bits alone and in any batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gatelight.models.config import LanguageModelConfig
from gatelight.models.dropout import dropout
from gatelight.models.embedding import UNIFORM, Embedding
from gatelight.models.losses import softmax_losses
from gatelight.models.network import Generator, Ids, RecurrentNetwork, State, recurrent_layers
from gatelight.models.subwords import Subwords
from gatelight.nn import Packing
from gatelight.nn.linear import linear
from gatelight.nn.threads import single_threaded_torch

# Uniform in ±√3 is variance 1, as torch's embeddings start. With the classifier's ±0.05 a symbol hardly moves
# the gates at first: after a million characters it was 2.61 bits a character, so it is 2.41.
VARIANCE_ONE = math.sqrt(3)
ADAPTIVE_CUTS = (0.04, 0.2)  # of the ids, most frequent first: the head, and the first of two tails


class LanguageModel(RecurrentNetwork):
    """Scores of the next id after each of many sequences' ids."""

    config: LanguageModelConfig

    def __init__(self, config: LanguageModelConfig, seed: int = 0) -> None:
        """Start from `seed` as the classifier does, but vectors that are not tied with variance 1; the
        output layer uniform in ±1/√H, its bias zero.
        """
        super().__init__()
        self.config = config
        generator, size = torch.Generator().manual_seed(seed), config.size
        # A tied table is the output layer's too, so its gradient is that of all rows.
        self.embedding = Embedding(
            size, config.dim, dropout=config.embedding_dropout, sparse=not config.tied,
            bound=UNIFORM if config.tied else VARIANCE_ONE, generator=generator,
        )  # fmt: skip
        self.memory = recurrent_layers(config)
        bound = 1 / math.sqrt(config.hidden)
        with single_threaded_torch(), torch.no_grad():
            self._start_layers(generator)
            if config.output == "adaptive":
                cuts = sorted({max(2, int(fraction * size)) for fraction in ADAPTIVE_CUTS})
                self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(config.hidden, size, cuts)
                for parameter in self.adaptive.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)
            else:
                self.output_bias = nn.Parameter(torch.zeros(size))
                if not config.tied:
                    weight = torch.empty(size, config.hidden).uniform_(-bound, bound, generator=generator)
                    self.output_weight = nn.Parameter(weight)

    def output_layer(self) -> tuple[Tensor, Tensor]:
        """Weight [V, H] and bias [V] of an output that is not adaptive."""
        return self.embedding.weight if self.config.tied else self.output_weight, self.output_bias

    def hidden(
        self, ids: Ids, packing: Packing, state: State | None = None, generator: Generator = None,
        subwords: Subwords | None = None,
    ) -> tuple[Tensor, State]:  # fmt: skip
        """As every network's, with the dropout before the output layer."""
        rows, after = super().hidden(ids, packing, state, generator, subwords)
        rate = self.config.dropout if self.training else 0.0
        return dropout(rows, rate, generator, packing.row_numbers), after

    def scores(self, hidden: Tensor) -> Tensor:
        """Hidden rows [N, H] → scores [N, V], whose softmax is the distribution of the next id."""
        if self.config.output != "adaptive":
            return linear(hidden, *self.output_layer())
        adaptive = self.adaptive
        head = linear(hidden, adaptive.head.weight)
        parts = [head[:, : adaptive.shortlist_size]]
        total = torch.logsumexp(head, 1, keepdim=True)
        for number, tail in enumerate(adaptive.tail):
            inner, outer = tail.parameters()
            scores = linear(linear(hidden, inner), outer)
            cluster = head[:, adaptive.shortlist_size + number, None]
            parts.append(scores - torch.logsumexp(scores, 1, keepdim=True) + cluster)
        return torch.cat(parts, 1) - total

    def loss(self, hidden: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, int | None]:
        """Mean loss of hidden rows [N, H] before targets int64 [N], and how many the best score hits.

        With an adaptive output hits are not counted (None), nor with a sampled one, the loss of which is that
        among the samples.
        """
        if self.config.output == "adaptive":
            return self.adaptive(hidden, targets).loss, None
        if self.config.output == "sampled" and self.training:
            return self._sampled_loss(hidden, targets, generator), None
        losses, right = softmax_losses(self.scores(hidden), targets)
        return losses.mean(), right

    def _sampled_loss(self, hidden: Tensor, targets: Tensor, generator: Generator) -> Tensor:
        """Ids drawn to stand for all others, by importance sampling (Bengio & Senécal 2008)."""
        ids, expected = log_uniform(self.config.size, self.config.samples, generator)
        weight, bias = self.output_layer()
        true = (hidden * weight[targets]).sum(1) + bias[targets]
        others = linear(hidden, weight[ids], bias[ids] - expected.to(hidden.dtype))
        others = others.masked_fill(targets[:, None] == ids[None, :], float("-inf"))
        scores = torch.cat([true[:, None], others], 1)
        return softmax_losses(scores, torch.zeros(len(scores), dtype=torch.int64))[0].mean()


def log_uniform(size: int, samples: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draw ids int64 [S] below `size`, and float64 [S] the logarithms of how often each is expected.

    The log-uniform distribution suits ids by falling frequency.
    """
    draws = torch.rand(samples, generator=generator, dtype=torch.float64)
    ids = (torch.exp(draws * math.log(size + 1)) - 1).long().clamp_max(size - 1)
    probability = torch.log1p(1 / (ids.double() + 1)) / math.log(size + 1)
    return ids, torch.log(probability * samples)
