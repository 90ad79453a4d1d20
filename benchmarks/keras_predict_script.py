"""One text judged by a saved Keras model, in a process that has just begun; knows nothing of gatelight.

`python -m benchmarks.keras_predict_script MODEL VOCABULARY "one text"` prints the probability.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def main(model_file: str, vocabulary: str, text: str) -> None:
    """Load, look up, predict, print."""
    import keras

    model = keras.models.load_model(model_file)
    words = Path(vocabulary).read_text(encoding="utf-8").split("\n")
    number = {word: k for k, word in enumerate(words)}
    ids = np.zeros((1, model.input_shape[1]), np.int32)
    known = [number[word] for word in text.split() if word in number]
    ids[0, : len(known)] = known
    logit = model.predict(ids, verbose=0)[0, 0]
    print(1 / (1 + np.exp(-logit)))


if __name__ == "__main__":
    main(*sys.argv[1:4])
