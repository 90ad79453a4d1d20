"""`gatelight train` and `train-lm`: texts become a saved model, and what happens on the way is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import DATA, JSON, NONE, argument, option
from gatelight.cli.output import emit, say, table
from gatelight.cli.settings import classifier_settings, language_settings
from gatelight.cli.sources import LIMIT, UNLABELLED, Reads
from gatelight.errors import DataError
from gatelight.estimators.rules import AUTO, CORPUS
from gatelight.launched import rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from gatelight.cli.unfinished import UnfinishedRun
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.language_model import LanguageModel

TESTING = "testing"


@dataclass(kw_only=True)
class Training(Reads):
    """What training a classifier and a language model have in common."""

    GOES_ON = "training goes on, and the model is saved"

    data: str = argument(DATA, "DATA")
    out: Path = option("folder to save the model in", metavar="MODEL", short="o", required=True)
    save_vectors: Path | None = option("also save the trained vectors: .bin, .txt or .npy")
    baseline: bool = option("fit no n-gram baseline beside it", True)
    resume: bool = option("go on with a run that was stopped", False)
    limit: int | None = option(LIMIT, least=1)
    on_disk: bool = option("keep texts and tokens in files beside MODEL: for DATA larger than memory", False)
    json: bool = option(JSON, False)
    settings: dict[str, Any]

    def _begin(self, kind: str, vectors: str | None, to: Console) -> UnfinishedRun:
        """Refuse what cannot be before minutes are spent on reading, and fetch vectors that have a name."""
        from gatelight.cli.faults import end_with_the_others
        from gatelight.cli.sources import available
        from gatelight.cli.unfinished import UnfinishedRun
        from gatelight.estimators.settings import ONE_HOT
        from gatelight.text.vector_files import ENDINGS

        if self.save_vectors is not None and self.save_vectors.suffix not in ENDINGS:
            raise DataError(
                f"--save-vectors {self.save_vectors} must end in one of {', '.join(ENDINGS)}: the format"
            )
        end_with_the_others()
        run = UnfinishedRun(self.out, kind, self.resume)
        with run:
            if vectors not in (None, AUTO, CORPUS, ONE_HOT):
                available(vectors, to)
        return run

    def _reading(self, run: UnfinishedRun) -> dict[str, Any]:
        return {**self.reading, "on_disk": run.folder} if self.on_disk else self.reading

    def _end(self, model: TextClassifier | LanguageModel, to: Console) -> None:
        """Say where the model is, and write the vectors of the words that it knows, as they are now."""
        say(to, f"saved in {self.out}")
        if self.save_vectors is not None:
            from gatelight.text.vectors import WordVectors
            from gatelight.text.vocabulary import SPECIALS

            words = model.vocabulary_.tokens
            own = slice(len(SPECIALS), len(words))
            vectors = model.model_.state_dict()["embedding.weight"].numpy()[own]
            WordVectors(words[own], vectors).save(self.save_vectors)
            say(to, f"{len(vectors):,} word vectors saved in {self.save_vectors}")


@dataclass(kw_only=True)
class Train(Training):
    """Train a classifier on labelled texts and save it.

    Where DATA has parts (train, test, unsup), train is trained on, unsup is learned from without labels, and
    test is looked at only with --test test. What a setting becomes by the data is said before training.
    """

    SETTINGS = staticmethod(classifier_settings)

    preset: str = option(
        "default, fast, best, char, note-400, note-200, note-char or a .json file", "default"
    )
    unlabelled: str = option(
        "texts without labels to learn from, too, or none; auto: the part unsup, if word vectors are learned",
        AUTO, metavar="PART|DATA",
    )  # fmt: skip
    part: str = option("the part to train on, if DATA has parts", "train", group=TESTING)
    valid: str | None = option("validate on this instead", metavar="PART|DATA", group=TESTING)
    test: str | None = option("evaluate on this once, in the end", metavar="PART|DATA", group=TESTING)
    test_fraction: float | None = option("hold out this fraction first, to test on", group=TESTING)

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import training
        from gatelight.cli.reports import corpus_line, report
        from gatelight.cli.sources import read_for_training
        from gatelight.estimators.classifier import TextClassifier
        from gatelight.estimators.evaluation import evaluate
        from gatelight.estimators.saving import CLASSIFIER
        from gatelight.estimators.settings import check_settings

        estimator = TextClassifier.from_preset(self.preset, **self.settings)
        usual = UNLABELLED if estimator.vectors in (AUTO, CORPUS) else None
        check_settings(estimator.get_params(deep=False))
        with self._begin(CLASSIFIER, estimator.vectors, to) as run:
            texts = read_for_training(
                self.data, to, self._reading(run), part=self.part, valid=self.valid, test=self.test,
                unlabelled={AUTO: usual, NONE: None}.get(self.unlabelled, self.unlabelled),
                test_fraction=self.test_fraction, seed=estimator.random_state,
                limit=self.limit,
            )  # fmt: skip
            corpus, valid = texts.training, texts.valid
            say(to, corpus_line(corpus))
            _fetch_vectors(to, estimator, corpus.texts, len(texts.unlabelled))
            with training(to, None, self.json) as calls:
                estimator.fit(
                    corpus.texts,
                    corpus.labels or [],
                    groups=corpus.groups,
                    validation=None if valid is None else (valid.texts, valid.labels or []),
                    unlabelled=texts.unlabelled or None,
                    baseline=self.baseline and not rank(),
                    origin=corpus.origin,
                    checkpoint=run.checkpoint,
                    resume=run.resume,
                    **calls,
                )
        if rank():
            return  # the first process goes on
        tested = None
        if texts.test is not None:
            tested = evaluate(estimator, texts.test.texts, texts.test.labels or [], baseline=self.baseline)
            estimator.training_["test"] = tested.to_dict()
        run.save(estimator.save)
        report(to, estimator, tested)
        self._end(estimator, to)
        if self.json:
            validation = estimator.validation_
            measured = {"validation": None if validation is None else validation.to_dict()}
            measured["test"] = None if tested is None else tested.to_dict()
            measured["wide"] = None if estimator.wide_ is None else estimator.wide_.to_dict()
            emit({"model": str(self.out), **estimator.training_, **measured})


@dataclass(kw_only=True)
class TrainLanguageModel(Training):
    """Train a language model on texts, labelled or not, and save it.

    Where DATA has parts, all but test are learned from. What a setting that is left out becomes by the
    texts is said before training.
    """

    SETTINGS = staticmethod(language_settings)

    part: str | None = option("learn from this part only")

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import training
        from gatelight.cli.sources import texts_to_learn_from
        from gatelight.estimators.language_model import LanguageModel
        from gatelight.estimators.saving import LANGUAGE
        from gatelight.estimators.settings import check_language_settings

        model = LanguageModel(**self.settings)
        check_language_settings(model.get_params(deep=False))
        with self._begin(LANGUAGE, model.vectors, to) as run:
            corpus = texts_to_learn_from(self.data, to, self._reading(run), self.part, self.limit)
            grouped = "" if corpus.groups is None else f", {len(set(corpus.groups)):,} groups"
            say(to, f"{len(corpus):,} texts, {sum(map(len, corpus.texts)):,} characters{grouped}")
            with training(to, None, self.json) as calls:
                model.fit(
                    corpus.texts,
                    groups=corpus.groups,
                    baseline=self.baseline and not rank(),
                    origin=self.data,
                    checkpoint=run.checkpoint,
                    resume=run.resume,
                    **calls,
                )
        if rank():
            return  # the first process goes on
        run.save(model.save)
        found = model.training_
        measured = {"this model": found["validation"], f"n-grams, order {model.order}": found["baseline"]}
        rows = [
            (name, f"{one['bits_per_character']:.3f}", f"{one['perplexity']:.2f}")
            for name, one in measured.items()
            if one is not None
        ]
        if rows:
            of_others = " of other groups" if found["split"] == "group" else ""
            heads = (f"validation texts{of_others}", "bits per character", "perplexity per token")
            to.print(table(heads, rows))
        self._end(model, to)
        if self.json:
            emit({"model": str(self.out), **found})


def _fetch_vectors(to: Console, estimator: TextClassifier, texts: Sequence[str], unlabelled: int) -> None:
    """Fetch the pretrained word vectors where the texts want them and they are not here; go on without."""
    from gatelight.cli.sources import available
    from gatelight.estimators.rules import PRETRAINED, Data, wants_pretrained
    from gatelight.text.datasets import DATASETS, cached

    data = Data.of(texts, unlabelled=unlabelled)
    if cached(PRETRAINED) is None and wants_pretrained(estimator.get_params(deep=False), data):
        size = (DATASETS[PRETRAINED].archive or DATASETS[PRETRAINED]).size / 1e6
        say(to, f"fetching word vectors, {PRETRAINED}, {size:.0f} MB, this once; --vectors none goes without")
        try:
            available(PRETRAINED, to)
        except DataError as error:
            say(to, f"{error}; training goes on without")
