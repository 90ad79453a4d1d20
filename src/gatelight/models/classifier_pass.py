"""A classifier forward, and back to the gradients of what it trains, on arrays: how a training step runs it.

Dropout draws as `Classifier` does, and every function is one that its operators call, so results and
gradients have its bits; only the way through autograd, a quarter of a small batch's time, is left out.
Knows ids and logits, neither targets nor losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from gatelight.models.ahead import Ahead, Batch
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier, Generator
from gatelight.models.dropout import draw_seed, drop_step
from gatelight.models.dropping import Drop
from gatelight.models.pieces import Pieces
from gatelight.models.pools import POOLS, Flatten
from gatelight.models.rows import Ids
from gatelight.nn.layer_pass import Back, LayerPass, bare, give, hand_on
from gatelight.nn.packing import Packing
from gatelight.nn.product import linear_back, rows_times_turned

Floats = NDArray[Any]


class ClassifierPass:
    """The passes of one classifier; it shares its parameters' memory."""

    def __init__(self, model: Classifier) -> None:
        self.model = model
        self._layers = [LayerPass(layer) for layer in model.memory]  # type: ignore[arg-type]
        self._pool = POOLS[model.config.pool]
        self._head_beside = self._pool is Flatten and not model.config.bidirectional
        self._head = {name: weight.detach().numpy() for name, weight in model.head.items()}

    @staticmethod
    def serves(model: Classifier) -> bool:
        """Whether all of the model runs in the kernels, in one type, and nobody has hung a hook into it."""
        return bare(model, list(model.memory))  # type: ignore[arg-type]

    def ahead(self, sequences: Sequences) -> Ahead:
        """What makes batches of `sequences` with all that `forward` need not find out itself."""
        embedding, config = self.model.embedding, self.model.config
        if embedding.buckets or config.word_dropout:  # another step's words are not known yet
            return Ahead(sequences)
        frozen = not embedding.weight.requires_grad
        table = embedding.weight.detach().numpy() if frozen else None
        return Ahead(sequences, embedding.distinct.vocabulary_size, table)

    def forward(
        self, batch: Batch, generator: Generator = None, pieces: Pieces | None = None
    ) -> tuple[Floats, Callable[[Floats], None]]:
        """A batch of `ahead` → logits [B, outputs] in packed order; the gradient of these → all others'.

        In training mode all dropouts draw from `generator`. Raises DataError as `Classifier.forward` does.
        """
        config, training = self.model.config, self.model.training
        packing = batch.packing
        rows, number = self.model.read(batch.ids, generator, pieces, batch.words)
        share = config.dropout if training else 0.0
        hidden, backs = rows.detach().numpy(), list[Back]()
        *below, top = self._layers
        token: Ids | None = number
        for layer in below:
            hidden, _, back = layer.forward(hidden, packing, token)
            backs.append(back)
            token = None
            if training:
                hidden = drop_step(hidden, config.layer_dropout, generator, backs)
        drop, after = Drop.nothing(hidden.dtype), None
        if self._pool.holds_dense and share:
            drop = Drop.of(share, draw_seed(generator), hidden.dtype)
        if self._head_beside:
            logits, after = Flatten.with_memory(config.hidden, packing, self._head, drop)
        hidden, _, back = top.forward(hidden, packing, token, after=after)
        backs.append(back)
        if self._head_beside:
            self._back_through_pool(hidden, packing, backs, drop)
        elif self._pool.holds_dense:
            logits = self._pooled(hidden, packing, backs, drop)
        else:
            hidden = drop_step(self._pooled(hidden, packing, backs), share, generator, backs)
            logits = self._dense(hidden, backs)

        def backward(d_logits: Floats) -> None:
            gradient = d_logits
            for back in backs[:0:-1]:
                gradient = back(gradient, True)
            hand_on(rows, backs[0](gradient, rows.requires_grad))

        return logits, backward

    def _pooled(
        self, hidden: Floats, packing: Packing, backs: list[Back], drop: Drop | None = None
    ) -> Floats:
        directions = 1 + self.model.config.bidirectional
        more = () if drop is None else (drop,)
        pooled, kept = self._pool.forward(hidden, packing, self._head, directions, *more)
        self._back_through_pool(hidden, packing, backs, kept)
        return pooled

    def _back_through_pool(self, hidden: Floats, packing: Packing, backs: list[Back], kept: Any) -> None:
        directions = 1 + self.model.config.bidirectional

        def back(d_pooled: Floats, need: bool) -> Floats:
            d_hidden, found = self._pool.backward(d_pooled, hidden, packing, self._head, directions, kept)
            for name, gradient in found.items():
                give(self.model.head[name], gradient)
            return d_hidden

        backs.append(back)

    def _dense(self, rows: Floats, backs: list[Back]) -> Floats:
        weight, bias = self.model.head["weight"], self.model.head["bias"]

        def back(d_logits: Floats, need: bool) -> Floats:
            d_rows, d_weight, d_bias = linear_back(
                d_logits, rows, [self._head["weight"]], True, weight.requires_grad, bias.requires_grad
            )
            give(weight, d_weight)
            give(bias, d_bias)
            return d_rows

        backs.append(back)
        return rows_times_turned(rows, [self._head["weight"]], self._head["bias"])
