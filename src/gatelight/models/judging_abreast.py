"""Many sequences judged abreast by a model of few units: see `gatelight.nn.abreast`. Knows arrays only.

The sequences of a group end at almost the same step; until the last does, the lanes of the others idle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.models.judging_parts import packed_group
from gatelight.nn.abreast import LANES, advance_abreast, folds_abreast, room_abreast
from gatelight.nn.crew import share

IDLE = 8
"""Of so many lanes' steps one may idle; sequences that end farther apart go row by row."""


@intrinsic  # type: ignore[untyped-decorator]
def _add_products(
    typingctx: Any, h: Any, at: Any, weight: Any, weight_at: Any, sums: Any, sums_at: Any, size: Any,
    alive: Any,
) -> Any:  # fmt: skip
    """sums += h · weight; products are rounded too, as `rows.add_products` does."""
    return folds_abreast(
        lambda vectors, old, value, by: vectors.builder.fadd(old, vectors.builder.fmul(value, by)),
        h,
        weight,
        sums,
    )


@intrinsic  # type: ignore[untyped-decorator]
def _add(typingctx: Any, h: Any, at: Any, sums: Any, sums_at: Any, size: Any, alive: Any) -> Any:
    """sums += h."""
    return folds_abreast(lambda vectors, old, value: vectors.builder.fadd(old, value), h, sums)


@intrinsic  # type: ignore[untyped-decorator]
def _keep_highest(typingctx: Any, h: Any, at: Any, best: Any, best_at: Any, size: Any, alive: Any) -> Any:
    """best = h where that is higher, or is not a number."""

    def highest(vectors: Any, old: Any, value: Any) -> Any:
        builder = vectors.builder
        strange = builder.fcmp_unordered("uno", value, value)
        return builder.select(builder.or_(builder.fcmp_ordered(">", value, old), strange), value, old)

    return folds_abreast(highest, h, best)


@compiled
def _judge_abreast(
    cell: Any, table: Any, flat: Any, starts: Any, lengths: Any, weight_hh: Any, bias_hh: Any, cell_size: int,
    head: int, weight: Any, bias: Any, out: Any, group: int,
) -> None:  # fmt: skip
    begin, end = group * LANES, (group + 1) * LANES
    lengths, out = lengths[begin:end], out[begin:end]
    token, first, alive = packed_group(flat, starts[begin:end], lengths, LANES)
    size, columns = weight_hh.shape[1], bias_hh.shape[1]
    outputs = out.shape[1] if head == 0 else 1
    h = room_abreast(2 * size, table).reshape(2, size, LANES)
    c, kept = room_abreast(cell_size, table), room_abreast(outputs * size, table)
    x = room_abreast((columns + LANES - 1) // LANES * LANES, table)
    if head == 1:
        kept[:] = -np.inf
    for t in range(len(first)):
        advance_abreast(cell, table, token, first[t], weight_hh, bias_hh, x, h, c, t)
        at = (t + 1) % 2 * size * LANES
        if head == 0:
            for o in range(outputs):
                place = o * weight.shape[1] + t * size
                _add_products(h, at, weight, place, kept, o * size * LANES, size, alive[t])
        elif head == 1:
            _keep_highest(h, at, kept, 0, size, alive[t])
        else:
            _add(h, at, kept, 0, size, alive[t])
    for k in range(LANES):
        for o in range(outputs if head == 0 else 0):
            total = bias[o]
            for j in range(size):
                total += kept[o * size + j, k]
            out[k, o] = total
        length = out.dtype.type(lengths[k] if head == 2 else 1)
        for j in range(size if head > 0 else 0):
            out[k, j] = kept[j, k] / length


def go_abreast(lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the sequences, of falling `lengths`, stand in groups of LANES of which few would idle long."""
    groups = lengths[: len(lengths) // LANES * LANES].reshape(-1, LANES)
    alike = IDLE * groups.sum(axis=1) >= (IDLE - 1) * LANES * groups[:, 0]
    found = np.zeros(len(lengths), np.bool_)
    found[: groups.size] = np.repeat(alike & (groups[:, -1] > 0), LANES)
    return found


@compiled
def all_judged_abreast(
    cell: Any, table: Any, flat: Any, starts: Any, lengths: Any, weight_hh: Any, bias_hh: Any, zeros: Any,
    no_cells: Any, saved: Any, cells: Any, head: int, weight: Any, bias: Any, limit: Any, scale: Any,
    out: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """As `judging_parts.all_judged`, of the sequences that `go_abreast`.

    In one direction, float32, with at most `abreast.SLIM` units.
    """
    given = (
        cell, table, flat, starts, lengths, weight_hh, bias_hh, no_cells.shape[2], head, weight, bias, out
    )  # fmt: skip
    return int(share(_judge_abreast, given, crew, helpers, len(lengths) // LANES))
