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
from gatelight.text.mapped import TextsFile, taken
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
    the source's own division ("train", "test", "unsup"). `texts` and `ids` may be `MappedTexts`.
    """

    texts: Sequence[str]
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
    def read(
        cls, path: str | Path, *, format: str | None = None, on_disk: str | Path | None = None, **options: Any
    ) -> Corpus:
        """Read all texts of a path, a folder or glob of tables, or of standard input for `-`.

        The format (`readers.FORMATS`) is known by the path's name or content unless it is given. `options`
        are those of `readers.Options`: `text_column`, `label_column`, `group_column`, `id_column`,
        `encoding`, `encoding_errors`, `labelled`, `delimiter`, `max_bytes`, `splits`. With `on_disk` the
        texts, and later their tokens, lie in nameless files in this folder, not in memory. Raises DataError
        for whatever cannot be used as it is, OSError for what cannot be opened or written.
        """
        wanted = _options(options)
        corpus = cls.from_examples(readers.examples(path, wanted, format), str(path), on_disk)
        for split in wanted.splits or ():
            if split not in (corpus.splits or ()):
                raise DataError(f"{path}: no texts in the split {split!r}; {_splits_there(corpus)}")
        if not corpus.texts:
            raise DataError(f"{path}: is empty; expected at least one text")
        if wanted.labelled and corpus.labels is None:
            raise DataError(f"{path}: no text has a label; give them labels, or read them as unlabelled")
        return corpus

    @classmethod
    def from_examples(
        cls, examples: Iterable[Example], origin: str = "memory", on_disk: str | Path | None = None
    ) -> Corpus:
        """Gather examples, gone through once, into columns; a column that no example fills is None.

        `on_disk` as in `read`.
        """
        shared: dict[Any, Any] = {}  # of 100,000 equal strings one is enough
        texts: list[str] | TextsFile = [] if on_disk is None else TextsFile(Path(on_disk))
        ids: list[str] | TextsFile = [] if on_disk is None else TextsFile(Path(on_disk))
        labels, groups, splits = list[Label](), list[str | None](), list[str | None]()
        for number, row in enumerate(examples, 1):
            texts.append(row.text)
            ids.append(row.id or str(number))
            labels.append(shared.setdefault(row.label, row.label))
            groups.append(shared.setdefault(row.group, row.group))
            splits.append(shared.setdefault(row.split, row.split))
        del shared
        own_ids = ids.mapped() if isinstance(ids, TextsFile) else ids
        if any(isinstance(label, tuple) for label in labels):
            labels = [(label,) if isinstance(label, str) else label for label in labels]
        grouped = any(group is not None for group in groups)
        return cls(
            texts=texts.mapped() if isinstance(texts, TextsFile) else texts,
            labels=_or_none(labels),
            groups=[own_ids[k] if group is None else group for k, group in enumerate(groups)]
            if grouped
            else None,
            ids=own_ids,
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
        rows = np.asarray(indices, np.int64)
        if np.array_equal(rows, np.arange(len(self))):
            return self

        def chosen(column: Sequence[_Item] | None) -> Sequence[_Item] | None:
            return None if column is None else taken(column, rows)

        return Corpus(
            texts=taken(self.texts, rows),
            labels=chosen(self.labels),
            groups=chosen(self.groups),
            ids=taken(self.ids, rows),
            splits=chosen(self.splits),
            origin=self.origin,
        )

    def of_split(self, name: str) -> Corpus:
        """Return the texts of one split; raises DataError, naming those there are, when it is absent."""
        indices = np.flatnonzero([split == name for split in self.splits or ()])
        if not len(indices):
            raise DataError(f"{self.origin}: no split {name!r}; {_splits_there(self)}")
        return self.select(indices)

    def labelled(self) -> Corpus:
        """Return the texts that have a label."""
        return self.select(np.flatnonzero([label is not None for label in self.labels or ()]))

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
