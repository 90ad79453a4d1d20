"""Does padding damage a model, or is it something else? The note's word model, padded as others pad, and not.

gatelight never pads: its steps are packed. To see what padding does, this script puts PAD steps into the
texts on purpose, which the model then reads like words, as Keras does where nothing is masked: before the
text ("pre", the default of Keras's pad_sequences), behind it ("post"), or nowhere ("none"). Everything else
is the same: vectors, texts, seeds, order of batches. PAD's vector is zeros, as in the note.

    python tools/padding_study.py imdb --vectors glove-6b-50d --out runs/padding

What a run has found is kept in the folder; the same command after a stop goes on. `padding.md` and
`padding.json` there hold the table. With --pool last or max the same is asked of another head.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import GatelightError
from gatelight.estimators.recipes import recipe
from gatelight.estimators.settings import classifier_config, training_config
from gatelight.files import file_written_aside
from gatelight.insight.paired import Difference, paired_difference
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.prediction import predict
from gatelight.models.rows import PAD
from gatelight.models.training import train
from gatelight.models.trials import describe, run_trials
from gatelight.text.corpus import Corpus
from gatelight.text.datasets import resolve
from gatelight.text.encoding import TRUNCATIONS, Encoded, encode_tokens
from gatelight.text.numbering import NumberedTexts
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vectors import WordVectors
from gatelight.text.vocabulary import Vocabulary

PADDINGS = ("none", "pre", "post")
UNCUT = "uncut"


@dataclass
class Material:
    """Uncut training and test texts as ids, their targets 0 or 1, word vectors, and the model's settings."""

    texts: Sequences
    targets: NDArray[np.int64]
    test_texts: Sequences
    test_targets: NDArray[np.int64]
    vectors: NDArray[np.float32]
    settings: dict[str, Any]

    def identity(self) -> str:
        digest = blake2b(repr(sorted(self.settings.items())).encode(), digest_size=16)
        for part in (self.texts.ids, self.targets, self.test_texts.ids, self.test_targets, self.vectors):
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


def laid_out(texts: Sequences, length: int, padding: str, truncation: str) -> Sequences:
    """Cut every text to `length` steps and, unless padding is "none", fill it up to so many with PAD."""
    cut = TRUNCATIONS[truncation]
    rows = []
    for start, steps in zip(texts.starts.tolist(), texts.lengths.tolist(), strict=True):
        ids = texts.ids[start : start + steps]
        if steps > length:
            ids = np.array(cut(ids.tolist(), length), np.int32)
        fill = np.full(0 if padding == "none" else length - len(ids), PAD, np.int32)
        rows.append(np.concatenate([fill, ids] if padding == "pre" else [ids, fill]))
    lengths = np.array([len(row) for row in rows], np.int64)
    return Sequences.of(np.concatenate(rows), lengths)


def train_and_test(material: Material, trial: Any) -> dict[str, Any]:
    """Train on texts laid out as the trial says, and judge test texts laid out in the same way."""
    longest = int(material.texts.lengths.max())
    length = longest if trial["length"] == UNCUT else int(trial["length"])
    settings = {**material.settings, "max_length": length, "seed": trial["seed"]}
    how = (length, trial["padding"], settings["truncation"])
    texts = laid_out(material.texts, *how)
    model = Classifier(
        classifier_config(settings, len(material.vectors)), material.vectors, seed=trial["seed"]
    )
    began = time.perf_counter()
    history = train(model, texts.ids, texts.lengths, material.targets, config=training_config(settings))
    seconds = time.perf_counter() - began
    test = laid_out(material.test_texts, *how)
    judged = predict(model, test.ids, test.lengths)[:, 0] >= 0.5
    right = judged == (material.test_targets == 1)
    return {
        "accuracy": float(right.mean()),
        "seconds": seconds,
        "steps": int(texts.lengths.sum()),
        "train_loss": history.epochs[-1]["train_loss"],
        "right": np.packbits(right).tobytes().hex(),
    }


def read(arguments: argparse.Namespace) -> Material:
    """Read texts and vectors; unknown words are left out, as in the note."""
    corpus = Corpus.read(resolve(arguments.data), parts=["train", "test"])
    training, test = (some(corpus.part(part), arguments.texts) for part in ("train", "test"))
    classes = training.require_classes()
    if len(classes) != 2:
        raise SystemExit(f"{arguments.data}: {len(classes)} classes; expected two")
    settings = {**recipe("note-400"), "pool": arguments.pool, "truncation": arguments.truncation}
    settings |= {"epochs": arguments.epochs, "threads": None}
    cutter = tokenizer(settings["tokenizer"], lowercase=settings["lowercase"], clean=settings["clean"])
    tokens, test_tokens = (NumberedTexts.of(texts.texts, cutter) for texts in (training, test))
    counts = tokens.counts()
    vectors = WordVectors.read(resolve(arguments.vectors), counts)
    vocabulary = Vocabulary.from_counts({word: n for word, n in counts.items() if word in vectors})
    table = vectors.table(vocabulary, seed=0)[0]
    settings["dim"] = vectors.dim
    encoded, test_encoded = (encode_tokens(t, vocabulary, unknown="drop") for t in (tokens, test_tokens))
    known = int(vocabulary.counts[2:].sum()) / int(tokens.lengths.sum())
    print(
        f"{len(training):,} training and {len(test):,} test texts, {len(vocabulary) - 2:,} words; known are "
        f"{known:.1%} of the tokens, left out the others; steps a text: mean {encoded.lengths.mean():.1f}, "
        f"longest {encoded.lengths.max()}",
        flush=True,
    )

    def targets(texts: Corpus) -> NDArray[np.int64]:
        return np.array([classes.index(str(label)) for label in texts.labels or ()])

    def sequences(some: Encoded) -> Sequences:
        return Sequences.of(some.ids, some.lengths)

    return Material(
        sequences(encoded), targets(training), sequences(test_encoded), targets(test), table, settings
    )


