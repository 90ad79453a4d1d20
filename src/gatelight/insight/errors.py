"""What a classifier gets wrong on labelled texts, how sure it was, and where it is wrong more often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from gatelight.errors import DataError
from gatelight.estimators.calibration import Calibration, calibration, is_determined, with_temperature
from gatelight.estimators.evaluation import Evaluation, measure, wilson_interval
from gatelight.estimators.labels import checked_labels
from gatelight.estimators.texts import checked_texts
from gatelight.insight.english import NEGATIONS
from gatelight.insight.findings import Quote, quoted
from gatelight.insight.paired import Difference, paired_difference
from gatelight.insight.rare_words import Edit, edits

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

WORST = 10
COVERED = (1.0, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
LEAST_OF_GROUP, MOST_GROUPS = 5, 10

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Mistake:
    """A text with the label it has, the one that was predicted, and the probabilities of both."""

    quote: Quote
    truth: Any
    predicted: Any
    probability: float
    probability_of_truth: float


@dataclass(frozen=True)
class Slice:
    """Texts that share something: how many, how many predicted wrongly, the rate with its 95 % interval."""

    by: str
    value: str
    texts: int
    wrong: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How often a model and its baseline say the same, and who is right.

    `gain` is the model's accuracy less the baseline's.
    """

    same: float
    both: int
    model_only: int
    baseline_only: int
    neither: int
    gain: Difference


@dataclass(frozen=True)
class ErrorAnalysis:
    """All of it; `confusion[t][c]` counts texts of class t predicted c, `coverage` has [fraction, accuracy].

    `texts` were looked into. Of all that were given, `trained_on` were trained on (None: not known): they are
    left out unless there are no others, which `left_out` says. `worst` are the mistakes with the least
    probability for the truth. `offered` is the temperature that training's validation texts ask for (None:
    they tell of none), `offered_error` the calibration error that it would leave here. `agreement` is None
    without a baseline.
    """

    texts: int
    trained_on: int | None
    left_out: bool
    classes: list[Any]
    evaluation: Evaluation
    confusion: list[list[int]]
    calibration: Calibration
    offered: float | None
    offered_error: float | None
    coverage: list[tuple[float, float]]
    worst: list[Mistake]
    edits: list[Edit]
    slices: list[Slice]
    agreement: Agreement | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON-able values."""
        return asdict(self)


def analyze_errors(
    estimator: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[Any],
    *,
    groups: Sequence[str | None] | None = None,
    ids: Sequence[str] | None = None,
    seed: int = 0,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> ErrorAnalysis:
    """Classify labelled texts and look into what comes out wrong.

    `on_stage` is told "predict", "baseline" and "edits". Raises DataError for labels that are none of the
    model's, and for multi-label models.
    """
    on_stage("predict")
    checked, truth = labelled(estimator, texts, labels)
    names = estimator.known_classes().plain()
    numbers = [str(k + 1) for k in range(len(checked))] if ids is None else list(ids)
    seen = estimator.trained_on(checked)
    left_out = seen is not None and bool(seen.any()) and not seen.all()
    if seen is not None and left_out:
        kept = np.flatnonzero(~seen).tolist()
        checked, truth = [checked[k] for k in kept], truth[kept]
        numbers = [numbers[k] for k in kept]
        groups = None if groups is None else [groups[k] for k in kept]
    probabilities = estimator.predict_proba(checked)
    predicted = probabilities.argmax(axis=1)
    right = predicted == truth
    mistakes, of_truth = np.flatnonzero(~right), probabilities[np.arange(len(truth)), truth]

    compared, beside = None, None
    if estimator.baseline_ is not None:
        on_stage("baseline")
        columns = estimator.known_classes().columns(estimator.baseline_.probabilities(checked))
        beside = measure(columns, truth)
        compared = agreement(predicted, columns.argmax(axis=1), truth)
    on_stage("edits")
    offered = estimator.training_.get("validation_temperature")
    offered_error = None
    if offered is not None and is_determined(offered):
        offered_error = calibration(with_temperature(probabilities, offered), truth).error
    return ErrorAnalysis(
        texts=len(checked),
        trained_on=None if seen is None else int(seen.sum()),
        left_out=left_out,
        classes=names,
        evaluation=measure(probabilities, truth, baseline=beside),
        confusion=confusion_matrix(truth, predicted, labels=range(len(names))).tolist(),
        calibration=calibration(probabilities, truth),
        offered=None if offered_error is None else offered,
        offered_error=offered_error,
        coverage=_coverage(right, probabilities.max(axis=1)),
        worst=[
            Mistake(
                quoted(numbers[row], checked[row]),
                names[truth[row]],
                names[predicted[row]],
                float(probabilities[row].max()),
                float(probabilities[row, truth[row]]),
            )
            for row in mistakes[np.argsort(of_truth[mistakes], kind="stable")][:WORST]
        ],
        edits=edits(estimator, checked, truth, seed),
        slices=slices(estimator, checked, ~right, groups),
        agreement=compared,
    )


def labelled(
    estimator: TextClassifier, texts: Sequence[str], labels: Sequence[Any]
) -> tuple[Sequence[str], Numbers]:
    """Return checked texts and their class numbers [B]; DataError for several labels a text, or none."""
    classes = estimator.known_classes()
    if classes.multilabel:
        raise DataError(
            "the model gives several labels a text, so that no answer is simply right or wrong: "
            "`gatelight evaluate` measures it"
        )
    checked = checked_texts(texts)
    truth = classes.targets(checked_labels(labels))
    if len(checked) != len(truth) or not checked:
        raise DataError(
            f"there are {len(checked)} texts and {len(truth)} labels; give one label per text, at least one"
        )
    return checked, truth


def agreement(model: Numbers, baseline: Numbers, truth: Numbers) -> Agreement:
    """Compare two classifiers' class numbers int64 [B] with the truth and with each other."""
    ours, theirs = model == truth, baseline == truth
    return Agreement(
        same=float((model == baseline).mean()),
        both=int((ours & theirs).sum()),
        model_only=int((ours & ~theirs).sum()),
        baseline_only=int((theirs & ~ours).sum()),
        neither=int((~ours & ~theirs).sum()),
        gain=paired_difference(ours[None], theirs[None]),
    )


