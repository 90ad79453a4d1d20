"""What a memory did with texts: gates and states of every token, layer, direction and unit, by name.

Knows tokens, numbers and names; computes nothing of its own. Writing to files is in `trace_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.models.batches import BATCH, Sequences, like_lengths
from gatelight.nn import Packing, pack
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.trace import Trace as LayerTrace

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

    from gatelight.models.classifier_config import ClassifierConfig
    from gatelight.models.language_model import LanguageModelConfig

TRACED = 64  # texts at a time where traces are streamed: 1,200 tokens of 256 units each are half a gigabyte

Run = Callable[[NDArray[np.int32], Packing], tuple[LayerTrace, NDArray[np.float32] | None]]


@dataclass(frozen=True)
class Steps:
    """The tokens of one text that are read, a step each.

    `places` says which of the text's tokens each is, `known` whether the vocabulary has it.
    """

    tokens: list[str]
    places: list[int]
    known: list[bool]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, eq=False)
class Trace:
    """Every gate, cell state and hidden state on B texts.

    `steps` [B] says what each text's steps read, `names` what `gate` may be asked for, `cell` which equations
    they are of. `probabilities` float32 [B, classes] are the answers that came of it (a language model:
    None).
    """

    steps: list[Steps]
    cell: str
    names: tuple[str, ...]
    layers: int
    directions: int
    hidden_size: int
    probabilities: NDArray[np.float32] | None
    _parts: list[LayerTrace]
    _homes: NDArray[np.int64]  # [B, 2] the part that has a text, and its number there

    def __len__(self) -> int:
        """Return B."""
        return len(self.steps)

    def gate(self, name: str, text: int = 0, layer: int = 0, direction: int = 0) -> NDArray[np.float32]:
        """Return one quantity of one text, [T, H] in the order of its tokens.

        Direction 1 is the one that read the text from its end. Raises DataError for a name, text, layer or
        direction that there is not.
        """
        if not 0 <= text < len(self.steps):
            raise DataError(f"text {text} was not traced; there are {len(self.steps)}, numbered from 0")
        part, place = self._homes[text].tolist()
        found: NDArray[np.float32] = self._parts[part].gate(name, layer, direction, place)
        return found

    def of_text(self, text: int = 0) -> dict[str, NDArray[np.float32]]:
        """Return every quantity of one text, [T, layers, directions, H] in the order of its tokens."""
        return {
            name: np.stack(
                [
                    np.stack([self.gate(name, text, k, d) for d in range(self.directions)], axis=1)
                    for k in range(self.layers)
                ],
                axis=1,
            )
            for name in self.names
        }

    def to_dataframe(self, text: int | None = None) -> pandas.DataFrame:
        """Return one row per text, step, layer, direction and unit, a column per quantity; needs pandas.

        `text` picks one text; of all texts this takes some twenty times the memory of the trace.
        """
        try:
            import pandas
        except ImportError as error:
            from gatelight.errors import MissingExtraError

            raise MissingExtraError("pandas", "pandas", "a trace as a data frame") from error
        frames = []
        for number in range(len(self)) if text is None else [text]:
            steps, values = self.steps[number], self.of_text(number)
            shape = (len(steps), self.layers, self.directions, self.hidden_size)
            where = [axis.ravel() for axis in np.indices(shape, np.int32)]
            frame = {"text": np.full(len(where[0]), number, np.int32), "step": where[0]}
            frame["token"] = np.array(steps.tokens, object)[where[0]]
            frame |= dict(zip(("layer", "direction", "unit"), where[1:], strict=True))
            frames.append(pandas.DataFrame(frame | {name: v.ravel() for name, v in values.items()}))
        return pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()


def trace_of(
    steps: list[Steps],
    ids: NDArray[np.int32],
    lengths: NDArray[np.int64],
    config: ClassifierConfig | LanguageModelConfig,
    run: Run,
) -> Trace:
    """Trace texts in batches of like length with a model of this configuration."""
    cell, directions = EQUATIONS[config.cell], 2 if getattr(config, "bidirectional", False) else 1
    parts: list[LayerTrace] = []
    homes = np.zeros((len(steps), 2), np.int64)
    found: list[tuple[NDArray[np.int64], NDArray[np.float32] | None]] = []
    sequences = Sequences.of(ids, lengths)
    for batch in like_lengths(lengths, BATCH):
        part, part_lengths = sequences.take(batch)
        trace, rows = run(part, pack(part_lengths))
        homes[batch, 0], homes[batch, 1] = len(parts), np.arange(len(batch))
        parts.append(trace)
        found.append((batch, rows))
    all_rows = None
    if found and found[0][1] is not None:
        all_rows = np.empty((len(steps), found[0][1].shape[1]), np.float32)
        for batch, rows in found:
            all_rows[batch] = rows
    gates = tuple(name for name in cell.gates if name in cell.saved)
    names = (*gates, *(("cell_state",) if cell.has_cell_state else ()), "hidden_state")
    return Trace(steps, cell.name, names, config.layers, directions, config.hidden, all_rows, parts, homes)


def steps_of(
    token_lists: Sequence[Sequence[str]],
    places: Callable[[Sequence[str]], list[int]],
    known: Callable[[str], bool],
) -> Iterator[Steps]:
    """Say of each text's tokens which are read, by their `places`, and which of these are known."""
    for tokens in token_lists:
        kept = places(tokens)
        read = [tokens[k] for k in kept]
        yield Steps(read, kept, [known(token) for token in read])
