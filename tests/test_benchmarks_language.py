"""The bench's language models: both libraries compute the same, and it is seen where they do not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is no part of the installed package

from benchmarks import note_torch, w13_language_model, w14_sampling
from benchmarks.agreement import DisagreementError
from benchmarks.character_streams import SPECIAL, Stream, TorchLanguageModel

from gatelight.nn.threads import single_threaded_torch

CHARACTERS = list("abcde \n")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models of made-up text, on one thread of torch's."""

    def characters(count: int) -> Stream:
        random = np.random.default_rng(count)
        ids = random.integers(SPECIAL, SPECIAL + len(CHARACTERS), min(count, 2_000))
        return Stream(ids.astype(np.int32), CHARACTERS, "made up")

    for name, value in (("HIDDEN", 8), ("STREAMS", 6), ("STEPS", 5), ("AGREED_STREAMS", 4)):
        monkeypatch.setattr(w13_language_model, name, value)
    monkeypatch.setattr(note_torch, "available", lambda: 1)
    for module in (w13_language_model, w14_sampling):
        monkeypatch.setattr(module, "characters", characters)


def spoil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swap two gates of the second layer wherever weights are copied for torch.nn."""
    copied = TorchLanguageModel.__init__

    def wrongly(self: TorchLanguageModel, ours: object) -> None:
        copied(self, ours)  # type: ignore[arg-type]
        with torch.no_grad():
            self.memory.weight_hh_l1.copy_(
                self.memory.weight_hh_l1.roll(len(self.memory.weight_hh_l1) // 4, 0)
            )

    monkeypatch.setattr(TorchLanguageModel, "__init__", wrongly)


def test_training_steps_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speed would be compared between another loss, other gradients or another optimiser's work."""
    with single_threaded_torch():
        prepared = w13_language_model.prepare(4)
        assert any("weight_hh of layer 2" in sentence for sentence in prepared.agreed)
        for contestant in prepared.contestants:
            contestant.warm()
            contestant.turn()
        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.Adam, "step", lambda self: None)
            with pytest.raises(DisagreementError, match="losses"):
                w13_language_model.prepare(4)
        spoil(monkeypatch)
        with pytest.raises(DisagreementError):
            w13_language_model.prepare(4)


def test_streams_are_drawn_from_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop of cells that forgets a layer's state would be fast, and another model."""
    with single_threaded_torch():
        prepared = w14_sampling.prepare(8, 20)
        for contestant in prepared.contestants:
            contestant.warm()
            contestant.turn()
        spoil(monkeypatch)
        with pytest.raises(DisagreementError):
            w14_sampling.prepare(8, 20)
