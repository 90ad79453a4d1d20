"""Searching for settings with Optuna: what is tried, on one validation part, beside the default.

The study lies in a storage of Optuna's, which several processes may work on and which outlives them.
"""

from __future__ import annotations

import base64
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from gatelight.errors import DataError, MissingExtraError
from gatelight.estimators.classifier import TextClassifier
from gatelight.estimators.evaluation import is_right
from gatelight.estimators.labels import Classes, checked_labels
from gatelight.estimators.rules import Data, settled
from gatelight.estimators.settings import OF_A_RUN
from gatelight.estimators.texts import checked_texts

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

STUDY = "gatelight"
NOISE = 0.05
"""How likely chance may make as good a best trial, for it to count as better than the default."""
HEARTBEAT = 10
"""Seconds between two signs of life; a trial whose process gave none for three of them has failed."""
TENTHS = 10
"""Of a trial at which it is compared with others: these have other numbers of epochs."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; with `log` small ones as often as large ones."""

    low: float
    high: float
    log: bool = False

    def suggest(self, trial: Trial, name: str) -> Any:
        """Draw one, a whole number where the ends are."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def suggest(self, trial: Trial, name: str) -> Any:
        """Draw one."""
        return trial.suggest_categorical(name, self.values)


SPACE: Mapping[str, Range | Choice] = {
    "learning_rate": Range(5e-4, 1.5e-2, log=True),
    "epochs": Range(2, 20),
    "batch_size": Choice((16, 32, 64, 128)),
    "hidden_size": Range(48, 384, log=True),
    "embedding_dropout": Range(0.0, 0.7),
    "word_dropout": Range(0.0, 0.4),
    "dropout": Range(0.0, 0.6),
    "label_smoothing": Range(0.0, 0.15),
    "cell": Choice(("lstm", "gru", "peephole")),
    "pool": Choice(("max", "max+mean", "attention", "mean")),
    "unknown": Choice(("unk", "subword")),
    "min_count": Choice((1, 2, 3, 5)),
    "average": Choice((None, 0.99, 0.998)),
}
"""What a search tries of each setting; every default is within."""


def suggest(trial: Trial, space: Mapping[str, Range | Choice] = SPACE) -> dict[str, Any]:
    """Return a value for each setting of `space`, drawn by a trial of Optuna's."""
    return {name: drawn.suggest(trial, name) for name, drawn in space.items()}


@dataclass(frozen=True)
class Trained:
    """What a trial came to: its settings, accuracy and loss on the validation texts, and which were right."""

    number: int
    settings: dict[str, Any]
    accuracy: float
    loss: float
    seconds: float
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class Search:
    """The default and the best of a study, and whether chance alone could have made the difference.

    `chance`: the probability that the best of as many trials, none truly better than the default, is right
    so much more often on the same texts (an exact McNemar test, times the number of trials).
    """

    default: Trained
    best: Trained
    trials: int
    chance: float

    @property
    def within_noise(self) -> bool:
        """Whether the default is as good as the best, as far as the validation texts can tell."""
        return self.chance >= NOISE


