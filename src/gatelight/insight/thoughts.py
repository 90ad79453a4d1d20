"""Some texts' thought vectors looked at together: a map, and whether near ones have the same label.

Knows no model. Which texts are looked at is drawn as they come, so that any number may come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.evaluation import wilson_interval
from gatelight.insight.findings import Quote, quoted
from gatelight.insight.maps import FlatMap, flat_map
from gatelight.insight.neighbours import Nearest, nearest, unit

UNLABELLED = "no label"
EXAMPLES, NEAR = 4, 3  # texts shown with their neighbours, and how many of these


class Drawn:
    """At most `most` of the texts that come, each as likely as any other; the seed fixes which."""

    def __init__(self, most: int, seed: int = 0) -> None:
        self._most, self._random = most, np.random.default_rng(seed)
        self._kept: list[tuple[int, NDArray[np.float32], str, str | None, str]] = []
        self.seen = 0

    def add(
        self,
        vectors: NDArray[np.float32],
        ids: Sequence[str],
        labels: Sequence[str | None],
        texts: Sequence[str],
    ) -> None:
        """Take vectors [n, F], and the id, label and text of each."""
        for vector, *named in zip(vectors, ids, labels, texts, strict=True):
            place = self.seen if self.seen < self._most else int(self._random.integers(self.seen + 1))
            if place < self._most:
                one = (self.seen, vector.copy(), *named)
                self._kept[place : place + 1] = [one]
            self.seen += 1

    def columns(self) -> tuple[NDArray[np.float32], list[str], list[str | None], list[str]]:
        """Return vectors [n, F], ids, labels and texts of those that are kept, in their order."""
        if not self._kept:
            raise DataError("there are no texts to be looked at; give some")
        _, vectors, ids, labels, texts = zip(*sorted(self._kept, key=lambda one: one[0]), strict=True)
        return np.stack(vectors), list(ids), list(labels), list(texts)


@dataclass(frozen=True)
class LabelShare:
    """Of the `texts` of a label: the share whose nearest neighbour has it too, and what chance would give."""

    label: str
    texts: int
    share: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class Thoughts:
    """`of` texts, of which n are shown: excerpts, the number of each one's label in `kinds`, and the map.

    `near`: some texts, each with its nearest neighbours as (cosine, number of the text).
    """

    of: int
    quotes: list[Quote]
    kinds: list[str]
    kind: NDArray[np.int64]
    map: FlatMap
    shares: list[LabelShare]
    near: list[tuple[int, list[tuple[float, int]]]]


def thoughts(drawn: Drawn) -> Thoughts:
    """Look at the vectors that were drawn; raises DataError where they are too few for a map."""
    vectors, ids, labels, texts = drawn.columns()
    named = [UNLABELLED if label is None else label for label in labels]
    kinds = [name for name, _ in Counter(named).most_common()]
    kind = np.array([kinds.index(name) for name in named])
    flat = flat_map(vectors)
    same = kind[nearest(vectors)] == kind
    shares = []
    for number, name in enumerate(kinds if len(kinds) > 1 else []):
        of = kind == number
        low, high = wilson_interval(int(same[of].sum()), int(of.sum()))
        chance = float((of.sum() - 1) / (len(kind) - 1))
        shares.append(LabelShare(name, int(of.sum()), float(same[of].mean()), low, high, chance))
    return Thoughts(
        of=drawn.seen,
        quotes=[quoted(name, text) for name, text in zip(ids, texts, strict=True)],
        kinds=kinds,
        kind=kind,
        map=flat,
        shares=shares,
        near=_near(vectors, kind),
    )


def _near(vectors: NDArray[np.float32], kind: NDArray[np.int64]) -> list[tuple[int, list[tuple[float, int]]]]:
    """The first text of each kind, then others, with their neighbours."""
    firsts = np.unique(kind, return_index=True)[1].tolist()
    chosen = list(dict.fromkeys([*firsts, *range(len(kind))]))[:EXAMPLES]
    finder = Nearest(vectors[chosen], NEAR + 1)
    finder.add(unit(vectors), range(len(vectors)))
    found = []
    for number, text in enumerate(chosen):
        others = [(cosine, other) for cosine, other in finder.found(number) if other != text]
        found.append((text, others[:NEAR]))
    return found
