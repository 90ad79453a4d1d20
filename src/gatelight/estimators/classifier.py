"""`TextClassifier`: texts and labels in, labels and probabilities out, by scikit-learn's conventions.

Knows no file format of texts: those are read in `gatelight.text`. What is saved is said in `folder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from gatelight.errors import DataError
from gatelight.estimators import recipes
from gatelight.estimators.baseline import Baseline
from gatelight.estimators.evaluation import Evaluation, judged_right
from gatelight.estimators.judging import Judge, JudgesTexts
from gatelight.estimators.labels import Classes, checked_labels
from gatelight.estimators.reading import Reading
from gatelight.estimators.settings import classifier_config, plain
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.models.summary import Summary, summary
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from gatelight.estimators.language import LanguageModel
    from gatelight.text.vectors import WordVectors


class TextClassifier(JudgesTexts, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Recurrent text classifier on plain strings; without arguments it is the recipe `default`.

    Text: `tokenizer` ("word", "treebank", "char", "byte", "note-char"), `lowercase`, `clean`
    (tags and entities removed), `min_count`, `max_words`, `max_length` in tokens, `truncation` ("head",
    "tail", "head+tail"), `unknown` words ("unk": one vector for all,
    which `word_dropout` trains; "drop": left out; "random": a known word drawn by frequency;
    "nearest": the known word within one edit, else UNK; "subword": the mean of trained
    vectors of its character n-grams; "spelled": of no word a vector is kept, each is read letter by letter).
    Vectors: `vectors` (None: random; a name or a file; `WordVectors`; "one-hot"; "corpus": word2vec of the
    training and the unlabelled texts, the same again with `threads=1` only), `dim` (of random and "corpus"
    vectors; others bring their own), `train_vectors`.
    Start: `from_lm` (a saved or fitted language model: its tokenizer, vocabulary, vectors and memory, so
    also its `cell`, `dim`, `hidden` and `layers`, in one direction), of which `gradual_unfreezing` trains the
    head first, then with each epoch a layer more, from the last down, and the vectors last.
    Model: `cell` ("rnn", "lstm", "peephole", "gru"), `hidden`, `layers`, `bidirectional`, `pool` ("last",
    "max", "mean", "max+mean", "attention", "flatten"), `dropout` before the dense layer, `embedding_dropout`,
    `word_dropout` (words turned into UNK), `layer_dropout` between layers.
    Training: `optimizer`, `learning_rate`, `schedule`, `clip`, `weight_decay`, `batch_size`, `bucket`
    (batches of like length), `epochs`, `patience`, `best_by` (the weights kept: "last", or the best epoch by
    "valid_accuracy" or "valid_loss"), `average` (decay of averaged weights), `class_weight`
    (None, "balanced" or label → weight), `label_smoothing`, `validation_fraction` (0: none), `split`
    ("group": no group on both sides, where groups are given; "random"), `seed`, `threads` (None: all).

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

    def __init__(
        self,
        *,
        tokenizer: str = "word",
        lowercase: bool = True,
        clean: bool = True,
        min_count: int = 2,
        max_words: int | None = 50_000,
        max_length: int | None = 600,
        truncation: str = "head+tail",
        unknown: str = "unk",
        vectors: str | Path | WordVectors | None = None,
        dim: int = 256,
        train_vectors: bool = True,
        from_lm: str | Path | LanguageModel | None = None,
        gradual_unfreezing: bool = True,
        cell: str = "lstm",
        hidden: int = 192,
        layers: int = 1,
        bidirectional: bool = True,
        pool: str = "max",
        dropout: float = 0.0,
        embedding_dropout: float = 0.5,
        word_dropout: float = 0.2,
        layer_dropout: float = 0.0,
        optimizer: str = "lazyadam",
        learning_rate: float = 3e-3,
        schedule: str = "one-cycle",
        clip: float | None = 1.0,
        weight_decay: float = 0.0,
        batch_size: int = 64,
        bucket: bool = True,
        epochs: int = 4,
        patience: int | None = None,
        best_by: str = "valid_accuracy",
        average: float | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        label_smoothing: float = 0.0,
        validation_fraction: float = 0.05,
        split: str = "group",
        seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.lowercase = lowercase
        self.clean = clean
        self.min_count = min_count
        self.max_words = max_words
        self.max_length = max_length
        self.truncation = truncation
        self.unknown = unknown
        self.vectors = vectors
        self.dim = dim
        self.train_vectors = train_vectors
        self.from_lm = from_lm
        self.gradual_unfreezing = gradual_unfreezing
        self.cell = cell
        self.hidden = hidden
        self.layers = layers
        self.bidirectional = bidirectional
        self.pool = pool
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.word_dropout = word_dropout
        self.layer_dropout = layer_dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.clip = clip
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.bucket = bucket
        self.epochs = epochs
        self.patience = patience
        self.best_by = best_by
        self.average = average
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.validation_fraction = validation_fraction
        self.split = split
        self.seed = seed
        self.threads = threads

    @classmethod
    def from_recipe(cls, name: str, **overrides: Any) -> Self:
        """Make an unfitted classifier from a recipe, some settings replaced; DataError for unknown names."""
        known = cls._get_param_names()
        strange = [setting for setting in overrides if setting not in known]
        if strange:
            raise DataError(f"there is no setting {strange[0]!r}; there are {', '.join(known)}")
        settings = {**recipes.recipe(name), **overrides}
        if overrides.get("from_lm") is not None:
            from gatelight.estimators.transfer import language_model, settings_after

            settings = settings_after(language_model(overrides["from_lm"]), settings, overrides)
        return cls(**settings)

    def fit(
        self,
        texts: Iterable[str],
        labels: Iterable[Any],
        groups: Iterable[Any] | None = None,
        sample_weight: Iterable[float] | None = None,
        *,
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

    def score(
        self, texts: Iterable[str], labels: Iterable[Any], sample_weight: Iterable[float] | None = None
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
