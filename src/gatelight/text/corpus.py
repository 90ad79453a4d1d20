"""Labelled texts and where they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.text import readers
from gatelight.text.readers import Example, Label, Options
from gatelight.text.splits import held_out

__all__ = ["Corpus", "Example", "Label", "read_examples"]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Corpus:
    """Texts and what their source says of them, column by column; all columns present have the same length.

    `labels` holds a class per text, or a tuple of classes (multi-label), or None for a text that has none,
    as the `unsup` reviews of aclImdb; it is None as a whole where no text has a label. `groups` says which
    texts belong together (reviews of one film); a text without a group is a group of its own. `splits` is
    the source's own division ("train", "test", "unsup").
    """

    texts: list[str]
    labels: Sequence[Label] | None = None
    groups: Sequence[str] | None = None
    ids: Sequence[str] = ()
    splits: Sequence[str | None] | None = None
    origin: str = "memory"

    def __post_init__(self) -> None:
        if not self.ids and self.texts:
            object.__setattr__(self, "ids", [str(i) for i in range(1, len(self.texts) + 1)])
        for name in ("labels", "groups", "ids", "splits"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.texts):
                raise DataError(
                    f"{self.origin}: {len(column)} {name} for {len(self.texts)} texts; give one for each text"
                )

    @classmethod
    def read(cls, path: str | Path, *, format: str | None = None, **options: Any) -> Corpus:
        """Read all texts of a path, or of standard input for `-`.

        The format (`readers.FORMATS`) is known by the path's name or content unless it is given. `options`
        are those of `readers.Options`: `text_column`, `label_column`, `group_column`, `id_column`,
        `encoding`, `encoding_errors`, `labelled`, `delimiter`, `max_bytes`, `splits`. Raises DataError for
        whatever cannot be used as it is, OSError for what cannot be opened.
        """
        wanted = _options(options)
        corpus = cls.from_examples(readers.examples(path, wanted, format), origin=str(path))
        for split in wanted.splits or ():
            if split not in (corpus.splits or ()):
                raise DataError(f"{path}: no texts in the split {split!r}; {_splits_there(corpus)}")
        if not corpus.texts:
            raise DataError(f"{path}: is empty; expected at least one text")
        if wanted.labelled and corpus.labels is None:
            raise DataError(f"{path}: no text has a label; give them labels, or read them as unlabelled")
        return corpus

    @classmethod
    def from_examples(cls, examples: Iterable[Example], origin: str = "memory") -> Corpus:
        """Gather examples into columns; a column that no example fills is None."""
        rows = list(examples)
        shared: dict[Any, Any] = {}  # of 100,000 equal strings one is enough
        ids = [row.id or str(number) for number, row in enumerate(rows, 1)]
        labels = [shared.setdefault(row.label, row.label) for row in rows]
        if any(isinstance(label, tuple) for label in labels):
            labels = [(label,) if isinstance(label, str) else label for label in labels]
        groups = [
            own_id if row.group is None else shared.setdefault(row.group, row.group)
            for own_id, row in zip(ids, rows, strict=True)
        ]
        splits = [shared.setdefault(row.split, row.split) for row in rows]
        return cls(
            texts=[row.text for row in rows],
            labels=_or_none(labels),
            groups=groups if any(row.group is not None for row in rows) else None,
            ids=ids,
            splits=_or_none(splits),
            origin=origin,
        )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def multilabel(self) -> bool:
        """Whether texts may have several classes each."""
        return self.labels is not None and any(isinstance(label, tuple) for label in self.labels)

    @property
    def classes(self) -> list[str]:
        """The classes there are, sorted; none for unlabelled texts."""
        found: set[str] = set()
        for label in set(self.labels or ()):
            found.update([label] if isinstance(label, str) else label or ())
        return sorted(found)

    def require_classes(self, least: int = 2) -> list[str]:
        """Return the classes; raises DataError when there are fewer than `least`."""
        classes = self.classes
        if len(classes) < least:
            there = f"only the class {classes[0]!r}" if classes else "no labels"
            raise DataError(f"{self.origin}: {there}; expected texts of at least {least} classes")
        return classes

    def select(self, indices: Sequence[int] | npt.NDArray[np.integer[Any]]) -> Corpus:
        """Return the texts at these positions, in this order; the strings are shared, not copied."""
        chosen = [int(i) for i in indices]

        def taken(column: Sequence[_Item] | None) -> list[_Item] | None:
            return None if column is None else [column[i] for i in chosen]

        return Corpus(
            texts=[self.texts[i] for i in chosen],
            labels=taken(self.labels),
            groups=taken(self.groups),
            ids=[self.ids[i] for i in chosen],
            splits=taken(self.splits),
            origin=self.origin,
        )

    def of_split(self, name: str) -> Corpus:
        """Return the texts of one split; raises DataError, naming those there are, when it is absent."""
        indices = [i for i, split in enumerate(self.splits or ()) if split == name]
        if not indices:
            raise DataError(f"{self.origin}: no split {name!r}; {_splits_there(self)}")
        return self.select(indices)

    def labelled(self) -> Corpus:
        """Return the texts that have a label."""
        return self.select([i for i, label in enumerate(self.labels or ()) if label is not None])

    def train_test_split(
        self,
        test_size: float,
        random_state: int,
        by: Literal["group", "random"] = "group",
        stratify: bool = True,
    ) -> tuple[Corpus, Corpus]:
        """Return the texts without a held-out fraction of them, `test_size`, and those held out.

        By "group" no group is on both sides, so the fraction is met as nearly as whole groups allow;
        "random" draws single texts. With `stratify` each class keeps its fraction on both sides, as nearly as
        possible. Both sides keep the order of the texts. Raises DataError where two sides cannot be made.
        """
        if by not in ("group", "random"):
            raise DataError(f"split by {by!r}; expected 'group' or 'random'")
        if by == "group" and self.groups is None:
            raise DataError(
                f"{self.origin}: no groups to split by; name the group column, or split by 'random'"
            )
        groups = self.groups if by == "group" else None
        try:
            held = held_out(len(self), test_size, random_state, groups, self.labels if stratify else None)
        except DataError as error:
            raise DataError(f"{self.origin}: {error}") from None
        return self.select(np.flatnonzero(~held)), self.select(np.flatnonzero(held))


def read_examples(path: str | Path, *, format: str | None = None, **options: Any) -> Iterator[Example]:
    """Yield the texts of a path (`-`: standard input) one by one, in little memory; options as `Corpus.read`.

    Nothing at all in a file is a DataError; nothing on standard input is no texts.
    """
    number = 0
    for number, example in enumerate(readers.examples(path, _options(options), format), 1):  # noqa: B007
        yield example
    if not number and str(path) != "-":
        raise DataError(f"{path}: is empty; expected at least one text")


def _options(given: dict[str, Any]) -> Options:
    splits = given.pop("splits", None)
    try:
        return Options(**given, splits=None if splits is None else tuple(splits))
    except TypeError as error:
        raise DataError(f"reading: {error}") from None


def _or_none(column: list[_Item]) -> list[_Item] | None:
    return column if any(value is not None for value in column) else None


def _splits_there(corpus: Corpus) -> str:
    there = sorted({split for split in corpus.splits or () if split is not None})
    return f"the splits are {', '.join(there)}" if there else "it has no splits"
