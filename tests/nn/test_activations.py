"""tanh and sigmoid as the cells use them: near the true value, and the same in any company."""

import numpy as np
import pytest

from gatelight.nn.kernels.recurrence import recurrence_forward

VALUES = np.concatenate(
    [np.linspace(-12, 12, 6001), np.geomspace(1e-30, 100, 1500), -np.geomspace(1e-30, 100, 1500)]
)
EXACT = {"rnn": np.tanh, "lstm": lambda x: 1 / (1 + np.exp(-x))}


def squashed(cell: str, x: np.ndarray, hidden_size: int) -> np.ndarray:
    """Each value as the input of an RNN's only step, or of an LSTM's input gate; what it became."""
    rows, gates = -(-len(x) // hidden_size), 4 if cell == "lstm" else 1
    table = np.zeros((rows, gates, hidden_size), np.float32)
    table[:, 0].flat[: len(x)] = x
    state = np.zeros((1, rows, hidden_size), np.float32)
    hidden, _, _, saved, _ = recurrence_forward(
        cell, table.reshape(rows, -1), None, np.zeros(1, np.int64), np.ones(rows, np.int64),
        np.zeros((1, hidden_size, gates * hidden_size), np.float32),
        np.zeros((1, gates * hidden_size), np.float32), None, state,
        state if cell == "lstm" else state[..., :0], True,
    )  # fmt: skip
    found = saved[:, :hidden_size] if cell == "lstm" else hidden
    return found.reshape(-1)[: len(x)]


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_values_are_near_the_true_ones(cell: str) -> None:
    x = VALUES.astype(np.float32)
    found, true = squashed(cell, x, 32), EXACT[cell](x.astype(np.float64))
    # A sigmoid is made of the tanh of half its argument: near zero only its absolute error is small.
    unit = np.spacing(np.abs(true) if cell == "rnn" else np.maximum(true, 0.5), dtype=np.float32)
    assert np.max(np.abs(found - true) / unit) < 5
    assert np.all(np.abs(found) <= 1)
    assert np.isnan(squashed(cell, np.array([np.nan] * 16), 16)).all()
    limits = squashed(cell, np.array([np.inf, -np.inf]), 2)
    np.testing.assert_allclose(limits, EXACT[cell](np.array([50.0, -50.0])), atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("hidden_size", [1, 2, 4, 8, 31, 50])
def test_bits_are_those_of_whole_registers(cell: str, hidden_size: int) -> None:
    x = VALUES.astype(np.float32)
    np.testing.assert_array_equal(squashed(cell, x, hidden_size), squashed(cell, x, 64))
