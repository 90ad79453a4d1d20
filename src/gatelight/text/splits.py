"""Which texts are held out: at random or by whole groups, with classes in proportion; knows no texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.text.readers.example import Label


def held_out(
    n: int, fraction: float, seed: int, groups: Sequence[str] | None, labels: Sequence[Label] | None
) -> npt.NDArray[np.bool_]:
    """Return a mask, bool[n], of about `fraction` of the texts; the same for the same arguments.

    With `groups` a group is held out as a whole or not at all. With `labels` the classes (an absent label
    counts as one) keep their shares. Raises DataError when either side would be empty.
    """
    if not 0 < fraction < 1:
        raise DataError(f"a fraction of {fraction} cannot be held out; expected a number between 0 and 1")
    if n < 2:
        raise DataError(f"{n} text cannot be split; expected at least two")
    random = np.random.default_rng(seed)
    if groups is None:
        if labels is None:
            return _drawn(n, fraction, random)
        if not any(isinstance(label, tuple) for label in labels):
            return _drawn_by_class(n, fraction, random, labels)
    return _drawn_by_group(n, fraction, random, groups, labels)


def _wanted(n: int, fraction: float) -> int:
    return min(max(round(n * fraction), 1), n - 1)


def _drawn(n: int, fraction: float, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    held = np.zeros(n, dtype=bool)
    held[random.permutation(n)[: _wanted(n, fraction)]] = True
    return held


def _drawn_by_class(
    n: int, fraction: float, random: np.random.Generator, labels: Sequence[Label]
) -> npt.NDArray[np.bool_]:
    number = _class_numbers(labels)
    sizes = np.bincount(number)
    shares = sizes * (_wanted(n, fraction) / n)
    counts = np.floor(shares).astype(np.int64)
    # The largest remainders make up what rounding down has lost; ties go to the first class.
    missing = _wanted(n, fraction) - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:missing]] += 1
    held = np.zeros(n, dtype=bool)
    order = random.permutation(n)
    for c, count in enumerate(counts):
        held[order[number[order] == c][:count]] = True
    return held


def _class_numbers(labels: Sequence[Label]) -> npt.NDArray[np.int64]:
    numbers: dict[Label, int] = {}
    for label in sorted(set(labels), key=lambda label: (label is not None, str(label))):
        numbers[label] = len(numbers)
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def _drawn_by_group(
    n: int,
    fraction: float,
    random: np.random.Generator,
    groups: Sequence[str] | None,
    labels: Sequence[Label] | None,
) -> npt.NDArray[np.bool_]:
    """Go through the groups in random order and hold out each that brings the counts nearer to the target."""
    if groups is None:
        group_of = np.arange(n)
    else:
        names = {name: i for i, name in enumerate(sorted(set(groups)))}
        group_of = np.array([names[name] for name in groups], dtype=np.int64)
    n_groups = int(group_of.max()) + 1
    if n_groups < 2:
        raise DataError("all texts are of one group; expected at least two groups, or split by 'random'")
    counts = _counts(group_of, n_groups, labels)
    target = counts.sum(axis=0) * fraction
    target[0] = _wanted(n, fraction)
    missing = target.copy()  # what is still to be held out, texts and each class
    # The distance is Σ missing² / target, so that rare classes count as much as common ones. Taking a group's
    # row of counts in or out (sign ±1) changes it by Σ row² / target − 2 · sign · Σ row · missing / target.
    own = (counts**2 / target).sum(axis=1)
    chosen = np.zeros(n_groups, dtype=bool)
    for group in random.permutation(n_groups):
        if own[group] < 2 * float(counts[group] @ (missing / target)):
            missing -= counts[group]
            chosen[group] = True
    # What comes late in that order finds little choice; the moves that help most mend it, each a strict gain.
    while True:
        sign = np.where(chosen, -1, 1)
        change = own - 2 * sign * (counts @ (missing / target))
        best = int(np.argmin(change))
        if change[best] > -1e-9:  # less would be rounding, and could go on for ever
            break
        missing -= sign[best] * counts[best]
        chosen[best] = not chosen[best]
    if not chosen.any():  # every group is larger than what is wanted
        chosen[np.argmin(counts[:, 0])] = True
    if chosen.all():
        chosen[np.argmin(counts[:, 0])] = False
    return np.asarray(chosen[group_of])


def _counts(
    group_of: npt.NDArray[np.int64], n_groups: int, labels: Sequence[Label] | None
) -> npt.NDArray[np.float64]:
    """Count texts (column 0) and texts of each class (the others) by group, float64[n_groups, 1 + C]."""
    rows, columns = [group_of], [np.zeros_like(group_of)]
    if labels is not None:
        pairs = [
            (group, single)
            for group, label in zip(group_of.tolist(), labels, strict=True)
            for single in (label if isinstance(label, tuple) else (label,))
        ]
        if pairs:
            rows.append(np.array([group for group, _ in pairs], dtype=np.int64))
            columns.append(1 + _class_numbers([single for _, single in pairs]))
    row, column = np.concatenate(rows), np.concatenate(columns)
    counts = np.zeros((n_groups, int(column.max()) + 1))
    np.add.at(counts, (row, column), 1)
    return counts
