"""From texts and labels to a fitted `TextClassifier`: split, read, train, compare; knows no file format.

Validation texts are never counted, learned from or put into
vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
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
from gatelight.estimators.labels import Classes
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
from gatelight.estimators.texts import group_names
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.estimators.wide import WidePath
from gatelight.models.classifier import Classifier
from gatelight.models.inference import predict
from gatelight.models.losses import class_weights
from gatelight.models.training import train
from gatelight.text.encoding import Encoded, NumberedTexts
from gatelight.text.lengths import LengthStatistics
from gatelight.text.splits import held_out
from gatelight.text.tokenizers import tokenizer

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What `TextClassifier.fit` was given, with its columns as lists."""

    settings: dict[str, Any]
    texts: list[str]
    labels: list[Any]
    columns: int | None = None  # of the indicator matrix that the labels came as
    groups: list[Any] | None = None
    sample_weight: NDArray[np.float64] | None = None
    validation: tuple[list[str], list[Any]] | None = None
    unlabelled: list[str] | None = None
    baseline: bool = False
    origin: str | None = None
    checkpoint: Path | None = None
    resume: bool = False
    on_epoch: Callable[[dict[str, Any]], object] | None = None
    on_progress: Callable[[Any], object] | None = None
    on_vectors: Callable[[int, int], None] | None = None
    on_stage: Callable[[str], object] = lambda stage: None
    on_plan: Callable[[Plan], object] = lambda plan: None


@dataclass(frozen=True)
class Division:
    """Training rows, validation rows (none where validation texts were given), and how they came about."""

    training: Rows
    held: Rows
    how: str  # "group", "random", "given" or "none"


@dataclass(frozen=True)
class Fitted:
    """What fitting gives, and a saved model too."""

    predictor: Predictor
    settings: dict[str, Any]
    history: list[dict[str, Any]]
    training: dict[str, Any]
    validation: Evaluation | None
    baseline: NgramClassifier | None


