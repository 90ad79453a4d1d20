"""SGD, RMSprop, Adam, AdamW and LazyAdam over dense parameters and over the touched rows of one table.

Knows parameters and gradients: nothing of models, losses or schedules. One compiled update serves dense
parameters and rows, so that a step costs nothing that grows with the table's height V. Formulas and the place
of epsilon are torch.optim's. All state is in named tensors, made at the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.compiled import compiled
from gatelight.errors import DataError
from gatelight.models.training_config import OPTIMISERS
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.linear import array_of

BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba's and torch's
# Keras's numbers (torch has 0.99 and 1e-8). Epsilon stands outside of the root as in Keras up to 2.2
# and torch; tf.keras and Keras 3 have it inside, which is a far larger one where gradients are small.
RHO, RMSPROP_EPSILON = 0.9, 1e-7
UPDATE_WORK = 16  # a root and a division take about as long as so many multiply-adds
LEAST_WEIGHT = 1e-9  # a missed step that counts for less is left out

Array = NDArray[Any]
Rows = NDArray[np.int64]
Touched = tuple[Rows, Tensor]

_SGD, _RMSPROP, _ADAM = range(3)


class Optimiser:
    """One optimiser for named dense parameters and, by rows, for one table [V, D].

    A row that a batch does not touch costs nothing at that step. What torch's dense optimiser would have
    done to it with a zero gradient (momentum moves it on, moments fade) is made good before it is read again
    by `catch_up`, a deferred sparse update, so that rare words learn as fast as they do there. Only weight
    decay is left out of missed steps. It is decoupled in "adamw" and added to the gradient elsewhere, as in
    torch.

    "lazyadam" leaves this out, as torch's SparseAdam and TensorFlow's LazyAdam do: rows and their moments
    stand still while they are not touched, so rare words move less, and vectors that were trained before on
    more text are spoilt less by few labels.
    """

    def __init__(
        self,
        kind: str,
        parameters: Mapping[str, nn.Parameter],
        table: nn.Parameter | None = None,
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        clip: float | None = None,
    ) -> None:
        """`momentum` is SGD's; `clip` the maximum norm of all gradients together.

        Raises DataError for another kind, and for parameters that are not float32 or float64 on the CPU.
        """
        if kind not in OPTIMISERS:
            raise DataError(f"optimizer came as {kind!r}; there are {', '.join(OPTIMISERS)}")
        for name, p in {**parameters, **({} if table is None else {"the embedding": table})}.items():
            if p.device.type != "cpu" or p.dtype not in (torch.float32, torch.float64):
                raise DataError(
                    f"{name} is {str(p.dtype).removeprefix('torch.')} on {p.device}; training needs "
                    "float32 or float64 on the CPU"
                )
        self.kind, self.weight_decay, self.momentum, self.clip = kind, weight_decay, momentum, clip
        self.steps = 0
        self._parameters, self._table = dict(parameters), table
        self._rule = {"sgd": _SGD, "rmsprop": _RMSPROP}.get(kind, _ADAM)
        self._slots = {"sgd": ("velocity",), "rmsprop": ("square",)}.get(kind, ("mean", "square"))
        self._state = {
            slot: {
                name: torch.zeros_like(p, memory_format=torch.contiguous_format).detach()
                for name, p in parameters.items()
            }
            for slot in self._slots
        }
        self._counts = {name: torch.zeros(()) for name in parameters}
        self._rows = {} if table is None else {slot: _zeros_like(table) for slot in self._slots}
        self._last = torch.zeros(0 if table is None else len(table), dtype=torch.int64)
        # By how much of its first moment a row has moved that stands still since a step, and how this falls.
        self._moved = np.zeros(0)
        fall = {_SGD: momentum, _RMSPROP: 0.0, _ADAM: BETA1 / math.sqrt(BETA2)}[self._rule]
        self._weights = fall ** np.arange(1, 1 + math.ceil(math.log(LEAST_WEIGHT, fall)) if fall else 1)

    def gradient_norm(self, touched: Touched | None) -> float:
        """The 2-norm of all gradients together, dense and rows; scales them down to `clip` if it is larger.

        Returned is the norm before clipping, as torch's clip_grad_norm_ does. Parameters without a gradient
        count as zero. Its bits do not depend on the thread count.
        """
        leaves: list[Tensor] = [*self._parameters.values(), *([] if touched is None else [touched[1]])]
        leaves = [leaf for leaf in leaves if leaf.grad is not None]
        with threads.single_threaded_torch():
            norms = [torch.linalg.vector_norm(leaf.grad, dtype=torch.float64) for leaf in leaves]
        norm = math.hypot(*map(float, norms))
        if self.clip is not None and not norm + 1e-6 <= self.clip:
            for leaf in leaves:
                leaf.grad = leaf.grad * (self.clip / (norm + 1e-6))  # type: ignore[assignment, operator]
        return norm

    def step(self, learning_rate: float, touched: Touched | None) -> None:
        """Update in place by the gradients of the last backward pass, then forget them.

        `touched` is (distinct row numbers int64 [U], rows [U, D] with their gradient) or None; the rows must
        have been caught up since the last step.
        """
        self._count_step(learning_rate)
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                self._counts[name] += 1
                self._dense_step(name, parameter, learning_rate)
                parameter.grad = None
        if touched is not None and touched[1].grad is not None and len(touched[0]):
            self._row_step(touched[0], array_of(touched[1].grad), learning_rate)
            touched[1].grad = None

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next step depends on, by name; views, not copies."""
        state = {f"{slot}/{name}": t for slot, of in self._state.items() for name, t in of.items()}
        counts = {f"count/{name}": count for name, count in self._counts.items()}
        rows = {f"{slot}/rows": tensor for slot, tensor in self._rows.items()}
        return {**state, **counts, **rows, **({"last/rows": self._last} if rows else {})}

    def catch_up(self, rows: Rows | None = None) -> None:
        """Bring `rows` int64 [U], distinct, or all rows to where the steps so far would have led them.

        Their gradient was zero at the steps that they missed: the first moment fell by `keep` at each and the
        second by `keep_second`, so Adam did w ← w − moved · mean / (√square + epsilon), SGD w ← w − moved ·
        velocity.
        """
        if self._table is None or not self.steps or self.kind == "lazyadam":
            return
        rows = np.arange(len(self._table), dtype=np.int64) if rows is None else rows
        last = self._last.numpy()
        rows = rows[(last[rows] > 0) & (last[rows] < self.steps)]  # without any step there are no moments
        keep, keep_second = {_SGD: (self.momentum, 1.0), _RMSPROP: (RHO, 1.0), _ADAM: (BETA1, BETA2)}[
            self._rule
        ]
        missed = self.steps - last[rows]
        table, first, second = self._row_arrays()
        columns = self._moved[last[rows]], keep**missed, keep_second**missed
        given = self._rule, table, first, second, rows, np.stack(columns, 1).astype(table.dtype)
        threads.run_compiled(_catch_up, given, rows.size * table.shape[1] * UPDATE_WORK)
        last[rows] = self.steps
        torch.autograd.graph.increment_version(self._table)

    def go_on_from(self, rates: Iterable[float]) -> None:
        """Count steps of these learning rates as made, once `state` holds what they left."""
        for rate in rates:
            self._count_step(rate)

    def _count_step(self, rate: float) -> None:
        self.steps += 1
        if self.steps >= len(self._moved):
            self._moved = np.concatenate([self._moved, np.zeros(max(1024, self.steps))])
        if self._rule == _ADAM:
            rate *= math.sqrt(1.0 - BETA2**self.steps) / (1.0 - BETA1**self.steps)
        recent = self._weights[: self.steps]
        self._moved[self.steps - len(recent) : self.steps] += rate * recent[::-1]

    def _dense_step(self, name: str, parameter: nn.Parameter, rate: float) -> None:
        own = parameter.detach().numpy()
        weight = np.ascontiguousarray(own)
        rows = math.gcd(weight.size, 64) if weight.size else 1  # equal parts, which threads share
        gradient = array_of(parameter.grad.to(parameter.dtype))  # type: ignore[union-attr]
        state = [self._state[slot][name].numpy() for slot in self._slots]
        tables = [array.reshape(rows, -1) for array in (weight, state[0], state[-1], gradient)]
        numbers = self._numbers(rate, int(self._counts[name]), weight.dtype)
        given = self._rule, *tables[:3], np.arange(rows), tables[3], numbers
        threads.run_compiled(_update_rows, given, weight.size * UPDATE_WORK)
        if weight is not own:
            own[...] = weight
        # The kernel wrote past torch's back: whoever keeps something computed from it must notice.
        torch.autograd.graph.increment_version(parameter)

    def _row_step(self, rows: Rows, gradient: Array, rate: float) -> None:
        if self._table is None:
            raise DataError("rows were touched, but the optimiser was made without a table")
        table, first, second = self._row_arrays()
        self._last.numpy()[rows] = self.steps
        given = self._rule, table, first, second, rows, gradient, self._numbers(rate, self.steps, table.dtype)
        threads.run_compiled(_update_rows, given, gradient.size * UPDATE_WORK)
        torch.autograd.graph.increment_version(self._table)

    def _row_arrays(self) -> tuple[Array, Array, Array]:
        """The table and its first and second moment; with one moment that is both."""
        state = [self._rows[slot].numpy() for slot in self._slots]
        return self._table.detach().numpy(), state[0], state[-1]  # type: ignore[union-attr]

    def _numbers(self, rate: float, step: int, dtype: Any) -> Array:
        """What the update of this rule is given besides arrays; `step` counts from 1."""
        decay = self.weight_decay
        if self._rule == _SGD:
            return np.array([rate, self.momentum, decay], dtype)
        if self._rule == _RMSPROP:
            return np.array([rate, RHO, 1.0 - RHO, RMSPROP_EPSILON, decay], dtype)
        decays = (0.0, 1.0 - rate * decay) if self.kind == "adamw" else (decay, 1.0)
        root = math.sqrt(1.0 - BETA2**step)
        numbers = (
            rate / (1.0 - BETA1**step),
            1.0 - BETA1,
            BETA2,
            1.0 - BETA2,
            ADAM_EPSILON,
            *decays,
            1.0 / root,
        )
        return np.array(numbers, dtype)


