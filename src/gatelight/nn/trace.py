"""What a layer did at every real step, by name: gates, cell states, hidden states.

Knows rows, names and lengths, nothing of parameters or texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gatelight.errors import DataError
from gatelight.nn.equations import Cell
from gatelight.nn.packing import Packing

Array = np.ndarray[Any, Any]


class LayerTrace(NamedTuple):
    """One layer's packed rows: hidden and cells [N, dirs·H], saved [N, dirs·S·H] as Cell.saved says."""

    hidden: Array
    saved: Array
    cells: Array


@dataclass(frozen=True, eq=False)
class Trace:
    """Every gate, cell state and hidden state of a batch; sequences are numbered as they were given."""

    cell: Cell
    packing: Packing
    hidden_size: int
    directions: int
    layers: tuple[LayerTrace, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What `gate` may be asked for."""
        return self.cell.traced

    def gate(self, name: str, layer: int = 0, direction: int = 0, sequence: int = 0) -> Array:
        """One quantity of one sequence, [length, H] in time order, in the layer's floating type; a copy.

        Direction 1 is the one that runs backwards; its rows too are in time order. Raises DataError for a
        name, layer, direction or sequence that there is not.
        """
        for what, number, have in (
            ("layer", layer, len(self.layers)),
            ("direction", direction, self.directions),
            ("sequence", sequence, self.packing.sequences),
        ):
            if not 0 <= number < have:
                raise DataError(f"{what} {number} was not traced; there are {have}, numbered from 0")
        rows = self.packing.sequence(sequence)
        return self.rows(name, layer, direction)[rows]

    def rows(self, name: str, layer: int = 0, direction: int = 0) -> Array:
        """One quantity of all sequences in packed rows, [N, H]; a view. Raises DataError for another name."""
        size, kept = self.hidden_size, self.layers[layer]
        if name == "hidden_state":
            block, source = direction, kept.hidden
        elif name == "cell_state" and self.cell.has_cell_state:
            block, source = direction, kept.cells
        elif name in self.names:
            block, source = direction * len(self.cell.saved) + self.cell.saved.index(name), kept.saved
        else:
            raise DataError(
                f"{name!r} is not traced for the cell {self.cell.name!r}; there are {', '.join(self.names)}"
            )
        return source[:, block * size : (block + 1) * size]
