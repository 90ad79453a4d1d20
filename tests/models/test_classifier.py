"""The whole classifier against torch.nn modules put together by hand, sequence by sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatelight.errors import DataError
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.heads import HEADS
from gatelight.models.subwords import PAD
from gatelight.nn import CELLS

LENGTHS = np.array([3, 0, 9, 1, 9, 4], np.int64)
CONFIG = ClassifierConfig(vocabulary_size=40, dim=6, hidden=5, max_length=9, outputs=3)
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

# float64 through at most 9 steps and 2 layers; compiled gates are rational functions, good to about 1e-15.
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def some_ids(seed: int = 0, size: int = 40) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(1, size, int(LENGTHS.sum())).astype(np.int32)


def random_weights(model: nn.Module, seed: int = 0) -> None:
    """Every weight random, so that no swapped or forgotten one can hide; what stays zero by contract does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad or name == "embedding.weight":
                weight.normal_(0, 0.5, generator=generator)
        model.get_parameter("embedding.weight")[PAD] = 0


def by_hand(model: Classifier, ids: np.ndarray[Any, Any]) -> Tensor:
    """Logits from torch.nn's layers, one sequence at a time, with the model's weights."""
    config = model.config
    table = model.embedding.weight.detach()
    half = config.hidden
    logits = []
    weight, bias = model.head["weight"], model.head["bias"]
    for start, length in zip(np.cumsum(LENGTHS) - LENGTHS, LENGTHS, strict=True):
        x = table[torch.from_numpy(ids[start : start + length]).long()]
        if length == 0:
            width = weight.shape[1]
            logits.append(weight @ x.new_zeros(width) + bias)
            continue
        for layer in model.memory:
            twin = TORCH[config.cell](
                x.shape[1], half, bidirectional=config.bidirectional, dtype=torch.float64
            )
            twin.load_state_dict(layer.state_dict())
            x = twin(x)[0]
        if config.pool == "last":
            pooled = torch.cat([x[-1, :half], x[0, half:]])
        elif config.pool == "max":
            pooled = x.amax(0)
        elif config.pool == "mean":
            pooled = x.mean(0)
        elif config.pool == "max+mean":
            pooled = torch.cat([x.amax(0), x.mean(0)])
        elif config.pool == "attention":
            pooled = torch.softmax(x @ model.head["query"] / x.shape[1] ** 0.5, 0) @ x
        else:
            pooled = torch.cat([x.flatten(), x.new_zeros(weight.shape[1] - x.numel())])
        logits.append(weight @ pooled + bias)
    return torch.stack(logits)


@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize(("cell", "layers", "both"), [("lstm", 1, False), ("gru", 2, True), ("rnn", 1, True)])
def test_logits_equal_torch_layers_put_together(cell: str, layers: int, both: bool, pool: str) -> None:
    """Red when ids, rows, layers, head or the order of the sequences are mixed up anywhere."""
    config = replace(CONFIG, cell=cell, layers=layers, bidirectional=both, pool=pool)
    model = Classifier(config).double().eval()
    random_weights(model)
    ids = some_ids()
    torch.testing.assert_close(model(ids, LENGTHS), by_hand(model, ids), **CLOSE)
    torch.testing.assert_close(
        model(torch.from_numpy(ids), torch.from_numpy(LENGTHS)), by_hand(model, ids), **CLOSE
    )


