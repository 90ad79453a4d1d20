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
PART = (
    1 << 15
)  # elements that a thread takes: fixed, so that sums do not depend on how many threads there are
KNOWN = 512  # of how many steps since which rows stand still it is known what they missed

Array = NDArray[Any]
Touched = tuple[NDArray[np.int64], Tensor]

_SGD, _RMSPROP, _ADAM = range(3)


class Optimiser:
    """One optimiser for named dense parameters and, by rows, for one table [V, D].

    A row that a batch does not touch costs nothing at that step. What torch's dense optimiser would have
    done to it with a zero gradient (momentum moves it on, moments fade) is made good by `catch_up` before it
    is read again, so that rare words learn as fast as they do there. Only weight decay is left out of missed
    steps. It is decoupled in "adamw" and added to the gradient elsewhere, as in torch.

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
        """`momentum` is SGD's; `clip` the largest global gradient norm.

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
        self._rates = np.zeros(0)  # of each step so far, with Adam's bias correction

    def gradient_norm(self, touched: Touched | None) -> float:
        """The 2-norm of all gradients together, dense and rows; scales them down to `clip` if it is larger.

        Returned is the norm before clipping, as torch's clip_grad_norm_ does. Parameters without a gradient
        count as zero. Its bits do not depend on the thread count.
        """
        leaves: list[Tensor] = [*self._parameters.values(), *([] if touched is None else [touched[1]])]
        leaves = [leaf for leaf in leaves if leaf.grad is not None]
        norm = math.sqrt(sum(_sum_of_squares(leaf.grad) for leaf in leaves if leaf.grad is not None))
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

    def catch_up(self, rows: NDArray[np.int64] | None = None) -> None:
        """Bring `rows` int64 [U], distinct, or all rows to where the steps so far would have led them."""
        if self._table is None or not self.steps or self.kind == "lazyadam":
            return
        if rows is None:
            rows = np.arange(len(self._table), dtype=np.int64)
        table, state = self._table.detach().numpy(), [self._rows[slot].numpy() for slot in self._slots]
        keep = {_SGD: (self.momentum, 1.0), _RMSPROP: (RHO, 1.0), _ADAM: (BETA1, BETA2)}[self._rule]
        given = (
            self._rule, table, state[0], state[-1], self._last.numpy(), rows, self._rates, self.steps, *keep
        )  # fmt: skip
        threads.share(_all_catching_up, given, rows.size * table.shape[1] * UPDATE_WORK)
        torch.autograd.graph.increment_version(self._table)

    def go_on_from(self, rates: Iterable[float]) -> None:
        """Count steps of these learning rates as made, once `state` holds what they left."""
        for rate in rates:
            self._count_step(rate)

    def _count_step(self, rate: float) -> None:
        if self.steps == len(self._rates):
            self._rates = np.concatenate([self._rates, np.zeros(max(1024, self.steps))])
        number = self.steps + 1
        bias = math.sqrt(1.0 - BETA2**number) / (1.0 - BETA1**number) if self._rule == _ADAM else 1.0
        self._rates[self.steps] = rate * bias
        self.steps = number

    def _dense_step(self, name: str, parameter: nn.Parameter, rate: float) -> None:
        own = parameter.detach().numpy()
        weight = np.ascontiguousarray(own)
        state = [self._state[slot][name].numpy().reshape(-1) for slot in self._slots]
        gradient = array_of(parameter.grad.to(parameter.dtype))  # type: ignore[union-attr]
        numbers = self._numbers(rate, int(self._counts[name]), weight.dtype)
        given = self._rule, weight.reshape(-1), state[0], state[-1], gradient.reshape(-1), numbers
        threads.share(_all_dense, given, weight.size * UPDATE_WORK)
        if weight is not own:
            own[...] = weight
        # The kernel wrote past torch's back: whoever keeps something computed from it must notice.
        torch.autograd.graph.increment_version(parameter)

    def _row_step(self, rows: NDArray[np.int64], gradient: Array, rate: float) -> None:
        if self._table is None:
            raise DataError("rows were touched, but the optimiser was made without a table")
        table, state = self._table.detach().numpy(), [self._rows[slot].numpy() for slot in self._slots]
        self._last.numpy()[rows] = self.steps
        numbers = self._numbers(rate, self.steps, table.dtype)
        given = self._rule, table, state[0], state[-1], rows, gradient, numbers
        threads.share(_all_rows, given, gradient.size * UPDATE_WORK)
        torch.autograd.graph.increment_version(self._table)

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
    """Polyak-like averaging: mean ← d·mean + (1 − d)·w after each step, exact for every row of the table.

    At step t (from 1) d = min(decay, (1 + t) / (10 + t)), so that short runs are not held at their start
    (TensorFlow's ExponentialMovingAverage with `num_updates`). A row that does not change needs no work:
    its distance from its mean falls by the product of the decays, which is made good when it is next touched.
    """

    def __init__(
        self, decay: float, parameters: Mapping[str, nn.Parameter], table: nn.Parameter | None = None
    ) -> None:
        self.decay = decay
        self.steps = 0
        self._parameters, self._table = dict(parameters), table
        self._means = {name: p.detach().clone() for name, p in parameters.items()}
        self._table_mean = None if table is None else table.detach().clone()
        self._seen = torch.zeros(0 if table is None else len(table), dtype=torch.float64)
        self._total = torch.zeros(1, dtype=torch.float64)  # sum of the logarithms of all decays so far

    def before_step(self, rows: NDArray[np.int64] | None) -> None:
        """Call with the row numbers int64 [U] that the optimiser is about to change."""
        if rows is not None and self._table is not None and self._table_mean is not None:
            table, mean = self._table.detach().numpy(), self._table_mean.numpy()
            _catch_up_average(table, mean, self._seen.numpy(), rows, float(self._total))

    @torch.no_grad()
    def after_step(self, rows: NDArray[np.int64] | None) -> None:
        """Call with the same rows once the optimiser has changed them."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self._total += math.log(decay)
        for name, parameter in self._parameters.items():
            self._means[name].lerp_(parameter, 1.0 - decay)
        if rows is not None and self._table is not None and self._table_mean is not None:
            table, mean = self._table.detach().numpy(), self._table_mean.numpy()
            rest: Any = table.dtype.type(1.0 - decay)
            _average(table, mean, self._seen.numpy(), rows, rest, float(self._total))

    def weights(self) -> list[Tensor]:
        """The averages up to now, as new tensors: the dense parameters' in order, then the table's."""
        found = [mean.clone() for mean in self._means.values()]
        if self._table is not None and self._table_mean is not None:
            table = self._table.detach()
            left = torch.exp(self._total - self._seen).to(table.dtype)[:, None]
            found.append(table + left * (self._table_mean - table))
        return found

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next step depends on, by name; views, not copies."""
        state = {f"mean/{name}": mean for name, mean in self._means.items()}
        if self._table_mean is not None:
            state |= {"mean/rows": self._table_mean, "seen/rows": self._seen}
        return {**state, "total": self._total}


