"""W4, the layers alone: forward and backward on dense input over a grid of shapes, ours and torch's."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.agreement import agree
from benchmarks.empty_step import empty_step, seconds_after
from benchmarks.layer_grid import CELLS, Point, few, grid
from benchmarks.looks import BEST, ENOUGH, QUIET, Looks, best_rate, wait_until_quiet
from benchmarks.machine import matrix_rate, squash_rate, torch_threads
from benchmarks.note_ours import only_kernels
from benchmarks.note_torch import chosen_threads, fastest_threads
from benchmarks.note_weights import Array
from benchmarks.workload import Contestant, Finding, Goal, Options, Outcome, Prepared, Tell, Workload
from gatelight.nn.threads import available

FULL_GOAL, RAGGED_GOAL = 1.0, 4.0
FULL_TURNS, QUICK_TURNS = 5, 2
TURN_SECONDS = (0.1, 0.02)  # short work is repeated within a turn until about so long: full, quick
AGAIN, MOST = 4, 8  # more sweeps over the points that missed their goal, up to MOST until enough was quiet
RETURNS, EACH = 5, 2  # returns to the points which are still open, each of so many times as many turns
APART = 60.0  # seconds from one return to the next, in which a shared machine becomes another
PROOF = 0.7  # of the machine's rate of products: a goal that is missed there is out of reach


@dataclass
class Entry:
    """A point, what its turns have shown so far, and what beside products everybody needs for one."""

    point: Point
    looks: Looks
    missed: bool  # the goal, at first
    others: float  # seconds

    def found(self, best: float) -> Finding:
        """Where the goal was missed at first quiet rounds alone count."""
        return self.looks.found(best) if self.missed else self.looks.all()

    def shares(self, best: float) -> tuple[float, float, float]:
        """The roofline ratio, that of all that must be, and what all would be of the time at the goal."""
        found = self.found(best)
        mine, [reached] = found.timings[0], found.outcomes
        roofline = mine.roofline or 0.0
        share = roofline + self.others * self.looks.prepared.scale / mine.median
        return roofline, share, share * reached.goal / reached.value

    def kind(self, best: float) -> str:
        """Whether the goal is met, missed fast, beyond the machine, or still open."""
        roofline, _, needed = self.shares(best)
        return kind_of(self.found(best).outcomes[0].met, roofline, needed)

    def row(self, best: float) -> list[str]:
        """Its line of the table."""
        found = self.found(best)
        mine, other = found.timings
        return [
            str(self.point), self.point.kind, f"{1e3 * mine.median:.2f}",
            f"{1e3 * other.median:.2f}", rounded_down(found.outcomes[0].value),
            *(rounded_down(one) for one in self.shares(best)),
        ]  # fmt: skip


def rounded_down(value: float) -> str:
    """To three places, so that what is a hair below its bound does not read as if it had reached it."""
    return f"{math.floor(1000 * value) / 1000:.3f}"


def kind_of(met: bool, roofline: float, needed: float) -> str:
    """What a point is whose goal is met or not, by its share of the rate and what the goal needs."""
    return "met" if met else "fast" if roofline >= PROOF else "beyond" if needed > 1 else "open"


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One table of all points."""
    points = list(few() if options.quick else grid())
    turns = options.turns or (QUICK_TURNS if options.quick else FULL_TURNS)
    entries: list[Entry] = []
    every: list[Looks] = []
    with only_kernels():
        for number, point in enumerate(points):
            tell(f"{number + 1} of {len(points)}: {point}, {point.kind} lengths")
            looks = Looks(prepare(point, TURN_SECONDS[options.quick]))
            every.append(looks)
            looks.look(turns, matrix_rate, options.settle)
            missed = not looks.all().outcomes[0].met
            entries.append(Entry(point, looks, missed, what_others_need(looks.prepared)))
        if not options.quick:
            _look_again([entry for entry in entries if entry.missed], every, turns, options.settle, tell)
    best = best_rate(every)
    yield Finding(
        name="",
        measured="forward and backward",
        outcomes=[
            _slowest(entries, False, best, "full lengths, torch.nn", FULL_GOAL),
            _slowest(entries, True, best, "ragged lengths, torch.nn packed", RAGGED_GOAL),
        ],
        agreed=[f"at each of the {len(points)} points; the last: {looks.prepared.agreed[0]}"],
        table=[
            [
                "shape", "lengths", "gatelight, ms", "torch.nn, ms", "× ours", "roofline",
                "all that must be", "at the goal",
            ],
            *(entry.row(best) for entry in entries),
        ],
        turns=turns,
        rate=statistics.median(rate for looks in every for rate in looks.rates),
        facts={
            "full lengths": _counted(entries, False, best),
            "ragged": _counted(entries, True, best),
            "all that must be": "of ours' time: the products' at the machine's rate, the numbers that gates "
            "squash at the rate of that alone, and an autograd step of torch's that computes nothing",
            "at the goal": "how much of its time that would be; above 1 the goal is beyond the machine",
            "turns": f"{turns}; where a goal was missed {AGAIN * turns} to {MOST * turns} more, {turns} in "
            f"each sweep over such points, and up to {RETURNS * EACH * turns} at the end, {EACH * turns} "
            f"each {APART:.0f} s; then those count in which products ran at {QUIET} of the best rate but for "
            f"the fastest {1 - BEST:.0%} of all rounds, if these are {ENOUGH}",
            "gradients": "are none before each pass, as in a training loop",
            "ragged lengths": "from 1 to T, evenly drawn; torch.nn packed, ours given lengths=",
            "threads": f"{available()}; torch and ours each on 1 or all, the faster choice",
        },
    )  # fmt: skip


