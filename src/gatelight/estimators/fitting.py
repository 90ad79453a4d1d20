"""From texts and labels to a fitted `TextClassifier`: split, read, train, compare.

Validation texts are never counted, learned from or put into
vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import from_numpy

from gatelight import __version__
from gatelight.compiled import clock
from gatelight.errors import DataError
from gatelight.estimators import transfer, wide
from gatelight.estimators.calibration import fitted_temperature
from gatelight.estimators.evaluation import Evaluation, measure
from gatelight.estimators.labels import Classes, checked_labels, indicator_columns
from gatelight.estimators.ngram_classifier import NgramClassifier, baseline_ngrams, fit_best
from gatelight.estimators.predictor import Predictor
from gatelight.estimators.preparation import kept_beside, start
from gatelight.estimators.reading import Reading
from gatelight.estimators.rules import Data, Plan, settled
from gatelight.estimators.settings import (
    ONE_HOT,
    check_settings,
    classifier_config,
    seed_of,
    training_config,
)
from gatelight.estimators.texts import checked_texts, group_names
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.estimators.unlabelled import ROUNDS, Lesson
from gatelight.estimators.wide import WidePath
from gatelight.launched import rank
from gatelight.models.classifier import Classifier
from gatelight.models.history import History
from gatelight.models.inference import predict
from gatelight.models.losses import class_weights
from gatelight.models.training import train
from gatelight.notices import tell as notice
from gatelight.text.encoding import Encoded, NumberedTexts
from gatelight.text.lengths import LengthStatistics
from gatelight.text.mapped import MappedTexts, storage_of, taken
from gatelight.text.splits import held_out
from gatelight.text.tokenizers import tokenizer

Rows = NDArray[np.int64]

NGRAM_CHARACTERS = 10_000_000  # of mapped texts: their n-grams take a gigabyte of memory


@dataclass(frozen=True)
class Fitted:
    """What fitting gives, and a saved model too."""

    predictor: Predictor
    settings: dict[str, Any]
    history: list[dict[str, Any]]
    training: dict[str, Any]
    validation: Evaluation | None
    baseline: NgramClassifier | None


@dataclass(frozen=True)
class Learned:
    """What one round of learning gives; `validated` are probabilities of the validation texts."""

    model: Classifier
    history: History
    wide: WidePath | None
    validated: NDArray[np.float32] | None


def fit(
    settings: dict[str, Any],
    given_texts: Iterable[str],
    given_labels: Iterable[Any],
    *,
    groups: Iterable[Any] | None,
    sample_weight: Iterable[float] | None,
    validation: tuple[Iterable[str], Iterable[Any]] | None,
    unlabelled: Iterable[str] | None,
    baseline: bool,
    origin: str | None,
    checkpoint: str | Path | None,
    resume: bool,
    on_epoch: Callable[[dict[str, Any]], object] | None,
    on_progress: Callable[[Any], object] | None,
    on_vectors: Callable[[int, int], None] | None,
    on_stage: Callable[[str], object] | None,
    on_plan: Callable[[Plan], object] | None,
) -> Fitted:
    """Fit a classifier of these settings; all else is as in `TextClassifier.fit`."""
    began, tell = clock(), on_stage or (lambda stage: None)
    given = None
    if validation is not None:
        given = checked_texts(validation[0], "validation texts"), checked_labels(validation[1])
    all_texts, labels = checked_texts(given_texts), checked_labels(given_labels)
    others: Sequence[str] = [] if unlabelled is None else checked_texts(unlabelled, "unlabelled texts")
    names = None if groups is None else list(groups)
    all_weights = None if sample_weight is None else np.asarray(list(sample_weight), np.float64)
    checkpoint = None if checkpoint is None else Path(checkpoint)
    settings, source = transfer.resolved(settings)
    settings["random_state"] = seed_of(settings["random_state"])
    check_settings(settings)
    cut = tokenizer(settings["tokenizer"], lowercase=settings["lowercase"], clean=settings["clean"])
    classes = Classes.of(labels, indicator_columns(given_labels))
    targets = classes.targets(labels)
    data = Data.of(all_texts, labels, len(classes.values), classes.multilabel, len(others))
    asked, settings = settings, settled(settings, data)
    plan = Plan(data, settings)
    if on_plan is not None:
        on_plan(plan)
    for name, column in (("labels", labels), ("groups", names), ("weights", all_weights)):
        if column is not None and len(column) != len(all_texts):
            raise DataError(f"there are {len(all_texts)} texts and {len(column)} {name}; give one per text")
    if given is None:
        rows, held_rows, how = divide(labels, names, settings)
        valid_texts, valid_targets = taken(all_texts, held_rows), targets[held_rows]
    else:
        if len(given[0]) != len(given[1]) or not given[0]:
            raise DataError(
                f"there are {len(given[0])} validation texts and {len(given[1])} labels of them; give one "
                "label per text, and at least one text"
            )
        rows, how = np.arange(len(all_texts)), "given"
        valid_texts, valid_targets = given[0], classes.targets(given[1])
    texts = taken(all_texts, rows)
    own_targets, weights = targets[rows], None if all_weights is None else all_weights[rows]
    lesson = Lesson.of(texts, own_targets, others)

    tell("tokenize")
    # In one go, so that equal words are kept once; none of the words that only `held` has is counted.
    together = NumberedTexts.of(chain(lesson.texts, valid_texts), cut, storage_of(all_texts))
    tokens, held = together.take(slice(len(lesson.texts))), together.take(slice(len(lesson.texts), None))
    if not tokens.lengths[: len(texts)].any():
        raise DataError(f"none of the {len(texts)} training texts holds a word; check the column of texts")
    if settings["vectors"] not in (None, ONE_HOT):
        tell("vectors")
    # One process keeps the vectors that were trained, all go on from them.
    keeps_none = rank() > 0 and not resume
    if source is None:
        beginning = start(
            settings,
            tokens,
            on_progress=on_vectors,
            kept=None if checkpoint is None or keeps_none else kept_beside(checkpoint),
            resume=resume,
        )
    else:
        beginning = transfer.start_from(source, tokens)
    reading = Reading(
        cut,
        beginning.vocabulary,
        settings["max_length"],
        settings["truncation"],
        settings["unknown"],
        settings["random_state"],
    )
    encoded = reading.encode(tokens)
    valid = reading.encode(held, encoded.oov) if valid_texts else None
    del together, tokens, held
    settings["embedding_dim"] = beginning.dim
    # N-grams of validation words are numbered with the others; only what is read in training is learned.
    config = classifier_config(settings, len(beginning.vocabulary), classes.outputs, classes.multilabel)
    subwords = reading.subwords((valid or encoded).oov, config.buckets, whole=True)

    def learn(lesson: Lesson, checkpoint: Path | None, resume: bool) -> Learned:
        model = Classifier(config, beginning.vectors, settings["random_state"])
        if source is not None:
            transfer.copy_recurrent_layers(source, model)
        tell("train")
        training_settings = training_config(
            settings, {label: number for number, label in enumerate(classes.plain())}
        )
        read, by_text = encoded.where(lesson.chosen), lesson.weights(weights)
        history = train(
            model,
            read.ids,
            read.lengths,
            lesson.targets,
            config=training_settings,
            valid=None if valid is None else (valid.ids, valid.lengths, valid_targets),
            sample_weight=by_text,
            subwords=subwords,
            on_epoch=on_epoch,
            on_progress=on_progress,
            checkpoint=checkpoint,
            resume=resume,
        )
        beside: WidePath | None = None
        if settings["wide"]:
            tell("n-grams")
            by_class = class_weights(
                training_settings.class_weight, from_numpy(lesson.targets), len(classes.values),
                multilabel=classes.multilabel,
            )  # fmt: skip
            both = _weights(lesson.targets, by_class, by_text)
            sample = _for_ngrams(data, lesson.chosen_texts(), lesson.targets, both)
            beside = wide.fit(data, *sample, clean=settings["clean"])
        found = None
        if valid is not None:
            tell("validate")
            found = predict(model, valid.ids, valid.lengths, subwords=subwords)
            if beside is not None:
                beside = beside.weighted(found, valid_texts, valid_targets)
                found = beside.combined(found, valid_texts)
        return Learned(model, history, beside, found)

    learned = learn(lesson, checkpoint, resume)
    for number in range(ROUNDS if others else 0):
        tell("label")
        rest = encoded.where(np.arange(len(encoded)) >= len(texts))
        found = predict(learned.model, rest.ids, rest.lengths, subwords=subwords)
        if learned.wide is not None:
            found = learned.wide.combined(found, lesson.texts[len(texts) :])
        lesson = lesson.with_surest(classes.columns(found), classes.multilabel)
        larger = replace(data, texts=len(lesson.targets), unlabelled=0)
        anew = settled(asked, larger)
        settings |= {name: anew[name] for name in ("epochs", "batch_size")}
        if on_plan is not None:
            on_plan(Plan(larger, settings))
        own = None
        if checkpoint is not None:
            own = checkpoint.with_name(f"{checkpoint.name}.{number + 2}")
        learned = learn(lesson, own, resume and own is not None and own.exists())
    history = learned.history
    labelled = encoded.where(np.arange(len(encoded)) < len(texts))
    lengths = _lengths(labelled, reading)
    training = {
        "origin": origin,
        "plan": str(plan),
        "texts": len(texts),
        "tokens": int(labelled.total.sum()),
        "unknown_fraction": float(labelled.unknown.sum() / max(int(labelled.total.sum()), 1)),
        "truncated_fraction": 0.0 if lengths is None else lengths.truncated / len(labelled),
        "lengths": None if lengths is None else asdict(lengths),
        "validation_texts": len(valid_texts),
        "split": how,
        "groups": None if names is None else len(set(map(str, names))),
        "seed": settings["random_state"],
        "labels": _label_counts([labels[row] for row in rows]),
        "unlabelled_texts": len(others),
        "self_trained_texts": len(lesson.targets) - len(texts),
        "vectors": beginning.origin,
        "vector_coverage": beginning.coverage,
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        "best_by": settings["best_by"],
        "gatelight": __version__,
    }

    ngrams = None
    if baseline:
        tell("baseline")
        candidates, held_out_texts = baseline_ngrams(data, settings["clean"]), (valid_texts, valid_targets)
        some, some_targets, some_weights = _for_ngrams(data, texts, own_targets, weights)
        ngrams = fit_best(candidates, some, some_targets, held_out_texts, some_weights)
    measured = None
    if learned.validated is not None:
        columns = classes.columns(learned.validated)
        beside = None
        if ngrams is not None:
            beside = measure(classes.columns(ngrams.probabilities(valid_texts)), valid_targets)
        measured = measure(columns, valid_targets, baseline=beside)
        training["validation_temperature"] = fitted_temperature(columns, valid_targets)
    training["seconds"] = clock() - began
    predictor = Predictor(classes, reading, learned.model, TrainingTexts.of(texts), learned.wide)
    return Fitted(predictor, settings, history.epochs, training, measured, ngrams)


def _for_ngrams(
    data: Data, texts: Sequence[str], targets: NDArray[Any], weights: NDArray[Any] | None
) -> tuple[Sequence[str], NDArray[Any], NDArray[Any] | None]:
    """What n-grams, which live in memory, learn from: all, or of too many mapped texts some at random."""
    most = max(1, int(NGRAM_CHARACTERS / max(data.characters, 1)))
    if not isinstance(texts, MappedTexts) or len(texts) <= most:
        return texts, targets, weights
    notice(f"n-grams learn from {most:,} of the {len(texts):,} texts, drawn at random: they live in memory")
    drawn = np.random.default_rng(0).permutation(len(texts))[:most]
    of_each_class = np.unique(targets, return_index=True)[1] if targets.ndim == 1 else drawn
    rows = np.union1d(drawn, of_each_class).astype(np.int64)
    return texts.take(rows), targets[rows], None if weights is None else weights[rows]


def _weights(
    targets: NDArray[Any], by_class: NDArray[np.float32] | None, sample_weight: NDArray[np.float64] | None
) -> NDArray[Any] | None:
    """The weight of each text [n], of several labels of each text and label [n, classes]; None: all alike."""
    if by_class is None:
        return sample_weight
    if targets.ndim == 1:
        own: NDArray[Any] = by_class[targets]
        return own if sample_weight is None else own * sample_weight
    own = np.where(targets > 0.5, by_class, 1)
    return own if sample_weight is None else own * sample_weight[:, None]


def divide(labels: list[Any], groups: list[Any] | None, settings: dict[str, Any]) -> tuple[Rows, Rows, str]:
    """Choose training and validation rows, and say how; DataError when one side would be useless."""
    n, fraction = len(labels), settings["validation_fraction"]
    if round(n * fraction) < 1:
        return np.arange(n), np.zeros(0, np.int64), "none"
    if settings["split"] != "group":
        groups = None
    shown = {own: tuple(map(repr, own)) if isinstance(own, tuple) else repr(own) for own in set(labels)}
    names = [shown[label] for label in labels]
    held = held_out(
        n, fraction, settings["random_state"], None if groups is None else group_names(groups), names
    )
    training = np.flatnonzero(~held)
    if len({names[row] for row in training}) < 2:
        raise DataError(
            f"of {n} texts, the {len(training)} left for training are of one class: give "
            "more texts, or validation_fraction=0 to hold none out"
        )
    return training, np.flatnonzero(held), "random" if groups is None else "group"


def _lengths(encoded: Encoded, reading: Reading) -> LengthStatistics | None:
    """Length statistics of the texts as they are before the cut; None where nothing is cut."""
    if reading.max_length is None or not len(encoded):
        return None
    left_out = encoded.unknown if reading.unknown == "drop" else 0
    return LengthStatistics.of_lengths(encoded.total - left_out, reading.max_length)


def _label_counts(labels: list[Any]) -> list[list[Any]]:
    """[label, texts] by falling number; lists, because JSON's keys would turn numbers into strings."""
    counts = Counter(name for names in labels for name in (names if isinstance(names, tuple) else (names,)))
    return [
        [label, count] for label, count in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    ]