def slices(
    estimator: TextClassifier, texts: Sequence[str], wrong: Mask, groups: Sequence[str | None] | None = None
) -> list[Slice]:
    """Sort texts by length, cut or not, negations, and group, where there are several."""
    reading = estimator.reading_
    known = reading.vocabulary.known_counts()
    token_lists = [reading.tokenizer.tokens(text) for text in texts]
    tokens = np.array(list(map(len, token_lists)))
    negated = np.array([any(token.lower() in NEGATIONS for token in own) for own in token_lists])
    read = tokens
    if reading.unknown == "drop":
        read = np.array([sum(token in known for token in own) for own in token_lists])
    edges = np.unique(np.quantile(tokens, [0.25, 0.5, 0.75]).astype(int))
    length = np.searchsorted(edges, tokens, side="left")
    lengths = [*(f"up to {edge:,}" for edge in edges), f"over {edges[-1]:,}"]
    kinds = [
        ("tokens", lengths, length),
        ("longer than the model reads", ["no", "yes"], read > (reading.max_length or np.inf)),
        ("negation", ["no", "yes"], negated),
    ]
    parts = [(by, value, of == k) for by, values, of in kinds for k, value in enumerate(values)]
    found = [_slice(by, value, mask, wrong) for by, value, mask in parts if mask.any() and not mask.all()]
    if groups is not None:
        names, group = np.unique([name or "" for name in groups], return_inverse=True)
        sizes = np.bincount(group)
        large = [k for k, name in enumerate(names) if name and LEAST_OF_GROUP <= sizes[k] < len(group)]
        of_groups = [_slice("group", str(names[k]), group == k, wrong) for k in large]
        # The groups whose mistakes are the least likely to be chance.
        found += sorted(of_groups, key=lambda one: -one.low)[:MOST_GROUPS]
    return found


def _slice(by: str, value: str, mask: Mask, wrong: Mask) -> Slice:
    n, bad = int(mask.sum()), int((mask & wrong).sum())
    return Slice(by, value, n, bad, bad / n, *wilson_interval(bad, n))


def _coverage(right: Mask, confidence: NDArray[np.floating[Any]]) -> list[tuple[float, float]]:
    """Accuracy over the surest fraction of the texts."""
    sorted_right = right[np.argsort(-confidence, kind="stable")]
    taken = [max(1, round(fraction * len(right))) for fraction in COVERED]
    return [(fraction, float(sorted_right[:n].mean())) for fraction, n in zip(COVERED, taken, strict=True)]
