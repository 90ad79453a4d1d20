"""What speed must not break: the same bits at any thread count, no padded array, no silent slow path.

Sizes are those of real models where a smaller one would stay on one thread, or in one tile of a product.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.heads import HEADS
from gatelight.models.inference import predict
from gatelight.models.training import TrainingConfig, train
from gatelight.nn import CELLS
from gatelight.nn.status import calls
from gatelight.nn.threads import set_threads

V = 3000
NOTE = ClassifierConfig(
    vocabulary_size=V, dim=300, hidden=50, pool="flatten", max_length=120, dropout=0.2, train_embedding=False
)
TODAY = ClassifierConfig(
    vocabulary_size=V, dim=64, hidden=96, bidirectional=True, pool="max", dropout=0.2, embedding_dropout=0.3,
    word_dropout=0.1,
)  # fmt: skip
MODELS = {"note": NOTE, "today": TODAY, "two layers": replace(TODAY, layers=2, layer_dropout=0.2)}

Array = np.ndarray[Any, Any]


def texts(count: int, steps: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Ragged ids, some sequences empty, one of full length."""
    random = np.random.default_rng(seed)
    lengths = random.integers(0, steps + 1, count)
    lengths[:3] = [steps, 0, 1]
    return random.integers(0, V, lengths.sum()).astype(np.int32), lengths, random.integers(0, 2, count)


def model_of(config: ClassifierConfig) -> Classifier:
    """A model whose frozen vectors, where it has such, are random."""
    vectors = np.random.default_rng(1).standard_normal((V, config.dim), np.float32)
    vectors[0] = 0
    return Classifier(config, vectors, seed=2)


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_the_same_seed_gives_the_same_bits_at_any_thread_count_and_again(config: ClassifierConfig) -> None:
    """On work that is really shared out: a sum whose order depends on who was free would show here."""
    data = texts(96, 120)
    settings = TrainingConfig(epochs=2, batch_size=48, optimizer="rmsprop", clip=1.0, seed=3)
    results = []
    for count in (1, 2, 2, 5):
        model = model_of(config)
        history = train(model, *data, config=replace(settings, threads=count))
        results.append((model.state_dict(), [epoch["train_loss"] for epoch in history.epochs]))
    first, losses = results[0]
    assert losses[0] != losses[1]
    for weights, again in results[1:]:
        assert again == losses
        for name, weight in weights.items():
            assert torch.equal(weight, first[name]), name


@pytest.mark.parametrize("config", MODELS.values(), ids=MODELS)
def test_a_text_has_the_same_bits_alone_in_any_batch_order_and_thread_count(config: ClassifierConfig) -> None:
    """With rows enough for every size of tile: a product that rounds by its neighbours would show here."""
    model = model_of(config)
    ids, lengths, _ = texts(300, 120, seed=4)
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    together = predict(model, ids, lengths)
    assert len(np.unique(together)) > 200
    order = np.random.default_rng(5).permutation(len(lengths))
    shuffled = predict(model, np.concatenate([parts[k] for k in order]), lengths[order], batch_size=33)
    assert (shuffled == together[order]).all()
    try:
        for count in (1, 3):
            set_threads(count)
            assert (predict(model, ids, lengths) == together).all()
    finally:
        set_threads(None)
    for k in range(0, 300, 17):
        assert (predict(model, parts[k], lengths[[k]]) == together[k]).all()


@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_training_and_prediction_take_the_kernels_only(cell: str, pool: str) -> None:
    """A fallback would give the right numbers, many times slower, and nobody would be told."""
    model = model_of(replace(NOTE, dim=6, hidden=5, cell=cell, pool=pool, layers=2, bidirectional=True))
    ids, lengths, targets = texts(9, 20)
    before = calls()
    train(model, ids, lengths, targets, config=TrainingConfig(epochs=1))
    predict(model, ids, lengths)
    after = calls()
    assert after["kernels"] > before["kernels"]
    assert {name: after[name] for name in ("torch", "equations")} == {
        name: before[name] for name in ("torch", "equations")
    }


# Run on its own: the limit is of a whole process. What is allowed beyond what compiled code, threads and
# weights hold already is far less than the smallest array that must not be.
LIMITED = """
import resource, sys
from dataclasses import replace
import numpy as np
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.inference import predict
from gatelight.models.training import TrainingConfig, train

case, allowed, forbidden = sys.argv[1], *map(int, sys.argv[2:])
random = np.random.default_rng(0)
base = ClassifierConfig(vocabulary_size=5000, dim=300, hidden=50, max_length=400)
configs = {
    "note": replace(base, pool="flatten", train_embedding=False, dropout=0.2),
    "one-hot": replace(base, vocabulary_size=46, dim=46, hidden=20, pool="flatten", train_embedding=False,
                       max_length=20_000, dropout=0.4),
    "long": replace(base, pool="flatten", train_embedding=False, max_length=20_000, dropout=0.2),
    "max": replace(base, pool="max", bidirectional=True, max_length=None, dropout=0.2, word_dropout=0.1,
                   embedding_dropout=0.2),
    "mean": replace(base, pool="mean", layers=2, max_length=None, layer_dropout=0.1),
}
config = configs[case]
if case == "note":  # as many as the note had, most of them short, so that an epoch takes seconds
    lengths, batch = np.minimum(random.geometric(0.08, 20_000), 400), 32
    lengths[::2000] = 400
else:  # one batch: a very long sequence and many short ones
    lengths, batch = np.ones(512, np.int64), 512
    lengths[7] = 20_000
ids = random.integers(1, config.vocabulary_size, lengths.sum()).astype(np.int32)
targets = random.integers(0, 2, len(lengths))
table = np.eye(46, dtype=np.float32) if case == "one-hot" else random.standard_normal((5000, 300), np.float32)
table[0] = 0
model = Classifier(config, table)
settings = TrainingConfig(epochs=1, batch_size=batch, optimizer="rmsprop", bucket=False)
few = np.minimum(lengths[:64], 400)
for _ in range(2):  # compiles, and starts the threads
    train(model, ids[: few.sum()], few, targets[:64], config=settings)
    predict(model, ids[: few.sum()], few)
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + allowed, resource.RLIM_INFINITY))
train(model, ids, lengths, targets, config=settings)
predict(model, ids, lengths)
try:
    np.ones(forbidden, np.uint8)
except MemoryError:
    print("limited")
"""
# Bytes allowed, and of the smallest array that must not be: [20,000, 400, 50] of float32, [512, 20,000, 20] …
LIMITS = {
    "note": (500e6, 1.6e9),
    "one-hot": (500e6, 0.8e9),
    "long": (500e6, 2.0e9),
    "max": (700e6, 4.0e9),
    "mean": (700e6, 2.0e9),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit and what is held are Linux's")
@pytest.mark.parametrize("case", LIMITS)
def test_no_padded_array_is_ever_built(case: str) -> None:
    """Arrays [B, T, D], [B, T, H] or of one-hot rows, of a batch or of all texts, would find no memory."""
    limits = [str(int(number)) for number in LIMITS[case]]
    command = [sys.executable, "-c", LIMITED, case, *limits]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "limited"
