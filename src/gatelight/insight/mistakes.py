"""Everything that is known of a model's mistakes on labelled texts, gathered. Prints and trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.calibration import Calibration, calibration, is_determined, with_temperature
from gatelight.estimators.evaluation import Evaluation, measure
from gatelight.insight.agreement import Agreement, agreement
from gatelight.insight.edits import Edit, edits
from gatelight.insight.explanations import Effect, effects
from gatelight.insight.findings import Quote, quoted
from gatelight.insight.judged import RARE, Judged, judge
from gatelight.insight.slices import Slice, slices

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.text.vectors import WordVectors

WORST = 10
ONE_ALONE = 3
COVERED = tuple(round(1 - step / 20, 2) for step in range(20))


@dataclass(frozen=True)
class Mistake:
    """A text with the label it has, the one that was chosen, and the probabilities of both."""

    quote: Quote
    truth: Any
    chosen: Any
    probability: float
    probability_of_truth: float


@dataclass(frozen=True)
class Mistakes:
    """All of it; `confusion[t][c]` counts texts of class t judged c, `coverage` has [share judged, accuracy].

    `worst` are the mistakes with the least probability for the truth: for two classes the most confident
    ones. `offered` is the temperature that training's validation texts ask for (None: they
    tell of none), `offered_error` the
    calibration error that it would leave here. `agreement` is None without a baseline.
    """

    texts: int
    classes: list[Any]
    evaluation: Evaluation
    confusion: list[list[int]]
    calibration: Calibration
    offered: float | None
    offered_error: float | None
    coverage: list[tuple[float, float]]
    worst: list[Mistake]
    effects: list[Effect]
    edits: list[Edit]
    slices: list[Slice]
    agreement: Agreement | None
    model_alone: list[Mistake]
    baseline_alone: list[Mistake]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON-able values."""
        return asdict(self)


def mistakes(
    estimator: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[Any],
    *,
    groups: Sequence[str | None] | None = None,
    ids: Sequence[str] | None = None,
    vectors: WordVectors | None = None,
    seed: int = 0,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> Mistakes:
    """Judge labelled texts and look into what was judged wrongly.

    `vectors` say how rare words are in the corpus they were made of. `on_stage` is told "judge", "baseline"
    and "edits". Raises DataError for labels that are none of the model's, and for multi-label models.
    """
    on_stage("judge")
    judged = judge(estimator, texts, labels, vectors)
    names = estimator.known_classes().plain()
    n = len(names)
    confusion = np.bincount(judged.truth * n + judged.chosen, minlength=n * n).reshape(n, n)
    beside = None
    if estimator.baseline_ is not None:
        on_stage("baseline")
        beside = estimator.known_classes().columns(estimator.baseline_.probabilities(judged.texts))
    on_stage("edits")
    changed = edits(estimator, judged, seed)
    offered = estimator.training_.get("validation_temperature")
    if offered is not None and not is_determined(offered):
        offered = None
    told = _Telling(judged, names, ids)
    alone = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    if beside is not None:
        baseline_right = beside.argmax(axis=1) == judged.truth
        alone = (
            np.flatnonzero(judged.right & ~baseline_right),
            np.flatnonzero(baseline_right & ~judged.right),
        )
    return Mistakes(
        texts=len(judged),
        classes=names,
        evaluation=measure(
            judged.columns, judged.truth, baseline=None if beside is None else measure(beside, judged.truth)
        ),
        confusion=confusion.tolist(),
        calibration=calibration(judged.columns, judged.truth),
        offered=offered,
        offered_error=(
            None
            if offered is None
            else calibration(with_temperature(judged.columns, offered), judged.truth).error
        ),
        coverage=_coverage(judged),
        worst=told.worst(np.flatnonzero(~judged.right), WORST),
        effects=effects(_measures(judged), ~judged.right, judged.tokens, judged.truth),
        edits=changed,
        slices=slices(judged, groups),
        agreement=(None if beside is None else agreement(judged.chosen, beside.argmax(axis=1), judged.truth)),
        model_alone=told.worst(alone[0], ONE_ALONE, surest=True),
        baseline_alone=told.worst(alone[1], ONE_ALONE),
    )


class _Telling:
    """Texts as they are shown to people."""

    def __init__(self, judged: Judged, names: list[Any], ids: Sequence[str] | None) -> None:
        self._judged, self._names, self._ids = judged, names, ids

    def worst(self, rows: NDArray[np.int64], most: int, surest: bool = False) -> list[Mistake]:
        of_truth = self._judged.columns[rows, self._judged.truth[rows]] * (-1 if surest else 1)
        return [self._mistake(int(row)) for row in rows[np.argsort(of_truth, kind="stable")][:most]]

    def _mistake(self, row: int) -> Mistake:
        judged = self._judged
        name = str(row + 1) if self._ids is None else self._ids[row]
        return Mistake(
            quoted(name, judged.texts[row]),
            self._names[judged.truth[row]],
            self._names[judged.chosen[row]],
            float(judged.confidence[row]),
            float(judged.columns[row, judged.truth[row]]),
        )


def _coverage(judged: Judged) -> list[tuple[float, float]]:
    """Accuracy when only the surest share of the texts is judged."""
    right = judged.right[np.argsort(-judged.confidence, kind="stable")]
    taken = [max(1, round(share * len(right))) for share in COVERED]
    return [(share, float(right[:n].mean())) for share, n in zip(COVERED, taken, strict=True)]


def _measures(judged: Judged) -> dict[str, NDArray[np.float64]]:
    found = {
        "share of unknown words": judged.unknown,
        f"share of words seen less than {RARE} times in training": judged.rare,
        "mean log10 of the words' counts in training": judged.commonness,
    }
    if judged.rank is not None and judged.absent is not None:
        found["mean log10 of the words' ranks in the vectors' corpus"] = judged.rank
        found["share of words without a vector"] = judged.absent
    return found
