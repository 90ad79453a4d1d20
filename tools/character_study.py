"""Why does the note's model of characters reach 58 % only? Each suspect taken away alone, several seeds.

The recipe `note-char` (1,500 characters, LSTM 20, all steps flattened into one dense layer, 5 epochs) is
trained as it stands and with one thing changed at a time: PAD steps read as others read them, another head,
another rate, more epochs, more memory, more or less dropout, half the texts; in the end with what helped.
Validation texts are of other films than the training texts; the part `test` is never read.

    python tools/character_study.py imdb --out runs/characters

What a run has found is kept in the folder; the same command after a stop goes on, and the tables
`characters.md` and `characters.json` there are written anew after each run. --limit takes fewer texts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from gatelight.cli import sources
from gatelight.cli.output import console
from gatelight.errors import GatelightError
from gatelight.estimators.preparation import one_hot_table
from gatelight.estimators.recipes import recipe
from gatelight.estimators.settings import classifier_config, training_config
from gatelight.files import file_written_aside
from gatelight.insight.paired import paired_difference
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.prediction import predict
from gatelight.models.rows import PAD
from gatelight.models.training import train
from gatelight.models.trials import describe, run_trials
from gatelight.text.encoding import encode
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vocabulary import SPECIALS, Vocabulary

NOTE = "as in the note"
HALF = "half the texts"
PADDED = {"PAD read, before the text": "pre", "PAD read, behind it": "post"}
VARIANTS: dict[str, dict[str, Any]] = {
    NOTE: {},
    "head: maximum over the steps": {"pool": "max"},
    "head: mean over the steps": {"pool": "mean"},
    "head: last step": {"pool": "last"},
    **{name: {} for name in PADDED},
    "15 epochs": {"epochs": 15},
    "learning rate 0.005": {"learning_rate": 5e-3},
    "LSTM 64": {"hidden": 64},
    "no dropout": {"dropout": 0.0},
    HALF: {},
    "maximum, 0.005, 15 epochs": {"pool": "max", "learning_rate": 5e-3, "epochs": 15},
    "… and LSTM 64": {"pool": "max", "learning_rate": 5e-3, "epochs": 15, "hidden": 64},
}
CURVE = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
MOST_TRAINED_JUDGED = 2000  # training texts judged again in the end, without dropout


@dataclass
class Material:
    """Training and validation texts as ids, cut to the recipe's length, and their targets 0 or 1."""

    texts: Sequences
    targets: NDArray[np.int64]
    valid: Sequences
    valid_targets: NDArray[np.int64]
    symbols: int

    def identity(self) -> str:
        digest = blake2b(repr(sorted(recipe("note-char").items())).encode(), digest_size=16)
        for part in (self.texts.ids, self.targets, self.valid.ids, self.valid_targets):
            digest.update(part.data)
        return digest.hexdigest()


def padded(texts: Sequences, length: int, where: str) -> Sequences:
    """Fill every text up to `length` steps with PAD, before ("pre") or behind it ("post")."""
    rows = np.full((len(texts), length), PAD, np.int32)
    step = np.arange(length)
    room = (length - texts.lengths)[:, None]
    own = step >= room if where == "pre" else step < texts.lengths[:, None]
    rows[own] = texts.ids
    return Sequences.of(rows.ravel(), np.full(len(texts), length))


def first(texts: Sequences, count: int) -> Sequences:
    """Return the first `count` texts."""
    lengths = texts.lengths[:count]
    return Sequences.of(texts.ids[: lengths.sum()], lengths)


