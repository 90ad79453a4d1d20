"""Large arrays whose memory is used again once nobody holds them; knows nothing of what they are for.

Fresh memory costs a page fault for every few kilobytes, which took as long as a third of a training
step. Every step needs the same few large arrays again, so their blocks are kept when they are let go.
"""

from __future__ import annotations

import mmap
import os
import threading
from bisect import bisect_left, insort
from collections import deque
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

SMALLEST = 1 << 19
"""Bytes below which the allocator's own reuse is as good."""

ROOM = 4
"""How many times as large as its array a block may be."""

KEPT = 1 << 30
"""Most bytes kept for use again; what is let go beyond them is returned to the system."""

LINE = 64
"""Bytes of a cache line, and of the widest register."""

_BYTES = np.dtype(np.uint8)

_lock = threading.Lock()
_returned: deque[mmap.mmap] = deque()  # let go, perhaps by a collection of garbage inside the lines below
_free: list[tuple[int, int, mmap.mmap]] = []  # (bytes, id, memory), by size
_kept = 0


class _Block(np.ndarray[Any, np.dtype[np.uint8]]):
    """The owner of an array's memory: numpy and torch keep it as long as anything reads the array."""

    def __del__(self) -> None:
        # Else it is a view of a block; or Python ends, and has taken this module apart already.
        if _let_go is not None and isinstance(self.base, mmap.mmap):
            _let_go(self.base)


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array as numpy.empty does, C-contiguous, perhaps in memory that was used before."""
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    memory = _take(size) or _fresh(size + size // 8)  # a little room, so that near sizes share it
    # The memory must not be a numpy array: numpy would make that the owner, past the block.
    block = np.ndarray.__new__(_Block, (len(memory),), _BYTES, buffer=memory)
    return np.ndarray(shape, dtype, buffer=block)


def zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return an array as numpy.zeros does, perhaps in memory that was used before."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


@lru_cache(maxsize=16)
def nothing(shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros that all share who ask for this shape: nobody may write to them."""
    return np.zeros(shape, dtype)


def sparse(shape: tuple[int, ...], dtype: Any, large: bool = False) -> Array:
    """Return zeros of which only the pages that are written will take memory; C-contiguous.

    Pages are small, so that a row takes little more than itself, or `large`: quicker where many are written.
    """
    dtype = np.dtype(dtype)
    size = prod(shape) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    # numpy, too, asks for pages of two megabytes, of which a row would take a whole one.
    return np.ndarray(shape, dtype, buffer=_fresh(size) if large else mmap.mmap(-1, size))


def lined(shape: tuple[int, ...], dtype: Any) -> Array:
    """As `empty`, with rows of the last size made so long that all begin at a line if the first does.

    They are an odd number of lines apart: else some columns of many rows would share few places of a cache.
    """
    per_line = LINE // np.dtype(dtype).itemsize
    size = prod((*shape[:-1], (-(-shape[-1] // per_line) | 1) * per_line))
    room = empty((size + per_line,), dtype)
    begin = -room.ctypes.data % LINE // room.itemsize
    return room[begin : begin + size].reshape(*shape[:-1], -1 if size else 0)


def _fresh(size: int) -> mmap.mmap:
    if not hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size)
    # Private, for the system gives shared memory, which is the default, no large pages.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _take(size: int) -> mmap.mmap | None:
    """The smallest free block that holds `size` bytes and is not far too large for them."""
    global _kept
    with _lock:
        _sort_returned()
        place = bisect_left(_free, (size, 0))  # a shorter tuple sorts before
        if place < len(_free) and _free[place][0] <= ROOM * size:
            found, _, memory = _free.pop(place)
            _kept -= found
            return memory
        if place > 0 and ROOM * _free[place - 1][0] >= size:
            # The larger block that is now made serves these sizes too: batches differ in length.
            _kept -= _free.pop(place - 1)[0]
        return None


def _let_go(memory: mmap.mmap) -> None:
    _returned.append(memory)
    if _lock.acquire(blocking=False):  # else whoever has it, perhaps this thread, sorts it in later
        try:
            _sort_returned()
        finally:
            _lock.release()


def _sort_returned() -> None:
    global _kept
    while _returned:
        memory = _returned.popleft()
        insort(_free, (len(memory), id(memory), memory))
        _kept += len(memory)
    while _kept > KEPT:
        dropped, _, _ = _free.pop(0)
        _kept -= dropped


def _renew() -> None:
    # In a forked child the thread that held the lock is not there, and may have left the list half changed.
    global _lock, _free, _kept
    _lock, _free, _kept = threading.Lock(), [], 0
    _returned.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
