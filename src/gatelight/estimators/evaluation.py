"""How good a classifier is, with intervals, beside the n-gram baseline.

Accuracy carries Wilson's 95 % interval (Wilson 1927); F1 and log loss carry 95 % bootstrap intervals, seeded.
F1 is the mean of the classes' F1 (macro), so that no class is the positive one. For multi-label data accuracy
counts texts whose labels are all right, and log loss is the mean binary cross-entropy over texts and labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.labels import checked_labels
from gatelight.estimators.texts import checked_texts

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

RESAMPLES = 1000
SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)  # a certain mistake costs 15.9 nats, not infinity


@dataclass(frozen=True)
class Evaluation:
    """Accuracy, macro F1 and log loss (nats) over n texts, each with its 95 % interval.

    `trained_on` says how many of the texts the model was trained on (None where that is not known), `unseen`
    gives the figures over the others (None where there are none, or `trained_on` is 0).
    """

    n: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    f1: float
    f1_low: float
    f1_high: float
    log_loss: float
    log_loss_low: float
    log_loss_high: float
    baseline: Evaluation | None = None
    trained_on: int | None = None
    unseen: Evaluation | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON-able values; `baseline` and `unseen` are the same again or None."""
        return asdict(self)

    @classmethod
    def of_dict(cls, values: dict[str, Any]) -> Evaluation:
        """Restore what `to_dict` gave; raises TypeError when fields are missing, strange or no numbers."""
        nested = {name: values.get(name) for name in ("baseline", "unseen")}
        for name, value in values.items():
            missing = name == "trained_on" and value is None
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in nested and not number and not missing:
                raise TypeError(f"{name} is {value!r:.60}; expected a number")
        inner = {name: None if given is None else cls.of_dict(given) for name, given in nested.items()}
        return cls(**{**values, **inner})


def evaluate(
    estimator: TextClassifier,
    texts: Iterable[str],
    labels: Iterable[Any],
    *,
    baseline: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Measure a fitted estimator and, where it has one, its baseline on labelled texts.

    What was trained on is told and measured without, too: such texts flatter a model.
    Raises DataError when labels are missing, too few, or none of the model's classes (they are named).
    """
    texts = checked_texts(texts)
    classes = estimator.known_classes()
    targets = classes.targets(checked_labels(labels))
    if len(texts) != len(targets):
        raise DataError(f"there are {len(texts)} texts and {len(targets)} labels; give one label per text")
    if not texts:
        raise DataError("there is no text to evaluate on; give at least one labelled text")
    columns, others = estimator.predict_proba(texts), None
    if baseline and estimator.baseline_ is not None:
        others = classes.columns(estimator.baseline_.probabilities(texts))

    def over(rows: NDArray[np.bool_]) -> Evaluation:
        beside = None
        if others is not None:
            beside = measure(others[rows], targets[rows], resamples=resamples, seed=seed)
        return measure(columns[rows], targets[rows], baseline=beside, resamples=resamples, seed=seed)

    found = over(np.ones(len(texts), np.bool_))
    seen = estimator.trained_on(texts)
    if seen is None:
        return found
    partly = seen.any() and not seen.all()
    return replace(found, trained_on=int(seen.sum()), unseen=over(~seen) if partly else None)


def measure(
    columns: NDArray[np.floating[Any]],
    targets: NDArray[Any],
    *,
    baseline: Evaluation | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Measure probabilities [n, classes] against targets int64 [n], or 0/1 [n, classes] (multi-label)."""
    columns, n = np.asarray(columns, np.float64), len(targets)
    right, losses = is_right(columns, targets), log_losses(columns, targets)
    drawn_from = _counts(columns, targets, losses)
    rng = np.random.default_rng(seed)
    f1s, means = np.empty(resamples), np.empty(resamples)
    for k in range(resamples):
        found = drawn_from @ np.bincount(rng.integers(n, size=n), minlength=n)
        f1s[k], means[k] = _macro_f1(found[:-1]), found[-1] / n
    f1_low, f1_high = np.quantile(f1s, [0.025, 0.975])
    loss_low, loss_high = np.quantile(means, [0.025, 0.975])
    accuracy_low, accuracy_high = wilson_interval(int(right.sum()), n)
    return Evaluation(
        n=n,
        accuracy=float(right.mean()),
        accuracy_low=accuracy_low,
        accuracy_high=accuracy_high,
        f1=_macro_f1(drawn_from.sum(axis=1)[:-1]),
        f1_low=float(f1_low),
        f1_high=float(f1_high),
        log_loss=float(losses.mean()),
        log_loss_low=float(loss_low),
        log_loss_high=float(loss_high),
        baseline=baseline,
    )


def log_losses(columns: NDArray[np.floating[Any]], targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return each text's log loss [n] in nats; of several labels the mean binary cross-entropy."""
    columns = np.asarray(columns, np.float64)
    if targets.ndim == 2:
        return np.asarray(
            -np.log(_bounded(np.where(targets >= 0.5, columns, 1 - columns))).mean(axis=1), np.float64
        )
    fractions = columns / columns.sum(axis=1, keepdims=True)
    return np.asarray(-np.log(_bounded(fractions[np.arange(len(targets)), targets])), np.float64)


def is_right(columns: NDArray[np.floating[Any]], targets: NDArray[Any]) -> NDArray[np.bool_]:
    """Say of each text whether its class is the likeliest, or of several labels whether all are right."""
    if targets.ndim == 2:
        return np.asarray(((columns >= 0.5) == (targets >= 0.5)).all(axis=1))
    return np.asarray(columns.argmax(axis=1) == targets)


def log_probabilities(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logarithms [n, classes]; a probability that rounds to 0 counts as the smallest above it."""
    return np.asarray(np.log(np.maximum(columns, np.finfo(np.float32).tiny)), np.float32)


def decision_scores(columns: NDArray[np.float32], multilabel: bool) -> NDArray[np.float32]:
    """Return log odds [n] of the second of two classes, else log probabilities or (multi-label) log odds."""
    if multilabel:
        return log_probabilities(columns) - log_probabilities(1 - columns)
    logarithms = log_probabilities(columns)
    return logarithms[:, 1] - logarithms[:, 0] if columns.shape[1] == 2 else logarithms


def wilson_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval for a rate of successes in n trials."""
    from scipy.stats import binomtest  # takes a while to import

    interval = binomtest(successes, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def _bounded(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)


def _counts(columns: NDArray[Any], targets: NDArray[Any], losses: NDArray[np.float64]) -> Any:
    """Whether each class is rightly chosen, chosen, and true, and the loss: sparse [3·classes + 1, n]."""
    from scipy.sparse import csr_array

    if targets.ndim == 2:
        chosen, true = columns >= 0.5, targets >= 0.5
    else:
        classes = np.arange(columns.shape[1])
        chosen, true = columns.argmax(axis=1)[:, None] == classes, targets[:, None] == classes
    return csr_array(np.concatenate([chosen & true, chosen, true, losses[:, None]], axis=1).T)


def _macro_f1(counts: NDArray[np.float64]) -> float:
    """Mean F1 of the classes that occur, chosen or true, as in scikit-learn, of counts [3·classes]."""
    right, chosen, true = np.split(counts, 3)
    there = chosen + true
    return float((2 * right[there > 0] / there[there > 0]).sum() / max((there > 0).sum(), 1))
