"""`python -m benchmarks.accuracy`: how often each model is right, on every set that can be found.

Trains the default, its recurrent path alone, n-grams and fastText's supervised model on the training part
and measures them on the test part, for several seeds: one table, and one picture of accuracy against
processor minutes, which other work on the machine does not change.
With `--dev` a fifth of the training part is measured instead and the test part is not read: settings are
chosen so. What is finished is kept in benchmarks/.scratch and is not computed again.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit

from benchmarks.texts import SCRATCH
from benchmarks.worker import ROOT
from gatelight import Corpus, TextClassifier, load_dataset
from gatelight.text import tokenizer

FOLDER = ROOT.parent / "shared" / "data"
NAMES = (
    "subjectivity", "opinion_phrases", "sms_spam", "airline_tweets", "news_topics", "shopping_zh",
    "rotten-tomatoes", "imdb",
)  # fmt: skip
HELD_OUT = 0.2
SCRIPTS_OF_CHARACTERS = ("shopping_zh",)
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Sides:
    """Texts and labels to learn from and to measure on; `groups` of the former, where there are any."""

    name: str
    train: list[str]
    labels: list[str]
    groups: list[str] | None
    test: list[str]
    truth: list[str]


@dataclass(frozen=True)
class Result:
    """What one model reached on one set with one seed."""

    data: str
    model: str
    seed: int
    accuracy: float
    log_loss: float
    seconds: float
    n: int


def sides(name: str, dev: bool) -> Sides | None:
    """Return a set's two sides, or None where it is not here."""
    if name == "rotten-tomatoes":
        corpus = load_dataset(name)
        train, test = corpus.train_test_split(HELD_OUT, random_state=99)
    elif name == "imdb":
        if not (FOLDER / "aclImdb_v1.tar.gz").exists():
            return None
        corpus = Corpus.read(FOLDER / "aclImdb_v1.tar.gz", splits=["train"] if dev else ["train", "test"])
        train, test = corpus.of_split("train"), corpus.of_split("train" if dev else "test")
    else:
        if not (FOLDER / "accuracy" / f"{name}_train.csv.gz").exists():
            return None
        train = _read(FOLDER / "accuracy" / f"{name}_train.csv.gz")
        test = train if dev else _read(FOLDER / "accuracy" / f"{name}_test.csv.gz")
    if dev:
        train, test = _dev(train)
    return Sides(name, train.texts, train.labels, train.groups, test.texts, test.labels)


def _read(path: Path) -> Corpus:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Corpus([row["text"] for row in rows], [row["label"] for row in rows], origin=path.name)


def _dev(corpus: Corpus) -> tuple[Corpus, Corpus]:
    splitter = StratifiedShuffleSplit if corpus.groups is None else GroupShuffleSplit
    (split,) = splitter(1, test_size=HELD_OUT, random_state=0).split(
        corpus.texts, corpus.labels, corpus.groups
    )
    return corpus.select(split[0]), corpus.select(split[1])


# --- the models: sides and a seed in, probabilities by class out ----------------------------------


def default(data: Sides, seed: int) -> tuple[Probabilities, Sequence[str]]:
    """Train `gatelight train` without options."""
    return _gatelight(data, seed)


def recurrent(data: Sides, seed: int) -> tuple[Probabilities, Sequence[str]]:
    """Train the default without n-grams."""
    return _gatelight(data, seed, wide=False)


def ngrams(data: Sides, seed: int) -> tuple[Probabilities, Sequence[str]]:
    """Fit the n-gram baseline that training prints, chosen on validation."""
    from gatelight.estimators.ngram_classifier import baseline_ngrams, fit_best
    from gatelight.estimators.rules import Data

    classes, targets = np.unique(data.labels, return_inverse=True)
    split = StratifiedShuffleSplit(1, test_size=0.1, random_state=seed).split(data.train, targets)
    ((train, valid),) = split
    held_out = [data.train[i] for i in valid], targets[valid]
    best = fit_best(
        baseline_ngrams(Data.of(data.train), True), [data.train[i] for i in train], targets[train], held_out
    )
    found = best.probabilities(data.test)
    return np.hstack([1 - found, found]) if found.shape[1] == 1 else found, list(classes)


def fasttext(data: Sides, seed: int) -> tuple[Probabilities, Sequence[str]]:
    """Train fastText's supervised model as its authors do: word pairs, 25 epochs, rate 0.5."""
    import fasttext as library

    unit = "char" if data.name in SCRIPTS_OF_CHARACTERS else "word"
    cut = tokenizer(unit)
    classes = sorted(set(data.labels))

    def line(text: str) -> str:
        return " ".join(token for token in cut.tokens(text) if not token.isspace())

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        lines = [
            f"__label__{classes.index(y)} {line(x)}" for x, y in zip(data.train, data.labels, strict=True)
        ]
        path.write_text("\n".join(lines), encoding="utf-8")
        model = library.train_supervised(
            str(path), lr=0.5, epoch=25, wordNgrams=2, dim=100, thread=2, seed=seed, verbose=0
        )
    rows = np.full((len(data.test), len(classes)), 1e-9)
    for row, text in zip(rows, data.test, strict=True):
        for probability, label in model.f.predict(line(text) + "\n", len(classes), 0.0, "strict"):
            row[int(label.removeprefix("__label__"))] = probability
    return rows / rows.sum(axis=1, keepdims=True), classes


