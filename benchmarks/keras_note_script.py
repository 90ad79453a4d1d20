"""The note's way as a script of its own: reviews → Treebank tokens → dense float32 arrays → Keras → a file.

`python -m benchmarks.keras_note_script ARCHIVE VECTORS OUT`. Uses nothing of gatelight; prints a JSON line of
the seconds of each stage and of the largest memory after it.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import tarfile
import time
from pathlib import Path

import numpy as np

STEPS, DIM, HIDDEN, DROPOUT, BATCH, EPOCHS = 400, 300, 50, 0.2, 32, 2
STAGES: dict[str, tuple[float, float]] = {}
_last = time.perf_counter()


def stage(name: str) -> None:
    """Note how long it took since the last stage, and the most memory held so far in bytes."""
    global _last
    now = time.perf_counter()
    unit = 1 if sys.platform == "darwin" else 1024
    STAGES[name] = now - _last, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    _last = now


def read_reviews(path: Path) -> tuple[list[str], list[int]]:
    """Texts and labels of the training part."""
    texts, labels = [], []
    name = re.compile(r".*/train/(pos|neg)/\d+_\d+\.txt")
    with tarfile.open(path) as tar:
        for entry in tar:
            found = name.fullmatch(entry.name)
            file = tar.extractfile(entry) if found else None
            if found and file:
                texts.append(file.read().decode("utf-8"))
                labels.append(int(found[1] == "pos"))
    return texts, labels


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """word2vec's binary format."""
    with path.open("rb") as file:
        count, dim = map(int, file.readline().split())
        content = file.read()
    vectors, at = {}, 0
    for _ in range(count):
        space = content.index(b" ", at)
        word = content[at:space].decode("utf-8").lstrip("\n")
        vectors[word] = np.frombuffer(content, np.float32, dim, space + 1)
        at = space + 1 + 4 * dim
    return vectors


def main(archive: Path, vectors_file: Path, out: Path) -> None:
    """Read, train two epochs with a fifth held out, save."""
    import keras
    from nltk.tokenize import TreebankWordTokenizer

    stage("import")
    vectors = read_vectors(vectors_file)
    stage("vectors")
    texts, labels = read_reviews(archive)
    cut = TreebankWordTokenizer().tokenize
    order = np.random.default_rng(0).permutation(len(texts))
    tokens = [
        [word for word in cut(texts[k].replace("<br />", " ").lower()) if word in vectors] for k in order
    ]
    stage("tokens")
    x = np.zeros((len(texts), STEPS, DIM), np.float32)
    for row, words in zip(x, tokens, strict=True):
        for place, word in enumerate(words[:STEPS]):
            row[place] = vectors[word]
    y = np.array(labels, np.float32)[order]
    stage("arrays")
    model = keras.Sequential(
        [
            keras.Input((STEPS, DIM)),
            keras.layers.LSTM(HIDDEN, return_sequences=True),
            keras.layers.Dropout(DROPOUT),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    stage("build")
    for epoch in range(EPOCHS):
        model.fit(x, y, batch_size=BATCH, epochs=1, validation_split=0.2, verbose=0)
        stage(f"epoch {epoch + 1}")
    model.save(out)
    stage("save")
    print(json.dumps({"stages": STAGES, "mean_length": float(np.mean([len(one) for one in tokens]))}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
