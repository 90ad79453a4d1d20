"""`accelerate`: somebody's model computes the same on our kernels, with all that hangs on it, and back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import gatelight
from gatelight.errors import DataError
from gatelight.interop.accelerate import restore
from gatelight.nn.status import calls

# Both sides compute in float32; over 50 steps of Adam the rounding errors have grown to about 2e-6.
SAME_LOSSES = 1e-5
# One pass in float32 on both sides, other order of sums.
SAME_IN_FLOAT32 = 2e-6


class Both(nn.Module):
    """An LSTM and what follows it, in the form that compilers are asked to take."""

    def __init__(self, cell: str = "LSTM", **options: Any) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embedding = nn.Embedding(11, 4)
        self.memory = getattr(nn, cell)(4, 5, num_layers=2, bidirectional=True, batch_first=True, **options)
        self.dense = nn.Linear(10, 3)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        steps, end = self.memory(self.embedding(ids).tanh())
        last = end[0] if isinstance(end, tuple) else end
        return self.dense(steps.amax(1)) + last.sum()


def ids(sequences: int = 3, steps: int = 7) -> torch.Tensor:
    return torch.randint(0, 11, (sequences, steps), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_the_same_losses_over_fifty_steps(cell: str) -> None:
    """A gradient, a state or a dropout that differs shows in the loss within a few steps of training."""
    model = Both(cell, dropout=0.3)
    twin = copy.deepcopy(model)
    report = gatelight.accelerate(twin)
    assert (report.swapped, report.left) == (("memory",), ())
    before = calls()
    found = losses(twin)
    assert calls()["kernels"] == before["kernels"] + 50
    expected = losses(model)
    assert sum(expected[-10:]) < 0.9 * sum(expected[:10])  # it learns
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME_LOSSES)


def losses(model: nn.Module) -> list[float]:
    """Train on a few random ids and classes, and return each step's loss."""
    torch.manual_seed(1)
    optimiser, found = torch.optim.Adam(model.parameters(), 1e-2), []
    given, target = torch.randint(0, 11, (6, 9)), torch.randint(0, 3, (6,))
    for _ in range(50):
        loss = nn.functional.cross_entropy(model(given), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    return found


def test_parameters_hooks_and_holders_stay() -> None:
    """An optimiser that trains parameters nobody reads any more is silent and useless."""
    model = Both()
    held = model.memory
    parameters = dict(model.named_parameters())
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    seen: list[str] = []
    held.register_forward_pre_hook(lambda *given: seen.append("before"))
    held.register_forward_hook(lambda *given: seen.append("after"))
    held.register_full_backward_hook(lambda *given: seen.append("backward"))
    report = gatelight.accelerate(model)
    assert report.swapped == ("memory",)
    assert held is model.memory
    assert type(held) is gatelight.LSTM
    assert isinstance(held, nn.LSTM)
    found = dict(model.named_parameters())
    assert list(found) == list(parameters)
    assert all(found[name] is parameter for name, parameter in parameters.items())
    model(ids()).sum().backward()
    assert seen == ["before", "after", "backward"]
    start = held.weight_hh_l0.clone()
    optimiser.step()
    assert not torch.equal(held.weight_hh_l0, start)


def test_there_and_back() -> None:
    """Without restore nobody can try it."""
    model = Both("GRU")
    alone = nn.RNN(4, 5)
    expected = model(ids())
    report = gatelight.accelerate(model)
    assert type(model.memory) is gatelight.GRU
    torch.testing.assert_close(model(ids()), expected, rtol=0, atol=SAME_IN_FLOAT32)
    assert str(report) == "memory: runs on gatelight's kernels"
    assert gatelight.accelerate(model).swapped == ()
    twin = copy.deepcopy(model)
    assert restore(model) == ("memory",)
    assert type(model.memory) is nn.GRU
    assert torch.equal(model(ids()), expected)
    assert type(twin.memory) is gatelight.GRU
    assert "the module itself" in str(gatelight.accelerate(alone))
    assert type(alone) is gatelight.RNN
    assert restore(alone) == ("",)
    assert restore(alone) == ()
    assert type(alone) is nn.RNN


class OwnLSTM(nn.LSTM):
    """Somebody's own."""


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_cannot_be_done_is_left_and_told() -> None:
    """A layer swapped for one that computes something else would be worse than a slow one."""
    model = nn.ModuleDict(
        {
            "projected": nn.LSTM(4, 5, proj_size=3),
            "relu": nn.RNN(4, 5, nonlinearity="relu"),
            "bf16": nn.GRU(4, 5, dtype=torch.bfloat16),
            "cell": nn.LSTMCell(4, 5),
            "own": OwnLSTM(4, 5),
            "parametrized": parametrizations.weight_norm(nn.LSTM(4, 5), "weight_hh_l0"),
            "scripted": torch.jit.script(nn.LSTM(4, 5)),
            "peephole": gatelight.PeepholeLSTM(4, 5),
            "served": nn.LSTM(4, 5, dtype=torch.float64),
            "dense": nn.Linear(4, 5),
        }
    )
    types = {name: type(layer) for name, layer in model.items()}
    report = gatelight.accelerate(model)
    assert report.swapped == ("served",)
    reasons = dict(report.left)
    assert list(reasons) == ["projected", "relu", "bf16", "cell", "own", "parametrized", "scripted"]
    for name, word in {
        "projected": "proj_size=3", "relu": "rnn_relu", "bf16": "bfloat16", "cell": "one step",
        "own": "OwnLSTM", "parametrized": "a class of its own", "scripted": "TorchScript",
    }.items():  # fmt: skip
        assert word in reasons[name]
        assert f"{name}: left as it is, {reasons[name]}" in str(report)
    assert {name for name, layer in model.items() if type(layer) is not types[name]} == {"served"}
    assert str(gatelight.accelerate(nn.Linear(2, 3))) == "there is no recurrent layer"


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_that_a_hook_makes_are_read() -> None:
    """The older weight_norm sets a plain tensor before each call, where a layer expects a parameter."""
    layer = nn.utils.weight_norm(nn.LSTM(4, 5), "weight_hh_l0")
    x = torch.randn(6, 3, 4)
    expected = layer(x)[0]
    expected.sum().backward()
    wanted = layer.weight_hh_l0_g.grad.clone()
    layer.zero_grad()
    assert gatelight.accelerate(layer).swapped == ("",)
    found = layer(x)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME_IN_FLOAT32)
    found.sum().backward()
    torch.testing.assert_close(layer.weight_hh_l0_g.grad, wanted, rtol=0, atol=10 * SAME_IN_FLOAT32)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_under_compile(cell: str, backend: str) -> None:
    """The compiled model must give the same outputs and gradients, its memory as one opaque call."""
    torch._dynamo.reset()
    model = Both(cell)
    gatelight.accelerate(model)
    expected = model(ids())
    expected.sum().backward()
    wanted = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    compiled = torch.compile(model, backend=backend)
    found = compiled(ids())
    assert torch.equal(found, expected)
    found.sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=0, atol=SAME_IN_FLOAT32)
    assert torch.equal(compiled(ids(2, 9)), model(ids(2, 9)))