def _zeros_like(table: Tensor) -> Tensor:
    return torch.from_numpy(buffers.sparse(tuple(table.shape), table.detach().numpy().dtype, large=True))


def _sum_of_squares(gradient: Tensor) -> float:
    """In float64, in an order that does not depend on the threads."""
    values = array_of(gradient).reshape(-1)
    sums = np.empty(-(-values.size // PART))
    threads.share(_all_sums_of_squares, (values, sums), values.size)
    return float(sums.sum())


@compiled(fastmath={"reassoc", "contract"})
def _part_of_squares(values: Array, sums: Array, part: int) -> None:
    some, total = values[part * PART : (part + 1) * PART], 0.0
    for n in range(len(some)):
        total += np.float64(some[n]) * np.float64(some[n])
    sums[part] = total


@compiled
def _all_sums_of_squares(values: Array, sums: Array, pool: Any, helpers: int) -> int:
    return int(parallel_for(_part_of_squares, (values, sums), pool, helpers, len(sums)))


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
def _dense_part(rule: int, w: Array, first: Array, second: Array, g: Array, n: Array, part: int) -> None:
    a, b = part * PART, min(len(w), (part + 1) * PART)
    _update(rule, w[a:b], first[a:b], second[a:b], g[a:b], n)


@compiled
def _all_dense(
    rule: int, w: Array, first: Array, second: Array, g: Array, n: Array, pool: Any, helpers: int
) -> int:
    return int(
        parallel_for(_dense_part, (rule, w, first, second, g, n), pool, helpers, (len(w) + PART - 1) // PART)
    )


@compiled
def _rows_part(
    rule: int, table: Array, first: Array, second: Array, rows: Array, g: Array, n: Array, parts: int, k: int
) -> None:
    for u in range(len(rows) * k // parts, len(rows) * (k + 1) // parts):
        r = rows[u]
        _update(rule, table[r], first[r], second[r], g[u], n)


@compiled
def _all_rows(
    rule: int, table: Array, first: Array, second: Array, rows: Array, g: Array, n: Array, pool: Any,
    helpers: int,
) -> int:  # fmt: skip
    parts = 4 * (helpers + 1)
    return int(
        parallel_for(_rows_part, (rule, table, first, second, rows, g, n, parts), pool, helpers, parts)
    )


@compiled(error_model="numpy")
def _catch_up_part(
    rule: int, table: Array, first: Array, second: Array, last: Array, rows: Array, rates: Array, steps: int,
    keep: float, keep_second: float, parts: int, k: int,
) -> None:  # fmt: skip
    """Make the steps up to `steps` that rows have missed because their gradient was zero, all at once.

    The first state falls by `keep` at a step and the second by `keep_second`, so of Adam w ← w − (sum of the
    steps' weights)·mean / (√square + epsilon), of SGD w ← w − (sum)·velocity. `rates` float64: each step's
    rate, corrected for bias; `last` int64 [V]: the steps that a row has made.
    """
    root, epsilon = math.sqrt(keep_second), table.dtype.type(ADAM_EPSILON)
    # Many rows stand still since the same step; what they missed is computed once.
    since, known = np.zeros(KNOWN, np.int64), np.empty((KNOWN, 3), table.dtype)
    for u in range(len(rows) * k // parts, len(rows) * (k + 1) // parts):
        r = rows[u]
        begin = last[r]
        if begin in (0, steps):  # without any step it has no moments that could move it
            continue
        place = begin % KNOWN
        if since[place] != begin:
            total, weight = 0.0, 1.0
            for step in range(begin, steps):
                weight *= keep / root
                if weight < 1e-9:
                    break
                total += rates[step] * weight
            since[place] = begin
            known[place, 0] = total
            known[place, 1] = keep ** (steps - begin)
            known[place, 2] = keep_second ** (steps - begin)
        total_here, first_left, second_left = known[place, 0], known[place, 1], known[place, 2]
        w, one, two = table[r], first[r], second[r]
        for d in range(len(w)):
            if rule == 2:
                w[d] -= total_here * one[d] / (math.sqrt(two[d]) + epsilon)
                two[d] *= second_left
            elif rule == 0:
                w[d] -= total_here * one[d]
            one[d] *= first_left
        last[r] = steps


@compiled
def _all_catching_up(
    rule: int, table: Array, first: Array, second: Array, last: Array, rows: Array, rates: Array, steps: int,
    keep: float, keep_second: float, pool: Any, helpers: int,
) -> int:  # fmt: skip
    parts = 4 * (helpers + 1)
    given = rule, table, first, second, last, rows, rates, steps, keep, keep_second, parts
    return int(parallel_for(_catch_up_part, given, pool, helpers, parts))


@compiled
def _catch_up_average(table: Array, mean: Array, seen: Array, rows: Array, total: float) -> None:
    """Bring `mean`'s rows to now: while w stood still, mean − w fell by the product of the decays.

    `seen` float64 [V] is the sum of log decays when each row's mean was last true, `total` the sum by now.
    """
    for r in rows:
        left = table.dtype.type(math.exp(total - seen[r]))
        seen[r] = total
        for d in range(table.shape[1]):
            mean[r, d] = table[r, d] + left * (mean[r, d] - table[r, d])


@compiled
def _average(table: Array, mean: Array, seen: Array, rows: Array, rest: Any, total: float) -> None:
    """mean ← mean + rest·(w − mean) for rows that have just changed; they are true at `total`."""
    for r in rows:
        seen[r] = total
        for d in range(table.shape[1]):
            mean[r, d] += rest * (table[r, d] - mean[r, d])