def test_gradients_equal_torch_layers_put_together() -> None:
    """Red when a gradient is lost or doubled in the backward pass, distinct embedding rows included."""
    model = Classifier(replace(CONFIG, layers=2, bidirectional=True, pool="max+mean")).double()
    random_weights(model)
    ids = some_ids(size=8)
    given = torch.randn(len(LENGTHS), 3, dtype=torch.float64)
    (model(ids, LENGTHS) * given).sum().backward()
    ours = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert model.embedding.touched is not None
    distinct, rows = model.embedding.touched

    padded = nn.utils.rnn.pad_sequence(
        list(torch.split(torch.from_numpy(ids).long(), LENGTHS.tolist())), batch_first=False
    )
    real = LENGTHS > 0
    table = model.embedding.weight.detach().clone().requires_grad_()
    x = nn.utils.rnn.pack_padded_sequence(
        table[padded[:, real]], torch.from_numpy(LENGTHS[real]), enforce_sorted=False
    )
    twins = []
    for layer in model.memory:
        twin = nn.LSTM(x.data.shape[1], 5, bidirectional=True, dtype=torch.float64)
        twin.load_state_dict(layer.state_dict())
        twins.append(twin)
        x = twin(x)[0]
    y, lengths = nn.utils.rnn.pad_packed_sequence(x)
    there = (torch.arange(len(y))[:, None] < lengths)[..., None]
    pooled = torch.cat([y.masked_fill(~there, -9).amax(0), y.sum(0) / lengths[:, None]], 1)
    (pooled @ model.head["weight"].detach().T * given[torch.from_numpy(real)]).sum().backward()

    assert table.grad is not None
    assert sorted(distinct) == sorted(set(ids))
    torch.testing.assert_close(rows.grad, table.grad[torch.from_numpy(distinct)], **CLOSE)
    assert model.embedding.weight.grad is None
    for number, twin in enumerate(twins):
        for name, weight in twin.named_parameters():
            if not name.startswith("bias_hh"):
                torch.testing.assert_close(ours[f"memory.{number}.{name}"], weight.grad, **CLOSE)
    torch.testing.assert_close(ours["head.bias"], given.sum(0), **CLOSE)


@pytest.mark.parametrize("cell", CELLS)
def test_second_bias_is_fixed_at_zero_where_it_only_repeats_the_first(cell: str) -> None:
    """Red when parameters are counted or trained twice, or GRU loses a bias that is its own."""
    model = Classifier(replace(CONFIG, cell=cell, bidirectional=True, layers=2))
    second = [weight for name, weight in model.named_parameters() if "bias_hh" in name]
    assert len(second) == 4
    assert all(weight.requires_grad == (cell == "gru") for weight in second)
    assert all(not weight.any() for weight in second)


def test_frozen_embedding_is_shared_and_takes_no_gradient() -> None:
    """Red when a table of gigabytes would be copied, or frozen vectors moved."""
    vectors = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
    vectors[PAD] = 0
    model = Classifier(replace(CONFIG, train_embedding=False), vectors)
    assert model.embedding.weight.data_ptr() == vectors.ctypes.data
    model(some_ids(), LENGTHS).sum().backward()
    assert model.embedding.touched is None
    assert model.embedding.weight.grad is None
    trained = Classifier(CONFIG, vectors)
    assert trained.embedding.weight.data_ptr() != vectors.ctypes.data


def test_start_is_keras_like_and_a_function_of_the_seed() -> None:
    """Red when a weight keeps another start, or two runs of one seed would differ."""
    config = ClassifierConfig(vocabulary_size=40, dim=30, hidden=20, cell="peephole", bidirectional=True)
    model, again, other = Classifier(config, seed=3), Classifier(config, seed=3), Classifier(config, seed=4)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert not torch.equal(model.head["weight"], other.head["weight"])
    assert not model.embedding.weight[PAD].any()
    layer = model.memory[0]
    limit = (6 / (30 + 80)) ** 0.5
    for suffix in ("", "_reverse"):
        kernel = layer.get_parameter(f"weight_ih_l0{suffix}")
        assert 0.95 * limit < kernel.abs().max() <= limit
        recurrent = layer.get_parameter(f"weight_hh_l0{suffix}")
        torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(20), rtol=1e-5, atol=1e-5)
        bias = layer.get_parameter(f"bias_ih_l0{suffix}")
        assert bias.tolist() == [0.0] * 20 + [1.0] * 20 + [0.0] * 40


