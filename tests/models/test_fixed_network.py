"""Fixed weights as arrays against the torch network that they are of, bit for bit, and without torch.

And the predictor, which makes them of a torch network as its weights are now.
"""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from gatelight.errors import DataError
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig, weight_shapes
from gatelight.models.fixed_network import FixedNetwork, probabilities_of
from gatelight.models.heads import HEADS
from gatelight.models.inference import Predictor, predict
from gatelight.models.subwords import Subwords
from gatelight.nn import CELLS
from gatelight.nn.recurrent import RecurrentLayers

CONFIG = ClassifierConfig(vocabulary_size=40, dim=5, hidden=9, max_length=30, outputs=3)
SHAPES = [
    {"bidirectional": both, "layers": layers, "outputs": outputs, "multilabel": several}
    for both, layers, (outputs, several) in product(
        (False, True), (1, 2), ((1, False), (3, False), (3, True))
    )
]

Array = np.ndarray[Any, Any]


def some_model(config: ClassifierConfig) -> Classifier:
    """Random weights, and biases that are not zero either."""
    model = Classifier(config, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.4, generator=generator)
    return model


def arrays_of(model: Classifier) -> dict[str, Array]:
    return {name: weight.detach().numpy().copy() for name, weight in model.named_parameters()}


def some_texts(stop: int = 40) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    lengths = np.array([7, 0, 30, 1, 12, 12, 25])
    return rng.integers(0, stop, int(lengths.sum())).astype(np.int32), lengths


def by_torch(model: Classifier, ids: Array, lengths: Array, subwords: Subwords | None = None) -> Array:
    """Probabilities through the modules and operators of torch alone."""
    with torch.no_grad():
        return probabilities_of(model(ids, lengths, None, subwords).numpy(), model.config)


@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_network_has_the_bits_of_torchs(cell: str, pool: str) -> None:
    """Red when inference from a file gives another answer than the model that was trained."""
    ids, lengths = some_texts()
    for shape in SHAPES:
        model = some_model(replace(CONFIG, cell=cell, pool=pool, **shape))
        expected = by_torch(model, ids, lengths)
        fixed = FixedNetwork(model.config, arrays_of(model))
        assert len(np.unique(expected)) > len(lengths) / 2
        assert np.array_equal(fixed.probabilities(ids, lengths), expected)
        assert np.array_equal(fixed.probabilities(ids, lengths, batch_size=2), expected)
        begin = 0
        for length, row in zip(lengths, expected, strict=True):
            alone = fixed.probabilities(ids[begin : begin + length], np.array([length]))
            assert np.array_equal(alone[0], row)
            begin += length
        without_table = FixedNetwork(model.config, arrays_of(model), table_bytes=0)
        assert np.array_equal(without_table.probabilities(ids, lengths), expected)
        assert np.array_equal(Predictor(model).probabilities(ids, lengths), expected)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_texts_too_long_for_a_flattened_layer_are_refused(count: int) -> None:
    """The dense layer has no weights for their last steps, and would read beyond its own."""
    model = some_model(replace(CONFIG, pool="flatten"))
    ids, lengths = np.zeros(31 * count, np.int32), np.full(count, 31)
    with pytest.raises(DataError, match="a sequence has 31 steps and the dense layer has weights for 30"):
        FixedNetwork(model.config, arrays_of(model)).probabilities(ids, lengths)


