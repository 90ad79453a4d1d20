"""What every library computes: a model's shape, one set of random weights, and batches of ids."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Weights = Mapping[str, Array]
LONG = 1.0  # seconds after which one try decides
SIZES = (32, 128, 512)  # texts of a batch that peers may choose from to predict


@dataclass(frozen=True)
class Shape:
    """Embedding [V, D], one LSTM of H, a head over its steps, one logit; and how it is trained.

    `pool` "flatten" gives each of `steps` steps weights of its own, "max" takes each feature's maximum.
    `bucket` makes batches of like length. The optimiser is "rmsprop" or "adam".
    """

    steps: int
    dim: int
    hidden: int
    pool: str
    bidirectional: bool = False
    train_embedding: bool = False
    dropout: float = 0.0
    batch_size: int = 32
    bucket: bool = False
    optimizer: str = "rmsprop"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What torch puts behind the names of each direction's weights."""
        return ("_l0", "_l0_reverse")[: 1 + self.bidirectional]

    def weights(self, vocabulary: int, one_hot: bool = False) -> Weights:
        """Random throughout, biases too: with zeros there a swapped gate would not show.

        table [V, D], row 0 zeros; of each direction weight_ih [4H, D], weight_hh [4H, H], bias [4H] in
        torch's gate order; dense [1, F] or, flattened, [1, T·H]; dense_bias [1].
        """
        random = np.random.default_rng(0)

        def normal(*shape: int, scale: float) -> Array:
            return scale * random.standard_normal(shape, np.float32)

        table = np.eye(vocabulary, dtype=np.float32) if one_hot else normal(vocabulary, self.dim, scale=0.15)
        table[0] = 0.0
        found = {"table": table}
        gates = 4 * self.hidden
        for suffix in self.suffixes:
            found["weight_ih" + suffix] = normal(gates, self.dim, scale=0.08)
            found["weight_hh" + suffix] = normal(gates, self.hidden, scale=0.12)
            found["bias" + suffix] = normal(gates, scale=0.3)
        features = self.hidden * (self.steps if self.pool == "flatten" else len(self.suffixes))
        return {
            **found,
            "dense": normal(1, features, scale=0.02 if self.pool == "flatten" else 0.1),
            "dense_bias": normal(1, scale=0.3),
        }


@dataclass(frozen=True)
class Texts:
    """B texts: flat ids int32 [N], none 0, lengths int64 [B], none 0, targets 0 or 1 as float32 [B]."""

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.lengths)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All three by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def select(self, index: NDArray[np.int64]) -> Texts:
        """The texts numbered `index`, in that order."""
        starts = np.cumsum(self.lengths) - self.lengths
        parts = [self.ids[starts[k] : starts[k] + self.lengths[k]] for k in index]
        return Texts(np.concatenate(parts), self.lengths[index], self.targets[index])

    def cut(self, steps: int) -> Texts:
        """The first `steps` ids of each text."""
        place = np.arange(len(self.ids)) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        return Texts(self.ids[place < steps], np.minimum(self.lengths, steps), self.targets)

    def padded(self, steps: int | None = None) -> NDArray[np.int32]:
        """The ids as int32 [B, T], zeros after the end; T is the longest text's unless told."""
        steps = steps or int(self.lengths.max())
        full = np.zeros((len(self), steps), np.int32)
        full[np.arange(steps) < self.lengths[:, None]] = self.ids
        return full

    def spread(self, count: int) -> Texts:
        """`count` texts that stand for all: evenly spaced by length, in random order."""
        places = ((np.arange(count) + 0.5) * len(self) / count).astype(np.int64)
        chosen = np.argsort(self.lengths, kind="stable")[places]
        return self.select(np.random.default_rng(0).permutation(chosen))

    def pieces(self, count: int, steps: int) -> Texts:
        """The beginning cut into `count` texts of `steps`, so that none of them is padded."""
        return Texts(self.ids[: count * steps], np.full(count, steps), self.targets[:count])

    def batches(self, shape: Shape) -> list[Texts]:
        """An epoch's batches: drawn at random, or of like length in random order."""
        random = np.random.default_rng(0)
        order = np.argsort(self.lengths, kind="stable") if shape.bucket else random.permutation(len(self))
        parts = np.split(order, np.arange(shape.batch_size, len(order), shape.batch_size))
        return [self.select(parts[k]) for k in random.permutation(len(parts))]


def gradients(logits: Array, shape: Shape, found: Mapping[str, Array], trained: bool) -> dict[str, Array]:
    """What libraries are compared by: logits [B] and gradients by the names of the weights."""
    names = [f"{name}{suffix}" for suffix in shape.suffixes for name in ("weight_ih", "weight_hh", "bias")]
    names += ["dense", "dense_bias", *(["table"] if trained else [])]
    return {
        "logits": logits.reshape(-1),
        **{f"d {name}": found[name].reshape(found[name].shape) for name in names},
    }


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def timed(call: Callable[[], object], calls: int) -> list[float]:
    """Seconds of each of so many calls."""
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def fastest(choices: Sequence[Any], work: Callable[[], object], use: Callable[[Any], object]) -> None:
    """Use each of the choices for `work`, twice unless it takes long, and then the one that was faster."""
    took: dict[Any, float] = {}
    for _ in range(2):
        for choice in choices:
            use(choice)
            took[choice] = min([took.get(choice, float("inf")), *timed(work, 1)])
        if min(took.values()) > LONG:
            break
    use(min(choices, key=lambda choice: took[choice]))
