"""A model of the note in Keras: compile() and fit() on arrays, with the defaults, as a user would.

Padded and without a mask, so steps that are not there are computed as well. Runs in a process of its own
(`keras_worker`), which has chosen the backend before Keras was imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from benchmarks.note_weights import Array, NoteWeights, results


class KerasNote:
    """The model; `dense` feeds it float32 [B, T, D] arrays, as the note did, else ids."""

    def __init__(self, weights: NoteWeights, dense: bool, dropout: float) -> None:
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

        self._gradients = BACKENDS[keras.backend.backend()](self.model)

    def inputs(self, ids: Any) -> Any:
        """What fit() takes: ids int32 [B, T], or vectors float32 [B, T, D]."""
        return self.weights.table[ids] if self.dense else ids

    def results(self, ids: Any, targets: Array) -> dict[str, Array]:
        """Logits and gradients without dropout."""
        found = self._gradients(self.inputs(ids), targets)
        logits, weight_ih, weight_hh, bias, dense, dense_bias = (np.array(one) for one in found)
        return results(logits, weight_ih.T, weight_hh.T, bias, dense, dense_bias)

    def fit(self, inputs: Any, targets: Array, batch_size: int) -> None:
        """One epoch in the order given, so that the batches are the others' batches."""
        self.model.fit(inputs, targets, batch_size=batch_size, epochs=1, shuffle=False, verbose=0)

    def predict(self, inputs: Any, batch_size: int) -> Array:
        """Probabilities [B], by Keras's own loop."""
        return _sigmoid(self.model.predict(inputs, batch_size=batch_size, verbose=0))

    def predict_one(self, inputs: Any) -> Array:
        """Probabilities [B] of one batch, by the call that has no loop around it."""
        return _sigmoid(np.asarray(self.model.predict_on_batch(inputs)))


def _sigmoid(logits: Array) -> Array:
    return (1 / (1 + np.exp(-logits.reshape(-1)))).astype(np.float32)


Gradients = Callable[[Any, Array], list[Any]]


def _by_tensorflow(model: Any) -> Gradients:
    import tensorflow as tf

    @tf.function  # type: ignore[untyped-decorator]
    def run(inputs: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(inputs, training=False)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, tf.reshape(logits, [-1])))
        return [logits, *tape.gradient(loss, [variable.value for variable in model.trainable_variables])]

    return lambda inputs, targets: run(tf.constant(inputs), tf.constant(targets))


def _by_jax(model: Any) -> Gradients:
    import jax
    import jax.numpy as jnp

    @jax.jit
    def run(trained: Any, fixed: Any, inputs: Any, targets: Any) -> Any:
        def loss(trained: Any) -> Any:
            logits, _ = model.stateless_call(trained, fixed, inputs, training=False)
            flat = logits.reshape(-1)
            each = jnp.maximum(flat, 0) - flat * targets + jnp.log1p(jnp.exp(-jnp.abs(flat)))
            return each.mean(), logits

        gradients, logits = jax.grad(loss, has_aux=True)(trained)
        return [logits, *gradients]

    def values(variables: Any) -> list[Any]:
        return [variable.value for variable in variables]

    return lambda inputs, targets: run(
        values(model.trainable_variables), values(model.non_trainable_variables), inputs, targets
    )


BACKENDS = {"tensorflow": _by_tensorflow, "jax": _by_jax}
