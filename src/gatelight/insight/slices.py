"""How often a model is wrong among long texts, negated ones, one film's … Counts mistakes, knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.evaluation import wilson_interval
from gatelight.insight.judged import Judged

LEAST_OF_GROUP = 5
MOST_GROUPS = 10
MOST_CONTRASTS = 3
MOST_DISTANCE = 4

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """Texts that share something: how many, how many judged wrongly, the share with its 95 % interval.

    `apart` is by how much the share lies above that of all other texts, with Newcombe's interval (1998).
    """

    by: str
    value: str
    texts: int
    wrong: int
    share: float
    low: float
    high: float
    apart: float
    apart_low: float
    apart_high: float


def slices(judged: Judged, groups: Sequence[str | None] | None = None) -> list[Slice]:
    """Sort texts by length, cut or not, negations, contrast words, distance to the verb, and group."""
    wrong = ~judged.right
    parts: list[tuple[str, str, Mask]] = [*_by_length(judged)]
    if judged.cut.any():
        parts += [("longer than the model reads", v, judged.cut == (v == "yes")) for v in ("no", "yes")]
    parts += [("negation", v, (judged.negations > 0) == (v == "yes")) for v in ("no", "yes")]
    parts += [
        ("contrast words", _counted(n, MOST_CONTRASTS), _many(judged.contrasts, n, MOST_CONTRASTS))
        for n in range(MOST_CONTRASTS + 1)
    ]
    parts += [
        ("negation to verb", _counted(n, MOST_DISTANCE), _many(judged.distance, n, MOST_DISTANCE))
        for n in range(1, MOST_DISTANCE + 1)
    ]
    parts.append(("negation to verb", "no verb", judged.distance == -1))
    found = [_slice(by, value, mask, wrong) for by, value, mask in parts if mask.any()]
    return found + _by_group(wrong, groups)


def _by_length(judged: Judged) -> list[tuple[str, str, Mask]]:
    edges = np.unique(np.quantile(judged.tokens, [0.25, 0.5, 0.75]).astype(int))
    number = np.searchsorted(edges, judged.tokens, side="left")
    names = [f"up to {edges[0]:,}", *(f"up to {e:,}" for e in edges[1:]), f"over {edges[-1]:,}"]
    return [("tokens", name, number == i) for i, name in enumerate(names)]


def _by_group(wrong: Mask, groups: Sequence[str | None] | None) -> list[Slice]:
    """The groups whose mistakes are the least likely to be chance."""
    if groups is None:
        return []
    names = sorted({name for name in groups if name is not None})
    number = {name: i for i, name in enumerate(names)}
    of = np.array([-1 if name is None else number[name] for name in groups])
    sizes = np.bincount(of[of >= 0], minlength=len(names))
    found = [
        _slice("group", names[i], of == i, wrong) for i in np.flatnonzero(sizes >= LEAST_OF_GROUP).tolist()
    ]
    return sorted(found, key=lambda s: -s.low)[:MOST_GROUPS]


def _slice(by: str, value: str, mask: Mask, wrong: Mask) -> Slice:
    n, bad = int(mask.sum()), int((mask & wrong).sum())
    rest, rest_bad = len(mask) - n, int(wrong.sum()) - bad
    low, high = wilson_interval(bad, n)
    apart = apart_low = apart_high = 0.0
    if rest:
        other_low, other_high = wilson_interval(rest_bad, rest)
        share, other = bad / n, rest_bad / rest
        apart = share - other
        apart_low = apart - float(np.hypot(share - low, other_high - other))
        apart_high = apart + float(np.hypot(high - share, other - other_low))
    return Slice(by, value, n, bad, bad / n, low, high, apart, apart_low, apart_high)


def _counted(n: int, most: int) -> str:
    return f"{n} or more" if n == most else str(n)


def _many(counts: NDArray[np.int64], n: int, most: int) -> Mask:
    return counts >= n if n == most else counts == n
