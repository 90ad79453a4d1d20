"""The word model in Keras on TensorFlow: compile() and fit() on arrays, with the defaults, as a user would.

Padded and without a mask, so steps that are not there are computed as well. TensorFlow's own defaults use
every core. Keras is imported when the class is first used: without it everything else still runs.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np

from benchmarks.reviews import Reviews
from benchmarks.word_weights import Array, WordWeights, results


def installed() -> bool:
    """Whether Keras and TensorFlow can be imported here."""
    return all(importlib.util.find_spec(name) is not None for name in ("keras", "tensorflow"))


def _keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"Keras runs on {keras.backend.backend()}; this process wants TensorFlow")
    return keras


class KerasWords:
    """The model; `dense` feeds it float32 [B, T, D] arrays, as the note did, else ids."""

    def __init__(self, weights: WordWeights, dense: bool, dropout: float) -> None:
        keras = _keras()
        self.weights, self.dense = weights, dense
        vocabulary, dim = weights.table.shape
        self.memory = keras.layers.LSTM(weights.hidden, return_sequences=True)
        self.head = keras.layers.Dense(1)
        if dense:
            inputs = rows = keras.Input((weights.steps, dim), dtype="float32")
        else:
            inputs = keras.Input((weights.steps,), dtype="int32")
            embedding = keras.layers.Embedding(vocabulary, dim, trainable=False)
            rows = embedding(inputs)
            embedding.set_weights([weights.table])
        hidden = keras.layers.Dropout(dropout)(self.memory(rows))
        self.model = keras.Model(inputs, self.head(keras.layers.Flatten()(hidden)))
        # Keras has PyTorch's gate order, its matrices the other way round, and one bias.
        self.memory.set_weights([weights.weight_ih.T, weights.weight_hh.T, weights.bias])
        self.head.set_weights([weights.dense[:, None], weights.dense_bias])
        self.model.compile(
            optimizer=keras.optimizers.RMSprop(learning_rate=1e-3),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )

    def inputs(self, reviews: Reviews) -> Any:
        """What fit() takes: ids int32 [B, T], or vectors float32 [B, T, D]."""
        ids = reviews.padded(self.weights.steps)
        return self.weights.table[ids] if self.dense else ids

    def results(self, reviews: Reviews) -> dict[str, Array]:
        """Logits and gradients without dropout."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            logits = self.model(self.inputs(reviews), training=False)
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(reviews.targets, tf.reshape(logits, [-1]))
            )
        trained = [*self.memory.trainable_variables, *self.head.trainable_variables]
        gradients = tape.gradient(loss, [variable.value for variable in trained])
        weight_ih, weight_hh, bias, dense, dense_bias = (np.array(g) for g in gradients)
        return results(np.array(logits), weight_ih.T, weight_hh.T, bias, dense, dense_bias)

    def fit(self, inputs: Any, targets: Array, batch_size: int) -> None:
        """One epoch in the order given, so that the batches are the others' batches."""
        self.model.fit(inputs, targets, batch_size=batch_size, epochs=1, shuffle=False, verbose=0)