def test_exported_with_any_batch_and_length() -> None:
    """A size that got fixed while tracing would make the exported model useless for the next batch."""
    model = Both()
    gatelight.accelerate(model)
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("steps")}
    program = torch.export.export(model, (ids(),), dynamic_shapes=(sizes,))
    operators = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert operators.count("gatelight.recurrent.default") == 1
    for shape in ((3, 7), (2, 9), (5, 4)):
        assert torch.equal(program.module()(ids(*shape)), model(ids(*shape)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dynamo", [False, True])
def test_exporting_names_the_cure(dynamo: bool, tmp_path: Path) -> None:
    """Both exporters end in pages about `gatelight::linear`; restored, the model is written as torch's is."""
    pytest.importorskip("onnxscript", reason="the newer exporter needs it")
    model, path = Both().eval(), str(tmp_path / "model.onnx")
    gatelight.accelerate(model)
    with pytest.raises(Exception, match=r"does not know gatelight's layers.*restore\(model\)"):
        torch.onnx.export(model, (ids(),), path, dynamo=dynamo, verbose=False)
    restore(model)
    torch.onnx.export(model, (ids(),), path, dynamo=dynamo, verbose=False)
    runtime = onnxruntime.InferenceSession(path)
    (found,) = runtime.run(None, {runtime.get_inputs()[0].name: ids().numpy()})
    np.testing.assert_allclose(found, model(ids()).detach().numpy(), rtol=0, atol=SAME_LOSSES)


@pytest.mark.filterwarnings("ignore")
def test_quantizing_is_not_passed_over_in_silence() -> None:
    """A model that is still in float after quantization is found out by nobody."""
    model = Both().eval()
    gatelight.accelerate(model)
    for kinds in (None, {nn.LSTM}, {gatelight.LSTM}):
        with pytest.raises(DataError, match=r"would leave them.*restore\(model\)"):
            torch.ao.quantization.quantize_dynamic(model, kinds)
    assert torch.equal(copy.deepcopy(model)(ids()), model(ids()))
    restore(model)
    quantized = torch.ao.quantization.quantize_dynamic(model)
    assert "Quantized" in type(quantized.memory).__name__ + str(quantized.memory)
    only = torch.ao.quantization.quantize_dynamic(model, {nn.Linear})
    assert gatelight.accelerate(only).swapped == ("memory",)
    assert only(ids()).shape == (3, 3)
