"""SGD, RMSprop, Adam, AdamW and LazyAdam over dense parameters and over the touched rows of one table.

Knows parameters and gradients: nothing of models, losses or schedules. The same compiled kernels serve dense
parameters and rows, so that a step costs nothing that grows with the table's height V; on other devices than
the CPU torch's own functions do. All state is held in named tensors, made at the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from gatelight.errors import DataError
from gatelight.models.optimiser_kernels import fade_rows
from gatelight.models.optimiser_parts import (
    CHUNK,
    Adam,
    RMSprop,
    Sgd,
    all_coasting,
    all_dense,
    all_rows,
    all_sums_of_squares,
)
from gatelight.models.training_config import OPTIMISERS
from gatelight.nn import threads
from gatelight.nn.kernels import buffers

BETA1, BETA2, ADAM_EPSILON = 0.9, 0.999, 1e-8  # Kingma & Ba's and torch's
# Keras's numbers (torch has 0.99 and 1e-8). Epsilon stands outside of the root as in Keras up to 2.2
# and torch; tf.keras and Keras 3 have it inside, which is a far larger one where gradients are small.
RHO, RMSPROP_EPSILON = 0.9, 1e-7
ROOT_WORK = 32  # a root and a division take about as long as so many multiply-adds
KERNEL_TYPES = torch.float32, torch.float64
NUMBERS = 7  # that a kernel is given beside arrays, at most
NEAR = 0.999  # a norm below this share of `clip` is clipped by a factor of 1, whatever is rounded
ROW_WORK = 8  # a number of a row takes about as long as so many multiply-adds

Touched = tuple[NDArray[np.int64], Tensor]


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
        """`momentum` is SGD's; `clip` the largest global gradient norm. Raises DataError."""
        if kind not in OPTIMISERS:
            raise DataError(f"optimizer came as {kind!r}; there are {', '.join(OPTIMISERS)}")
        if table is not None and table.device.type != "cpu":
            raise DataError(
                f"a trained embedding on {table.device} is not supported; keep the model on the CPU"
            )
        self.kind, self.weight_decay, self.momentum, self.clip = kind, weight_decay, momentum, clip
        self.steps = 0
        self._names = list(parameters)
        self._dense = [parameter.detach() for parameter in parameters.values()]
        self._parameters = list(parameters.values())
        self._table = None if table is None else table.detach()
        self._kernel = {"sgd": Sgd(), "rmsprop": RMSprop()}.get(kind, Adam())
        self._slots = {"sgd": ("velocity",), "rmsprop": ("square",)}.get(kind, ("mean", "square"))
        self._state = {slot: [torch.zeros_like(p) for p in self._dense] for slot in self._slots}
        self._compiled = all(w.is_cpu and w.is_contiguous() and w.dtype in KERNEL_TYPES for w in self._dense)
        self._held: dict[tuple[int, ...], list[_Held]] = {}
        self._rows = {} if self._table is None else {slot: _zeros_like(self._table) for slot in self._slots}
        self._last = torch.zeros(0 if table is None else len(table), dtype=torch.int64)
        self._weights = np.zeros(0)  # of each step so far: its rate, with Adam's bias correction
        # Steps of each dense parameter. torch's own arithmetic of one number takes as long as a small kernel.
        self._made = np.zeros(len(self._dense), np.float32)
        self._counts = list(torch.from_numpy(self._made))

    def gradient_norm(self, touched: Touched | None) -> float:
        """The 2-norm of all gradients together, dense and rows; scales them down to `clip` if it is larger.

        Returned is the norm before clipping, as torch's clip_grad_norm_ does. Parameters without a gradient
        count as zero. Its bits do not depend on the thread count as long as torch runs on one thread.
        """
        held = [p for p in self._parameters if p.grad is not None]
        if self._compiled:
            squares = sum(some.sum_of_squares() for some in self._with_gradient())
        else:
            squares = sum(_sum_of_squares(p.grad) for p in held if p.grad is not None)
        if touched is not None and touched[1].grad is not None:
            held.append(touched[1])  # type: ignore[arg-type]
            squares += _sum_of_squares(touched[1].grad)
        norm = math.sqrt(squares)
        if self.clip is not None and not norm < NEAR * self.clip:  # else its factor would be 1
            torch.nn.utils.clip_grads_with_norm_(held, self.clip, torch.tensor(norm))
        return norm

    def step(self, learning_rate: float, touched: Touched | None) -> None:
        """Update in place by the gradients of the last backward pass, then forget them.

        `touched` is (distinct row numbers int64 [U], rows [U, D] with their gradient) or None; the rows must
        have been caught up since the last step.
        """
        self._count_step(learning_rate)
        present = [k for k, p in enumerate(self._parameters) if p.grad is not None]
        if present:
            self._dense_step(present, learning_rate)
        for parameter in self._parameters:
            parameter.grad = None
        if touched is not None and touched[1].grad is not None and len(touched[0]):
            self._row_step(touched[0], touched[1].grad, learning_rate)
            touched[1].grad = None

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next step depends on, by name; views, not copies."""
        state = {
            f"{slot}/{name}": tensor
            for slot in self._slots
            for name, tensor in zip(self._names, self._state[slot], strict=True)
        }
        counts = {f"count/{name}": count for name, count in zip(self._names, self._counts, strict=True)}
        rows = {f"{slot}/rows": tensor for slot, tensor in self._rows.items()}
        return {**state, **counts, **rows, **({"last/rows": self._last} if rows else {})}

    def catch_up(self, rows: NDArray[np.int64] | None = None) -> None:
        """Bring `rows` int64 [U], distinct, or all rows to where the steps so far would have led them."""
        if self._table is None or not self.steps or self.kind == "lazyadam":
            return
        if rows is None:
            rows = np.arange(len(self._table), dtype=np.int64)
        table, last, steps = self._table.numpy(), self._last.numpy(), self.steps
        state = [self._rows[slot].numpy() for slot in self._slots]
        if self.kind == "rmsprop":
            fade_rows(state[0], last, rows, steps, RHO)
            return
        weights, real = self._weights, table.dtype.type
        if self.kind == "sgd":
            given = table, state[0], state[0], last, weights, steps, self.momentum, 0.0, real(0)
        else:
            given = table, state[0], state[1], last, weights, steps, BETA1, BETA2, real(ADAM_EPSILON)
        threads.share(all_coasting, (*given[:4], rows, *given[4:]), rows.size * table.shape[1] * ROW_WORK)
        torch.autograd.graph.increment_version(self._table)

    def go_on_from(self, rates: Iterable[float]) -> None:
        """Count steps of these learning rates as made, once `state` holds what they left."""
        for rate in rates:
            self._count_step(rate)

    def _count_step(self, rate: float) -> None:
        if self.steps == len(self._weights):
            self._weights = np.concatenate([self._weights, np.zeros(max(1024, self.steps))])
        number = self.steps + 1
        bias = 1.0
        if self.kind in ("adam", "adamw", "lazyadam"):
            bias = math.sqrt(1.0 - BETA2**number) / (1.0 - BETA1**number)
        self._weights[self.steps] = rate * bias
        self.steps = number

    def _dense_step(self, present: list[int], rate: float) -> None:
        if self._compiled:
            # torch's calls take longer than the arithmetic, or have one thread here.
            self._made[present] += 1
            for some in self._with_gradient():
                made = self._made[some.which].tolist()
                each = made[:1] if made.count(made[0]) == len(made) else made
                some.numbers[:] = [self._numbers(rate, int(step)) for step in each]
                given = self._kernel, some.places, some.sizes, some.numbers
                threads.share(all_dense, given, ROOT_WORK * some.size)
            torch.autograd.graph.increment_version([self._dense[k] for k in present])
        else:
            self._step_by_torch(present, rate)

    @torch.no_grad()
    def _step_by_torch(self, present: list[int], rate: float) -> None:
        def pick(tensors: list[Tensor]) -> list[Tensor]:
            return [tensors[k] for k in present]

        weights, counts = pick(self._dense), pick(self._counts)
        gradients = [g for g in (p.grad for p in self._parameters) if g is not None]
        state = [pick(self._state[slot]) for slot in self._slots]
        if self.kind == "sgd":
            sgd(
                weights, gradients, list(state[0]), foreach=True, weight_decay=self.weight_decay,
                momentum=self.momentum, lr=rate, dampening=0.0, nesterov=False, maximize=False,
            )  # fmt: skip
        elif self.kind == "rmsprop":
            rmsprop(
                weights, gradients, state[0], [], [], counts, foreach=True, lr=rate, alpha=RHO,
                eps=RMSPROP_EPSILON, weight_decay=self.weight_decay, momentum=0.0, centered=False,
            )  # fmt: skip
        else:
            (adamw if self.kind == "adamw" else adam)(
                weights, gradients, state[0], state[1], [], counts, fused=True, foreach=False, amsgrad=False,
                beta1=BETA1, beta2=BETA2, lr=rate, weight_decay=self.weight_decay, eps=ADAM_EPSILON,
                maximize=False,
            )  # fmt: skip

    def _with_gradient(self) -> list[_Held]:
        """The dense parameters that have a gradient now, those of one type together."""
        present = tuple(k for k, p in enumerate(self._parameters) if p.grad is not None)
        if present not in self._held:
            states = self._state[self._slots[0]], self._state[self._slots[-1]]
            by_type: dict[torch.dtype, list[int]] = {}
            for k in present:
                by_type.setdefault(self._dense[k].dtype, []).append(k)
            self._held[present] = [
                _Held(numbers, self._parameters, (self._dense, *states)) for numbers in by_type.values()
            ]
        for some in self._held[present]:
            some.point()
        return self._held[present]

    def _numbers(self, rate: float, step: int) -> list[float]:
        """What the kernel of this kind is given besides arrays; `step` counts from 1."""
        decay = self.weight_decay
        if self.kind == "sgd":
            return [rate, self.momentum, decay, 0.0, 0.0, 0.0, 0.0]
        if self.kind == "rmsprop":
            return [rate, RHO, RMSPROP_EPSILON, decay, 0.0, 0.0, 0.0]
        decoupled, root = self.kind == "adamw", math.sqrt(1.0 - BETA2**step)
        decays = (0.0, 1.0 - rate * decay) if decoupled else (decay, 1.0)
        return [rate / (1.0 - BETA1**step), BETA1, BETA2, ADAM_EPSILON, *decays, root]

    def _row_step(self, rows: NDArray[np.int64], gradient: Tensor, rate: float) -> None:
        if self._table is None:
            raise DataError("rows were touched, but the optimiser was made without a table")
        table, g = self._table.numpy(), gradient.contiguous().numpy()
        states = [self._rows[slot].numpy() for slot in self._slots]
        self._last.numpy()[rows] = self.steps
        numbers = np.array(self._numbers(rate, self.steps), table.dtype)
        given = self._kernel, table, states[0], states[-1], rows, g, numbers
        threads.share(all_rows, given, g.size * ROW_WORK)
        # The kernel wrote past torch's back: whoever keeps something computed from the table must notice.
        torch.autograd.graph.increment_version(self._table)


class _Held:
    """Dense parameters of one type, all with a gradient, as the kernels take them."""

    def __init__(
        self, which: list[int], parameters: list[nn.Parameter], written: Iterable[list[Tensor]]
    ) -> None:
        self.which, self._parameters = which, [parameters[k] for k in which]
        self.sizes = np.array([p.numel() for p in self._parameters])
        self.size = int(self.sizes.sum())
        addresses = [[tensors[k].data_ptr() for k in which] for tensors in written]
        self.places = np.array([*addresses, addresses[0]]).T.copy()
        dtype = self._parameters[0].detach().numpy().dtype
        self.numbers = np.zeros((len(which), NUMBERS), dtype)
        self._ends = np.cumsum(-(-self.sizes // CHUNK)).tolist()
        self._sums = np.empty(self._ends[-1])

    def point(self) -> None:
        """Note where the gradients are now."""
        for parameter in self._parameters:
            if parameter.grad is not None and not parameter.grad.is_contiguous():
                parameter.grad = parameter.grad.contiguous()
        self.places[:, -1] = [p.grad.data_ptr() for p in self._parameters if p.grad is not None]

    def sum_of_squares(self) -> float:
        """In float64, in an order that does not depend on the threads."""
        given = self.numbers, self.places, self.sizes, self._sums
        threads.share(all_sums_of_squares, given, self.size)
        if len(self._sums) == len(self.sizes):
            return float(sum(self._sums.tolist()))
        cuts = zip([0, *self._ends], self._ends, strict=False)
        return float(sum(self._sums[begin:end].sum() for begin, end in cuts))


def _zeros_like(table: Tensor) -> Tensor:
    return torch.from_numpy(buffers.sparse(tuple(table.shape), table.numpy().dtype, large=True))


def _sum_of_squares(gradient: Tensor) -> float:
    """In float64, in an order that does not depend on the threads."""
    values = gradient if gradient.dtype in KERNEL_TYPES else gradient.double()
    array = np.ascontiguousarray(values.numpy(force=True))
    sums = np.empty(-(-array.size // CHUNK))
    given = array, np.array([[array.ctypes.data]]), np.array([array.size]), sums
    threads.share(all_sums_of_squares, given, array.size)
    return float(sums.sum())
