"""W4, the layers alone: forward and backward on dense input over a grid of shapes, ours and torch's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.agreement import agree
from benchmarks.empty_step import empty_step, seconds_after
from benchmarks.layer_grid import CELLS, Point, few, grid
from benchmarks.machine import matrix_rate, squash_rate, torch_threads
from benchmarks.note_ours import only_kernels
from benchmarks.note_torch import chosen_threads, fastest_threads
from benchmarks.note_weights import Array
from benchmarks.turns import standing, take_turns
from benchmarks.workload import Contestant, Finding, Goal, Options, Outcome, Prepared, Tell, Workload
from gatelight.memory.threads import available

FULL_GOAL, RAGGED_GOAL = 1.0, 4.0
FULL_TURNS, QUICK_TURNS = 5, 2
TURN_SECONDS = (0.1, 0.02)  # short work is repeated within a turn until about so long: full, quick
AGAIN = 2  # times as many turns follow where a goal was missed
QUIET, ENOUGH = 0.85, 5  # of the best rate so far; rounds, which then alone count where a goal was missed
NEAR = 0.7  # of what the machine can do: who misses a goal so near it has little left to gain


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One table of all points."""
    points = list(few() if options.quick else grid())
    table = [
        [
            "shape", "lengths", "gatelight, ms", "torch.nn, ms", "× ours", "roofline", "all that must be",
            "at the goal",
        ]
    ]  # fmt: skip
    ratios: dict[bool, dict[str, float]] = {False: {}, True: {}}
    beyond: dict[bool, int] = {False: 0, True: 0}
    near: dict[bool, int] = {False: 0, True: 0}
    measured = []
    for number, point in enumerate(points):
        tell(f"{number + 1} of {len(points)}: {point}, {'ragged' if point.ragged else 'full'} lengths")
        prepared = prepare(point, TURN_SECONDS[options.quick])
        turns = options.turns or (QUICK_TURNS if options.quick else FULL_TURNS)
        again = 0 if options.quick else AGAIN * turns
        with only_kernels():
            seconds, rates = take_turns(prepared.contestants, turns, matrix_rate, settle=options.settle)
            measured += rates
            found = standing(prepared, seconds, rates)
            if again and not found.outcomes[0].met:
                more, later = take_turns(prepared.contestants, again, matrix_rate, settle=options.settle)
                measured += later
                seconds, rates = quiet_rounds(
                    {name: seconds[name] + more[name] for name in seconds}, rates + later, max(measured)
                )
                found = standing(prepared, seconds, rates)
            share = share_of_all(prepared, found)
        mine, other = found.timings
        [reached] = found.outcomes
        ratios[point.ragged][str(point)] = reached.value
        needed = share * reached.goal / reached.value
        beyond[point.ragged] += not reached.met and needed > 1
        near[point.ragged] += not reached.met and needed <= 1 and share >= NEAR
        table.append(
            [
                str(point), "ragged" if point.ragged else "full", f"{1e3 * mine.median:.2f}",
                f"{1e3 * other.median:.2f}", f"{reached.value:.2f}", f"{mine.roofline or 0:.2f}",
                f"{share:.2f}", f"{needed:.2f}",
            ]
        )  # fmt: skip
    yield Finding(
        name="",
        measured="forward and backward",
        outcomes=[
            _slowest(ratios[False], "full lengths, torch.nn", FULL_GOAL),
            _slowest(ratios[True], "ragged lengths, torch.nn packed", RAGGED_GOAL),
        ],
        agreed=[f"at each of the {len(points)} points; the last: {prepared.agreed[0]}"],
        table=table,
        turns=turns,
        rate=statistics.median(measured),
        facts={
            "full lengths": _counted(ratios[False], FULL_GOAL, beyond[False], near[False]),
            "ragged": _counted(ratios[True], RAGGED_GOAL, beyond[True], near[True]),
            "all that must be": "of ours' time: the products' at the machine's rate, the numbers that gates "
            "squash at the rate of that alone, and an autograd step of torch's that computes nothing",
            "at the goal": "how much of its time that would be; above 1 the goal is beyond the machine",
            "turns": f"{turns}; {again} more where a goal was missed, and then those count in which "
            f"products ran at {QUIET} of the best rate so far, if these are {ENOUGH}",
            "gradients": "are none before each pass, as in a training loop",
            "ragged lengths": "from 1 to T, evenly drawn; torch.nn packed, ours given lengths=",
            "threads": f"{available()}; torch and ours each on 1 or all, the faster choice",
        },
    )  # fmt: skip


def quiet_rounds(
    seconds: dict[str, list[float]], rates: list[float], best: float
) -> tuple[dict[str, list[float]], list[float]]:
    """The rounds in which the machine multiplied almost as fast as ever; all if these are few."""
    kept = [k for k, rate in enumerate(rates) if rate >= QUIET * best]
    if len(kept) < ENOUGH:
        return seconds, rates
    return {name: [taken[k] for k in kept] for name, taken in seconds.items()}, [rates[k] for k in kept]


