"""The layer table against the note's counts, hand-made sums and the weights of real models."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.heads import HEADS
from gatelight.models.summary import Row, summary
from gatelight.nn import CELLS

NOTE_400 = ClassifierConfig(
    dim=300, hidden=50, pool="flatten", max_length=400, dropout=0.2, train_embedding=False
)


def test_note_models_have_the_counts_that_keras_printed() -> None:
    """Red when a bias is counted twice, the flattened width is wrong or the frozen table is counted."""
    table = summary(NOTE_400)
    assert table.rows == (
        Row("Embedding", (400, 300), None, trained=False),
        Row("LSTM", (400, 50), 70_200),
        Row("Dropout 0.2", (400, 50), 0),
        Row("Flatten", (20_000,), 0),
        Row("Dense", (1,), 20_001),
    )
    assert table.trained == 90_201
    assert table.frozen is None
    assert summary(replace(NOTE_400, max_length=200)).trained == 80_201
    characters = summary(replace(NOTE_400, dim=46, hidden=20, max_length=1500))
    assert [row.parameters for row in characters.rows] == [None, 5_360, 0, 0, 30_001]


@pytest.mark.parametrize("train_embedding", [True, False])
@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_counts_are_those_of_the_real_model(cell: str, pool: str, train_embedding: bool) -> None:
    """Red when the table and the model that is trained drift apart."""
    config = ClassifierConfig(
        vocabulary_size=30,
        dim=7,
        cell=cell,
        hidden=5,
        layers=2,
        bidirectional=True,
        pool=pool,
        max_length=11,
        outputs=3,
        dropout=0.1,
        layer_dropout=0.1,
        train_embedding=train_embedding,
    )
    model = Classifier(config)
    table = summary(model)
    assert table.trained == sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert table.frozen == (0 if train_embedding else 30 * 7)
    assert sum("Dropout" in row.layer for row in table.rows) == 2
    assert json.loads(json.dumps(table.to_dict()))["trained"] == table.trained
