"""Which texts are held out: at random or by whole groups, with classes in proportion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.text.readers.example import Label

Mask = npt.NDArray[np.bool_]

PASSES = 3  # what comes late in the first has little choice


def held_out(
    n: int, fraction: float, seed: int, groups: Sequence[str] | None, labels: Sequence[Label] | None
) -> Mask:
    """Return a mask, bool[n], of about `fraction` of the texts; the same for the same arguments.

    With `groups` a group is held out as a whole or not at all. With `labels` the classes (an absent label
    and each set of several labels count as one) keep their fractions. Raises DataError when either side would
    be empty.
    """
    if not 0 < fraction < 1:
        raise DataError(f"a fraction of {fraction} cannot be held out; expected a number between 0 and 1")
    if n < 2:
        raise DataError(f"{n} text cannot be split; expected at least two")
    classes = np.zeros(n, np.int64) if not labels else _numbered(labels)
    if groups is None:
        return _by_text(fraction, seed, classes)
    group_of = _numbered(groups)
    if group_of.max() == n - 1:  # each text is a group of its own
        return _by_text(fraction, seed, classes)
    return _by_group(fraction, seed, classes, group_of)


def _numbered(values: Sequence[Label]) -> npt.NDArray[np.int64]:
    """The place of each value in the sorted order of the different ones."""
    names = {value: str(value) for value in set(values)}
    places = {name: place for place, name in enumerate(sorted(set(names.values())))}
    number = {value: places[name] for value, name in names.items()}
    return np.fromiter(map(number.__getitem__, values), np.int64, len(values))


def _by_text(fraction: float, seed: int, classes: npt.NDArray[np.int64]) -> Mask:
    n = len(classes)
    random = np.random.default_rng(seed)
    wanted = min(max(round(n * fraction), 1), n - 1)
    fractions = np.bincount(classes) * (wanted / n)
    counts = np.floor(fractions).astype(np.int64)
    # The largest remainders make up what rounding down has lost; which of equal ones is left to chance.
    order = random.permutation(n)
    tie = random.permutation(len(counts))
    counts[np.lexsort((tie, counts - fractions))[: wanted - int(counts.sum())]] += 1
    held = np.zeros(n, dtype=bool)
    for c, count in enumerate(counts):
        held[order[classes[order] == c][:count]] = True
    return held


def _by_group(
    fraction: float, seed: int, classes: npt.NDArray[np.int64], group_of: npt.NDArray[np.int64]
) -> Mask:
    """Go through the groups in random order and hold out each that brings the classes nearer to theirs.

    Later passes take in or out what is better so. The distance is Σ missing² / wanted over the classes and
    all texts, so that rare classes count as much as common ones. As even as scikit-learn's
    StratifiedGroupKFold, and quick with thousands of groups.
    """
    n_groups = int(group_of.max()) + 1
    if n_groups < 2:
        raise DataError("all texts are of one group; expected at least two groups, or split by 'random'")
    counts = np.zeros((n_groups, int(classes.max()) + 2))
    np.add.at(counts, (group_of, classes), 1)
    counts[:, -1] = np.bincount(group_of)
    missing = counts.sum(axis=0) * fraction
    weights = 1 / missing
    nearer = (counts**2 * weights).sum(axis=1)
    # Taking a group in or out (sign ±1) changes the distance by nearer − 2 sign Σ counts · missing / wanted.
    chosen = np.zeros(n_groups, dtype=bool)
    order = np.random.default_rng(seed).permutation(n_groups)
    for group in np.tile(order, PASSES):
        sign = -1 if chosen[group] else 1
        if nearer[group] < 2 * sign * float(counts[group] @ (missing * weights)):
            missing -= sign * counts[group]
            chosen[group] = not chosen[group]
    if not chosen.any() or chosen.all():  # every group is larger than what is wanted
        smallest = np.argmin(counts[:, -1])
        chosen[smallest] = not chosen[smallest]
    return np.asarray(chosen[group_of])
