"""The note's way as a user's script: reviews → Treebank tokens → ids → Keras with an embedding → a file.

`python -m benchmarks.keras_script ARCHIVE VECTORS OUT` uses nothing of gatelight.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

STEPS, HIDDEN, DROPOUT, BATCH, EPOCHS = 400, 50, 0.2, 32, 2


def tokens(text: str) -> list[str]:
    """Treebank tokens in small letters, without the tag that IMDB's reviews hold."""
    from nltk.tokenize import TreebankWordTokenizer

    return list(TreebankWordTokenizer().tokenize(text.replace("<br />", " ").lower()))


def read_vectors(path: Path) -> tuple[dict[str, int], np.ndarray]:
    """word2vec's binary format: the row of each word, and the rows, 0 zeros for padding."""
    with path.open("rb") as file:
        count, dim = map(int, file.readline().split())
        content = file.read()
    table = np.zeros((count + 1, dim), np.float32)
    number, at = {}, 0
    for row in range(1, count + 1):
        space = content.index(b" ", at)
        number[content[at:space].decode("utf-8").lstrip("\n")] = row
        table[row] = np.frombuffer(content, np.float32, dim, space + 1)
        at = space + 1 + 4 * dim
    return number, table


def main(archive: Path, vectors: Path, out: Path) -> None:
    """Read, train two epochs with a fifth for validation, save."""
    import keras

    from benchmarks.texts import read_archive

    number, table = read_vectors(vectors)
    texts, labels = read_archive(archive)
    order = np.random.default_rng(0).permutation(len(texts))
    x = np.zeros((len(texts), STEPS), np.int32)
    for row, k in zip(x, order, strict=True):
        ids = [number[token] for token in tokens(texts[k]) if token in number][:STEPS]
        row[: len(ids)] = ids
    y = np.array(labels, np.float32)[order]
    model = keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int32"),
            keras.layers.Embedding(*table.shape, weights=[table], trainable=False),
            keras.layers.LSTM(HIDDEN, return_sequences=True),
            keras.layers.Dropout(DROPOUT),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, validation_split=0.2, verbose=0)
    model.save(out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
