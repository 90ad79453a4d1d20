"""The processes that train one model together: what they add up and tell each other, over torch's gloo.

Every process has the same data and weights, and computes the gradient of its part of each batch; the sum over
all is what each then takes. Knows tensors: nothing of models or the loop.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from gatelight.errors import ProcessLost
from gatelight.launched import processes, processes_here, restarts
from gatelight.models.optim import Touched


class ProcessGroup:
    """`size` processes, of which this is number `rank`; of one alone every sum is its own."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size, self.sent = rank, size, 0

    @property
    def part(self) -> tuple[int, int]:
        """This process's sequences of a batch: begin and every how many, by packed position."""
        return self.rank, self.size

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Give all processes the tensors of the first, in place."""
        if self.size > 1:
            with self._talking(), torch.no_grad():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def total(self, numbers: Iterable[float]) -> list[float]:
        """Add up each number over all processes."""
        tensor = torch.tensor(list(numbers), dtype=torch.float64)
        self._add(tensor)
        return tensor.tolist()

    def joined(self, own: NDArray[Any]) -> NDArray[Any]:
        """Rows begin, begin + every, … of each process → all rows, in order."""
        if self.size == 1:
            return own
        counts = [int(count) for count in self.total(len(own) * (k == self.rank) for k in range(self.size))]
        parts = self._gather(torch.from_numpy(own), counts)
        whole = np.empty((sum(counts), *own.shape[1:]), own.dtype)
        for rank, part in enumerate(parts):
            whole[rank :: self.size] = part.numpy()
        return whole

    def sum_gradients(self, dense: Iterable[Tensor], touched: Touched | None) -> Touched | None:
        """Replace the gradients of dense parameters by their sums over all processes.

        Of a table's `touched` rows, returned are those that any process touched, with the sums.
        """
        if self.size == 1:
            return touched
        dense = list(dense)
        rows = np.zeros(0, np.int64) if touched is None else touched[0]
        # Which have a gradient at all, and how many rows each process touched, come in the same message.
        present = [float(leaf.grad is not None) for leaf in dense]
        touching = [float(len(rows)) if rank == self.rank else 0.0 for rank in range(self.size)]
        parts = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in dense]
        flat = torch.cat([torch.tensor([*present, *touching]), *(part.reshape(-1) for part in parts)])
        self._add(flat)
        told, flat = flat[: len(dense) + self.size].tolist(), flat[len(dense) + self.size :]
        sums = torch.split(flat, [leaf.numel() for leaf in dense])
        for leaf, some, part in zip(dense, told, sums, strict=False):
            leaf.grad = part.view_as(leaf).to(leaf.dtype) if some else None
        if touched is None:
            return None
        leaf = touched[1]
        gradient = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        counts = [int(count) for count in told[len(dense) :]]
        numbers = [part.numpy() for part in self._gather(torch.from_numpy(rows), counts)]
        union = np.unique(np.concatenate(numbers))
        total = gradient.new_zeros(len(union), gradient.shape[1])
        for some, part in zip(numbers, self._gather(gradient, counts), strict=True):
            total[torch.from_numpy(np.searchsorted(union, some))] += part
        summed = torch.empty_like(total)
        summed.grad = total
        return union, summed

    def _add(self, tensor: Tensor) -> None:
        if self.size > 1:
            self.sent += tensor.nbytes
            with self._talking():
                dist.all_reduce(tensor)

    def _gather(self, own: Tensor, counts: list[int]) -> list[Tensor]:
        """The rows of every process, of which there are `counts`."""
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own.detach()
        parts = [torch.empty_like(padded) for _ in counts]
        self.sent += padded.nbytes
        with self._talking():
            dist.all_gather(parts, padded)
        return [part[:count] for part, count in zip(parts, counts, strict=True)]

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise ProcessLost(str(error).partition("\n")[0]) from None


def process_group() -> ProcessGroup:
    """The group that this process is of: torch's if there is one, or that which torchrun asks for."""
    if not dist.is_available():
        return ProcessGroup()
    if not dist.is_initialized() and dist.is_torchelastic_launched():
        _start()
    return ProcessGroup(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else ProcessGroup()


def _start() -> None:
    """Meet the other processes of this attempt.

    torchrun keeps one store through restarts on one machine, in which addresses of processes that have ended
    may be read before those that live have written theirs. How often each machine was restarted differs, so
    that several meet as torch has it.
    """
    store, rank, size = next(rendezvous("env://"))
    if processes_here() == processes():
        store = PrefixStore(f"attempt {restarts()}", store)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    atexit.register(_end)


def _end() -> None:
    """Stop gloo's threads, which otherwise may abort a process that is done."""
    if dist.is_initialized():
        dist.destroy_process_group()
