"""Sequences in any form that people keep them in → flat steps and lengths.

A step is a whole number (an id) or one or several numbers (features). Legend: B sequences, N steps,
D features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError

IDS, FEATURES = "ids", "features"


@dataclass(frozen=True)
class Steps:
    """B sequences end to end: `values` int64 [N] ids or float64 [N, D] features, `lengths` int64 [B]."""

    values: NDArray[Any]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)


def rank(given: Any) -> int | None:
    """How many dimensions an array or data frame of numbers has; None for a list or a column of sequences."""
    if not hasattr(given, "shape") and hasattr(given, "__array__"):
        given = np.asarray(given)
    dimensions = len(getattr(given, "shape", (0,)))
    numbers = getattr(getattr(given, "dtype", None), "kind", "O") in "iufb"
    return dimensions if dimensions != 1 or numbers else None


def of_array(array: NDArray[Any]) -> Steps:
    """Sequences of equal length: [B, T] ids or single numbers, [B, T, D] features."""
    sequences, steps = array.shape[:2]
    values = array.reshape(sequences * steps, *array.shape[2:])
    return Steps(_plain(values, "the sequences"), np.full(sequences, steps, np.int64))


def of_sequences(given: Iterable[Any]) -> Steps:
    """Sequences of any lengths, each a list or an array: [T] or [T, D]. DataError names the first bad one."""
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise DataError(f"expected a list of sequences, not {type(given).__name__}")
    parts: list[NDArray[Any]] = []
    for number, sequence in enumerate(given, start=1):
        name = f"sequence number {number}"
        if sequence is None or isinstance(sequence, (str, bytes)) or not hasattr(sequence, "__len__"):
            shown = " ".join(repr(sequence).split())
            raise DataError(f"{name} is {shown:.60}; expected a list or an array of numbers")
        try:
            part = np.asarray(sequence)
        except ValueError:
            raise DataError(f"{name}: its steps have unequal numbers of features") from None
        if part.ndim not in (1, 2):
            raise DataError(f"{name} has the shape {part.shape}; expected [steps] or [steps, features]")
        parts.append(_plain(part, name) if len(part) else part)
    full = [part for part in parts if len(part)]
    if not full:
        raise DataError(f"none of the {len(parts)} sequences has a step; give at least one that has")
    shapes = [part.shape[1:] for part in full]
    if len(set(shapes)) > 1:
        odd = next(place for place, shape in enumerate(shapes) if shape != shapes[0])
        raise DataError(
            f"a sequence has steps of {_told(shapes[odd])}, the first one of {_told(shapes[0])}; expected as "
            "many"
        )
    return Steps(np.concatenate(full), np.array([len(part) for part in parts], np.int64))


def ids_of(steps: Steps) -> NDArray[np.int64]:
    """The steps as whole numbers [N]; DataError when they are none."""
    values = steps.values
    if values.ndim != 1:
        raise DataError(f"ids are single whole numbers; these steps have {values.shape[1]} features each")
    whole = values.astype(np.int64)
    if not np.array_equal(whole, values):
        broken = values[whole != values][0]
        raise DataError(f'ids are whole numbers, {broken} is none; give input="features" for measurements')
    return whole


def rows_of(steps: Steps) -> NDArray[np.float64]:
    """The steps as rows of features [N, D]."""
    values = np.asarray(steps.values, np.float64)
    return values[:, None] if values.ndim == 1 else values


def _plain(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Numbers as int64 or float64; DataError for anything else, or for numbers that are none."""
    if values.dtype.kind == "O":
        try:
            values = values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{name} holds something that is no number ({error})") from None
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    if values.dtype.kind != "f":
        raise DataError(f"{name} is of type {values.dtype}; expected numbers")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"{name} holds NaN or infinity; fill in or leave out such steps")
    return values


def _told(shape: tuple[int, ...]) -> str:
    return "one number" if not shape else f"{shape[0]} features"
