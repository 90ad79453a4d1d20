"""Which unit of a memory knows what: the AUC of each for properties of the text so far, against chance.

Chance is the same property moved round within each text (of a whole text: given to another text), which keeps
how it comes in runs. Of all units and properties together the Benjamini–Hochberg procedure (1995) says which
are beyond chance. Legend: U units (layers × directions × H), M sampled tokens, R shuffles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from gatelight.errors import DataError
from gatelight.insight.properties import Mask, Property

if TYPE_CHECKING:
    from gatelight.estimators.inside import Inside

QUANTITIES = ("hidden_state", "cell_state")
PER_TEXT = 40  # tokens of a text that are looked at
SHUFFLES = 200
LEVEL = 0.05  # of false discoveries
BINS = 30
TINY = 1e-9  # a spread of no spread
LEAST = 20  # tokens with and without a property, for it to be looked for

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """The unit that tells a property best, and how well.

    `auc` is over all sampled tokens (below ½: the unit falls with the property), `p` of it by the
    shuffles, `units` how many of all units are beyond chance at a false discovery rate of 5 %. `accuracy` is
    that of a threshold: unit and threshold chosen on half of the texts, judged on the other half; `majority`
    is what the commoner answer has there. `edges`, `with_it` and `without_it` are the unit's histogram.
    """

    property: str
    layer: int
    direction: int
    unit: int
    auc: float
    p: float
    units: int
    accuracy: float
    majority: float
    edges: list[float]
    with_it: list[int]
    without_it: list[int]


@dataclass(frozen=True)
class Search:
    """What was found on so many texts and tokens among so many units, a property each, the clearest first."""

    texts: int
    tokens: int
    units: int
    found: list[Found]
    skipped: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return asdict(self)


def search(
    model: Inside,
    texts: Sequence[str],
    properties: Sequence[Property],
    *,
    quantity: str = QUANTITIES[0],
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> Search:
    """Look for the unit that tells each property best; raises DataError for no text or another quantity.

    Properties that fewer than 20 sampled tokens have, or lack, are skipped.
    """
    draw = np.random.default_rng(seed)
    rows: list[Matrix] = []
    owners: list[NDArray[np.int64]] = []
    kinds: dict[str, list[tuple[Mask, NDArray[np.int64]]]] = {one.name: [] for one in properties}
    shape, number = (0, 0, 0), 0
    for trace in model.traces(texts):
        if quantity not in trace.names:
            raise DataError(f"a {trace.cell} has no {quantity!r}; it has {', '.join(trace.names)}")
        shape = trace.layers, trace.directions, trace.hidden_size
        for text, steps in enumerate(trace.steps):
            size = len(steps)
            if size:
                places = np.sort(draw.choice(size, min(size, PER_TEXT), replace=False))
                values = trace.of_text(text)[quantity]
                rows.append(values.reshape(size, -1)[places])
                owners.append(np.full(len(places), number))
                for one in properties:
                    kinds[one.name].append((one.of(number, steps.tokens), places))
            number += 1
    if not rows:
        raise DataError("no text holds a token that the model reads; give texts with words")
    states, owner = np.concatenate(rows), np.concatenate(owners)
    ranks = np.ascontiguousarray(rankdata(states, axis=0).T, np.float32)
    found: list[tuple[Property, Floats, Floats, Mask]] = []
    skipped = []
    for one in properties:
        mask = np.concatenate([whole[places] for whole, places in kinds[one.name]])
        if min(int(mask.sum()), int((~mask).sum())) < LEAST:
            skipped.append(one.name)
            continue
        moved = np.array([_moved(kinds[one.name], one.whole_text, draw) for _ in range(shuffles)])
        aucs, by_chance = auc(ranks, mask[None])[:, 0], auc(ranks, moved)
        # Two-sided, by the normal curve of what chance gives, about its own mean and not ½: counted shuffles
        # could not tell a p below one in their number, and thousands of tests ask for less.
        spread = np.maximum(by_chance.std(axis=1), TINY)
        p = 2 * norm.sf(np.abs(aucs - by_chance.mean(axis=1)) / spread)
        found.append((one, aucs, p, mask))
    kept = benjamini_hochberg(np.array([p for _, _, p, _ in found]), LEVEL)
    half = owner % 2 == 0
    results = []
    for (one, aucs, p, mask), significant in zip(found, kept, strict=True):
        accuracy, majority = _single_unit(states, mask, half)
        best = int(np.abs(aucs - 0.5).argmax())
        layer, direction, unit = map(int, np.unravel_index(best, shape))
        edges = np.histogram_bin_edges(states[:, best], BINS)
        counts = [np.histogram(states[chosen, best], edges)[0].tolist() for chosen in (mask, ~mask)]
        results.append(
            Found(
                one.name,
                layer,
                direction,
                unit,
                float(aucs[best]),
                float(p[best]),
                int(significant.sum()),
                accuracy,
                majority,
                edges.tolist(),
                *counts,
            )
        )
    results.sort(key=lambda one: -abs(one.auc - 0.5))
    return Search(number, len(states), states.shape[1], results, skipped)


def auc(ranks: Matrix, masks: NDArray[np.bool_]) -> Floats:
    """Areas under the ROC curve [U, R], of ranks [U, M] from 1 on, for masks [R, M]: Mann & Whitney's U."""
    positive = masks.sum(axis=1, dtype=np.float64)
    total = masks.shape[1]
    # Centred, so that float32 sums of thousands of ranks keep their digits.
    centred = ranks - np.float32((total + 1) / 2)
    sums = (centred @ masks.T.astype(np.float32)).astype(np.float64)
    sums += positive * (total + 1) / 2 - positive * (positive + 1) / 2
    areas: Floats = sums / np.maximum(positive * (total - positive), 1)
    return np.where((positive > 0) & (positive < total), areas, 0.5)