def _look_again(
    missed: Sequence[Entry], every: Sequence[Looks], turns: int, settle: float, tell: Tell
) -> None:
    """Sweep over the points that missed their goal, so that each is seen at several times, not at one."""
    for again in range(MOST):
        best = best_rate(every)
        for entry in missed:
            if again < AGAIN or len(entry.looks.quiet(best)) < ENOUGH:
                tell(f"sweep {again + 2}: {entry.point}, {entry.point.kind} lengths")
                entry.looks.look(turns, matrix_rate, settle)
    due = time.monotonic()
    for again in range(RETURNS):
        best = best_rate(every)
        if not (still_open := [one for one in missed if one.kind(best) == "open"]):
            break
        time.sleep(max(0.0, due - time.monotonic()))
        due = time.monotonic() + APART
        for entry in still_open:
            quiet = wait_until_quiet(best, matrix_rate)
            tell(f"return {again + 1} to {entry.point}" + ("" if quiet else ", though it is not quiet"))
            entry.looks.look(EACH * turns, matrix_rate, settle)


def _counted(entries: Sequence[Entry], ragged: bool, best: float) -> str:
    some = [entry for entry in entries if entry.point.ragged == ragged]
    kinds = Counter(entry.kind(best) for entry in some)
    mean = statistics.geometric_mean(entry.found(best).outcomes[0].value for entry in some)
    return (
        f"{kinds['met']} of {len(some)} points meet the goal; of the others {kinds['fast']} run at {PROOF} "
        f"of the rate of products or more, {kinds['beyond']} would need more than the machine has, and "
        f"{kinds['open']} do neither; geometric mean {mean:.1f} ×"
    )


def what_others_need(prepared: Prepared) -> float:
    """Seconds of a turn that go, whoever computes, to what gates squash and to torch itself."""
    assert prepared.overhead is not None
    return prepared.squashed / squash_rate() + prepared.overhead()


def _slowest(entries: Sequence[Entry], ragged: bool, best: float, what: str, goal: float) -> Outcome:
    ratios = {
        str(entry.point): entry.found(best).outcomes[0].value
        for entry in entries
        if entry.point.ragged == ragged
    }
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
