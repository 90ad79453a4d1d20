"""`TextClassifier`: texts and labels in, labels and probabilities out, by scikit-learn's conventions.

Knows no file format of texts: those are read in `gatelight.text`. What is saved is said in `folder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from gatelight.errors import DataError
from gatelight.estimators.baseline import Baseline
from gatelight.estimators.evaluation import (
    Evaluation,
    decision_scores,
    judged_right,
    log_probabilities,
)
from gatelight.estimators.judging import Judge, JudgesTexts
from gatelight.estimators.labels import Classes, checked_labels
from gatelight.estimators.reading import Reading
from gatelight.estimators.settings import ClassifierSettings, classifier_config, plain, preset
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.models.summary import Summary, summary
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    pass


class TextClassifier(ClassifierSettings, JudgesTexts, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Recurrent text classifier on plain strings.

    The constructor takes the settings of `ClassifierSettings` by name; what each means is in
    `gatelight.estimators.settings.HELP`. `random_state=None` draws a seed.

    Fitted: `classes_`, `vocabulary_`, `tokenizer_`, `model_`, `history_` (a record per epoch), `training_`
    (what was trained on, as plain values), `validation_`, `baseline_` (None where there is none).
    """

    classes_: NDArray[Any]
    vocabulary_: Vocabulary
    tokenizer_: Tokenizer
    reading_: Reading
    training_texts_: TrainingTexts | None
    history_: list[dict[str, Any]]
    training_: dict[str, Any]
    validation_: Evaluation | None
    baseline_: Baseline | None

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
    ) -> Self:
        """Learn from texts and a label (or tuple of labels) each; a part of them is held out for validation.

        groups: one per text, what must not be on both sides of the split (None or NaN: a group of its own).
        sample_weight: one weight per text. validation: texts and labels to validate on, instead of a part
        held out. unlabelled: more texts for vectors="corpus". baseline: also fit the n-gram baseline on the
        same training texts. origin: the data's name, for the model card. checkpoint, resume, on_epoch and
        on_progress: as in `gatelight.models.training.train`. on_vectors(done, epochs): word2vec's progress.
        on_stage(name): told "tokenize", "vectors", "train", "baseline", "validate" as they begin.
        Raises DataError when texts, labels or settings cannot be used.
        """
        from gatelight.estimators import fitting  # and with it torch, which judging does not need

        request = fitting.Request.of(
            self.get_params(deep=False), texts, labels, groups, sample_weight, validation, unlabelled,
            baseline=baseline, origin=origin, checkpoint=checkpoint, resume=resume, on_epoch=on_epoch,
            on_progress=on_progress, on_vectors=on_vectors, on_stage=on_stage,
        )  # fmt: skip
        fitting.fit(self, request)
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
        """Return the accuracy; of a multi-label model the share of texts whose labels are all right."""
        columns = self.predict_proba(texts)
        classes = self.known_classes()
        targets = classes.targets(checked_labels(labels))
        if len(targets) != len(columns) or not len(targets):
            raise DataError(f"there are {len(columns)} texts and {len(targets)} labels; give one per text")
        weights = None if sample_weight is None else np.asarray(list(sample_weight), np.float64)
        return float(np.average(judged_right(columns, targets), weights=weights))

    def embed(self, texts: Iterable[str], pool: str = "last") -> NDArray[np.float32]:
        """Return what the memory keeps of each text, float32 [n, directions × hidden].

        `pool`: "last" state, "max" or "mean" over the steps, or the "cell" state (LSTM and peephole only).
        """
        from gatelight.estimators.thought_vectors import embed

        return embed(self._fitted(), texts, pool)

    def save(self, folder: str | Path) -> None:
        """Write the fitted model as a folder of plain files; an older model there is replaced at once.

        Raises FileExistsError when something else is there, OSError when the disk refuses: then nothing
        changes.
        """
        from gatelight.estimators.folder import save

        self.known_classes()
        save(self, Path(folder))

    def summary(self) -> Summary:
        """Return the layer table with output shapes and parameter counts; before fitting with V words."""
        if self.__sklearn_is_fitted__():
            return summary(self._judge.config)
        from gatelight.estimators.transfer import resolved

        return summary(classifier_config(resolved(plain(self.get_params(deep=False)))[0]))

    def known_classes(self) -> Classes:
        """Return the fitted classes and their kind; raises scikit-learn's NotFittedError before `fit`."""
        return self._fitted().classes

    def _fitted(self) -> Judge:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("this TextClassifier is not fitted yet: call fit, or load a saved model")
        return self._judge

    def _with_judge(self, judge: Judge) -> Self:
        made = copy(self)
        made.restore(
            judge=judge, history=self.history_, training=self.training_, validation=self.validation_,
            baseline=self.baseline_,
        )  # fmt: skip
        return made

    def restore(
        self,
        *,
        judge: Judge,
        history: list[dict[str, Any]],
        training: dict[str, Any],
        validation: Evaluation | None,
        baseline: Baseline | None,
    ) -> None:
        """Take over everything that fitting or a model folder gives."""
        self._judge = judge
        self.classes_ = judge.classes.values
        self.reading_ = judge.reading
        self.training_texts_ = judge.training_texts
        self.vocabulary_ = judge.reading.vocabulary
        self.tokenizer_ = judge.reading.tokenizer
        self.history_ = history
        self.training_ = training
        self.validation_ = validation
        self.baseline_ = baseline

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_judge")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.classifier_tags.multi_label = True
        return tags