def train_and_judge(material: Material, trial: Any) -> dict[str, Any]:
    """Train one variant, and judge it after every epoch; in the end also on texts it was trained on."""
    variant = trial["variant"]
    settings = {**recipe("note-char"), **VARIANTS[variant], "seed": trial["seed"], "threads": None}
    texts, valid, targets = material.texts, material.valid, material.targets
    if variant == HALF:
        texts, targets = first(texts, len(texts) // 2), targets[: len(texts) // 2]
    if variant in PADDED:
        where = settings["max_length"], PADDED[variant]
        texts, valid = padded(texts, *where), padded(valid, *where)
    model = Classifier(
        classifier_config(settings, material.symbols), one_hot_table(material.symbols), seed=trial["seed"]
    )
    began = time.perf_counter()
    history = train(
        model, texts.ids, texts.lengths, targets, config=training_config(settings),
        valid=(valid.ids, valid.lengths, material.valid_targets),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    learned = first(texts, MOST_TRAINED_JUDGED)
    judged, again = predict(model, valid.ids, valid.lengths), predict(model, learned.ids, learned.lengths)
    right = (judged[:, 0] >= 0.5) == (material.valid_targets == 1)
    record = {
        "epochs": history.epochs,
        "accuracy": float(right.mean()),
        "learned": float(((again[:, 0] >= 0.5) == (targets[: len(again)] == 1)).mean()),
        "auc": float(roc_auc_score(material.valid_targets, judged)),
        "right": np.packbits(right).tobytes().hex(),
        "seconds": seconds,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
    if settings["pool"] == "flatten":
        # What the head knows that does not depend on where in the text it stands.
        weight = model.head["weight"]
        with torch.no_grad():
            steps = weight.view(1, settings["max_length"], -1)
            kept = steps.mean(dim=1, keepdim=True).expand_as(steps)
            record["by_position"] = float(1 - kept.square().sum() / steps.square().sum())
            weight.copy_(kept.reshape(1, -1))
        record["auc_averaged"] = float(
            roc_auc_score(material.valid_targets, predict(model, valid.ids, valid.lengths))
        )
    return record


def read(data: str, limit: int | None, valid: int) -> Material:
    """Read the part train (or all, without parts), a fifth of it, by whole films, for validation."""
    corpus = sources.read(data, console(), {}, ["train"])
    corpus = sources.of_part(corpus, None if corpus.parts is None else "train")
    classes = corpus.require_classes()
    if len(classes) != 2:
        raise SystemExit(f"{data}: {len(classes)} classes; expected two")
    sides = corpus.split(0.2, 0, by="random" if corpus.groups is None else "group")
    settings = recipe("note-char")
    cut = tokenizer(settings["tokenizer"], lowercase=settings["lowercase"], clean=settings["clean"])
    vocabulary = Vocabulary([*SPECIALS, *cut.alphabet], [0] * (len(SPECIALS) + len(cut.alphabet)))
    made: list[Any] = []
    for texts, count in zip(sides, (limit, valid), strict=True):
        order = np.random.default_rng(0).permutation(len(texts))[:count]
        some = texts.select(order)
        found = encode(some.texts, cut, vocabulary, max_length=settings["max_length"], truncation="head")
        made += [Sequences.of(found.ids, found.lengths)]
        made += [np.array([classes.index(str(label)) for label in some.labels or ()])]
    material = Material(*made, len(vocabulary))
    real = material.texts.lengths.sum() / (len(material.texts) * settings["max_length"])
    print(
        f"{len(material.texts):,} training and {len(material.valid):,} validation texts"
        f"{'' if corpus.groups is None else ' of other films'}; {len(vocabulary)} symbols; padded to "
        f"{settings['max_length']:,} steps, {1 - real:.1%} of the steps would be PAD",
        flush=True,
    )
    return material


def mean(records: Iterable[dict[str, Any]], name: str) -> float | None:
    values = [record[name] for record in records if name in record]
    return float(np.mean(values)) if values else None


def summed_up(
    trials: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]], texts: int
) -> list[dict[str, Any]]:
    """A row for each variant: means over its seeds, and the paired difference to the note's."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for trial, record in zip(trials, records, strict=True):
        found.setdefault(trial["variant"], {})[trial["seed"]] = record

    def right(variant: str, seeds: list[int]) -> NDArray[np.bool_]:
        packed = [np.frombuffer(bytes.fromhex(found[variant][seed]["right"]), np.uint8) for seed in seeds]
        return np.stack([np.unpackbits(bits, count=texts).astype(bool) for bits in packed])

    rows = []
    for variant, runs in found.items():
        shared = [seed for seed in runs if variant != NOTE and seed in found.get(NOTE, {})]
        gain = paired_difference(right(variant, shared), right(NOTE, shared)) if shared else None
        accuracies = [run["accuracy"] for run in runs.values()]
        last = [run["epochs"][-1] for run in runs.values()]
        names = ("accuracy", "learned", "auc", "auc_averaged", "by_position", "seconds")
        rows.append(
            {
                "variant": variant,
                "seeds": len(runs),
                "spread": float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
                "against_note": None if gain is None else asdict(gain),
                **{name: mean(runs.values(), name) for name in names},
                **{name: mean(last, name) for name in ("train_loss", "valid_loss")},
                "parameters": next(iter(runs.values()))["parameters"],
                "curve": [
                    {name: mean(epochs, name) for name in CURVE}
                    for epochs in zip(*(run["epochs"] for run in runs.values()), strict=True)
                ],
            }
        )
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """The table of variants, and below it the learning curve of each."""
    head = "variant | weights | seeds | accuracy % | spread | to the note's [95 %] | on training texts | AUC"
    lines = [f"| {head} | … head averaged | loss, training | loss, validation |"]
    lines.append(f"| --- |{' ---: |' * (lines[0].count('|') - 2)}")
    for row in rows:
        gain = row["against_note"]
        points = [] if gain is None else [f"{100 * gain[key]:+.2f}" for key in ("mean", "low", "high")]
        cells = [
            row["variant"],
            f"{row['parameters']:,}",
            str(row["seeds"]),
            f"{100 * row['accuracy']:.2f}",
            "–" if row["spread"] is None else f"{100 * row['spread']:.2f}",
            "{} [{}, {}]".format(*points) if points else "–",
            f"{100 * row['learned']:.2f}",
            f"{row['auc']:.3f}",
            "–" if row["auc_averaged"] is None else f"{row['auc_averaged']:.3f}",
            *(f"{row[name]:.3f}" for name in ("train_loss", "valid_loss")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for row in rows:
        columns = "epoch | training loss | training accuracy % | validation loss | validation accuracy %"
        lines += ["", f"{row['variant']}:", "", f"| {columns} |", f"|{' ---: |' * 5}"]
        for epoch, at in enumerate(row["curve"], 1):
            cells = [str(epoch), f"{at['train_loss']:.3f}", f"{100 * at['train_accuracy']:.1f}"]
            cells += [f"{at['valid_loss']:.3f}", f"{100 * at['valid_accuracy']:.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("data", help="labelled data with the part train, best with groups, or a data set's name")
    add("--out", type=Path, required=True, help="folder for what each run finds, and the tables")
    add("--seeds", type=whole, default=3)
    add("--limit", type=whole, help="train on so many texts only")
    add("--valid", type=whole, default=5000, help="validate on so many texts at most")
    numbers = range(1, 1 + len(VARIANTS))
    named = "of " + "; ".join(f"{n} {name}" for n, name in enumerate(VARIANTS, 1))
    add("--only", type=int, nargs="+", choices=numbers, default=numbers, metavar="N", help=named)
    add("--jobs", type=whole, help="runs at a time")
    arguments = parser.parse_args()
    material = read(arguments.data, arguments.limit, arguments.valid)
    chosen = [name for number, name in enumerate(VARIANTS, 1) if number in arguments.only]
    trials = [{"variant": name, "seed": seed} for seed in range(arguments.seeds) for name in chosen]
    done: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def on_done(trial: Any, record: dict[str, Any], before: bool) -> None:
        done.append((trial, record))
        how = "found before" if before else f"{record['seconds']:.1f} s"
        print(f"{len(done)}/{len(trials)}  {describe(trial)}: {record['accuracy']:.2%}, {how}", flush=True)
        if not before or len(done) == len(trials):
            write(arguments.out, summed_up(*zip(*done, strict=True), len(material.valid_targets)))

    run_trials(
        trials, train_and_judge, material, material.identity(), arguments.out,
        jobs=arguments.jobs, on_done=on_done,
    )  # fmt: skip
    print(f"\n{(arguments.out / 'characters.md').read_text('utf-8')}")


def whole(typed: str) -> int:
    if not typed.isdecimal() or int(typed) < 1:
        raise argparse.ArgumentTypeError(f"{typed!r}: expected a whole number, 1 or more")
    return int(typed)


def write(out: Path, rows: list[dict[str, Any]]) -> None:
    with file_written_aside(out / "characters.json") as aside:
        aside.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    with file_written_aside(out / "characters.md") as aside:
        aside.write_text(as_markdown(rows), "utf-8")


if __name__ == "__main__":
    try:
        main()
    except GatelightError as error:
        raise SystemExit(f"character_study: {error}") from None
