"""`SequenceClassifier`: sequences of ids or of numbers and labels in, labels and probabilities out.

By scikit-learn's conventions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from gatelight.errors import DataError
from gatelight.estimators.evaluation import decision_scores, log_probabilities
from gatelight.estimators.labels import Classes
from gatelight.estimators.saving import (
    MODEL_FILE,
    SEQUENCES,
    SIZES,
    checked_history,
    read_config,
    save_model,
    told_in_one_line,
)
from gatelight.estimators.settings import (
    SequenceSettings,
    of_config,
    plain,
    saved_settings,
    seed_of,
    sequence_config,
    training_config,
)
from gatelight.estimators.steps import FEATURES, IDS, Steps, ids_of, of_array, of_sequences, rank, rows_of
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig, check_choice
from gatelight.models.embedding import Embedding
from gatelight.models.inference import Predictor
from gatelight.models.saving import load_weights, save_weights
from gatelight.models.subwords import UNKNOWN
from gatelight.models.training import train
from gatelight.models.weight_files import check_sizes
from gatelight.text.splits import held_out

INPUTS = ("auto", IDS, FEATURES)
FIRST = UNKNOWN + 1  # the id of the first known step; before it are the blank and a step that is left out


class SequenceClassifier(SequenceSettings, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Recurrent classifier of sequences, each of any length.

    X is a list (or a column) of sequences, each a list or an array: of whole numbers, of numbers [steps] or
    of rows [steps, features]. An array [n, steps] or [n, steps, features] and a data frame are sequences of
    equal length. `input` says what a step is: "ids", names without order that get vectors of `embedding_dim`
    (one not met in `fit` is unknown); "features", measurements; "auto": ids where all are of an integer type.
    With `scale` features are brought to mean 0 and deviation 1 by those of `fit`. The constructor takes the
    settings of `SequenceSettings` by name; pool "flatten" needs `max_length`.

    Fitted: `classes_`, `input_`, `model_`, `history_`; `n_features_in_` after an array or a data frame.
    """

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None) -> Self:
        """Learn from sequences and a label each; DataError or ValueError when they cannot be used."""
        settings = plain(self.get_params(deep=False))
        settings["random_state"] = seed_of(settings["random_state"])
        check_choice("input", settings["input"], INPUTS)
        steps = self._steps(X, y, fitting=True)
        labels = column_or_1d(y, warn=True)
        check_consistent_length(range(len(steps)), labels)
        check_classification_targets(labels)
        classes, targets = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise DataError(f"all {len(steps)} sequences are of 1 class, {classes[0]!r}; give two or more")
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, labels, ensure_non_negative=True)
        kind = settings["input"]
        if kind == "auto":
            kind = IDS if steps.values.dtype.kind == "i" else FEATURES
        self.input_ = kind
        self._learn_steps(steps, bool(settings["scale"]))
        ids, vectors = self._ids(steps)
        size = len(self._known) + FIRST if vectors is None else len(vectors)
        dim = None if vectors is None else vectors.shape[1]
        config = sequence_config(settings, size, dim, 1 if len(classes) == 2 else len(classes))
        model = Classifier(config, vectors, settings["random_state"])
        held = np.zeros(len(steps), np.bool_)
        if round(len(steps) * settings["validation_fraction"]) >= 1:
            names = [repr(label) for label in labels.tolist()]
            held = held_out(
                len(steps), settings["validation_fraction"], settings["random_state"], None, names
            )
        rows, valid, sequences = np.flatnonzero(~held), np.flatnonzero(held), Sequences.of(ids, steps.lengths)
        history = train(
            model,
            *sequences.take(rows),
            targets[rows],
            config=training_config(
                settings, {label: number for number, label in enumerate(classes.tolist())}
            ),
            valid=(*sequences.take(valid), targets[valid]) if len(valid) else None,
            sample_weight=None if weights is None else weights[rows],
        )
        # The data themselves stay behind.
        self.model_ = model if vectors is None else _over(model, vectors[:FIRST].copy())
        self.classes_ = classes
        self.history_ = history.epochs
        return self

    def save(self, folder: str | Path) -> None:
        """Write the fitted model as a folder of plain files; an older model there is replaced at once.

        Raises FileExistsError when something else is there, OSError when the disk refuses.
        """
        check_is_fitted(self)
        scales = (
            {} if self.input_ == IDS else {"mean": self._mean.tolist(), "deviation": self._deviation.tolist()}
        )
        config = {
            "settings": saved_settings(self.get_params(deep=False)),
            "model": self.model_.config.to_dict(),
            "classes": Classes(self.classes_, False).plain(),
            "input": self.input_,
            "known": self._known.tolist(),
            **scales,
            "columns": getattr(self, "n_features_in_", None),
            "history": self.history_,
        }
        save_model(folder, SEQUENCES, config, lambda aside: save_weights(self.model_, aside / MODEL_FILE))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; ModelFileError, in one line, for anything else."""
        config, path = read_config(folder, SEQUENCES), Path(folder) / MODEL_FILE
        with told_in_one_line(folder):
            model = cls(**of_config(config["settings"]))
            shape = ClassifierConfig.from_dict(config["model"])
            classes = Classes.of_plain(config["classes"], False)
            model.classes_, model.input_ = classes.values, config["input"]
            model.history_ = checked_history(config["history"])
            model._known = np.array(config["known"], np.int64)
            size = len(model._known) + FIRST
            if config["columns"] is not None:
                model.n_features_in_ = int(config["columns"])
            if model.input_ == FEATURES:
                model._mean, model._deviation = (
                    np.array(config[name], np.float64) for name in ("mean", "deviation")
                )
                scales = model._mean.shape, model._deviation.shape
                if scales != ((shape.dim,), (shape.dim,)) or not (model._deviation > 0).all():
                    raise ValueError(f"a mean and a deviation of {scales}, a model of {shape.dim} features")
            elif model.input_ != IDS or model._known.ndim != 1 or (np.diff(model._known) <= 0).any():
                raise ValueError("input is neither ids, in rising order, nor features")
            if (shape.vocabulary_size, shape.outputs) != (size, classes.outputs):
                raise ValueError(f"a model of {shape.vocabulary_size} ids and {shape.outputs} outputs")
        check_sizes(path, shape, SIZES)
        vectors = None if model.input_ == IDS else np.zeros((size, shape.dim), np.float32)
        model.model_ = Classifier(shape, vectors, 0)
        load_weights(model.model_, path)
        return model

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class of each sequence [n]."""
        columns = self.predict_proba(X)
        return np.asarray(self.classes_[columns.argmax(axis=1)])

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the logarithm of `predict_proba`, float32 [n, classes]."""
        return log_probabilities(self.predict_proba(X))

    def decision_function(self, X: Any) -> NDArray[np.float32]:
        """Return the log odds of the second of two classes [n], else log probabilities [n, classes]."""
        return decision_scores(self.predict_proba(X), False)

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Return the probability of each class, float32 [n, classes], in the order of `classes_`.

        A sequence's row has the same bits alone and in any batch.
        """
        check_is_fitted(self)
        steps = self._steps(X)
        ids, vectors = self._ids(steps)
        model = self.model_ if vectors is None else _over(self.model_, vectors)
        found = Predictor(model).probabilities(ids, steps.lengths)
        return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found

    def _steps(self, X: Any, y: Any = None, *, fitting: bool = False) -> Steps:
        """Read X in any form; a table as wide as that of `fit`, where that was one."""
        dimensions = rank(X)
        flat = dimensions is not None and dimensions <= 2
        if flat and fitting:
            return of_array(validate_data(self, X, y, y_numeric=False)[0])
        if flat and hasattr(self, "n_features_in_"):
            return of_array(validate_data(self, X, reset=False))
        if fitting:
            for name in ("n_features_in_", "feature_names_in_"):  # of an earlier fit
                self.__dict__.pop(name, None)
            if y is None:
                raise DataError("requires y to be passed, but the target y is None")
        steps = of_sequences(X) if dimensions is None else of_array(check_array(X, allow_nd=True))
        if fitting and steps.values.ndim == 1 and len(set(steps.lengths.tolist())) == 1:
            self.n_features_in_ = int(steps.lengths[0])
        return steps

    def _learn_steps(self, steps: Steps, scale: bool) -> None:
        """Take over which ids there are, or how features are scaled."""
        self._known = np.unique(ids_of(steps)) if self.input_ == IDS else np.zeros(0, np.int64)
        if self.input_ == FEATURES:
            rows = rows_of(steps)
            self._mean, self._deviation = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
            if scale:
                self._mean = rows.mean(axis=0)
                deviation = rows.std(axis=0)
                self._deviation = np.where(deviation > 0, deviation, 1.0)

    def _ids(self, steps: Steps) -> tuple[NDArray[np.int32], NDArray[np.float32] | None]:
        """The steps as ids int32 [N], and for features the table whose rows those are."""
        if self.input_ == IDS:
            values = ids_of(steps)
            place = np.minimum(np.searchsorted(self._known, values), len(self._known) - 1)
            found = self._known[place] == values
            return np.where(found, place + FIRST, UNKNOWN).astype(np.int32), None
        rows = rows_of(steps)
        if rows.shape[1] != len(self._mean):
            raise DataError(
                f"the steps have {rows.shape[1]} features; this SequenceClassifier was fitted on steps of "
                f"{len(self._mean)}"
            )
        table = np.zeros((FIRST + len(rows), rows.shape[1]), np.float32)
        table[FIRST:] = (rows - self._mean) / self._deviation
        return np.arange(FIRST, len(table), dtype=np.int32), table

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _over(model: Classifier, vectors: NDArray[np.float32]) -> Classifier:
    """The same network, weights shared, over another frozen table: steps that are its rows."""
    table = Embedding(len(vectors), vectors.shape[1], vectors=vectors, trained=False)
    twin = model.with_parts(embedding=table)
    twin.config = replace(model.config, vocabulary_size=len(vectors))
    return twin