@pytest.mark.parametrize("name", ["dropout", "embedding_dropout", "word_dropout", "layer_dropout"])
@pytest.mark.parametrize("pool", ["max", "flatten"])
def test_each_dropout_acts_in_training_only(name: str, pool: str) -> None:
    """Red when a dropout is configured and never applied, or applied in inference."""
    plain = Classifier(replace(CONFIG, layers=2, pool=pool))
    dropping = Classifier(replace(CONFIG, layers=2, pool=pool, **{name: 0.5}))
    ids = some_ids()
    assert not torch.equal(plain(ids, LENGTHS), dropping(ids, LENGTHS))
    assert torch.equal(plain.eval()(ids, LENGTHS), dropping.eval()(ids, LENGTHS))


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_nothing_to_read_gives_the_bias(lengths: list[int]) -> None:
    """Red when an empty text, or a batch of them, crashes instead of being classified."""
    for pool in HEADS:
        model = Classifier(replace(CONFIG, pool=pool, layers=2, bidirectional=True))
        random_weights(model)
        logits = model(np.empty(0, np.int32), np.array(lengths, np.int64))
        assert torch.equal(logits, model.head["bias"].expand(len(lengths), 3))
        logits.sum().backward()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cell": "cnn"}, "cell is 'cnn'; expected one of rnn, lstm"),
        ({"pool": ["max"]}, "expected one of last, max"),
        ({"hidden": 0}, "hidden is 0; expected a whole number, at least 1"),
        ({"dim": 2.5}, "dim is 2.5"),
        ({"layers": True}, "layers is True"),
        ({"dropout": 1.0}, "dropout is 1.0; expected a number of at least 0, below 1"),
        ({"word_dropout": float("nan")}, "word_dropout is nan"),
        ({"multilabel": "no"}, "multilabel is 'no'"),
        ({"pool": "flatten", "max_length": None}, "give max_length"),
        ({"vocabulary_size": 1}, "vocabulary_size is 1"),
    ],
)
def test_configuration_refuses_what_cannot_be(change: dict[str, Any], said: str) -> None:
    """Red when a wrong setting goes on until some array has a strange shape."""
    with pytest.raises(DataError, match=said):
        ClassifierConfig.from_dict({**CONFIG.to_dict(), **change})


def test_configuration_survives_json_and_refuses_unknown_names() -> None:
    """Red when a saved model's configuration would come back changed or a misspelt one be ignored."""
    config = replace(CONFIG, dropout=0.25, pool="attention", bidirectional=True)
    assert ClassifierConfig.from_dict(config.to_dict()) == config
    with pytest.raises(DataError, match="'hiden'"):
        ClassifierConfig.from_dict({"hiden": 3})


def test_wrong_input_is_refused_by_name() -> None:
    """Red when ids read beyond the table or lengths beyond the ids."""
    model = Classifier(replace(CONFIG, pool="flatten"))
    for wrong in (40, -1):
        with pytest.raises(DataError, match=f"id {wrong} is outside of the vocabulary: expected 0 to 39"):
            model(np.array([1, wrong], np.int32), np.array([2]))
    model(np.array([1, 39], np.int32), np.array([2]))  # the scratch array is clean again
    with pytest.raises(DataError, match="lengths that add up to 3"):
        model(np.array([1, 2], np.int32), np.array([3]))
    with pytest.raises(DataError, match="10 steps"):
        model(np.ones(10, np.int32), np.array([10]))
    with pytest.raises(DataError, match="needs vocabulary_size"):
        Classifier(ClassifierConfig())
    with pytest.raises(DataError, match=r"shape \(3, 6\); expected \(40, 6\)"):
        Classifier(CONFIG, np.zeros((3, 6), np.float32))
    with pytest.raises(DataError, match="row 0"):
        Classifier(CONFIG, np.ones((40, 6), np.float32))