def benjamini_hochberg(p: Floats, level: float) -> NDArray[np.bool_]:
    """Say which p-values, of any shape, are discoveries at this rate of false ones."""
    order = np.sort(p, axis=None)
    below = order <= level * np.arange(1, len(order) + 1) / max(len(order), 1)
    found: NDArray[np.bool_] = p <= (order[below].max() if below.any() else -1.0)
    return found


def _moved(kinds: list[tuple[Mask, NDArray[np.int64]]], whole_text: bool, draw: np.random.Generator) -> Mask:
    if whole_text:
        order = draw.permutation(len(kinds))
        return np.concatenate(
            [np.full(len(places), kinds[k][0][0]) for (_, places), k in zip(kinds, order, strict=True)]
        )
    return np.concatenate([mask[(places + draw.integers(len(mask))) % len(mask)] for mask, places in kinds])


def _single_unit(states: Matrix, mask: Mask, half: Mask) -> tuple[float, float]:
    """Accuracy on one half of the texts of the unit and threshold best on the other; and of the majority."""
    best: tuple[float, int, float, bool] = (-1.0, 0, 0.0, True)
    learned = mask[half]
    for unit in range(states.shape[1]):
        values = states[half, unit]
        order = np.argsort(values, kind="stable")
        # Right with "more than the k-th smallest has it", for every k; and with its opposite.
        below = np.concatenate([[0], np.cumsum(~learned[order])])
        right = below + learned.sum() - (np.arange(len(values) + 1) - below)
        for rises, score in ((True, right), (False, len(values) - right)):
            k = int(score.argmax())
            if score[k] > best[0]:
                edge = -np.inf if k == 0 else float(values[order[k - 1]])
                best = (float(score[k]), unit, edge, rises)
    _, unit, edge, rises = best
    judged = (states[~half, unit] > edge) == rises
    held = mask[~half]
    if not len(held):
        return float("nan"), float("nan")
    common = bool(learned.mean() >= 0.5)
    return float((judged == held).mean()), float((held == common).mean())
