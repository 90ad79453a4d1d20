"""Texts of many requests judged in one call of the model; long computations in line. Knows no HTTP.

What arrives while a batch is judged makes up the next; nobody waits for strangers. A text's probability
has the same bits in any batch, so no answer tells of its company.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.service.limits import busy, too_slow

Judged = tuple[NDArray[np.float32], NDArray[np.float64]]  # probabilities [n, classes], unknown shares [n]
Judge = Callable[[list[str]], Judged]
AT_ONCE = 32  # texts of one request in one batch: a large request does not keep small ones waiting
LINGER = 0.008  # seconds in which those just answered may ask again, so that they share the next batch
CHARACTERS = 100_000  # of a batch, one longer text aside


class Batcher:
    """Judges texts, batch after batch, in one thread."""

    def __init__(self, judge: Judge, on_batch: Callable[[int], object] = lambda texts: None) -> None:
        self._judge, self._on_batch = judge, on_batch
        self._waiting: deque[tuple[list[str], asyncio.Future[Judged]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._working: asyncio.Task[None] | None = None
        self._enough: tuple[int, asyncio.Event] | None = None

    async def judge(self, texts: list[str]) -> Judged:
        """Return what the model's `judge` says of these texts."""
        parts = []
        for part in cut(texts):
            future: asyncio.Future[Judged] = asyncio.get_running_loop().create_future()
            self._waiting.append((part, future))
            if self._enough is not None and len(self._waiting) >= self._enough[0]:
                self._enough[1].set()
            if self._working is None:
                self._working = asyncio.create_task(self._work())
            parts.append(await future)
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([shares for _, shares in parts])

    def close(self) -> None:
        """Let the thread end after what it does now."""
        self._thread.shutdown(wait=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while batch := self._next():
                texts = [text for part, _ in batch for text in part]
                self._on_batch(len(texts))
                try:
                    rows, shares = await loop.run_in_executor(self._thread, self._judge, texts)
                except Exception as error:  # told to everybody who waits
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                begin = 0
                for part, future in batch:
                    end = begin + len(part)
                    if not future.done():
                        future.set_result((rows[begin:end], shares[begin:end]))
                    begin = end
                await self._linger(len(batch))
        finally:
            self._working = None

    async def _linger(self, before: int) -> None:
        """Wait until as many ask as were answered just now, or a moment: a lone client waits for nobody."""
        if len(self._waiting) >= before or before == 1:
            return
        self._enough = before, asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._enough[1].wait(), LINGER)
        self._enough = None

    def _next(self) -> list[tuple[list[str], asyncio.Future[Judged]]]:
        batch: list[tuple[list[str], asyncio.Future[Judged]]] = []
        texts = characters = 0
        while self._waiting:
            part, future = self._waiting[0]
            size = sum(map(len, part))
            if batch and (texts + len(part) > 2 * AT_ONCE or characters + size > CHARACTERS):
                break
            self._waiting.popleft()
            if not future.done():  # its client is still there
                batch.append((part, future))
                texts, characters = texts + len(part), characters + size
        return batch


def cut(texts: list[str]) -> list[list[str]]:
    """Return a request's texts in parts that fit into a batch."""
    parts: list[list[str]] = []
    characters = 0
    for text in texts:
        if not parts or len(parts[-1]) == AT_ONCE or characters + len(text) > CHARACTERS:
            parts.append([])
            characters = 0
        parts[-1].append(text)
        characters += len(text)
    return parts


class Line:
    """Long computations, a few at a time; a full line refuses at once."""

    def __init__(self, threads: int, most: int, seconds: float, what: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=what.replace(" ", "-"))
        self._most, self._seconds, self._what = most, seconds, what
        self._inside = 0

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the function returns; Refusal 503 when the line is full, 408 when it takes too long.

        A thread cannot be stopped: what takes too long keeps its place until it is done.
        """
        if self._inside >= self._most:
            raise busy(f"{self._inside} {self._what}")
        loop = asyncio.get_running_loop()
        self._inside += 1
        future = self._pool.submit(function, *arguments)
        future.add_done_callback(lambda done: self._told(loop))
        return await within(future, self._seconds)

    def close(self) -> None:
        """Wait for what is being done, forget what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _told(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._left)

    def _left(self) -> None:
        self._inside -= 1


async def within(future: Future[Any], seconds: float) -> Any:
    """Wait for a thread's result; Refusal 408 when it takes longer."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
    except TimeoutError:
        raise too_slow(seconds) from None