class WeightAverage:
    """Polyak-like averaging: mean ← d·mean + (1 − d)·w after each step.

    At step t (from 1) d = min(decay, (1 + t) / (10 + t)), so that short runs are not held at their start
    (TensorFlow's ExponentialMovingAverage with `num_updates`).
    """

    def __init__(self, decay: float, weights: Mapping[str, Tensor]) -> None:
        """`weights` by name are the tensors that the optimiser changes."""
        self.decay, self.steps = decay, 0
        self._weights = dict(weights)
        self.means = {name: weight.detach().clone() for name, weight in weights.items()}

    @torch.no_grad()
    def step(self) -> None:
        """Call once the optimiser has changed the weights."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, weight in self._weights.items():
            self.means[name].lerp_(weight, 1.0 - decay)


def _zeros_like(table: Tensor) -> Tensor:
    return torch.from_numpy(buffers.sparse(tuple(table.shape), table.detach().numpy().dtype, large=True))


# error_model="numpy": Python's check for division by zero would keep the loops from being vectorised.
@compiled(error_model="numpy")
def _update(rule: int, w: Array, first: Array, second: Array, g: Array, n: Array) -> None:
    """One step on weights w [n] by gradients g [n], with the rule's `_numbers`; the state is updated too.

    SGD: velocity ← momentum·velocity + g, w ← w − rate·velocity. RMSprop (Tieleman & Hinton 2012): square ←
    rho·square + (1 − rho)·g², w ← w − rate·g / (√square + epsilon). Adam (arXiv:1412.6980), and AdamW
    (arXiv:1711.05101) by a factor 1 − rate·decay of w.
    """
    if rule == 0:
        rate, momentum, decay = n[0], n[1], n[2]
        for k in range(len(w)):
            v = momentum * first[k] + (g[k] + decay * w[k])
            first[k] = v
            w[k] -= rate * v
    elif rule == 1:
        rate, rho, rest, epsilon, decay = n[0], n[1], n[2], n[3], n[4]
        for k in range(len(w)):
            d = g[k] + decay * w[k]
            s = rho * first[k] + rest * d * d
            first[k] = s
            w[k] -= rate * d / (math.sqrt(s) + epsilon)
    else:
        rate, rest1, beta2, rest2, epsilon, decay, shrink, up = n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]
        for k in range(len(w)):
            d = g[k] + decay * w[k]
            m = first[k] + rest1 * (d - first[k])
            s = beta2 * second[k] + rest2 * d * d
            first[k] = m
            second[k] = s
            w[k] = shrink * w[k] - rate * m / (math.sqrt(s) * up + epsilon)


@compiled
def _rows_part(
    rule: int, table: Array, first: Array, second: Array, rows: Rows, g: Array, n: Array, parts: int, k: int
) -> None:  # fmt: skip
    for u in range(len(rows) * k // parts, len(rows) * (k + 1) // parts):
        r = rows[u]
        _update(rule, table[r], first[r], second[r], g[u], n)


@compiled
def _update_rows(
    rule: int, table: Array, first: Array, second: Array, rows: Rows, g: Array, n: Array, pool: Any,
    helpers: int,
) -> int:  # fmt: skip
    given = rule, table, first, second, rows, g, n, helpers + 1
    return int(parallel_for(_rows_part, given, pool, helpers, helpers + 1))


@compiled(error_model="numpy")
def _catch_up_part(
    rule: int, table: Array, first: Array, second: Array, rows: Rows, factors: Array, parts: int, k: int
) -> None:  # fmt: skip
    """Some of the rows by `factors` [U, 3]: what moved them, what is left of each moment."""
    epsilon = table.dtype.type(ADAM_EPSILON)
    for u in range(len(rows) * k // parts, len(rows) * (k + 1) // parts):
        r = rows[u]
        moved, left, left_second = factors[u, 0], factors[u, 1], factors[u, 2]
        w, one, two = table[r], first[r], second[r]
        for d in range(len(w)):
            if rule == 2:
                w[d] -= moved * one[d] / (math.sqrt(two[d]) + epsilon)
                two[d] *= left_second
            elif rule == 0:
                w[d] -= moved * one[d]
            one[d] *= left


@compiled
def _catch_up(
    rule: int, table: Array, first: Array, second: Array, rows: Rows, factors: Array, pool: Any, helpers: int
) -> int:  # fmt: skip
    given = rule, table, first, second, rows, factors, helpers + 1
    return int(parallel_for(_catch_up_part, given, pool, helpers, helpers + 1))
