"""Variants of a classifier trained under the same splits and seeds, and what they are worth; prints nothing.

Knows any setting of `TextClassifier`. Every variant meets the same test texts, as they are and misspelt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import compress, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight import __version__
from gatelight.errors import DataError
from gatelight.estimators.classifier import TextClassifier
from gatelight.estimators.evaluation import is_right
from gatelight.estimators.labels import checked_labels
from gatelight.estimators.rules import AUTO, CORPUS
from gatelight.estimators.settings import ONE_HOT, check_settings
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.files import fingerprint
from gatelight.insight.paired import Difference, paired_difference
from gatelight.models.trials import Record, Settings, describe, run_trials
from gatelight.text import datasets
from gatelight.text.typos import misspell

TYPO_SEED = 0  # the same misspellings for every variant and seed
MEGABYTE = 1e6
READ_FROM_FILES = ("vectors", "from_lm")  # settings that may be paths
RECORD = 2  # of a run; with another, nothing that was found before counts


@dataclass
class Material:
    """Training and test texts; of the training texts a part is for validation, for each seed the same.

    Test texts that are among the training texts are left out, unless there are no others; `trained_on` counts
    them.
    """

    texts: Sequence[str]
    labels: list[Any]
    groups: list[Any] | None
    test_texts: Sequence[str]
    test_labels: list[Any]
    base: dict[str, Any]
    """Settings that no variant changes."""
    typos: tuple[float, ...] = ()
    trained_on: int = field(default=0, init=False)
    _misspelt: dict[float, list[str]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        seen = TrainingTexts.of(self.texts).contain(self.test_texts)
        self.trained_on = int(seen.sum())
        if not seen.all():
            self.test_texts = list(compress(self.test_texts, ~seen))
            self.test_labels = list(compress(self.test_labels, ~seen))

    def test(self, rate: float) -> Sequence[str]:
        """Return the test texts with this fraction of their words misspelt; made once."""
        if rate not in self._misspelt:
            self._misspelt[rate] = [misspell(text, rate, TYPO_SEED) for text in self.test_texts]
        return self._misspelt[rate]

    def identity(self, trial: Settings) -> str:
        """Return a hash of all that a run's result depends on, the settings of `trial` aside.

        Of word vectors and a language model to start from the content counts, not where it lies.
        """
        sources = [trial.get(name, self.base.get(name)) for name in READ_FROM_FILES]
        return blake2b(self._shared + repr(list(map(content, sources))).encode(), digest_size=16).hexdigest()

    @cached_property
    def _shared(self) -> bytes:
        digest = blake2b(digest_size=16)
        settings = {k: v for k, v in self.base.items() if k not in ("threads", *READ_FROM_FILES)}
        columns = (self.texts, self.labels, self.groups or [], self.test_texts, self.test_labels)
        for part in (__version__, RECORD, sorted(settings.items()), self.typos, *columns):
            digest.update(repr(part).encode("utf-8", "backslashreplace"))
        return digest.digest()


@dataclass(frozen=True)
class Row:
    """What one variant is worth on the test texts with a fraction `typos` of their words misspelt.

    accuracy: mean over the seeds; spread: their standard deviation, None for one seed; against: the
    difference to the first variant, None for that; seconds and parameters: of training, and of the model.
    """

    variant: dict[str, Any]
    typos: float
    seeds: int
    accuracy: float
    spread: float | None
    against: Difference | None
    unknown_fraction: float
    seconds: float
    parameters: int

    @property
    def name(self) -> str:
        """The settings that tell the variant from others."""
        return describe(self.variant)

    @property
    def megabytes(self) -> float:
        """The size of the weights."""
        return self.parameters * 4 / MEGABYTE

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-able values."""
        zero = {} if self.against is None else {"includes_zero": self.against.includes_zero}
        return {**asdict(self), "megabytes": self.megabytes, **zero}


