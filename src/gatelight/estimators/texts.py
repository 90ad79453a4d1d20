"""Any column of texts or groups → a list of strings.

Lists, tuples, NumPy arrays, pandas, polars and pyarrow columns are all read by plain iteration.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.text.mapped import MappedTexts


def checked_texts(texts: Iterable[Any], name: str = "texts") -> Sequence[str]:
    """Return the texts as strings, in order; raises DataError naming the first that is none."""
    if isinstance(texts, MappedTexts):
        return texts
    if isinstance(texts, (str, bytes)):
        raise DataError(f"{name} must be a list of texts, not one {type(texts).__name__}; write [text]")
    shape: tuple[int, ...] = getattr(texts, "shape", ())
    if len(shape) == 2 and shape[1] == 1:  # one column, as scikit-learn's tools pass it on
        texts = np.asarray(texts)[:, 0]
    if getattr(texts, "ndim", 1) != 1 or hasattr(texts, "columns"):
        raise DataError(
            f"{name} must be one column of texts, not a whole {type(texts).__name__}: pick the column"
        )
    try:
        iterator = iter(texts)
    except TypeError:
        raise DataError(f"{name} must be a list of texts, not {type(texts).__name__}") from None
    out = []
    for number, text in enumerate(iterator, start=1):
        plain = text.as_py() if hasattr(text, "as_py") else text  # a pyarrow scalar
        if not isinstance(plain, str):
            shown = " ".join(repr(plain).split())
            raise DataError(
                f"{name}: number {number} is {shown:.60}, not a string; drop it or put a text in its place"
            )
        out.append(plain if type(plain) is str else str(plain))
    return out


def group_names(groups: Iterable[Any]) -> list[str]:
    """Return a name for each text's group; a missing one (None, or NaN) is a group of its own."""
    plain = (group.as_py() if hasattr(group, "as_py") else group for group in groups)
    names: dict[Any, str] = {}  # of equal strings one is enough
    return [
        f"alone {row}" if group is None or group != group else names.setdefault(group, f"group {group}")
        for row, group in enumerate(plain)  # NaN is unlike itself
    ]


def blocks(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield the texts in blocks of at most `size`."""
    for begin in range(0, len(texts), size):
        yield texts[begin : begin + size]
