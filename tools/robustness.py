"""How much do models lose when words are misspelt? Saved models on the same texts, the baseline beside them.

    python tools/robustness.py MODEL... --data imdb --part test --typos 0.05,0.1,0.2

Each share of words is misspelt in the same way for every model. Differences are to the first model, paired,
with 95 % intervals; the baseline is TF-IDF with logistic regression, as the first model's folder holds it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatelight import TextClassifier, load
from gatelight.cli.output import console
from gatelight.cli.sources import of_part, read
from gatelight.estimators.evaluation import wilson_interval
from gatelight.files import file_written_aside
from gatelight.insight.paired import paired_difference
from gatelight.text.typos import misspell

Rows = dict[str, dict[str, NDArray[np.bool_]]]


def judged(models: list[Path], data: str, part: str, shares: list[float]) -> Rows:
    """For each model and share, which texts it judged rightly, bool [texts]."""
    corpus = of_part(read(data, console(), {}), part)
    truth = np.array(corpus.labels, dtype=object)
    loaded = {path.name: classifier(path) for path in models}
    baseline, classes = loaded[models[0].name].baseline_, loaded[models[0].name].known_classes()
    rows: Rows = {}
    for share in shares:
        texts = [misspell(text, share) for text in corpus.texts]
        for name, model in loaded.items():
            rows.setdefault(name, {})[f"{share:g}"] = model.predict(texts) == truth
        if baseline is not None:
            chosen = classes.labels(classes.columns(baseline.probabilities(texts)))
            rows.setdefault("TF-IDF", {})[f"{share:g}"] = chosen == truth
    return rows


def classifier(path: Path) -> TextClassifier:
    model = load(path)
    if not isinstance(model, TextClassifier):
        raise SystemExit(f"{path} is no classifier of texts")
    return model


def table(rows: Rows) -> str:
    """The accuracies as a table in Markdown."""
    first = next(iter(rows))
    shares = list(rows[first])
    lines = ["| | " + " | ".join(f"{float(share):.0%} misspelt" for share in shares) + " |"]
    lines.append("| --- |" + " ---: |" * len(shares))
    for name, by_share in rows.items():
        cells = []
        for share in shares:
            right = by_share[share]
            low, high = wilson_interval(int(right.sum()), len(right))
            cell = f"{right.mean():.1%} [{low:.1%}, {high:.1%}]"
            if name != first:
                found = paired_difference(right[None], rows[first][share][None])
                cell += f", {100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Judge, print the table and write it beside the figures."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("models", nargs="+", type=Path)
    options.add_argument("--data", required=True)
    options.add_argument("--part", default="test")
    options.add_argument("--typos", default="0.05,0.1,0.2")
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    shares = [0.0, *map(float, given.typos.split(","))]
    rows = judged(given.models, given.data, given.part, shares)
    print(table(rows))
    if given.out is not None:
        figures = {name: {share: float(r.mean()) for share, r in by.items()} for name, by in rows.items()}
        with file_written_aside(given.out) as aside:
            aside.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
