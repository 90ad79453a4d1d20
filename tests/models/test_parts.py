"""A batch in parts, as several processes share it: every part does what it does in the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from training_cases import TRAIN, build

from gatelight.models.batches import Sequences

INDEX = np.array([5, 0, 17, 3, 40, 8, 31], np.int64)
DRAWN: dict[str, Any] = {"dropout": 0.3, "embedding_dropout": 0.2, "word_dropout": 0.2, "layer_dropout": 0.3}


@pytest.mark.parametrize("pool", ["last", "max", "flatten"])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_parts_drop_what_the_whole_drops(pool: str, parts: int) -> None:
    """Red when a text's masks depend on what stands beside it: the number of processes would show."""
    model = build(pool=pool, layers=2, max_length=12, **DRAWN).train()
    sequences = Sequences.of(*TRAIN[:2])

    def logits(*part: int) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        ids, packing = sequences.packed(INDEX, part)
        return model.logits(model.hidden(ids, packing, None, generator)[0], packing, generator)

    whole = logits(0, 1)
    assert not torch.equal(whole, model.eval() and logits(0, 1))
    model.train()
    for begin in range(parts):
        assert torch.equal(logits(begin, parts), whole[begin::parts])
