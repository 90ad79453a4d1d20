"""Does a language model's memory help a classifier with few labels? It beside what learns from nothing.

Trained on few labelled texts, several seeds each: a classifier of the language model's own shape from chance,
with word vectors of the unlabelled texts (word2vec), from the language model (thawed by and by, and at once),
and TF-IDF with logistic regression. Judged on texts of other films.

    gatelight train-lm imdb --part unsup --limit 20000 --tokenizer word --lowercase --min-count 5 \\
      --hidden 192 --dim 192 --vectors corpus --output sampled --epochs 2 --out reader
    python tools/transfer_study.py imdb reader --out runs/transfer --labelled 1000,2500

What a run has found is kept in the folder; the same command after a stop goes on, and the tables
`transfer.md` and `transfer.json` there are written anew after each run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight import TextClassifier
from gatelight.cli import sources
from gatelight.cli.output import console
from gatelight.errors import GatelightError
from gatelight.estimators.baseline import Baseline
from gatelight.estimators.folder import MODEL_FILE
from gatelight.estimators.opening import load_language_model
from gatelight.files import file_written_aside
from gatelight.insight.paired import paired_difference
from gatelight.models.trials import describe, run_trials
from gatelight.text.corpus import Corpus

CHANCE = "from chance"
NGRAMS = "TF-IDF of 1–2 words"
VARIANTS: dict[str, dict[str, Any]] = {
    CHANCE: {},
    "word2vec of the unlabelled texts": {"vectors": "corpus"},
    "language model, thawed by and by": {"gradual_unfreezing": True},
    "language model, all at once": {"gradual_unfreezing": False},
    NGRAMS: {},
}


@dataclass
class Material:
    """Labelled texts to learn from in a fixed order, those of other films to judge, and unlabelled ones."""

    reader: str
    training: Corpus
    valid: Corpus
    unlabelled: list[str]

    def identity(self) -> str:
        digest = blake2b(Path(self.reader, MODEL_FILE).read_bytes(), digest_size=16)
        for side in (self.training, self.valid):
            digest.update("\0".join(side.texts).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def train_and_judge(material: Material, trial: Any) -> dict[str, Any]:
    """Train one variant on so many texts, drawn by the seed, and judge all validation texts."""
    drawn = np.random.default_rng(trial["seed"]).permutation(len(material.training))[: trial["labelled"]]
    texts = material.training.select(np.sort(drawn))
    better = material.training.classes[1]
    truth = np.array([label == better for label in material.valid.labels or ()])
    if trial["variant"] == NGRAMS:
        targets = np.array([label == better for label in texts.labels or ()])
        likely = Baseline().fit(texts.texts, targets.astype(np.int64)).probabilities(material.valid.texts)
        judged = likely[:, 0] >= 0.5
    else:
        model = classifier(material.reader, VARIANTS[trial["variant"]], trial["seed"])
        more = material.unlabelled if model.vectors == "corpus" else None
        model.fit(texts.texts, texts.labels or [], texts.groups, unlabelled=more)
        judged = model.predict(material.valid.texts) == better
    right = judged == truth
    return {"accuracy": float(right.mean()), "right": np.packbits(right).tobytes().hex()}


SETTINGS: dict[str, Any] = {"pool": "max+mean", "epochs": 8, "word_dropout": 0.0, "embedding_dropout": 0.2}
"""For few labels; of the recipe `default`, which drops more, hardly anything is learned from so few."""


def classifier(reader: str, chosen: dict[str, Any], seed: int) -> TextClassifier:
    """The recipe `default` in the shape that the language model gives it, whatever it starts from."""
    if "gradual_unfreezing" in chosen:
        return TextClassifier.from_recipe("default", from_lm=reader, seed=seed, **SETTINGS, **chosen)
    shape = load_language_model(reader)
    taken = ("cell", "dim", "hidden", "layers", "tokenizer", "lowercase", "clean")
    same = {name: getattr(shape, name) for name in taken} | {"bidirectional": False}
    return TextClassifier.from_recipe("default", seed=seed, **same, **SETTINGS, **chosen)


def summed_up(
    trials: Sequence[dict[str, Any]], records: Sequence[dict[str, Any]], texts: int
) -> list[dict[str, Any]]:
    """A row for each variant and size: mean over the seeds, and the paired difference to chance."""
    found: dict[tuple[int, str], dict[int, NDArray[np.bool_]]] = {}
    for trial, record in zip(trials, records, strict=True):
        bits = np.frombuffer(bytes.fromhex(record["right"]), np.uint8)
        right = np.unpackbits(bits, count=texts).astype(bool)
        found.setdefault((trial["labelled"], trial["variant"]), {})[trial["seed"]] = right
    rows = []
    for (labelled, variant), runs in found.items():
        other = found.get((labelled, CHANCE), {})
        shared = [seed for seed in runs if variant != CHANCE and seed in other]
        gain = None
        if shared:
            pair = (np.stack([side[seed] for seed in shared]) for side in (runs, other))
            gain = asdict(paired_difference(*pair))
        accuracies = [float(right.mean()) for right in runs.values()]
        spread = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None
        row = {"labelled": labelled, "variant": variant, "seeds": len(runs)}
        rows.append({**row, "accuracy": float(np.mean(accuracies)), "spread": spread, "gain": gain})
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| labelled texts | start | seeds | accuracy % | spread | to chance [95 %] |"]
    lines += ["| ---: | --- | ---: | ---: | ---: | ---: |"]
    for row in rows:
        gain = row["gain"]
        points = [] if gain is None else [f"{100 * gain[key]:+.1f}" for key in ("mean", "low", "high")]
        cells = [
            f"{row['labelled']:,}",
            row["variant"],
            str(row["seeds"]),
            f"{100 * row['accuracy']:.1f}",
            "–" if row["spread"] is None else f"{100 * row['spread']:.1f}",
            "{} [{}, {}]".format(*points) if points else "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write(out: Path, rows: list[dict[str, Any]]) -> None:
    for name, text in (("json", json.dumps(rows, indent=1) + "\n"), ("md", as_markdown(rows))):
        with file_written_aside(out / f"transfer.{name}") as aside:
            aside.write_text(text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("data", help="data with the parts train and unsup, best with groups, or a data set's name")
    add("reader", help="folder of a language model of words")
    add("--out", type=Path, required=True, help="folder for what each run finds, and the tables")
    add("--labelled", default="1000,2500", help="how many texts to learn from, like 1000,2500")
    add("--unlabelled", type=whole, default=20_000, help="texts that word2vec reads")
    add("--seeds", type=whole, default=3)
    add("--valid", type=whole, default=5000, help="judge so many texts at most")
    add("--jobs", type=whole, help="runs at a time")
    arguments = parser.parse_args()
    corpus = sources.read(arguments.data, console(), {}, ["train", "unsup"])
    labelled = sources.of_part(corpus, "train")
    sides = labelled.split(0.2, 0, by="random" if labelled.groups is None else "group")
    order = np.random.default_rng(0).permutation(len(sides[1]))[: arguments.valid]
    unlabelled = corpus.part("unsup").texts[: arguments.unlabelled]
    material = Material(arguments.reader, sides[0], sides[1].select(np.sort(order)), unlabelled)
    trials: list[dict[str, Any]] = [
        {"labelled": whole(count), "variant": variant, "seed": seed}
        for count in arguments.labelled.split(",")
        for seed in range(arguments.seeds)
        for variant in VARIANTS
    ]
    done: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def on_done(trial: Any, record: dict[str, Any], before: bool) -> None:
        done.append((trial, record))
        how = ", found before" if before else ""
        print(f"{len(done)}/{len(trials)}  {describe(trial)}: {record['accuracy']:.2%}{how}", flush=True)
        if not before or len(done) == len(trials):
            trials_done, records = zip(*done, strict=True)
            write(arguments.out, summed_up(trials_done, records, len(material.valid)))

    run_trials(
        trials, train_and_judge, material, material.identity(), arguments.out,
        jobs=arguments.jobs, on_done=on_done,
    )  # fmt: skip
    print(f"\n{(arguments.out / 'transfer.md').read_text('utf-8')}")


def whole(typed: str) -> int:
    if not typed.isdecimal() or int(typed) < 1:
        raise argparse.ArgumentTypeError(f"{typed!r}: expected a whole number, 1 or more")
    return int(typed)


if __name__ == "__main__":
    try:
        main()
    except GatelightError as error:
        raise SystemExit(f"transfer_study: {error}") from None