def _counted(ratios: dict[str, float], goal: float, beyond: int, near: int) -> str:
    met = sum(ratio >= goal for ratio in ratios.values())
    return (
        f"{met} of {len(ratios)} points meet the goal; {beyond} others would need more than the machine has, "
        f"and of {near} at least {NEAR} of the time is what must be"
    )


def share_of_all(prepared: Prepared, found: Finding) -> float:
    """How much of ours' time everybody needs: for products, for what gates squash, and torch for itself."""
    mine = found.timings[0]
    assert prepared.overhead is not None
    others = prepared.squashed / squash_rate() + prepared.overhead()
    return (mine.roofline or 0.0) + others * prepared.scale / mine.median


def _slowest(ratios: dict[str, float], what: str, goal: float) -> Outcome:
    point = min(ratios, key=lambda name: ratios[name])
    return Outcome(f"{what}, the worst of {len(ratios)} points ({point})", ratios[point], goal)


def prepare(point: Point, seconds: float = TURN_SECONDS[0]) -> Prepared:
    """Both layers with the same weights, found to agree, as contestants."""
    shape = (point.dim, point.hidden, point.layers)
    our_type, torch_type, *_ = CELLS[point.cell]
    theirs = torch_type(*shape, batch_first=True, bidirectional=point.both)
    ours = our_type(*shape, batch_first=True, bidirectional=point.both)
    ours.load_state_dict(theirs.state_dict())
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(point.sequences, point.steps, point.dim, generator=generator, requires_grad=True)
    gradient = torch.randn(point.sequences, point.steps, point.hidden * (1 + point.both), generator=generator)
    work = DenseInput(x, gradient, point.lengths())
    mine, other = partial(work.by_ours, ours), partial(work.by_torch, theirs)
    said = agree(f"{point}", work.results(theirs, other), work.results(ours, mine))
    began = time.perf_counter()
    mine()
    repeats = max(1, round(seconds / (time.perf_counter() - began)))
    rivals = Repeated(mine, repeats), Repeated(other, repeats)
    names = "gatelight", "torch.nn"
    return Prepared(
        [one.contestant(name, ours=one is rivals[0]) for one, name in zip(rivals, names, strict=True)],
        [said],
        [Goal(RAGGED_GOAL if point.ragged else FULL_GOAL)],
        scale=1 / repeats,
        work=point.work() * repeats,
        name=str(point),
        squashed=point.squashed() * repeats,
        overhead=lambda: repeats * seconds_after(mine, work.empty_step(ours, mine)),
    )


@dataclass(frozen=True)
class DenseInput:
    """Input [B, T, D], a gradient for the output [B, T, F], and lengths where they differ."""

    x: Tensor
    gradient: Tensor
    lengths: list[int] | None = None

    def by_ours(self, layer: nn.Module) -> Tensor:
        """Forward and backward of a layer that takes lengths; the output."""
        layer.zero_grad()
        output, _ = layer(self.x) if self.lengths is None else layer(self.x, lengths=self.lengths)
        return self.backward(output)

    def by_torch(self, layer: nn.Module) -> Tensor:
        """The same of torch's, which takes lengths as packed sequences."""
        layer.zero_grad()
        if self.lengths is None:
            return self.backward(layer(self.x)[0])
        packed = pack_padded_sequence(
            self.x, torch.tensor(self.lengths), batch_first=True, enforce_sorted=False
        )
        output, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=self.x.shape[1])
        return self.backward(output)

    def results(self, layer: nn.Module, one: Callable[[], Tensor]) -> dict[str, Array]:
        """Output and every gradient of one pass."""
        output = one()
        assert self.x.grad is not None
        found = {"output": output.detach().numpy().copy(), "d input": self.x.grad.numpy().copy()}
        for name, weight in layer.named_parameters():
            found[f"d {name}"] = weight.grad.numpy().copy()
        return found

    def empty_step(self, layer: nn.Module, one: Callable[[], Tensor]) -> Callable[[], None]:
        """A step from the same tensors to the same output and gradients, which computes nothing."""
        output, *gradients = self.results(layer, one).values()
        return empty_step(output, gradients, [self.x, *layer.parameters()], self.gradient)

    def backward(self, output: Tensor) -> Tensor:
        """Go back from the output, which is returned."""
        self.x.grad = None
        output.backward(self.gradient)
        return output


class Repeated:
    """Work done several times a turn, on the threads of torch that serve it best."""

    def __init__(self, one: Callable[[], object], repeats: int) -> None:
        self.one, self.repeats, self.threads = one, repeats, 1

    def contestant(self, name: str, ours: bool = False, padded: bool = False) -> Contestant:
        """What is timed."""
        return Contestant(
            name, self.turn, self.warm, ours, padded, setting=lambda: chosen_threads(self.threads)
        )

    def turn(self) -> None:
        """All repeats."""
        with torch_threads(self.threads):
            for _ in range(self.repeats):
                self.one()

    def warm(self) -> None:
        """Choose the threads."""
        self.threads = fastest_threads(self.turn, self._use)

    def _use(self, threads: int) -> None:
        self.threads = threads


WORKLOAD = Workload(
    name="W4",
    title="the layers alone on dense input, forward and backward, LSTM and GRU, over a grid of shapes",
    run=run,
)