def _gatelight(data: Sides, seed: int, **settings: object) -> tuple[Probabilities, Sequence[str]]:
    unit = {"tokenizer": "char"} if data.name in SCRIPTS_OF_CHARACTERS else {}
    model = TextClassifier(random_state=seed, **unit, **settings)
    model.fit(data.train, data.labels, groups=data.groups)
    found = model.predict_proba(data.test).astype(np.float64)
    return found / found.sum(axis=1, keepdims=True), list(model.classes_)


MODELS: dict[str, Callable[[Sides, int], tuple[Probabilities, Sequence[str]]]] = {
    "default": default, "recurrent alone": recurrent, "n-grams": ngrams, "fastText": fasttext,
}  # fmt: skip


# --- running and telling --------------------------------------------------------------------------


def run(data: Sides, model: str, seed: int) -> Result:
    """Train and measure one model."""
    began = time.process_time()
    found, classes = MODELS[model](data, seed)
    seconds = time.process_time() - began
    truth = np.array([list(classes).index(label) for label in data.truth])
    right = float((found.argmax(axis=1) == truth).mean())
    loss = float(log_loss(truth, found, labels=range(len(classes))))
    return Result(data.name, model, seed, right, loss, seconds, len(truth))


def table(results: Sequence[Result]) -> str:
    """Return a row of Markdown for each set: means over the seeds, interval, log loss, processor minutes."""
    models = [name for name in MODELS if any(one.model == name for one in results)]
    lines = ["| | " + " | ".join(models) + " |", "| --- |" + " ---: |" * len(models)]
    for name in dict.fromkeys(one.data for one in results):
        cells = []
        for model in models:
            own = [one for one in results if (one.data, one.model) == (name, model)]
            cells.append(_cell(own) if own else "–")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(own: Sequence[Result]) -> str:
    mean, loss = np.mean([one.accuracy for one in own]), np.mean([one.log_loss for one in own])
    interval = binomtest(round(float(mean) * own[0].n), own[0].n).proportion_ci(method="wilson")
    minutes = np.mean([one.seconds for one in own]) / 60
    return f"{mean:.1%} [{interval.low:.1%}, {interval.high:.1%}], loss {loss:.3f}, {minutes:.1f} min"


def draw(results: Sequence[Result], path: Path) -> None:
    """Draw accuracy against minutes, a panel for each set."""
    import matplotlib.pyplot as plt

    plt.style.use(str(ROOT / "src/gatelight/estimators/picture.mplstyle"))
    names = list(dict.fromkeys(one.data for one in results))
    figure, axes = plt.subplots(2, -(-len(names) // 2), figsize=(10, 5), squeeze=False, sharex=True)
    for axis, name in zip(axes.ravel(), names, strict=False):
        for model in MODELS:
            own = [one for one in results if (one.data, one.model) == (name, model)]
            if own:
                minutes = [one.seconds / 60 for one in own]
                axis.plot(minutes, [100 * one.accuracy for one in own], "o", alpha=0.8, label=model)
        axis.set(title=name, xscale="log")
        axis.xaxis.set_major_formatter("{x:g}")
    for axis in axes.ravel()[len(names) :]:
        axis.set_axis_off()
    figure.supxlabel("processor minutes")
    figure.supylabel("accuracy, %")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(MODELS))
    figure.savefig(path)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser("python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--dev", action="store_true", help="measure on a fifth of the training part")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="SET")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), metavar="MODEL")
    asked = parser.parse_args()
    version = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(ROOT.glob("src/**/*.py")))).hexdigest()[
        :8
    ]
    kept = SCRATCH / f"accuracy-{'dev' if asked.dev else 'test'}-{version}"
    kept.mkdir(parents=True, exist_ok=True)
    results = []
    for name in asked.only:
        data = None
        for model in asked.models:
            for seed in range(1 if model == "n-grams" else asked.seeds):
                path = kept / f"{name} {model} {seed}.json"
                if not path.exists():
                    data = data or sides(name, asked.dev)
                    if data is None:
                        print(f"{name}: not here, left out", file=sys.stderr)
                        break
                    path.write_text(json.dumps(asdict(run(data, model, seed))), encoding="utf-8")
                results.append(Result(**json.loads(path.read_text(encoding="utf-8"))))
                last = results[-1]
                print(
                    f"{name}, {model}, seed {seed}: {last.accuracy:.1%}, {last.seconds:.0f} s",
                    file=sys.stderr,
                )
    if not results:
        print("none of the sets is here", file=sys.stderr)
        return 2
    print(table(results))
    draw(results, kept / "accuracy.svg")
    print(f"picture in {kept / 'accuracy.svg'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
