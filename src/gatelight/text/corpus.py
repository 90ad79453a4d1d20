"""Labelled texts and where they came from; knows files and labels, nothing of tokens, ids or models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.text import readers, splits
from gatelight.text.readers import Example, Label, Options

__all__ = ["Corpus", "Example", "Label", "read_examples"]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Corpus:
    """Texts and what their source says of them, column by column; all columns present have the same length.

    `labels` holds a class per text, or a tuple of classes (multi-label), or None for a text that has none,
    as the `unsup` reviews of aclImdb; it is None as a whole where no text has a label. `groups` says which
    texts belong together (reviews of one film); a text without a group is a group of its own. `parts` is
    the source's own division ("train", "test", "unsup"), `ratings` the stars where the source has them.
    """

    texts: list[str]
    labels: Sequence[Label] | None = None
    groups: Sequence[str] | None = None
    ids: Sequence[str] = ()
    parts: Sequence[str | None] | None = None
    ratings: Sequence[int | None] | None = None
    origin: str = "memory"

    def __post_init__(self) -> None:
        if not self.ids and self.texts:
            object.__setattr__(self, "ids", [str(i) for i in range(1, len(self.texts) + 1)])
        for name in ("labels", "groups", "ids", "parts", "ratings"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.texts):
                raise DataError(
                    f"{self.origin}: {len(column)} {name} for {len(self.texts)} texts; give one for each text"
                )

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        text_column: str | None = None,
        label_column: str | None = None,
        group_column: str | None = None,
        id_column: str | None = None,
        format: str | None = None,
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
        labelled: bool = True,
        delimiter: str | None = None,
        max_bytes: int | None = None,
        parts: Sequence[str] | None = None,
    ) -> Corpus:
        """Read all texts of a path, or of standard input for `-`.

        The format (`readers.FORMATS`) is known by the path's name or content, columns by their usual names,
        unless they are given. With `labelled=False` labels are taken where there are any, but not needed.
        `parts` keeps only these parts; `max_bytes` bounds what is read or unpacked. Raises DataError for
        whatever cannot be used as it is, OSError for what cannot be opened.
        """
        options = Options(
            text_column, label_column, group_column, id_column, encoding, encoding_errors,
            labelled, delimiter, max_bytes, None if parts is None else tuple(parts),
        )  # fmt: skip
        corpus = cls.from_examples(readers.gather(path, options, format), origin=str(path))
        if parts is not None:
            for part in parts:
                if part not in (corpus.parts or ()):
                    raise DataError(f"{path}: no texts in part {part!r}; {_parts_there(corpus)}")
        if not corpus.texts:
            raise DataError(f"{path}: is empty; expected at least one text")
        if labelled and corpus.labels is None:
            raise DataError(f"{path}: no text has a label; give them labels, or read them as unlabelled")
        return corpus

    @classmethod
    def from_examples(cls, examples: Iterable[Example], origin: str = "memory") -> Corpus:
        """Gather examples into columns; a column that no example fills is None."""
        rows = list(examples)
        shared: dict[Any, Any] = {}  # 100,000 equal strings need to be held once only
        ids = [row.id or str(number) for number, row in enumerate(rows, 1)]
        labels = [shared.setdefault(row.label, row.label) for row in rows]
        if any(isinstance(label, tuple) for label in labels):
            labels = [(label,) if isinstance(label, str) else label for label in labels]
        groups = [
            own_id if row.group is None else shared.setdefault(row.group, row.group)
            for own_id, row in zip(ids, rows, strict=True)
        ]
        parts = [shared.setdefault(row.part, row.part) for row in rows]
        ratings = [row.rating for row in rows]
        return cls(
            texts=[row.text for row in rows],
            labels=_or_none(labels),
            groups=groups if any(row.group is not None for row in rows) else None,
            ids=ids,
            parts=_or_none(parts),
            ratings=_or_none(ratings),
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
            parts=taken(self.parts),
            ratings=taken(self.ratings),
            origin=self.origin,
        )

    def part(self, name: str) -> Corpus:
        """Return the texts of one part; raises DataError, naming the parts there are, when it is absent."""
        indices = [i for i, part in enumerate(self.parts or ()) if part == name]
        if not indices:
            raise DataError(f"{self.origin}: no part {name!r}; {_parts_there(self)}")
        return self.select(indices)

    def labelled(self) -> Corpus:
        """Return the texts that have a label."""
        return self.select([i for i, label in enumerate(self.labels or ()) if label is not None])

    def split(
        self, fraction: float, seed: int, by: Literal["group", "random"] = "group", stratify: bool = True
    ) -> tuple[Corpus, Corpus]:
        """Return the texts without a held-out `fraction` of them, and those held out; a seed fixes which.

        By "group" no group is on both sides, so the fraction is met as nearly as whole groups allow;
        "random" draws single texts. With `stratify` each class keeps its share on both sides, as nearly as
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
            held = splits.held_out(len(self), fraction, seed, groups, self.labels if stratify else None)
        except DataError as error:
            raise DataError(f"{self.origin}: {error}") from None
        return self.select(np.flatnonzero(~held)), self.select(np.flatnonzero(held))


def read_examples(path: str | Path, *, format: str | None = None, **options: Any) -> Iterator[Example]:
    """Yield the texts of a path (`-`: standard input) one by one, in little memory; options as `Corpus.read`.

    An archive's films may come last in it: it is gone through twice, where `Corpus.read` needs one pass.
    Nothing at all in a file is a DataError; nothing on standard input is no texts.
    """
    parts = options.pop("parts", None)
    try:
        wanted = Options(**options, parts=None if parts is None else tuple(parts))
    except TypeError as error:
        raise DataError(f"read_examples: {error}") from None
    number = 0
    for number, example in enumerate(readers.examples(path, wanted, format), 1):  # noqa: B007
        yield example
    if not number and str(path) != "-":
        raise DataError(f"{path}: is empty; expected at least one text")


def _or_none(column: list[_Item]) -> list[_Item] | None:
    return column if any(value is not None for value in column) else None


def _parts_there(corpus: Corpus) -> str:
    there = sorted({part for part in corpus.parts or () if part is not None})
    return f"the parts are {', '.join(there)}" if there else "it has no parts"