def fit(request: Request) -> Fitted:
    """Fit a classifier as the request asks; DataError for texts, labels or settings that cannot be used."""
    began = clock()
    settings, source = transfer.resolved(request.settings)
    settings["random_state"] = seed_of(settings["random_state"])
    check_settings(settings)
    cut = tokenizer(settings["tokenizer"], lowercase=settings["lowercase"], clean=settings["clean"])
    classes = Classes.of(request.labels, request.columns)
    targets = classes.targets(request.labels)
    data = Data.of(
        request.texts, request.labels, len(classes.values), classes.multilabel, len(request.unlabelled or ())
    )
    settings = settled(settings, data)
    request.on_plan(plan := Plan(data, settings))
    division = divide(request, settings)
    texts = [request.texts[row] for row in division.training]
    valid_texts = [request.texts[row] for row in division.held]
    valid_targets = targets[division.held]
    if request.validation is not None:
        valid_texts, valid_targets = request.validation[0], classes.targets(request.validation[1])

    request.on_stage("tokenize")
    # In one go, so that equal words are kept once; none of the words that only `held` has is counted.
    tokens, held = NumberedTexts.of(chain(texts, valid_texts), cut).parted(len(texts))
    if not tokens.lengths.any():
        raise DataError(f"none of the {len(texts)} training texts holds a word; check the column of texts")
    if settings["vectors"] not in (None, ONE_HOT):
        request.on_stage("vectors")
    if source is None:
        beginning = start(
            settings,
            tokens,
            map(cut.tokens, request.unlabelled or ()),
            on_progress=request.on_vectors,
            kept=None if request.checkpoint is None else kept_beside(request.checkpoint),
            resume=request.resume,
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
    del tokens, held
    settings["embedding_dim"] = beginning.dim
    # N-grams of validation words are numbered with the others; only what is read in training is learned.
    config = classifier_config(settings, len(beginning.vocabulary), classes.outputs, classes.multilabel)
    pieces = reading.pieces((valid or encoded).oov, config.buckets, whole=True)
    model = Classifier(config, beginning.vectors, settings["random_state"])
    if source is not None:
        transfer.copy_recurrent_layers(source, model)

    request.on_stage("train")
    own_targets, sample_weight = targets[division.training], request.sample_weight
    sample_weight = None if sample_weight is None else sample_weight[division.training]
    training_settings = training_config(
        settings, {label: number for number, label in enumerate(classes.plain())}
    )
    history = train(
        model,
        encoded.ids,
        encoded.lengths,
        own_targets,
        config=training_settings,
        valid=None if valid is None else (valid.ids, valid.lengths, valid_targets),
        sample_weight=sample_weight,
        subwords=pieces,
        on_epoch=request.on_epoch,
        on_progress=request.on_progress,
        checkpoint=request.checkpoint,
        resume=request.resume,
    )
    lengths = _lengths(encoded, reading)
    training = {
        "origin": request.origin,
        "plan": str(plan),
        "texts": len(texts),
        "tokens": int(encoded.total.sum()),
        "unknown_fraction": float(encoded.unknown.sum() / max(int(encoded.total.sum()), 1)),
        "truncated_fraction": 0.0 if lengths is None else lengths.truncated / len(encoded),
        "lengths": None if lengths is None else asdict(lengths),
        "validation_texts": len(valid_texts),
        "split": division.how,
        "groups": None if request.groups is None else len(set(map(str, request.groups))),
        "seed": settings["random_state"],
        "labels": _label_counts([request.labels[row] for row in division.training]),
        "unlabelled_texts": len(request.unlabelled or ()),
        "vectors": beginning.origin,
        "vector_coverage": beginning.coverage,
        "epochs": len(history.epochs),
        "best_epoch": history.best_epoch,
        "stopped": history.stopped,
        "best_by": settings["best_by"],
        "gatelight": __version__,
    }
    del encoded

    beside_it: WidePath | None = None
    if settings["wide"]:
        request.on_stage("n-grams")
        by_class = class_weights(
            training_settings.class_weight, from_numpy(own_targets), len(classes.values),
            multilabel=classes.multilabel,
        )  # fmt: skip
        weights = _weights(own_targets, by_class, sample_weight)
        beside_it = wide.fit(data, texts, own_targets, settings["clean"], weights)
    baseline = None
    if request.baseline:
        request.on_stage("baseline")
        baseline = fit_best(
            baseline_ngrams(data, settings["clean"]), texts, own_targets, (valid_texts, valid_targets),
            sample_weight,
        )  # fmt: skip
    validation = None
    if valid is not None:
        request.on_stage("validate")
        found = predict(model, valid.ids, valid.lengths, subwords=pieces)
        if beside_it is not None:
            beside_it = beside_it.weighted(found, valid_texts, valid_targets)
            found = beside_it.combined(found, valid_texts)
        columns = classes.columns(found)
        beside = None
        if baseline is not None:
            beside = measure(classes.columns(baseline.probabilities(valid_texts)), valid_targets)
        validation = measure(columns, valid_targets, baseline=beside)
        training["validation_temperature"] = fitted_temperature(columns, valid_targets)
    training["seconds"] = clock() - began
    predictor = Predictor(classes, reading, model, TrainingTexts.of(texts), beside_it)
    return Fitted(predictor, settings, history.epochs, training, validation, baseline)


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


def divide(request: Request, settings: dict[str, Any]) -> Division:
    """Choose training and validation rows; DataError when columns differ or a side would be useless."""
    n = len(request.texts)
    for name, column in (
        ("labels", request.labels),
        ("groups", request.groups),
        ("weights", request.sample_weight),
    ):
        if column is not None and len(column) != n:
            raise DataError(f"there are {n} texts and {len(column)} {name}; give one per text")
    everything, nothing = np.arange(n), np.zeros(0, np.int64)
    if request.validation is not None:
        valid_texts, valid_labels = request.validation
        if len(valid_texts) != len(valid_labels) or not valid_texts:
            raise DataError(
                f"there are {len(valid_texts)} validation texts and {len(valid_labels)} labels of them; give "
                "one label per text, and at least one text"
            )
        return Division(everything, nothing, "given")
    fraction = settings["validation_fraction"]
    if round(n * fraction) < 1:
        return Division(everything, nothing, "none")
    groups = request.groups if settings["split"] == "group" else None
    names = [tuple(map(repr, label)) if isinstance(label, tuple) else repr(label) for label in request.labels]
    held = held_out(
        n, fraction, settings["random_state"], None if groups is None else group_names(groups), names
    )
    division = Division(np.flatnonzero(~held), np.flatnonzero(held), "random" if groups is None else "group")
    if len({names[row] for row in division.training}) < 2:
        raise DataError(
            f"of {n} texts, the {len(division.training)} left for training are of one class: give "
            "more texts, or validation_fraction=0 to hold none out"
        )
    return division


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
