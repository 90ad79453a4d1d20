"""What the recurrent layers did with texts: gates and states of every token, by name.

A trace of many texts goes to an .npz file block by block, in bounded memory.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.files import file_written_aside
from gatelight.models.batches import BATCH, Sequences, like_lengths
from gatelight.nn import Packing, pack
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.trace import Trace as LayerTrace

if TYPE_CHECKING:
    from gatelight.models.config import ClassifierConfig, LanguageModelConfig

MOST_CHARACTERS = 100  # of a word in an .npz file
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
    return Trace(
        steps, cell.name, cell.traced, config.layers, directions, config.hidden, all_rows, parts, homes
    )


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


class Traceable(Protocol):
    """A model that yields traces of texts, block by block."""

    def traces(self, texts: Iterable[str]) -> Iterable[Trace]:
        """Yield traces."""


def write_trace(
    model: Traceable,
    texts: Sequence[str],
    path: str | Path,
    on_texts: Callable[[int], object] = lambda done: None,
) -> int:
    """Write what a model's gates and states were on texts; returns the number of tokens.

    Each quantity as float32 [N, layers, directions, H], N tokens text after text; `lengths` [B];
    `token` int32 [N], numbers of `words` (100 characters of each at most).
    `on_texts` is told how many texts are done. Raises DataError for another ending or no text.
    """
    target = Path(path)
    if target.suffix != ".npz":
        raise DataError(f"{path}: a trace is written as .npz; end the name so")
    if not texts:
        raise DataError("there is no text to trace; give at least one")
    with file_written_aside(target) as aside:
        return _write_npz(_told(model.traces(texts), on_texts), aside)


def _told(traces: Iterable[Trace], on_texts: Callable[[int], object]) -> Iterable[Trace]:
    done = 0
    for trace in traces:
        yield trace
        done += len(trace)
        on_texts(done)


def _write_npz(traces: Iterable[Trace], path: Path) -> int:
    lengths: list[int] = []
    numbers: dict[str, int] = {}
    tokens = array("i")
    with tempfile.TemporaryDirectory(prefix=".trace-", dir=path.parent) as folder:
        # A zip file is written one member after the other; a trace gives all of them side by side.
        raw: dict[str, Any] = {}
        shape: tuple[int, ...] = ()
        try:
            for trace in traces:
                shape = trace.layers, trace.directions, trace.hidden_size
                for text, steps in enumerate(trace.steps):
                    lengths.append(len(steps))
                    tokens.extend(numbers.setdefault(token, len(numbers)) for token in steps.tokens)
                    for name, values in trace.of_text(text).items():
                        if name not in raw:
                            raw[name] = (Path(folder) / name).open("w+b")
                        raw[name].write(np.ascontiguousarray(values, np.float32).tobytes())
            # Each word takes as much as the longest; an array of objects could only be read by running it.
            words = np.array([word[:MOST_CHARACTERS] for word in numbers], str)
            columns: dict[str, Any] = {
                "lengths": np.array(lengths, np.int64),
                "token": np.array(tokens, np.int32),
            }
            for name, file in raw.items():
                file.flush()
                size = (len(tokens), *shape)
                columns[name] = np.memmap(file, "<f4", "r", shape=size) if tokens else np.zeros(size, "<f4")
            with path.open("wb") as file:
                np.savez(file, words=words, **columns)
        finally:
            for file in raw.values():
                file.close()
    return len(tokens)
