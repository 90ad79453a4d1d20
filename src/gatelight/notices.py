"""Sentences for whoever waits without having asked for it: to who listens, else to Python's logging."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[str], object]] = []


def tell(sentence: str) -> None:
    """Pass a sentence to the latest listener, or log it as a warning of the logger "gatelight"."""
    if _listeners:
        _listeners[-1](sentence)
    else:
        logging.getLogger("gatelight").warning(sentence)


@contextmanager
def listening(listener: Callable[[str], object]) -> Iterator[None]:
    """Inside the block sentences are passed to `listener`."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
