"""Which column is the text, which the label, which the group; cells → labels. Reads no file itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gatelight.errors import DataError
from gatelight.text.readers.example import Label, Options

# The first name of a list wins wherever it stands; of the others just one may be there.
TEXT = (
    "text", "review", "sentence", "content", "comment", "body", "message", "document", "tweet", "snippet",
    "review_text", "reviewtext", "review_body", "comment_text", "phrase", "utterance", "input",
)  # fmt: skip
LABEL = (
    "label", "labels", "sentiment", "class", "target", "category", "polarity", "intent", "topic", "output",
    "y",
)  # fmt: skip
# For the rest, which nothing depends on, the earlier name is taken.
GROUP = (
    "group", "group_id", "film", "film_id", "film_name", "movie", "movie_id", "movie_name", "movie_title",
    "product", "product_id", "item_id", "business_id", "asin",
)  # fmt: skip
ID = ("id", "uid", "text_id", "review_id", "document_id", "doc_id", "comment_id")
PART = ("part", "split", "partition")


@dataclass(frozen=True)
class Columns:
    """Names of the columns that matter; None where there is none."""

    text: str
    label: str | None
    group: str | None
    id: str | None
    part: str | None

    def names(self) -> list[str]:
        """Return the columns to read."""
        return [n for n in (self.text, self.label, self.group, self.id, self.part) if n is not None]


def choose(names: Sequence[str], options: Options, origin: str) -> Columns:
    """Find the columns asked for, and by their usual names those that are not.

    Raises DataError, naming the columns there are, when one asked for is absent or stands twice, when no
    text column is obvious, and when `options.labelled` and no label column is.
    """
    label = _named(options.label_column, names, origin) or _obvious(
        LABEL, names, {options.text_column}, origin, "label", options.labelled
    )
    text = _named(options.text_column, names, origin) or _obvious(
        TEXT, names, {label}, origin, "text", len(set(names) - {label}) != 1
    )
    if text is None:  # a single column is left
        (text,) = set(names) - {label}
        _once(text, names, origin)
    if text == label:
        raise DataError(f"{origin}: column {text!r} cannot be text and label at once; {_there_are(names)}")
    if label is None and options.labelled:
        raise DataError(
            f"{origin}: no column is obviously the label; {_there_are(names)}; name it with label_column"
        )
    taken = {text, label}
    return Columns(
        text=text,
        label=label,
        group=_named(options.group_column, names, origin) or _first(GROUP, names, taken),
        id=_named(options.id_column, names, origin) or _first(ID, names, taken),
        part=_first(PART, names, taken),
    )


def _named(column: str | None, names: Sequence[str], origin: str) -> str | None:
    if column is None:
        return None
    if column not in names:
        raise DataError(f"{origin}: no column {column!r}; {_there_are(names)}")
    return _once(column, names, origin)


def _once(column: str, names: Sequence[str], origin: str) -> str:
    if names.count(column) > 1:
        raise DataError(
            f"{origin}: column {column!r} stands {names.count(column)} times; {_there_are(names)}; "
            "rename all but one"
        )
    return column


def _obvious(
    usual: tuple[str, ...], names: Sequence[str], taken: set[str | None], origin: str, what: str, needed: bool
) -> str | None:
    by_name = {name.strip().lower(): name for name in reversed(names) if name not in taken}
    found = [by_name[name] for name in usual if name in by_name]
    if usual[0] in by_name or len(found) == 1:
        return _once(found[0], names, origin)
    if needed:
        problem = (
            f"columns {', '.join(map(repr, found))} all look like" if found else "no column is obviously"
        )
        raise DataError(f"{origin}: {problem} the {what}; {_there_are(names)}; name it with {what}_column")
    return None


def _first(usual: tuple[str, ...], names: Sequence[str], taken: set[str | None]) -> str | None:
    by_name = {name.strip().lower(): name for name in names if name not in taken}
    found = [by_name[name] for name in usual if name in by_name]
    return found[0] if found and names.count(found[0]) == 1 else None


def _there_are(names: Sequence[str]) -> str:
    shown = [repr(name if len(name) <= 40 else name[:39] + "…") for name in names[:30]]
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    return f"the columns are {', '.join(shown)}{more}"


def label_of(value: object, place: str, labelled: bool) -> Label:
    """Turn a cell into a label: text is stripped, whole numbers lose a `.0`, a list becomes several labels.

    Raises DataError for an empty cell where labels are needed, and for a value that cannot be a label.
    """
    if isinstance(value, list | tuple):
        return tuple(part for item in value if (part := plain(item, place, "label")) is not None)
    label = plain(value, place, "label")
    if label is None and labelled:
        raise DataError(f"{place}: the label is missing; give each text a label, or read it as unlabelled")
    return label


def plain(value: object, place: str, what: str) -> str | None:
    """Turn a cell into a stripped string, None when it is empty; raises DataError for nested values."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    raise DataError(f"{place}: the {what} is {type(value).__name__} {value!r:.60}, expected text or a number")


def text_of(value: object, place: str, encoding_errors: str) -> str:
    """Return a cell's text; raises DataError when it is no text or holds half of a surrogate pair."""
    if not isinstance(value, str):
        came = "missing" if value is None else f"{type(value).__name__} {value!r:.60}"
        raise DataError(f"{place}: the text is {came}, expected a string")
    if value.isascii():
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        if encoding_errors == "strict":
            raise DataError(
                f"{place}: character {error.start} of the text is half of a surrogate pair; "
                "mend it, or go on over such with encoding_errors='replace'"
            ) from None
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value
