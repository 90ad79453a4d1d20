"""The flattened models by Keras on TensorFlow: compile() and fit() with the defaults, as a user would.

Padded and without a mask, so steps that are not there are computed as well.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tensorflow as tf

from benchmarks.models import Array, Shape, Texts, Weights, gradients, timed

SIZE = 128  # texts of a batch to predict


class Model:
    """Embedding with fixed rows, LSTM, dropout, flatten, one logit."""

    padded = True

    def __init__(self, shape: Shape, weights: Weights) -> None:
        self.shape = shape
        inputs = keras.Input((shape.steps,), dtype="int32")
        embedding = keras.layers.Embedding(*weights["table"].shape, trainable=False)
        lstm = keras.layers.LSTM(shape.hidden, return_sequences=True)
        head = keras.layers.Dense(1)
        hidden = keras.layers.Dropout(shape.dropout)(lstm(embedding(inputs)))
        self.model = keras.Model(inputs, head(keras.layers.Flatten()(hidden)))
        # Keras has PyTorch's gate order, its matrices the other way round, and one bias.
        embedding.set_weights([weights["table"]])
        lstm.set_weights([weights["weight_ih_l0"].T, weights["weight_hh_l0"].T, weights["bias_l0"]])
        head.set_weights([weights["dense"].T, weights["dense_bias"]])
        self.model.compile(
            optimizer=keras.optimizers.RMSprop(learning_rate=1e-3),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
        )

    def results(self, texts: Texts) -> dict[str, Array]:
        """Logits and gradients without dropout."""
        with tf.GradientTape() as tape:
            logits = self.model(texts.padded(self.shape.steps), training=False)
            each = tf.nn.sigmoid_cross_entropy_with_logits(texts.targets, tf.reshape(logits, [-1]))
            loss = tf.reduce_mean(each)
        found = tape.gradient(loss, [variable.value for variable in self.model.trainable_variables])
        weight_ih, weight_hh, bias, dense, dense_bias = (np.array(one) for one in found)
        named = {"weight_ih_l0": weight_ih.T, "weight_hh_l0": weight_hh.T, "bias_l0": bias,
                 "dense": dense.T, "dense_bias": dense_bias}  # fmt: skip
        return gradients(np.array(logits), self.shape, named, trained=False)

    def warm(self, texts: Texts, training: bool) -> str:
        """Compile."""
        self.train(texts) if training else self.predict(texts)
        return "its own threads"

    def train(self, texts: Texts) -> float:
        """Seconds of one epoch."""
        ids = texts.padded(self.shape.steps)
        began = time.perf_counter()
        self.model.fit(ids, texts.targets, batch_size=self.shape.batch_size, epochs=1, verbose=0)
        return time.perf_counter() - began

    def predict(self, texts: Texts) -> tuple[float, Array]:
        """Seconds, and the probability of each text."""
        ids = texts.padded(self.shape.steps)
        began = time.perf_counter()
        logits = self.model.predict(ids, batch_size=SIZE, verbose=0)
        return time.perf_counter() - began, _sigmoid(logits)

    def one(self, texts: Texts, calls: int) -> list[float]:
        """Seconds of each of so many calls for one text, by the call that has no loop around it."""
        ids = texts.padded(self.shape.steps)
        return timed(lambda: self.model.predict_on_batch(ids), calls)


def _sigmoid(logits: Any) -> Array:
    return (1 / (1 + np.exp(-np.asarray(logits).reshape(-1)))).astype(np.float32)
