"""W5, the peephole LSTM, which torch.nn lacks: against our own LSTM, and a compiled loop of the equations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

import gatelight
from benchmarks.agreement import agree
from benchmarks.note_models import BATCH, CHARACTERS, WORDS, NoteModel
from benchmarks.note_ours import only_kernels
from benchmarks.turns import in_turns
from benchmarks.w4_layers import DenseInput, Repeated
from benchmarks.workload import Finding, Goal, Options, Prepared, Tell, Workload

# The layers of the note's two models, given reviews of their real lengths.
NOTES = (WORDS, CHARACTERS)
# Passes of a turn, which then takes about as long as one pass of the loop: the first ones after the pause
# between turns are slow. Turns: in the loop's first TorchScript still compiles.
FULL, QUICK = (16, 7), (4, 3)
LSTM, LOOP = "gatelight.LSTM", "TorchScript loop of the equations"


class Loop(nn.Module):
    """Gers, Schraudolph and Schmidhuber 2002 as equations, step by step, with the weights of ours."""

    def __init__(self, ours: gatelight.PeepholeLSTM) -> None:
        super().__init__()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_peephole"):
            weight = ours.get_parameter(f"{name}_l0").detach().clone()
            self.register_parameter(f"{name}_l0", nn.Parameter(weight))

    def forward(self, x: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, D], alive [B, T, 1] 1 where a step is real → hidden states [B, T, H] and the last [B, H].

        As in every library: outputs after the end are zeros, and the state stays as it was. Steps are taken
        apart once: the way back through `table[:, t]` would write zeros of the whole table at every step.
        """
        table = (x @ self.weight_ih_l0.t() + (self.bias_ih_l0 + self.bias_hh_l0)).unbind(1)
        of_input, of_forget, of_output = self.weight_peephole_l0.unbind(0)
        h = torch.zeros(x.shape[0], self.weight_hh_l0.shape[1])
        c = torch.zeros_like(h)
        hidden: list[Tensor] = []
        for given, real in zip(table, alive.unbind(1)):  # noqa: B905 - TorchScript has no `strict`
            i, f, g, o = (given + h @ self.weight_hh_l0.t()).chunk(4, 1)
            i, f = torch.sigmoid(i + of_input * c), torch.sigmoid(f + of_forget * c)
            c_new = f * c + i * torch.tanh(g)
            h_new = torch.sigmoid(o + of_output * c_new) * torch.tanh(c_new)
            c = torch.lerp(c, c_new, real)
            h = torch.lerp(h, h_new, real)
            hidden.append(h * real)
        return torch.stack(hidden, 1), h


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One scene for each of the note's models."""
    repeats, turns = options.extent(FULL, QUICK)
    for note in NOTES[:1] if options.quick else NOTES:
        tell(f"{note.name}: preparing, and comparing outputs and gradients")
        with only_kernels():
            finding = in_turns(prepare(note, repeats), turns, options, tell)
        yield finding


def prepare(note: NoteModel, repeats: int) -> Prepared:
    """Our peephole LSTM, our LSTM and the loop, found to agree as far as they can."""
    torch.manual_seed(0)
    ours = gatelight.PeepholeLSTM(note.dim, note.hidden, batch_first=True)
    loop = torch.jit.script(Loop(ours))
    plain = gatelight.LSTM(note.dim, note.hidden, batch_first=True)
    every = note.reviews()
    lengths = every.lengths[every.spread(BATCH)]
    lengths[0] = note.steps
    generator = torch.Generator().manual_seed(1)
    work = DenseInput(
        torch.randn(BATCH, note.steps, note.dim, generator=generator, requires_grad=True),
        torch.randn(BATCH, note.steps, note.hidden, generator=generator),
        lengths.tolist(),
    )
    alive = (torch.arange(note.steps) < torch.from_numpy(lengths)[:, None]).float().unsqueeze(2)

    def looped() -> Tensor:
        return work.backward(loop(work.x, alive)[0])

    agreed = [
        agree(
            f"{note.name}, the loop and gatelight.PeepholeLSTM",
            work.results(loop, looped), work.results(ours, lambda: work.by_ours(ours)),
        ),
        _without_peepholes(work, plain, note),
    ]  # fmt: skip
    contestants = [
        Repeated(lambda: work.by_ours(ours), repeats).contestant("gatelight.PeepholeLSTM", ours=True),
        Repeated(lambda: work.by_ours(plain), repeats).contestant(LSTM),
        replace(Repeated(looped, 1).contestant(LOOP, padded=True), share=1 / repeats),
    ]
    rows, size = int(lengths.sum()), note.dim + note.hidden
    return Prepared(
        contestants,
        agreed,
        [
            Goal(1.15, "our LSTM's time", (LSTM,), at_most=True),
            Goal(20.0, "the TorchScript loop", (LOOP,)),
        ],
        scale=1 / repeats,
        work=2.0 * 3 * rows * 4 * note.hidden * size * repeats,
        name=f"H={note.hidden}",
        measured=f"forward and backward, B={BATCH}, T={note.steps}, D={note.dim}, H={note.hidden}",
        facts={"lengths": f"{lengths.mean():.1f} real steps of {note.steps}, as reviews have them"},
    )


def _without_peepholes(work: DenseInput, plain: gatelight.LSTM, note: NoteModel) -> str:
    zero = gatelight.PeepholeLSTM(note.dim, note.hidden, batch_first=True)
    with torch.no_grad():
        for name, weight in zero.named_parameters():
            weight.zero_() if "peephole" in name else weight.copy_(plain.get_parameter(name))
    found = work.results(zero, lambda: work.by_ours(zero))
    del found["d weight_peephole_l0"]
    same = work.results(plain, lambda: work.by_ours(plain))
    return agree(f"{note.name}, peepholes of zero and gatelight.LSTM", same, found)


WORKLOAD = Workload(
    name="W5", title="peephole LSTM, forward and backward, against our LSTM and a compiled loop", run=run
)
