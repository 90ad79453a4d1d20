"""Texts of many requests predicted in one call of the model; long computations in bounded queues.

What arrives while a batch is computed makes up the next. A text's probability has the same bits in any batch,
so no answer depends on who else asks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.service.limits import busy, too_slow

Predicted = tuple[NDArray[np.float32], NDArray[np.float64]]
"""Probabilities [n, classes] and the fraction of unknown tokens [n]."""
Predict = Callable[[list[str]], Predicted]

PART_TEXTS = 32  # of one request in one batch: a large request does not keep small ones waiting
BATCH_TEXTS = 64
BATCH_CHARACTERS = 100_000  # one longer text aside


@dataclass
class _Part:
    """A part of a request that waits for its batch."""

    texts: list[str]
    future: asyncio.Future[Predicted]

    @property
    def characters(self) -> int:
        return sum(map(len, self.texts))


class Batcher:
    """Predicts texts, batch after batch, in one thread."""

    def __init__(self, predict: Predict, on_batch: Callable[[int], object] = lambda texts: None) -> None:
        self._predict, self._on_batch = predict, on_batch
        self._waiting: deque[_Part] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._worker: asyncio.Task[None] | None = None

    async def predict(self, texts: list[str]) -> Predicted:
        """Return what the model predicts for one or more texts."""
        results = []
        for part in split(texts):
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(_Part(part, future))
            if self._worker is None:
                self._worker = asyncio.create_task(self._work())
            results.append(await future)
        probabilities, unknown = zip(*results, strict=True)
        return np.concatenate(probabilities), np.concatenate(unknown)

    def close(self) -> None:
        """Let the thread end after the current batch."""
        self._thread.shutdown(wait=True)

    async def _work(self) -> None:
        try:
            while batch := self._next_batch():
                await self._compute(batch)
        finally:
            self._worker = None

    async def _compute(self, batch: list[_Part]) -> None:
        texts = [text for part in batch for text in part.texts]
        self._on_batch(len(texts))
        try:
            rows, unknown = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._predict, texts
            )
        except Exception as error:
            for part in batch:
                if not part.future.done():
                    part.future.set_exception(error)
            return
        begin = 0
        for part in batch:
            end = begin + len(part.texts)
            if not part.future.done():
                part.future.set_result((rows[begin:end], unknown[begin:end]))
            begin = end

    def _next_batch(self) -> list[_Part]:
        batch: list[_Part] = []
        texts = characters = 0
        while self._waiting:
            part = self._waiting[0]
            texts, characters = texts + len(part.texts), characters + part.characters
            if batch and (texts > BATCH_TEXTS or characters > BATCH_CHARACTERS):
                break
            self._waiting.popleft()
            if not part.future.done():  # its client still waits
                batch.append(part)
        return batch


def split(texts: list[str]) -> list[list[str]]:
    """Return a request's texts in parts that each fit into a batch."""
    parts: list[list[str]] = []
    characters = 0
    for text in texts:
        if not parts or len(parts[-1]) == PART_TEXTS or characters + len(text) > BATCH_CHARACTERS:
            parts.append([])
            characters = 0
        parts[-1].append(text)
        characters += len(text)
    return parts


class Places:
    """How many of something there may be at a time."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit, self.what = limit, what
        self.taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Take a place for the length of the block; HTTP error 503 where none is free."""
        if self.taken >= self._limit:
            raise busy(f"{self.taken} {self.what}")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class BoundedExecutor:
    """Threads with a bounded queue: when it is full, `run` refuses at once."""

    def __init__(self, threads: int, places: Places, seconds: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=places.what)
        self._places, self._seconds = places, seconds

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return the function's result; HTTP error 503 when the queue is full, 408 when it takes too long.

        A thread cannot be stopped: what takes too long keeps its place until it is done.
        """
        place, loop = ExitStack(), asyncio.get_running_loop()
        place.enter_context(self._places.take())
        future = self._pool.submit(function, *arguments)
        future.add_done_callback(lambda done: loop.is_closed() or loop.call_soon_threadsafe(place.close))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except TimeoutError:
            raise too_slow(self._seconds) from None

    def close(self) -> None:
        """Wait for what is being computed, drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
