"""A classifier's layers with output shapes and parameter counts; knows the configuration only, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from gatelight.models.config import BOTH_BIASES, ClassifierConfig, head_shapes, layer_shapes
from gatelight.models.heads import HEADS

if TYPE_CHECKING:
    from gatelight.models.classifier import Classifier

NAMES = {"rnn": "RNN", "lstm": "LSTM", "peephole": "Peephole LSTM", "gru": "GRU"}


@dataclass(frozen=True)
class Row:
    """One layer: its name, the output's shape for one sequence ("T": any number of steps), its parameters."""

    layer: str
    output: tuple[int | str, ...]
    parameters: int | None  # None: as many as the vocabulary, which is not known yet, times output[1]
    trained: bool = True


@dataclass(frozen=True)
class Summary:
    """The layer table; `str()` prints it.

    Counted is what training may change: not a frozen embedding, nor the second bias vector that torch's
    layers have beside an equal one and that stays zero here. GRU's second bias is no such twin, and counted.
    """

    rows: tuple[Row, ...]

    @property
    def trained(self) -> int:
        """Parameters that training changes, an embedding of unknown size left out."""
        return sum(row.parameters or 0 for row in self.rows if row.trained)

    @property
    def frozen(self) -> int | None:
        """Parameters that training leaves alone; None when the vocabulary is not known."""
        frozen = [row.parameters for row in self.rows if not row.trained]
        return None if None in frozen else sum(number or 0 for number in frozen)

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON-able values."""
        return {
            "layers": [
                {
                    "layer": row.layer,
                    "output": list(row.output),
                    "parameters": row.parameters,
                    "trained": row.trained,
                }
                for row in self.rows
            ],
            "trained": self.trained,
            "frozen": self.frozen,
        }

    def __str__(self) -> str:
        lines = [("layer", "output", "parameters")]
        lines += [(row.layer, _shape(row.output), _count(row)) for row in self.rows]
        lines += [("total", "", self._total())]
        wide = [max(len(line[column]) for line in lines) for column in range(3)]
        text = [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}" for a, b, c in lines]
        rule = "─" * (sum(wide) + 4)
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])

    def _total(self) -> str:
        unknown = [f"V × {row.output[1]}" for row in self.rows if row.trained and row.parameters is None]
        return " + ".join([*unknown, f"{self.trained:,}"])


def summary(model: Classifier | ClassifierConfig) -> Summary:
    """The layer table of a model or of a configuration alone, without allocating any weights."""
    config = model if isinstance(model, ClassifierConfig) else model.config
    steps = config.max_length or "T"
    size = config.vocabulary_size
    table = None if size is None else size * config.dim
    rows = [Row("Embedding", (steps, config.dim), table, config.train_embedding)]
    if config.buckets:
        rows.append(Row("Subword n-grams", (steps, config.dim), config.buckets * config.dim))
    name = f"{NAMES[config.cell]}{', both directions' if config.bidirectional else ''}"
    for number, layer in enumerate(layer_shapes(config)):
        if number and config.layer_dropout:
            rows.append(Row(f"Dropout {config.layer_dropout:g}", (steps, config.features), 0))
        twins = () if config.cell in BOTH_BIASES else ("bias_hh",)
        counted = sum(prod(shape) for key, shape in layer.items() if not key.startswith(twins))
        rows.append(Row(name, (steps, config.features), counted))
    pool = HEADS[config.pool]
    shapes = head_shapes(config)
    pooled = shapes["weight"][1]
    own = sum(prod(shape) for key, shape in shapes.items() if key not in ("weight", "bias"))
    dropout = [Row(f"Dropout {config.dropout:g}", (pooled,), 0)] if config.dropout else []
    if pool.gives_logits and dropout:
        rows.append(Row(dropout.pop().layer, (steps, config.features), 0))
    rows.append(Row(f"{config.pool[0].upper()}{config.pool[1:]}", (pooled,), own))
    dense = prod(shapes["weight"]) + prod(shapes["bias"])
    return Summary((*rows, *dropout, Row("Dense", (config.outputs,), dense)))


def _shape(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(str(size) for size in shape)})"


def _count(row: Row) -> str:
    number = f"V × {row.output[1]}" if row.parameters is None else f"{row.parameters:,}"
    return number if row.trained else f"{number}, frozen"
