"""Packed rows against torch's own packing and against definitions written as loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

from gatelight.errors import DataError
from gatelight.nn import pack, pack_alive

some_lengths = st.lists(st.integers(0, 9), max_size=12)


@settings(deadline=None)  # the first example waits for the compiler
@given(some_lengths)
def test_every_row_is_where_its_definition_says(lengths: list[int]) -> None:
    """A row misplaced by one would feed one sequence's step to another."""
    packing = pack(lengths)
    starts = [sum(lengths[:b]) for b in range(len(lengths))]
    expected = []
    for t in range(max(lengths, default=0)):
        assert packing.first[t] == len(expected)
        alive = [b for b in packing.order if lengths[b] > t]
        assert packing.alive[t] == len(alive)
        expected += [starts[b] + t for b in alive]
    assert packing.rows == len(expected) == sum(lengths)
    assert packing.sequence_rows.tolist() == expected
    assert packing.lengths.tolist() == sorted(lengths, reverse=True) == [lengths[b] for b in packing.order]
    for values in (packing.order, packing.lengths, packing.alive, packing.first, packing.sequence_rows):
        assert values.dtype == np.int64


@settings(deadline=None)  # the first example waits for the compiler
@given(some_lengths)
def test_sequences_and_padded_places_come_back(lengths: list[int]) -> None:
    """Traces and padded outputs are read through these places."""
    packing = pack(lengths)
    steps = max(lengths, default=0) + 2
    numbers = np.arange(sum(lengths)) + 100
    packed = numbers[packing.sequence_rows]
    pieces = np.split(numbers, np.cumsum(lengths)[:-1]) if lengths else []
    padded = np.zeros((steps, len(lengths)), np.int64)
    for b, piece in enumerate(pieces):
        assert packed[packing.sequence(b)].tolist() == piece.tolist()
        padded[: len(piece), b] = piece
    for batch_first, expected in ((False, padded), (True, padded.T)):
        found = np.zeros(expected.size, np.int64)
        found[packing.padded_rows(steps, batch_first)] = packed
        assert found.tolist() == expected.ravel().tolist()


@settings(deadline=None)  # the first example waits for the compiler
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_rows_are_those_of_torch(lengths: list[int]) -> None:
    """A PackedSequence can be read without moving a row, whichever of the two packed it."""
    x = torch.arange(9.0 * len(lengths)).view(9, len(lengths), 1)
    theirs = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    ours = pack_alive(theirs.batch_sizes.numpy(), theirs.sorted_indices.numpy())
    assert ours.alive.tolist() == theirs.batch_sizes.tolist()
    flat = torch.cat([x[:length, b] for b, length in enumerate(lengths)])
    assert torch.equal(flat[torch.from_numpy(ours.sequence_rows)], theirs.data)
    again = pack(lengths)
    assert again.lengths.tolist() == ours.lengths.tolist()
    assert again.first.tolist() == ours.first.tolist()
    if again.order.tolist() == ours.order.tolist():  # torch's sort is not promised to be stable
        assert again.sequence_rows.tolist() == ours.sequence_rows.tolist()


def test_equal_lengths_stay_in_order() -> None:
    """The sort is stable, so equally long sequences are not moved and nothing depends on chance."""
    assert pack([3, 5, 3, 5, 0, 3]).order.tolist() == [1, 3, 0, 2, 5, 4]
    many = np.random.default_rng(3).integers(0, 4, 500)  # short lists are sorted by another rule
    assert pack(many).order.tolist() == sorted(range(500), key=lambda b: -many[b])
    assert pack([4, 4, 4]).uniform
    assert not pack([4, 4, 3]).uniform
    assert not pack([4, 0]).uniform


@pytest.mark.parametrize("lengths", [[2, -1], [1.5], [[1, 2]], ["a"], 3])
def test_what_is_no_list_of_lengths_is_refused(lengths: object) -> None:
    """A float or negative length would otherwise be cut or wrapped in silence."""
    with pytest.raises(DataError, match="lengths"):
        pack(lengths)  # type: ignore[arg-type]


@pytest.mark.parametrize("alive", [[2, 3], [1, 0], [[1]]])
def test_what_is_no_list_of_batch_sizes_is_refused(alive: object) -> None:
    """Rows that are not packed by falling length cannot be run."""
    with pytest.raises(DataError, match="batch sizes"):
        pack_alive(alive)  # type: ignore[arg-type]