def tune(
    estimator: TextClassifier,
    training: tuple[Iterable[str], Iterable[Any]],
    validation: tuple[Iterable[str], Iterable[Any]],
    *,
    fixed: Iterable[str] = (),
    seconds: float | None = None,
    trials: int | None = None,
    storage: str | None = None,
    on_trial: Callable[[Study, FrozenTrial], object] | None = None,
    on_progress: Callable[[Any], object] | None = None,
) -> tuple[Search, Study]:
    """Search for better settings than the estimator's own, which are tried first.

    Every trial is fitted on `training` = (texts, labels) and measured by its accuracy on `validation`; one
    whose validation curve stays below the median of the others' is ended early. The settings in `fixed` stay
    as they are. The search ends after `seconds`, or so many `trials` in the study (the default one always
    ends). `storage`: a database's address, like sqlite:///study.db, from which an earlier search of the same
    data goes on. Raises MissingExtraError without Optuna, DataError where the storage is of other data.
    """
    optuna = _optuna()
    texts, labels = checked_texts(training[0]), checked_labels(training[1])
    held, held_labels = checked_texts(validation[0]), checked_labels(validation[1])
    if not held or (seconds is None and trials is None):
        raise DataError("a search needs validation texts, and a number of seconds or of trials")
    space = {name: drawn for name, drawn in SPACE.items() if name not in set(fixed)}
    # What the data decide is decided once, for all trials.
    values = Classes.of(checked_labels(labels)).values
    own = settled(estimator.get_params(deep=False), Data.of(texts, labels, len(values)))
    default = {name: own[name] for name in space if _within(space[name], own[name])}
    space = {name: drawn for name, drawn in space.items() if name in default}
    if not space:
        raise DataError("every setting is fixed: there is nothing to search for")
    study = _study(optuna, storage, own["random_state"])
    _check_same(study, [own, sorted(space), texts, labels, held, held_labels])
    ends = None if seconds is None else time.monotonic() + seconds

    def is_over() -> bool:
        return ends is not None and time.monotonic() > ends

    def objective(trial: Trial) -> float:
        drawn = suggest(trial, space)
        first = drawn == default
        model = TextClassifier(**{**own, **drawn})
        began = time.monotonic()

        def on_epoch(record: dict[str, Any]) -> None:
            done = TENTHS * record["epoch"] // model.epochs
            for tenth in range(TENTHS * (record["epoch"] - 1) // model.epochs + 1, done + 1):
                trial.report(record["valid_accuracy"], tenth)
            if not first and done < TENTHS and trial.should_prune():
                raise optuna.TrialPruned

        def progress(at: Any) -> None:
            if on_progress is not None:
                on_progress(at)
            if not first and is_over():
                raise optuna.TrialPruned

        model.fit(texts, labels, validation=(held, held_labels), on_epoch=on_epoch, on_progress=progress)
        assert model.validation_ is not None
        columns = model.predict_proba(held)
        right = is_right(columns, model.known_classes().targets(held_labels))
        trial.set_user_attr("right", base64.b64encode(np.packbits(right).tobytes()).decode())
        trial.set_user_attr("loss", model.validation_.log_loss)
        trial.set_user_attr("seconds", time.monotonic() - began)
        return float(right.mean())

    def after(study: Study, trial: FrozenTrial) -> None:
        if on_trial is not None:
            on_trial(study, trial)
        if is_over() or (trials is not None and len(_ended(study)) >= trials):
            study.stop()

    while True:
        optuna.storages.fail_stale_trials(study)
        states = _states(study, default)
        enough = is_over() or (trials is not None and len(_ended(study)) >= trials)
        if "COMPLETE" in states and enough:
            break
        if not states & {"COMPLETE", "RUNNING", "WAITING"}:
            study.enqueue_trial(default)
        elif states.isdisjoint({"COMPLETE", "WAITING"}) and enough:
            time.sleep(1)  # another process is about to end it
            continue
        study.optimize(objective, n_trials=1, callbacks=[after])
    return _found(study, default, own, len(held)), study


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", "tune", "searching for settings") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # callbacks tell of the trials
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _within(drawn: Range | Choice, value: Any) -> bool:
    """Whether a value may be drawn: one that may not, of another preset, stays as it is."""
    if isinstance(drawn, Choice):
        return value in drawn.values
    return isinstance(value, int | float) and drawn.low <= value <= drawn.high


def _storage(optuna: Any, url: str, tries: int = 10) -> Any:
    try:
        return optuna.storages.RDBStorage(
            url, heartbeat_interval=HEARTBEAT, grace_period=3 * HEARTBEAT,
            engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else None,
        )  # fmt: skip
    except Exception as error:  # what a database says depends on the database
        said = str(error).partition("\n")[0]
        # Another process may be making the tables at this moment.
        if tries and ("already exists" in said or "IntegrityError" in said):
            time.sleep(0.2)
            return _storage(optuna, url, tries - 1)
        raise DataError(f"the storage {url} cannot be used: {said}") from None


def _study(optuna: Any, storage: str | None, seed: Any) -> Study:
    kept = None if storage is None else _storage(optuna, storage)
    study = optuna.create_study(
        storage=kept, study_name=STUDY, direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )  # fmt: skip
    # Another seed for each process and each beginning: else all would draw the same.
    seeds = np.random.SeedSequence([seed if isinstance(seed, int) else 0, len(study.trials)])
    study.sampler = optuna.samplers.TPESampler(
        seed=int(seeds.generate_state(1)[0]), multivariate=True, constant_liar=kept is not None,
        n_startup_trials=8,
    )  # fmt: skip
    return study


def _check_same(study: Study, of: Sequence[Any]) -> None:
    """Note which data and fixed settings a study is of, or find that it is of others."""
    digest = blake2b(digest_size=16)
    for part in of:
        for one in part if isinstance(part, list) else [part]:
            digest.update(repr(one).encode("utf-8", "surrogatepass") + b"\n")
    known = study.user_attrs.get("data")
    if known is None:
        study.set_user_attr("data", digest.hexdigest())
    elif known != digest.hexdigest():
        raise DataError(
            "the storage holds a search of other texts or other fixed settings: go on with the same, or name "
            "another storage"
        )


def _is(trial: FrozenTrial, settings: Mapping[str, Any]) -> bool:
    return bool((trial.params or trial.system_attrs.get("fixed_params")) == settings)


def _ended(study: Study) -> list[FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]


def completed(study: Study) -> list[FrozenTrial]:
    """Return the trials that were trained to their end."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]


def _completed(study: Study, settings: Mapping[str, Any]) -> FrozenTrial | None:
    return next((trial for trial in completed(study) if _is(trial, settings)), None)


def _states(study: Study, settings: Mapping[str, Any]) -> set[str]:
    return {trial.state.name for trial in study.get_trials(deepcopy=False) if _is(trial, settings)}


def _found(study: Study, default: Mapping[str, Any], own: Mapping[str, Any], texts: int) -> Search:
    def trained(trial: FrozenTrial) -> Trained:
        bits = np.frombuffer(base64.b64decode(trial.user_attrs["right"]), np.uint8)
        assert trial.value is not None
        right = np.unpackbits(bits)[:texts].astype(np.bool_)
        settings = {name: value for name, value in {**own, **trial.params}.items() if name not in OF_A_RUN}
        attrs = trial.user_attrs
        return Trained(trial.number, settings, trial.value, attrs["loss"], attrs["seconds"], right)

    first = _completed(study, default)
    assert first is not None
    of_default, best = trained(first), trained(study.best_trial)
    gained, lost = int((best.right & ~of_default.right).sum()), int((of_default.right & ~best.right).sum())
    others = max(len(_ended(study)) - 1, 1)
    chance = 1.0
    if gained > lost:
        chance = min(1.0, others * float(binomtest(gained, gained + lost, alternative="greater").pvalue))
    return Search(of_default, best, len(_ended(study)), chance)
