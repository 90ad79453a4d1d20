"""Labels as they came ↔ the numbers a model learns.

Labels are strings, whole numbers or booleans, one per text; or, for multi-label data, a tuple, list or set of
such per text, or an indicator matrix of 0 and 1. They are given back in the type in which they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError

Kind = Literal["str", "int", "bool", "float"]
MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of some labels in sorted order, and whether a text may have several of them.

    `indicator`: labels come and go as a matrix of 0 and 1 with a column per class.
    """

    values: NDArray[Any]
    multilabel: bool
    indicator: bool = False

    @classmethod
    def of(cls, labels: Sequence[Any], columns: int | None = None) -> Classes:
        """Find the classes of checked labels; raises DataError when there is nothing to tell apart.

        `columns` is the width of the indicator matrix that the labels came as, if they did.
        """
        if not labels:
            raise DataError("there are no labels: give at least two texts of different classes")
        multilabel = isinstance(labels[0], tuple)
        found = sorted({name for names in labels for name in names} if multilabel else set(labels))
        if multilabel and (not found or len(set(map(frozenset, labels))) == 1):
            raise DataError(
                "every text has the same labels: there is nothing to learn; add texts with others"
            )
        if columns is not None:
            return cls(np.arange(columns), True, True)
        if not multilabel and len(found) == 1:
            raise DataError(
                f"all {len(labels)} texts have the label {found[0]!r}: there is nothing to tell apart; "
                "add texts of another class"
            )
        return cls(np.array(found), multilabel)

    @classmethod
    def of_plain(cls, values: Sequence[Any], multilabel: bool, indicator: bool = False) -> Classes:
        """Restore what `plain` gave; raises ValueError when the values cannot be classes."""
        least = 1 if multilabel else 2
        kinds = {_kind(value) for value in values}
        if len(values) < least or len(kinds) != 1 or None in kinds or list(values) != sorted(set(values)):
            raise ValueError("classes must be sorted, distinct and of one type")
        return cls(np.array(list(values)), multilabel, multilabel and indicator)

    def plain(self) -> list[Any]:
        """Return the classes as JSON-able strings, whole numbers or booleans."""
        return list(self.values.tolist())

    @property
    def outputs(self) -> int:
        """Outputs that a model needs: one sigmoid for two classes, else one per class."""
        return 1 if not self.multilabel and len(self.values) == 2 else len(self.values)

    def targets(self, labels: Sequence[Any]) -> NDArray[Any]:
        """Turn checked labels into class numbers int64 [n], or float32 0/1 [n, classes] when multi-label.

        Raises DataError naming the labels that are none of the classes.
        """
        number = {value: index for index, value in enumerate(self.plain())}
        if labels and isinstance(labels[0], tuple) != self.multilabel:
            wanted = "a tuple of labels" if self.multilabel else "one label"
            raise DataError(
                f"the model was trained with {wanted} per text, the labels given are of the other kind"
            )
        strange = {name for names in labels for name in (names if self.multilabel else (names,))} - set(
            number
        )
        if strange:
            raise DataError(
                f"the labels {_named(strange)} are none of the model's classes {_named(number)}; "
                "map them to these or train a model on them"
            )
        if not self.multilabel:
            return np.array([number[label] for label in labels], np.int64)
        targets = np.zeros((len(labels), len(number)), np.float32)
        for row, names in enumerate(labels):
            targets[row, [number[name] for name in names]] = 1
        return targets

    def columns(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give every class a column: [n, outputs] → [n, classes], both columns for two classes."""
        if self.outputs == 1 and not self.multilabel:
            columns = np.empty((len(probabilities), 2), probabilities.dtype)
            columns[:, 1:] = probabilities
            np.subtract(1, probabilities, out=columns[:, :1])
            return columns
        return probabilities

    def labels(self, columns: NDArray[np.float32]) -> NDArray[Any]:
        """Choose labels from [n, classes]: the likeliest class, or (multi-label) all of at least 0.5."""
        if self.indicator:
            return (columns >= 0.5).astype(np.int64)
        if not self.multilabel:
            return self.values[columns.argmax(axis=1)] if len(columns) else self.values[:0]
        chosen = np.empty(len(columns), object)
        names = self.plain()
        for row, set_ in enumerate(columns >= 0.5):
            chosen[row] = tuple(name for name, there in zip(names, set_, strict=True) if there)
        return chosen

    def answers(self, columns: NDArray[np.float32]) -> Iterator[tuple[Any, Any]]:
        """Yield the label of each row and its probability; of a multi-label model lists of both."""
        names = self.plain()
        for row in columns.tolist():
            if self.multilabel:
                chosen = [k for k, probability in enumerate(row) if probability >= 0.5]
                yield [names[k] for k in chosen], [row[k] for k in chosen]
            else:
                best = row.index(max(row))
                yield names[best], row[best]


def indicator_columns(labels: Any) -> int | None:
    """Return the width of an indicator matrix, dense or sparse; None for labels of any other kind."""
    shape: tuple[int, ...] = getattr(labels, "shape", ())
    return shape[1] if len(shape) == 2 and shape[1] > 1 else None


def checked_labels(labels: Any) -> list[Any]:
    """Turn any column of labels into plain Python values (tuples when multi-label), all of one type.

    An indicator matrix becomes tuples of the numbers of its columns, a matrix of one column that column.
    Raises DataError naming the first label that is missing or of another type.
    """
    if isinstance(labels, (str, bytes)):
        raise DataError(f"labels must be a list with one label per text, not the single value {labels!r}")
    if len(getattr(labels, "shape", ())) == 2:
        matrix = np.asarray(labels.toarray() if hasattr(labels, "toarray") else labels)
        if matrix.shape[1] == 1:
            labels = matrix[:, 0]
        elif not np.isin(matrix, (0, 1)).all():
            raise DataError(
                f"labels came as a matrix {list(matrix.shape)} that holds more than 0 and 1; give one label "
                "per text, or a column of 0 and 1 for each class"
            )
        else:
            labels = [tuple(np.flatnonzero(row).tolist()) for row in matrix]
    out = [plain_label(label) for label in labels]
    several = [isinstance(label, tuple) for label in out]
    if any(several) and not all(several):
        first = several.index(not several[0]) + 1
        came = "one label" if several[0] else "a tuple"
        raise DataError(
            f"label number {first} is {came}, unlike those before: give every text one label, or every text "
            "a tuple of labels"
        )
    kinds: dict[Kind | None, tuple[int, Any]] = {}
    for position, label in enumerate(out):
        for name in label if isinstance(label, tuple) else (label,):
            kinds.setdefault(_kind(name), (position, name))
    if None in kinds:
        position, name = kinds[None]
        raise DataError(
            f"label number {position + 1} is {name!r}; labels must be strings, whole numbers or booleans"
        )
    if len(kinds) > 1:
        (_, first), (position, other) = sorted(kinds.values(), key=lambda found: found[0])[:2]
        raise DataError(
            f"label number {position + 1} is {other!r} where earlier ones are like {first!r}; "
            "give all labels in one type"
        )
    return out


def plain_label(label: Any) -> Any:
    """Return one label as a plain Python value; a collection of labels as a tuple of distinct ones."""
    if hasattr(label, "as_py"):  # a pyarrow scalar
        label = label.as_py()
    if isinstance(label, (tuple, list, set, frozenset)):
        names = [plain_label(name) for name in label]
        return tuple(dict.fromkeys(names)) if not any(isinstance(name, tuple) for name in names) else label
    if isinstance(label, np.str_):
        return str(label)
    if isinstance(label, np.generic):
        return label.item()
    return label


def _kind(label: Any) -> Kind | None:
    if isinstance(label, str):
        return "str"
    if isinstance(label, bool):
        return "bool"
    if isinstance(label, Integral):
        return "int"
    # Columns of whole numbers often arrive as floats; a missing value is NaN and refused.
    if isinstance(label, Real) and float(label).is_integer():
        return "float"
    return None


def _named(values: Iterable[Any]) -> str:
    ordered = sorted(values, key=lambda value: (str(type(value)), value))
    names = ", ".join(repr(value) for value in ordered[:MOST_NAMED])
    return names + (f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else "")
