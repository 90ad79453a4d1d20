"""Which texts are held out: at random or by whole groups, with classes in proportion; knows no texts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.text.readers.example import Label

Mask = npt.NDArray[np.bool_]

MOST_FOLDS = 20
"""Of whole groups: a fraction is met to a fortieth, and exactly where it is a tenth or a fifth, say."""


def held_out(
    n: int, fraction: float, seed: int, groups: Sequence[str] | None, labels: Sequence[Label] | None
) -> Mask:
    """Return a mask, bool[n], of about `fraction` of the texts; the same for the same arguments.

    With `groups` a group is held out as a whole or not at all. With `labels` the classes (an absent label
    and each set of several labels count as one) keep their shares. Raises DataError when either side would
    be empty.
    """
    if not 0 < fraction < 1:
        raise DataError(f"a fraction of {fraction} cannot be held out; expected a number between 0 and 1")
    if n < 2:
        raise DataError(f"{n} text cannot be split; expected at least two")
    classes = np.unique([str(label) for label in labels or [None] * n], return_inverse=True)[1]
    if groups is None:
        return _by_text(fraction, seed, classes)
    group_of = np.unique(np.array(groups, dtype=object), return_inverse=True)[1]
    if group_of.max() == n - 1:  # each text is a group of its own
        return _by_text(fraction, seed, classes)
    return _by_group(fraction, seed, classes, group_of)


def _by_text(fraction: float, seed: int, classes: npt.NDArray[np.int64]) -> Mask:
    n = len(classes)
    random = np.random.default_rng(seed)
    wanted = min(max(round(n * fraction), 1), n - 1)
    shares = np.bincount(classes) * (wanted / n)
    counts = np.floor(shares).astype(np.int64)
    # The largest remainders make up what rounding down has lost; which of equal ones is left to chance.
    order = random.permutation(n)
    tie = random.permutation(len(counts))
    counts[np.lexsort((tie, counts - shares))[: wanted - int(counts.sum())]] += 1
    held = np.zeros(n, dtype=bool)
    for c, count in enumerate(counts):
        held[order[classes[order] == c][:count]] = True
    return held


def _by_group(
    fraction: float, seed: int, classes: npt.NDArray[np.int64], group_of: npt.NDArray[np.int64]
) -> Mask:
    """Hold out those of the folds that StratifiedGroupKFold makes which come nearest to the fraction."""
    from sklearn.model_selection import StratifiedGroupKFold

    n, n_groups = len(classes), int(group_of.max()) + 1
    if n_groups < 2:
        raise DataError("all texts are of one group; expected at least two groups, or split by 'random'")
    folds = min(max(Fraction(fraction).limit_denominator(MOST_FOLDS).denominator, 2), n_groups)
    chosen = min(max(round(fraction * folds), 1), folds - 1)
    if np.bincount(classes).max() < folds:  # no class can be spread over so many
        classes = np.zeros_like(classes)
    maker = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class that has fewer texts than there are folds
        fold_of = np.zeros(n, np.int64)
        for fold, (_, rows) in enumerate(maker.split(classes, classes, group_of)):
            fold_of[rows] = fold
    candidates = [(fold_of - first) % folds < chosen for first in range(folds)]
    candidates = [held for held in candidates if 0 < held.sum() < n]
    return min(candidates, key=lambda held: abs(int(held.sum()) - n * fraction))