def test_a_text_alone_may_come_in_any_form() -> None:
    """Red when one text's arrays are read wrongly, or lengths that do not fit are taken."""
    model = some_model(CONFIG)
    network = FixedNetwork(model.config, arrays_of(model))
    wide = np.random.default_rng(5).integers(0, 40, 24).astype(np.int32)
    ids, length = wide[::2], np.array([12])
    wanted = by_torch(model, ids.copy(), length)
    forms: list[tuple[Any, Any]] = [
        (ids, length), (ids.copy(), length), (ids.astype(np.int64), length), (ids.tolist(), [12]),
        (ids.copy(), length.astype(np.uint8)),
    ]  # fmt: skip
    for given in forms:
        np.testing.assert_array_equal(network.probabilities(*given), wanted)
    for wrong in ([11], [13], [-12], [12.0]):
        with pytest.raises(DataError, match="lengths"):
            network.probabilities(ids.copy(), np.array(wrong))
    with pytest.raises(DataError, match="ids"):
        network.probabilities(ids.reshape(12, 1).copy(), length)
    with pytest.raises(DataError, match="id 40 is outside"):
        network.probabilities(np.full(12, 40, np.int32), length)
    np.testing.assert_array_equal(network.probabilities(ids.copy(), length), wanted)
    with pytest.raises(DataError, match="batch_size is 0"):
        Predictor(model, batch_size=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_filling_leaves_its_words_to_be_computed(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red when words count as ready whose input products were never computed: answers silently wrong."""
    ids, lengths = some_texts()
    model = some_model(CONFIG)
    expected = by_torch(model, ids, lengths)
    network = FixedNetwork(model.config, arrays_of(model))

    def interrupted(self: Any, x: Array) -> Array:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(RecurrentLayers, "input_table", interrupted)
        with pytest.raises(error):
            network.probabilities(ids, lengths)
    np.testing.assert_array_equal(network.probabilities(ids, lengths), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_double_precision_stays_double(cell: str) -> None:
    """Red when float64 weights are computed with in float32 on the way."""
    ids, lengths = some_texts()
    model = some_model(replace(CONFIG, cell=cell, layers=2, pool="attention")).double()
    network = Predictor(model).network()
    assert network.layers.dtype == np.float64
    assert np.array_equal(network.probabilities(ids, lengths), by_torch(model, ids, lengths))


@pytest.mark.parametrize("first", [40, 80])
def test_words_made_of_subwords_are_the_same_means(first: int) -> None:
    """Red when a word's n-grams are summed in another order, or of other rows."""
    model = some_model(replace(CONFIG, buckets=20))
    rng = np.random.default_rng(4)
    starts = np.concatenate([[0], np.cumsum(rng.integers(1, 6, 10))])
    subwords = Subwords(first, starts, rng.integers(0, 20, starts[-1]).astype(np.int32))
    ids, lengths = some_texts(50)
    ids[ids >= 40] += first - 40
    fixed = FixedNetwork(model.config, arrays_of(model))
    expected = by_torch(model, ids, lengths, subwords)
    assert np.array_equal(fixed.probabilities(ids, lengths, subwords), expected)
    assert np.array_equal(Predictor(model).probabilities(ids, lengths, subwords), expected)


@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_weights_have_the_names_and_shapes_of_the_state_dict(cell: str, pool: str) -> None:
    """Red when a model folder's weights are looked for under other names than training writes."""
    for shape in SHAPES:
        config = replace(CONFIG, cell=cell, pool=pool, buckets=7 * shape["layers"], **shape)
        expected = Classifier(config, device="meta").state_dict()
        assert weight_shapes(config) == {name: tuple(weight.shape) for name, weight in expected.items()}


def test_arrays_that_may_not_be_written_to_are_taken() -> None:
    """Red when weights or ids mapped from another process's memory are compiled for anew, or refused."""
    model = some_model(CONFIG)
    weights, (ids, lengths) = arrays_of(model), some_texts()
    expected = by_torch(model, ids, lengths)
    for array in (*weights.values(), ids):
        array.setflags(write=False)
    fixed = FixedNetwork(model.config, weights)
    assert np.array_equal(fixed.probabilities(ids, lengths), expected)
    assert np.array_equal(fixed.probabilities(ids[7:37], lengths[2:3])[0], expected[2])
    assert all(array.flags.writeable for array in fixed.weights.values())


def test_table_is_filled_for_asked_tokens_only_and_forgotten_with_the_weights() -> None:
    """Red when the table costs the whole vocabulary, or stale products outlive a change of the weights."""
    model = some_model(CONFIG)
    predictor = Predictor(model)
    ids, lengths = np.array([5, 7, 5], np.int32), np.array([2, 1])
    before = predictor.probabilities(ids, lengths)
    assert np.flatnonzero(predictor.network()._filled).tolist() == [5, 7]
    with torch.no_grad():
        model.embedding.weight[5] += 1
    after = predictor.probabilities(ids, lengths)
    assert (after != before).any(axis=1).all()
    assert (after == predict(model, ids, lengths)).all()
    model.embedding.weight.detach().numpy()[5] -= 2  # goes around torch
    predictor.refresh()
    assert (predictor.probabilities(ids, lengths) == predict(model, ids, lengths)).all()


def test_model_in_training_mode_predicts_without_dropout_and_stays_in_training() -> None:
    """Red when validation between two steps would drop words or switch training off."""
    model = some_model(replace(CONFIG, dropout=0.5, word_dropout=0.5))
    ids, lengths = some_texts()
    expected = predict(model, ids, lengths)
    model.train()
    assert (predict(model, ids, lengths) == expected).all()
    assert model.training


def test_several_threads_may_ask_at_once() -> None:
    """Red when two requests fill the table over each other."""
    model = some_model(CONFIG)
    ids, lengths = some_texts()
    expected = predict(model, ids, lengths)
    for _ in range(5):
        predictor = Predictor(model)
        with ThreadPoolExecutor(4) as pool:
            for got in pool.map(lambda _, p=predictor: p.probabilities(ids, lengths), range(8)):
                assert (got == expected).all()


def test_extreme_logits_give_probabilities_not_overflows() -> None:
    """Red when exp overflows to infinity and a sure answer becomes undefined."""
    logits = np.array([[-1e4, 1e4, 0.0], [800.0, 800.0, -800.0]], np.float32)
    labels = replace(CONFIG, multilabel=True)
    assert probabilities_of(logits, labels).tolist() == [[0, 1, 0.5], [1, 1, 0]]
    assert probabilities_of(logits, CONFIG).tolist() == [[0, 1, 0], [0.5, 0.5, 0]]


def test_copies_and_pickles() -> None:
    """Red when a network that was read from a folder can no longer be sent to another process."""
    model = some_model(CONFIG)
    fixed = FixedNetwork(model.config, arrays_of(model))
    ids, lengths = some_texts()
    expected = fixed.probabilities(ids, lengths)
    for twin in (copy.deepcopy(fixed), pickle.loads(pickle.dumps(fixed))):
        assert np.array_equal(twin.probabilities(ids, lengths), expected)


def test_nothing_on_the_way_imports_torch() -> None:
    """Red when inference has to wait for torch, which takes longer than all else together."""
    program = (
        "import sys, numpy as np\n"
        "from gatelight.models.config import ClassifierConfig, weight_shapes\n"
        "from gatelight.models.fixed_network import FixedNetwork\n"
        "config = ClassifierConfig(vocabulary_size=9, dim=2, hidden=3, cell='gru', layers=2, pool='mean')\n"
        "weights = {name: np.ones(shape, np.float32) for name, shape in weight_shapes(config).items()}\n"
        "network = FixedNetwork(config, weights)\n"
        "network.probabilities(np.arange(9, dtype=np.int32), np.array([4, 5]))\n"
        "print({'torch', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "set()", done