def some(corpus: Corpus, count: int | None) -> Corpus:
    """Return `count` texts (None: all), drawn by a fixed seed."""
    if count is None or count >= len(corpus):
        return corpus
    return corpus.select(np.sort(np.random.default_rng(0).permutation(len(corpus))[:count]))


def summed_up(
    trials: list[dict[str, Any]], records: list[dict[str, Any]], texts: int, reference: str
) -> list[dict[str, Any]]:
    """A row for each padding and length: accuracy, time, and two paired differences with intervals."""
    right: dict[tuple[str, str], list[NDArray[np.bool_]]] = {}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for trial, record in zip(trials, records, strict=True):
        key = trial["padding"], trial["length"]
        bits = np.frombuffer(bytes.fromhex(record["right"]), np.uint8)
        right.setdefault(key, []).append(np.unpackbits(bits, count=texts).astype(bool))
        found.setdefault(key, []).append(record)
    rows = []
    for (padding, length), runs in right.items():
        means = np.array(runs).mean(axis=1)

        def against(key: tuple[str, str], own: tuple[str, str] = (padding, length)) -> Difference | None:
            if key == own or key not in right:
                return None
            return paired_difference(np.array(right[own]), np.array(right[key]))

        clean, other = against(("none", length)), against((padding, reference))
        rows.append(
            {
                "padding": padding,
                "length": length,
                "seeds": len(runs),
                "accuracy": float(means.mean()),
                "spread": float(means.std(ddof=1)) if len(means) > 1 else None,
                "against_unpadded": None if clean is None else asdict(clean),
                "against_length": None if other is None else asdict(other),
                "seconds": float(np.mean([record["seconds"] for record in found[padding, length]])),
                "steps": found[padding, length][0]["steps"],
            }
        )
    return rows


def as_markdown(rows: list[dict[str, Any]], reference: str) -> str:
    head = ("padding", "length", "accuracy %", "spread", "to unpadded [95 %]", f"to {reference} [95 %]")
    lines = [f"| {' | '.join([*head, 'steps', 's'])} |", f"| --- |{' ---: |' * (len(head) + 1)}"]
    for row in rows:
        spread = "–" if row["spread"] is None else f"{100 * row['spread']:.2f}"
        cells = [row["padding"], row["length"], f"{100 * row['accuracy']:.2f}", spread]
        for name in ("against_unpadded", "against_length"):
            found = row[name]
            points = [] if found is None else [f"{100 * found[key]:+.2f}" for key in ("mean", "low", "high")]
            cells.append("{} [{}, {}]".format(*points) if points else "–")
        cells += [f"{row['steps'] / 1e6:.1f} M", f"{row['seconds']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("data", help="data with the parts train and test, or a data set's name")
    add("--vectors", required=True, help="word vectors that stay as they are: a file or a named set")
    add("--out", type=Path, required=True, help="folder for what each run finds, and the table")
    add("--lengths", default="100,200,400,800,uncut", help="longest text in words, or uncut")
    add("--paddings", default=",".join(PADDINGS))
    add("--seeds", type=int, default=3)
    add("--epochs", type=int, default=2)
    add("--pool", default="flatten", help="the head: flatten as in the note, or last, max, mean, attention")
    add("--truncation", default="head", help="what a cut keeps: head, tail or head+tail")
    add("--reference", default="400", help="the length that others are compared with")
    add("--texts", type=int, help="train and test on so many texts only")
    add("--jobs", type=int, help="runs at a time")
    arguments = parser.parse_args()
    lengths, paddings = arguments.lengths.split(","), arguments.paddings.split(",")
    wrong = [p for p in paddings if p not in PADDINGS]
    wrong += [n for n in lengths if n != UNCUT and not (n.isdecimal() and int(n) > 0)]
    if wrong or arguments.seeds < 1:
        parser.error(f"{wrong[0] if wrong else '--seeds'!r}: paddings are {', '.join(PADDINGS)}, lengths "
                     "whole numbers above zero or uncut, seeds one or more")  # fmt: skip
    material = read(arguments)
    trials = [
        {"padding": padding, "length": length, "seed": seed}
        for seed in range(arguments.seeds)
        for length in lengths
        for padding in paddings
    ]
    done = 0

    def on_done(trial: Any, record: dict[str, Any], before: bool) -> None:
        nonlocal done
        done += 1
        how = "found before" if before else f"{record['seconds']:.1f} s"
        print(f"{done}/{len(trials)}  {describe(trial)}: {record['accuracy']:.2%}, {how}", flush=True)

    records = run_trials(
        trials, train_and_test, material, material.identity(), arguments.out,
        jobs=arguments.jobs, on_done=on_done,
    )  # fmt: skip
    rows = summed_up(trials, records, len(material.test_targets), arguments.reference)
    table = as_markdown(rows, arguments.reference)
    with file_written_aside(arguments.out / "padding.json") as aside:
        aside.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    with file_written_aside(arguments.out / "padding.md") as aside:
        aside.write_text(table, "utf-8")
    print(f"\n{table}")


if __name__ == "__main__":
    try:
        main()
    except GatelightError as error:
        raise SystemExit(f"padding_study: {error}") from None
