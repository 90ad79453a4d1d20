"""`LanguageModel`: texts in, a model of what comes next out; it measures texts and writes new ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from gatelight import __version__
from gatelight.errors import DataError
from gatelight.estimators.card import language_card
from gatelight.estimators.drawing import checked_drawing, until, written
from gatelight.estimators.embeddings import embed_with
from gatelight.estimators.language_rules import Amount, Plan, settled
from gatelight.estimators.likelihood import Likelihood, baseline_of, likelihood
from gatelight.estimators.preparation import vectors_for
from gatelight.estimators.rules import CORPUS
from gatelight.estimators.saving import (
    LANGUAGE,
    MODEL_FILE,
    read_config,
    save_model,
    told_in_one_line,
)
from gatelight.estimators.sessions import IncrementalLanguageModel, Session
from gatelight.estimators.settings import (
    ONE_HOT,
    LanguageSettings,
    check_language_settings,
    language_model_config,
    of_config,
    plain,
    saved_settings,
    seed_of,
    training_config,
)
from gatelight.estimators.texts import blocks, checked_texts, group_names
from gatelight.estimators.token_streams import END, TokenStream, vocabulary_of
from gatelight.estimators.tracing import TRACED, Trace, steps_of, trace_of
from gatelight.models.config import LanguageModelConfig
from gatelight.models.generation import Reader
from gatelight.models.language_model import LanguageModel as Network
from gatelight.models.predicting import PredictingDocuments, PredictingStreams
from gatelight.models.saving import load_weights, save_weights
from gatelight.models.task import Task
from gatelight.models.training import train_task
from gatelight.models.weight_files import check_sizes
from gatelight.notices import tell
from gatelight.text.encoding import NumberedTexts
from gatelight.text.mapped import MappedTexts
from gatelight.text.splits import held_out
from gatelight.text.tokenized import TokenizedTexts
from gatelight.text.tokenizers import Tokenizer, tokenizer
from gatelight.text.vocabulary import Vocabulary

BASELINE_TOKENS = 5_000_000  # of mapped texts: their n-grams take half a gigabyte of memory


class LanguageModel(LanguageSettings, BaseEstimator):  # type: ignore[misc]
    """Recurrent language model on plain strings.

    The constructor takes the settings of `LanguageSettings` by name; what each means is in
    `gatelight.estimators.settings.HELP`. `vectors` that tokens begin with are "corpus" (word2vec of the same
    texts), a file, a named set or WordVectors; all but "corpus" decide the size of the embedding, whatever
    `embedding_dim` says. `documents`: each text from the zero state, cut after `max_length` tokens; else one
    stream in `batch_size` parts side by side, `steps` at a time with the state carried on.

    Fitted: `vocabulary_`, `tokenizer_`, `model_`, `history_`, `training_`, `settings_` (all settings, those
    chosen by the texts too).
    """

    history_: list[dict[str, Any]]
    training_: dict[str, Any]
    settings_: dict[str, Any]

    def fit(
        self,
        texts: Iterable[str],
        y: object = None,
        *,
        groups: Iterable[Any] | None = None,
        validation: Iterable[str] | None = None,
        baseline: bool = False,
        origin: str | None = None,
        checkpoint: str | Path | None = None,
        resume: bool = False,
        on_epoch: Callable[[dict[str, Any]], object] | None = None,
        on_progress: Callable[[Any], object] | None = None,
        on_vectors: Callable[[int, int], None] | None = None,
        on_stage: Callable[[str], object] = lambda stage: None,
        on_plan: Callable[[Plan], object] = lambda plan: None,
    ) -> Self:
        """Learn from texts, of which a fraction is held out unless `validation` texts are given.

        y: ignored; scikit-learn's pipelines give it. groups: one per text, what must not be on both sides,
        like a review's film, whose names n-grams know by heart (None or NaN: a group of its own). baseline:
        also measure n-grams of the same texts on the validation texts. on_plan(plan): told what will be
        trained, before it is. The rest as in `TextClassifier.fit`.
        Raises DataError when texts or settings cannot be used.
        """
        settings = plain(self.get_params(deep=False))
        settings["random_state"] = seed = seed_of(settings["random_state"])
        check_language_settings(settings)
        on_stage("tokenize")
        cut = self._cut()
        given = TokenizedTexts.of(checked_texts(texts), cut)
        if validation is None:
            rows, held_rows = divided(len(given), groups, self.validation_fraction, seed)
            learned, held = given.take(rows), given.take(held_rows)
        else:
            learned, held = given, TokenizedTexts.of(checked_texts(validation, "validation texts"), cut)
        vocabulary = vocabulary_of(learned.tokens, cut, self.min_count, self.max_words)
        stream = TokenStream.of(learned, vocabulary)
        valid = TokenStream.of(held, vocabulary) if len(held) else None
        settings = settled(settings, amount := Amount(len(learned), len(stream.ids), len(vocabulary)))
        on_plan(plan := Plan(amount, settings))
        config = training_config(settings)
        if self.vectors is not None:
            on_stage("vectors")
        network = _network(settings, learned.tokens, vocabulary, resume, on_vectors)
        held_texts = len(held)
        del given, learned, held  # and the files that they may be mapped from

        def task() -> Task:
            if self.documents:
                validating = None if valid is None else valid.documents(None)
                return PredictingDocuments(network, stream.documents(self.max_length), validating, config)
            return PredictingStreams(
                network, stream.ids, None if valid is None else valid.ids, config, settings["steps"]
            )

        on_stage("train")
        history = train_task(
            task,
            config,
            on_epoch=on_epoch,
            on_progress=on_progress,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            resume=resume,
        )
        training: dict[str, Any] = {
            "origin": origin,
            "texts": amount.texts,
            "tokens": len(stream.ids),
            "unknown_fraction": stream.unknown / len(stream.ids),
            "validation_texts": held_texts,
            "split": "given" if validation is not None else "random" if groups is None else "group",
            "plan": str(plan),
            "epochs": len(history.epochs),
            "best_epoch": history.best_epoch,
            "stopped": history.stopped,
            "gatelight": __version__,
            "validation": None,
            "baseline": None,
        }
        if valid is not None:
            on_stage("validate")
            training["validation"] = likelihood(network, valid, self.documents).to_dict()
        if valid is not None and baseline:
            on_stage("baseline")
            counted = stream
            if isinstance(texts, MappedTexts) and len(stream.ids) > BASELINE_TOKENS:
                tell(f"the n-grams beside it, which live in memory, learn from {BASELINE_TOKENS:,} tokens")
                counted = stream.beginning(BASELINE_TOKENS)
            training["baseline"] = baseline_of(counted, valid, len(vocabulary), self.order).to_dict()
        self.restore(vocabulary, network, settings, history.epochs, training)
        return self

    def restore(
        self,
        vocabulary: Vocabulary,
        network: Network,
        settings: dict[str, Any],
        history: list[dict[str, Any]],
        training: dict[str, Any],
    ) -> None:
        """Take over everything that fitting or a model folder gives."""
        network.eval()
        self.vocabulary_, self.model_, self.tokenizer_ = vocabulary, network, self._cut()
        self.settings_, self.history_, self.training_ = settings, history, training
        self.reader_ = Reader(network)

    def likelihood(self, texts: Iterable[str]) -> Likelihood:
        """Measure how well the model predicts texts, their ends included; raises DataError for none."""
        given = checked_texts(texts)
        if not any(given):
            raise DataError("there is no text to measure; give at least one that is not empty")
        stream = TokenStream.of_texts(given, self._fitted().tokenizer_, self.vocabulary_)
        return likelihood(self.model_, stream, self.documents)

    def perplexity(self, texts: Iterable[str]) -> float:
        """Return the perplexity per token."""
        return self.likelihood(texts).perplexity

    def score(self, texts: Iterable[str], y: object = None) -> float:
        """Return the mean log-likelihood per token in nats, so that more is better; `y` is ignored."""
        return -math.log(self.perplexity(texts))

    def embed(self, texts: Iterable[str], pool: str = "last") -> NDArray[np.float32]:
        """Return the layers' summary of each text, float32 [n, hidden_size], as `TextClassifier.embed`."""
        fitted = self._fitted()

        def read(block: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64], None]:
            stream = TokenStream.of_texts(block, fitted.tokenizer_, fitted.vocabulary_)
            return stream.ids[:-1], np.diff(stream.starts, append=len(stream.ids) - 1), None

        return embed_with(fitted.model_, read, texts, pool)

    def session(self) -> Session:
        """Return a state at the beginning of a text, which pieces of one can be fed to."""
        model = self._fitted()
        return Session(IncrementalLanguageModel(model.reader_, model.tokenizer_, model.vocabulary_))

    def generate(self, prompt: str = "", **how: Any) -> str:
        """Return a text written after `prompt`, without it; all else as in `pieces`."""
        return "".join(self.pieces(prompt, **how))

    def pieces(
        self,
        prompt: str = "",
        *,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        number: int = 0,
        stop: str | None = None,
    ) -> Iterator[str]:
        """Yield a text after `prompt` as it is written: `length` tokens, and what the last character needs.

        It ends earlier where the model ends a text, or before the string `stop`. `temperature` 0 takes the
        likeliest token each time; `top_k` (0: all) and `top_p` draw among the likeliest. The same seed and
        number give the same text. No piece holds a part of what a reader calls a character.
        Raises DataError for numbers that cannot be and for a prompt that holds unknown tokens.
        """
        how = checked_drawing(length, temperature, top_k, top_p, seed, stop)
        session = self.session()
        strange = [token for token in self.tokenizer_.tokens(prompt) if token not in self.vocabulary_]
        if strange:
            raise DataError(
                f"the prompt contains {strange[0]!r}, which this model does not know from its texts; begin "
                "with something else"
            )
        session.feed(prompt)
        whole = written(
            self.reader_, self.tokenizer_, self.vocabulary_, session.position(), bool(prompt), length, how,
            np.random.default_rng([seed, number]),
        )  # fmt: skip
        return whole if stop is None else until(whole, stop)

    def trace(self, texts: Iterable[str]) -> Trace:
        """Return what every gate and state was at every token; the first step of each text reads the mark."""
        model = self._fitted()
        vocabulary = model.vocabulary_
        token_lists = [[END, *model.tokenizer_.tokens(text)] for text in checked_texts(texts)]
        steps = list(steps_of(token_lists, lambda tokens: list(range(len(tokens))), vocabulary.__contains__))
        ids = [vocabulary.ids(tokens) for tokens in token_lists]
        return trace_of(
            steps,
            np.concatenate([np.zeros(0, np.int32), *ids]),
            np.array(list(map(len, ids)), np.int64),
            model.model_.config,
            lambda ids, packing: (model.model_.trace(packing.gathered(ids), packing), None),
        )

    def traces(self, texts: Iterable[str], size: int = TRACED) -> Iterator[Trace]:
        """Yield the traces of `size` texts at a time, in bounded memory."""
        for block in blocks(checked_texts(texts), size):
            yield self.trace(block)

    def with_gates(self, *, layer: int = 0, units: ArrayLike | None = None, **gates: ArrayLike) -> Self:
        """Return a copy with gates clamped at all steps, which also writes so: `with_gates(forget_gate=1.0)`.

        A value is one number, or one for each unit. Raises DataError for what there is not.
        """
        made = copy.copy(self._fitted())
        made.model_ = made.model_.clamped(gates, layer, None, units)
        made.reader_ = Reader(made.model_)
        return made

    def save(self, folder: str | Path) -> None:
        """Write the fitted model as a folder of plain files; an older language model there is replaced.

        Raises FileExistsError when something else is there, OSError when the disk refuses.
        """
        fitted, target = self._fitted(), Path(folder)
        config = {
            "settings": saved_settings(self.get_params(deep=False)),
            "fitted_settings": saved_settings(fitted.settings_),
            "model": fitted.model_.config.to_dict(),
            "training": fitted.training_,
            "history": fitted.history_,
        }

        def write(aside: Path) -> None:
            fitted.vocabulary_.save(aside)
            save_weights(fitted.model_, aside / MODEL_FILE)

        save_model(target, LANGUAGE, config, write, language_card(self, target.resolve().name))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote; ModelFileError, in one line, for anything else."""
        config, path = read_config(folder, LANGUAGE), Path(folder) / MODEL_FILE
        with told_in_one_line(folder):
            model = cls(**of_config(config["settings"]))
            settings = of_config(config.get("fitted_settings", config["settings"]))
            check_language_settings(model.get_params(deep=False))
            shape = LanguageModelConfig.from_dict(config["model"])
            vocabulary = Vocabulary.load(Path(folder))
            if shape.vocabulary_size != len(vocabulary) or END not in vocabulary:
                raise ValueError(
                    f"a model of {shape.vocabulary_size} tokens, another vocabulary of {len(vocabulary)}"
                )
            history, training = list(config["history"]), dict(config["training"])
        check_sizes(path, shape, ("vocabulary_size", "dim", "hidden", "layers"))
        network = Network(shape)
        load_weights(network, path)
        model.restore(vocabulary, network, settings, history, training)
        return model

    def _fitted(self) -> Self:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError("this LanguageModel is not fitted yet: call fit, or load a saved model")
        return self

    def _cut(self) -> Tokenizer:
        return tokenizer(self.tokenizer, lowercase=self.lowercase, clean=self.clean)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")


def divided(
    n: int, groups: Iterable[Any] | None, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to learn from, shuffled, and a fraction, of whole groups, that is held out."""
    names = None if groups is None else group_names(groups)
    if names is not None and len(names) != n:
        raise DataError(f"there are {n} texts and {len(names)} groups; give one per text")
    held = np.zeros(n, np.bool_)
    if round(n * fraction) >= 1 and n > 1:
        held = held_out(n, fraction, seed, names, None)
    order = np.random.default_rng(seed).permutation(n)
    return order[~held[order]], order[held[order]]


def _network(
    settings: dict[str, Any],
    texts: NumberedTexts,
    vocabulary: Vocabulary,
    resume: bool,
    on_vectors: Callable[[int, int], None] | None,
) -> Network:
    """Make the network that the settings ask for; vectors other than "corpus" decide its `dim`."""
    wanted, seed = settings["vectors"], settings["random_state"]
    if isinstance(wanted, str) and wanted == ONE_HOT:
        raise DataError("a language model learns its vectors: one-hot ones would stay as they are")
    if isinstance(wanted, str) and wanted == CORPUS and resume:
        wanted = None  # a run that goes on has its own weights: nothing is trained again for it
    counts = vocabulary.known_counts()
    vectors = vectors_for({**settings, "vectors": wanted}, texts, counts, on_vectors)
    dim = None if vectors is None else vectors.dim
    network = Network(language_model_config(settings, len(vocabulary), dim), seed)
    if vectors is not None:
        with torch.no_grad():
            table, _ = vectors.table(vocabulary, seed=seed)
            network.embedding.weight.copy_(torch.from_numpy(table))
    return network
