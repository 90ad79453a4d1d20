"""`TextClassifier`: texts and labels in, labels and probabilities out, by scikit-learn's conventions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from gatelight.errors import DataError
from gatelight.estimators.calibration import divide_logits
from gatelight.estimators.card import classifier_card
from gatelight.estimators.evaluation import (
    Evaluation,
    decision_scores,
    is_right,
    log_probabilities,
)
from gatelight.estimators.labels import Classes, checked_labels
from gatelight.estimators.ngram_classifier import NgramClassifier
from gatelight.estimators.predictor import Predictor, TextPredictions
from gatelight.estimators.reading import Reading
from gatelight.estimators.rules import Plan, settled
from gatelight.estimators.saving import (
    CLASSIFIER,
    MODEL_FILE,
    checked_history,
    checked_training,
    read_config,
    save_model,
    told_in_one_line,
)
from gatelight.estimators.settings import (
    ClassifierSettings,
    check_settings,
    classifier_config,
    of_config,
    plain,
    preset,
    saved_settings,
)
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.estimators.wide import WidePath
from gatelight.models.summary import Summary, summary
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary


class TextClassifier(ClassifierSettings, TextPredictions, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Recurrent text classifier on plain strings.

    The constructor takes the settings of `ClassifierSettings` by name; what each means is in
    `gatelight.estimators.settings.HELP`. `random_state=None` draws a seed.

    Fitted: `classes_`, `vocabulary_`, `tokenizer_`, `model_`, `history_` (a record per epoch), `training_`
    (what was trained on, as plain values), `settings_` (all settings, those chosen by the data too),
    `validation_`, `baseline_` and `wide_` (None where there is none).
    """

    classes_: NDArray[Any]
    vocabulary_: Vocabulary
    tokenizer_: Tokenizer
    reading_: Reading
    training_texts_: TrainingTexts | None
    history_: list[dict[str, Any]]
    training_: dict[str, Any]
    validation_: Evaluation | None
    baseline_: NgramClassifier | None
    settings_: dict[str, Any]
    wide_: WidePath | None

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> Self:
        """Make an unfitted classifier from a preset, some settings replaced; DataError for unknown names."""
        known = cls._get_param_names()
        strange = [setting for setting in overrides if setting not in known]
        if strange:
            raise DataError(f"there is no setting {strange[0]!r}; there are {', '.join(known)}")
        settings = {**preset(name), **overrides}
        if overrides.get("from_lm") is not None:
            from gatelight.estimators.transfer import language_model, settings_after

            settings = settings_after(language_model(overrides["from_lm"]), settings, overrides)
        return cls(**settings)

    def fit(
        self,
        texts: Iterable[str],
        labels: Iterable[Any],
        *,
        groups: Iterable[Any] | None = None,
        sample_weight: Iterable[float] | None = None,
        validation: tuple[Iterable[str], Iterable[Any]] | None = None,
        unlabelled: Iterable[str] | None = None,
        baseline: bool = False,
        origin: str | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
        on_progress: Callable[[Any], None] | None = None,
        on_vectors: Callable[[int, int], None] | None = None,
        on_stage: Callable[[str], None] | None = None,
        on_plan: Callable[[Plan], None] | None = None,
    ) -> Self:
        """Learn from texts and a label (or tuple of labels) each; a part of them is held out for validation.

        groups: one per text, what must not be on both sides of the split (None or NaN: a group of its own).
        sample_weight: one weight per text. validation: texts and labels to validate on, instead of a part
        held out. unlabelled: more texts, which word vectors are learned from, and then, where the model is
        sure of their labels, all of it anew. baseline: also fit the n-gram baseline on the training texts.
        origin: the data's name, for the model card. checkpoint, resume, on_epoch and on_progress: as in
        `gatelight.models.training.train`. on_vectors(done, epochs): word2vec's progress. on_stage(name): told
        "tokenize", "vectors", "train", "n-grams", "validate", "label", "baseline" as they begin.
        on_plan(plan): told what will be trained, before it is.
        Raises DataError when texts, labels or settings cannot be used.
        """
        from gatelight.estimators import fitting  # and with it torch, which predicting does not need

        fitted = fitting.fit(
            plain(self.get_params(deep=False)),
            texts,
            labels,
            groups=groups,
            sample_weight=sample_weight,
            validation=validation,
            unlabelled=unlabelled,
            baseline=baseline,
            origin=origin,
            checkpoint=checkpoint,
            resume=resume,
            on_epoch=on_epoch,
            on_progress=on_progress,
            on_vectors=on_vectors,
            on_stage=on_stage,
            on_plan=on_plan,
        )
        self.restore(**vars(fitted))
        return self

    def predict(self, texts: Iterable[str]) -> NDArray[Any]:
        """Return the likeliest class of each text [n]; of a multi-label model tuples of classes (object)."""
        return self.known_classes().labels(self.predict_proba(texts))

    def predict_log_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return the logarithm of `predict_proba`, float32 [n, classes]."""
        return log_probabilities(self.predict_proba(texts))

    def decision_function(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return scores that rise with the probabilities: the log odds of the second of two classes [n].

        Of more classes their log probabilities [n, classes], of a multi-label model the log odds of each.
        """
        return decision_scores(self.predict_proba(texts), self.known_classes().multilabel)

    def score(
        self, texts: Iterable[str], labels: Iterable[Any], *, sample_weight: Iterable[float] | None = None
    ) -> float:
        """Return the accuracy; of a multi-label model the fraction of texts whose labels are all right."""
        columns = self.predict_proba(texts)
        classes = self.known_classes()
        targets = classes.targets(checked_labels(labels))
        if len(targets) != len(columns) or not len(targets):
            raise DataError(f"there are {len(columns)} texts and {len(targets)} labels; give one per text")
        weights = None if sample_weight is None else np.asarray(list(sample_weight), np.float64)
        return float(np.average(is_right(columns, targets), weights=weights))

    def save(self, folder: str | Path) -> None:
        """Write the fitted model as a folder of plain files; an older model there is replaced at once.

        Raises FileExistsError when something else is there, OSError when the disk refuses: then nothing
        changes.
        """
        from gatelight.models.saving import save_weights

        target = Path(folder)
        config = self.saved_config()

        def write(aside: Path) -> None:
            self.vocabulary_.save(aside)
            save_weights(self.model_, aside / MODEL_FILE)
            for part in (self.training_texts_, self.baseline_, self.wide_):
                if part is not None:
                    part.save(aside)

        text = classifier_card(self, target.resolve().name)
        save_model(target, CLASSIFIER, config, write, text)

    def saved_config(self) -> dict[str, Any]:
        """Return what `config.json` says of the fitted model beside its kind, as JSON-able values."""
        classes = self.known_classes()
        return {
            "settings": saved_settings(self.get_params(deep=False)),
            "fitted_settings": saved_settings(self.settings_),
            "reading": self.reading_.settings(),
            "model": self._predictor.config.to_dict(),
            "classes": classes.plain(),
            "multilabel": classes.multilabel,
            "indicator": classes.indicator,
            "training": self.training_,
            "history": self.history_,
            "validation": None if self.validation_ is None else self.validation_.to_dict(),
            "baseline": self.baseline_ is not None,
            "wide": None if self.wide_ is None else self.wide_.to_dict(),
        }

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote.

        Raises ModelFileError, in one line, for a folder that is missing, incomplete, damaged or of a newer
        format.
        """
        config = read_config(folder, CLASSIFIER)
        with told_in_one_line(folder):
            estimator = cls(**of_config({"wide": False, **config["settings"]}))  # as before it existed
            check_settings(estimator.get_params(deep=False))
            validation = None if config["validation"] is None else Evaluation.of_dict(config["validation"])
            settings = of_config(config.get("fitted_settings", config["settings"]))
            training, history = checked_training(config["training"]), checked_history(config["history"])
            has_baseline = bool(config["baseline"])
        estimator.restore(
            predictor=Predictor.from_parts(Path(folder), config),
            settings=settings,
            history=history,
            training=training,
            validation=validation,
            baseline=NgramClassifier.load(Path(folder)) if has_baseline else None,
        )
        return estimator

    def calibrate(self, temperature: float) -> None:
        """Divide the logits by a temperature, once and for all; `save` keeps it.

        `training_["temperature"]` tells of it. Raises DataError for what is no positive number.
        """
        if not (np.isfinite(temperature) and temperature > 0):
            raise DataError(f"a temperature of {temperature}; expected a positive number")
        if self.wide_ is None:
            divide_logits(self.model_, temperature)
        else:
            self._predictor.wide = self.wide_ = self.wide_.cooled(temperature)
        told = self.training_
        told["temperature"] = told.get("temperature", 1.0) * temperature
        if told.get("validation_temperature") is not None:
            told["validation_temperature"] /= temperature

    def summary(self) -> Summary:
        """Return the layer table with output shapes and parameter counts; before fitting with V words."""
        if self.__sklearn_is_fitted__():
            return summary(self._predictor.config)
        from gatelight.estimators.transfer import resolved

        return summary(classifier_config(settled(resolved(plain(self.get_params(deep=False)))[0])))

    def known_classes(self) -> Classes:
        """Return the fitted classes and their kind; raises scikit-learn's NotFittedError before `fit`."""
        return self._fitted().classes

    def _fitted(self) -> Predictor:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("this TextClassifier is not fitted yet: call fit, or load a saved model")
        return self._predictor

    def _with_predictor(self, predictor: Predictor) -> Self:
        made = copy(self)
        made.restore(
            predictor=predictor, settings=self.settings_, history=self.history_, training=self.training_,
            validation=self.validation_, baseline=self.baseline_,
        )  # fmt: skip
        return made

    def restore(
        self,
        *,
        predictor: Predictor,
        settings: dict[str, Any],
        history: list[dict[str, Any]],
        training: dict[str, Any],
        validation: Evaluation | None,
        baseline: NgramClassifier | None,
    ) -> None:
        """Take over everything that fitting or a model folder gives."""
        self._predictor = predictor
        self.classes_ = predictor.classes.values
        self.reading_ = predictor.reading
        self.training_texts_ = predictor.training_texts
        self.vocabulary_ = predictor.reading.vocabulary
        self.tokenizer_ = predictor.reading.tokenizer
        self.wide_ = predictor.wide
        self.settings_ = settings
        self.history_ = history
        self.training_ = training
        self.validation_ = validation
        self.baseline_ = baseline

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_predictor")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.classifier_tags.multi_label = True
        return tags
