"""Does a thought vector hold more than the sum of the words? It beside the mean of the same word vectors.

Two models are trained on one side of a split by films, a memory of one direction and the recipe `default`.
Of each, what the memory keeps of a text (last state, maximum, mean, cell state) and the mean of its own word
vectors are asked three things: does the nearest training text have the same label; how far does a linear
probe come; and, of generated pairs whose words are the same and whose order decides ("not good, bad", "not
bad, good"), are the two told apart, and is the right one held for the better one?

    python tools/thought_study.py imdb --out runs/thoughts

Models are kept in the folder and not trained again; `thoughts.md` and `thoughts.json` hold the tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gatelight import TextClassifier, load
from gatelight.cli.output import console
from gatelight.cli.sources import of_part, read
from gatelight.errors import GatelightError
from gatelight.estimators.evaluation import wilson_interval
from gatelight.files import file_written_aside
from gatelight.insight.neighbours import nearest
from gatelight.insight.paired import paired_difference
from gatelight.models.thought_vectors import SUMMARIES
from gatelight.text.corpus import Corpus

MODELS: dict[str, dict[str, Any]] = {
    "one direction": {"bidirectional": False, "pool": "last"},
    "default": {},
}
WORDS = "mean of the word vectors"
GOOD = (
    "good", "great", "wonderful", "brilliant", "funny", "charming", "moving", "clever", "fresh", "smart",
    "beautiful", "engaging", "powerful", "fascinating", "delightful", "original", "entertaining", "superb",
    "touching", "exciting",
)  # fmt: skip
BAD = (
    "bad", "terrible", "awful", "dull", "boring", "stupid", "lame", "silly", "tedious", "predictable",
    "ridiculous", "pointless", "horrible", "weak", "annoying", "pathetic", "bland", "flat", "messy",
    "forgettable",
)  # fmt: skip
FRAMES = ("not {}, {}", "the film is not {}, it is {}")
SAME = 1e-6
"""Vectors that differ by less, relative to their length, are the same but for rounding."""

Vectors = NDArray[Any]
Pair = tuple[str, str, int]


def pairs(known: Any) -> list[Pair]:
    """Texts of the same words, the worse one and the better one, and how many words are of the first halves.

    Only words that the model knows are used.
    """
    good, bad = ([word for word in words if word in known] for words in (GOOD, BAD))
    firsts = {*good[: len(good) // 2], *bad[: len(bad) // 2]}
    return [
        (frame.format(one, other), frame.format(other, one), (one in firsts) + (other in firsts))
        for frame, one, other in product(FRAMES, good, bad)
    ]


def word_means(model: TextClassifier, texts: list[str]) -> Vectors:
    """The mean of the model's word vectors over each text's words, float64 [n, D]; the same for any order."""
    encoded = model.reading_.encode(texts)
    owner = np.repeat(np.arange(len(texts)), encoded.lengths)
    ids = encoded.ids[np.lexsort((encoded.ids, owner))]  # summed in one order, whatever the text's
    table = model.model_.embedding.weight.detach().double().numpy()
    means = np.zeros((len(texts), table.shape[1]))
    starts = np.cumsum(encoded.lengths) - encoded.lengths
    for k in np.flatnonzero(encoded.lengths):
        means[k] = table[ids[starts[k] : starts[k] + encoded.lengths[k]]].mean(axis=0)
    return means


def vectors_of(model: TextClassifier, name: str, texts: list[str]) -> Vectors:
    return word_means(model, texts) if name == WORDS else model.embed(texts, name)


def probe() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def asked(
    model: TextClassifier, training: Corpus, valid: Corpus, pairs: list[Pair]
) -> Iterator[dict[str, Any]]:
    """What each kind of vector answers."""
    better = str(model.classes_[1])
    truth = [np.array([label == better for label in side.labels or ()]) for side in (training, valid)]
    reference: dict[str, NDArray[np.bool_]] = {}
    for name in (WORDS, *SUMMARIES):
        train, test = (vectors_of(model, name, side.texts) for side in (training, valid))
        found = {"nearest": truth[0][nearest(test, among=train)] == truth[1]}
        judge = probe().fit(train, truth[0])
        found["probe"] = judge.predict(test) == truth[1]
        row: dict[str, Any] = {"vector": name}
        for what, right in found.items():
            gain = None if name == WORDS else paired_difference(right[None], reference[what][None])
            row[what] = share(right) | {"gain": None if gain is None else asdict(gain)}
            reference.setdefault(what, right)
        worse_ones, better_ones = (vectors_of(model, name, [pair[k] for pair in pairs]) for k in (0, 1))
        apart = np.linalg.norm(better_ones - worse_ones, axis=1) > SAME * np.linalg.norm(worse_ones, axis=1)
        rising = judge.decision_function(better_ones) > judge.decision_function(worse_ones)
        yield row | {
            "apart": share(apart),
            "right_way": share(apart & rising),
            "order": share(order_told(worse_ones, better_ones, np.array([pair[2] for pair in pairs]))),
        }


def order_told(worse: Vectors, better: Vectors, halves: NDArray[Any]) -> NDArray[np.bool_]:
    """Can a linear probe that learned the order on half the words tell it on pairs of others?"""
    learned, asked = halves == 2, halves == 0
    judge = probe().fit(
        np.concatenate([worse[learned], better[learned]]), np.repeat([0, 1], int(learned.sum()))
    )
    right = [judge.predict(worse[asked]) == 0, judge.predict(better[asked]) == 1]
    return np.concatenate(right)


def share(right: NDArray[np.bool_]) -> dict[str, Any]:
    low, high = wilson_interval(int(right.sum()), len(right))
    return {"share": float(right.mean()), "low": low, "high": high, "of": len(right)}


def trained(folder: Path, settings: dict[str, Any], training: Corpus, epochs: int | None) -> TextClassifier:
    """Train, or open what an earlier call has trained."""
    if folder.exists():
        return load(folder)
    more = {} if epochs is None else {"epochs": epochs}
    model = TextClassifier(**{**settings, **more})
    model.fit(training.texts, training.labels or [], training.groups)
    model.save(folder)
    return model


def as_markdown(models: dict[str, Any]) -> str:
    lines = []
    for name, found in models.items():
        lines += [
            f"{name}, accuracy {shown(found['accuracy'])} on {found['valid']:,} texts of other films, "
            f"trained on {found['training']:,}; {found['pairs']} pairs:",
            "",
            "| vector | nearest text | to the words' mean | linear probe | to the words' mean | pairs apart "
            "| right way round | order told |",
            f"| --- |{' ---: |' * 7}",
        ]
        for row in found["rows"]:
            cells = [row["vector"]]
            for what in ("nearest", "probe"):
                gain = row[what]["gain"]
                cells += [shown(row[what])]
                cells += ["–" if gain is None else "{:+.1f} [{:+.1f}, {:+.1f}]".format(
                    *(100 * gain[key] for key in ("mean", "low", "high")))]  # fmt: skip
            cells += [shown(row[what]) for what in ("apart", "right_way", "order")]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def shown(share: dict[str, Any]) -> str:
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * share[key] for key in ("share", "low", "high")))


def whole(typed: str) -> int:
    if not typed.isdecimal() or int(typed) < 1:
        raise argparse.ArgumentTypeError(f"{typed!r}: expected a whole number, 1 or more")
    return int(typed)


def drawn(corpus: Corpus, count: int | None) -> Corpus:
    return corpus.select(np.sort(np.random.default_rng(0).permutation(len(corpus))[:count]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("data", help="labelled data with groups, of which the part train is read, or a data set's name")
    add("--out", type=Path, required=True, help="folder for the models and the tables")
    add("--limit", type=whole, help="train on so many texts only")
    add("--valid", type=whole, default=5000, help="ask of so many texts at most")
    add("--epochs", type=whole, help="otherwise those of the recipe default")
    arguments = parser.parse_args()
    corpus = read(arguments.data, console(), {}, ["train"])
    corpus = of_part(corpus, None if corpus.parts is None else "train")
    if len(corpus.require_classes()) != 2:
        raise SystemExit(f"{arguments.data}: {len(corpus.classes)} classes; expected two")
    sides = corpus.split(0.2, 0)
    training, valid = drawn(sides[0], arguments.limit), drawn(sides[1], arguments.valid)
    models: dict[str, Any] = {}
    for name, settings in MODELS.items():
        model = trained(arguments.out / name.replace(" ", "-"), settings, training, arguments.epochs)
        made = pairs(model.vocabulary_)
        right = model.predict(valid.texts) == np.array(valid.labels)
        models[name] = {
            "accuracy": share(right), "training": len(training), "valid": len(valid), "pairs": len(made),
            "rows": list(asked(model, training, valid, made)),
        }  # fmt: skip
        with file_written_aside(arguments.out / "thoughts.json") as aside:
            aside.write_text(json.dumps(models, indent=1) + "\n", "utf-8")
        with file_written_aside(arguments.out / "thoughts.md") as aside:
            aside.write_text(as_markdown(models), "utf-8")
        print(as_markdown({name: models[name]}), flush=True)


if __name__ == "__main__":
    try:
        main()
    except GatelightError as error:
        raise SystemExit(f"thought_study: {error}") from None