def content(source: Any) -> str:
    """Return a hash of what lies at a path, or under a data set's name, and any other value as it is."""
    if not isinstance(source, str | Path) or source in (ONE_HOT, CORPUS, AUTO):
        return repr(source)
    path = datasets.resolve(source)
    if path.suffix == ".npy":  # its words lie beside it
        return fingerprint(path, *path.parent.glob("*.txt"), *path.parent.glob("*.parquet"))
    return fingerprint(path)


def grid(vary: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values, the last setting changing fastest.

    Raises DataError where a setting has no value or one twice.
    """
    for name, values in vary.items():
        if len(values) < 1 or len(set(values)) != len(values):
            said = ", ".join(map(str, values)) or "nothing"
            raise DataError(f"{name} is to vary over {said}; give one value or more, each once")
    return [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]


def compare(
    material: Material,
    variants: Sequence[Settings],
    seeds: Sequence[int],
    folder: Path,
    *,
    jobs: int | None = None,
    on_run: Callable[[Settings, Record, bool], None] | None = None,
) -> list[Row]:
    """Train every variant with every seed, or find what an earlier call found, and sum up, typos by typos.

    jobs, on_run: as `run_trials`. Raises DataError for settings that cannot be, before anything is trained.
    """
    check_variants(material.base, variants)
    if not seeds:
        raise DataError("there are no seeds; give one or more")
    for rate in material.typos:
        misspell("", rate)
    trials = [{**variant, "random_state": seed} for seed in seeds for variant in variants]
    records = run_trials(
        trials, train_and_test, material, material.identity, folder, jobs=jobs, on_done=on_run
    )
    return summed_up(variants, records, (0.0, *material.typos))


def check_variants(base: Settings, variants: Sequence[Settings]) -> None:
    """Raise DataError where there is nothing to compare, or a variant's settings cannot be."""
    if len(variants) < 2:
        raise DataError(f"there is {len(variants)} variant; give two or more to compare")
    for variant in variants:
        check_settings(TextClassifier(**{**base, **variant}).get_params(deep=False))


def train_and_test(material: Material, trial: Settings) -> Record:
    """Train with the trial's settings and classify the test texts, as they are and misspelt."""
    estimator = TextClassifier(**{**material.base, **trial})
    estimator.fit(material.texts, material.labels, groups=material.groups)
    targets = estimator.known_classes().targets(checked_labels(material.test_labels))
    tested = {}
    for rate in (0.0, *material.typos):
        columns, unknown = estimator.proba_and_unknown_fraction(material.test(rate))
        right = is_right(columns, targets)
        tested[_key(rate)] = {
            "accuracy": float(right.mean()),
            "unknown": float(unknown.mean()),
            "right": "".join("01"[it] for it in right.astype(int)),
        }
    return {
        "texts": len(targets),
        "seconds": estimator.training_["seconds"],
        "parameters": sum(p.numel() for p in estimator.model_.parameters()),
        "epochs": estimator.history_,
        "tested": tested,
    }


def summed_up(variants: Sequence[Settings], records: Sequence[Record], typos: Sequence[float]) -> list[Row]:
    """Return a row for each fraction of typos and each variant; records come seed by seed, each variant's."""
    by_variant = [records[number :: len(variants)] for number in range(len(variants))]
    rows = []
    for rate in typos:
        first: NDArray[np.bool_] | None = None
        for variant, found in zip(variants, by_variant, strict=True):
            tested = [record["tested"][_key(rate)] for record in found]
            right = np.array([[it == "1" for it in one["right"]] for one in tested])
            means = right.mean(axis=1)
            against = None if first is None else paired_difference(right, first)
            first = right if first is None else first
            rows.append(
                Row(
                    variant=dict(variant),
                    typos=rate,
                    seeds=len(found),
                    accuracy=float(means.mean()),
                    spread=float(means.std(ddof=1)) if len(means) > 1 else None,
                    against=against,
                    unknown_fraction=float(np.mean([one["unknown"] for one in tested])),
                    seconds=float(np.mean([record["seconds"] for record in found])),
                    parameters=round(np.mean([record["parameters"] for record in found])),
                )
            )
    return rows


def _key(rate: float) -> str:
    return f"{rate:g}"
