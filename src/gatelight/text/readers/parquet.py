"""Apache Parquet, batch by batch; knows no other format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatelight.errors import DataError
from gatelight.text.readers import columns
from gatelight.text.readers.example import Example, Options

_BATCH = 4096


def read_parquet(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each row, reading only the columns that matter; class names kept by `datasets` are used.

    Raises DataError for a damaged file, a text column that holds no text, or a row without text or label.
    """
    import pyarrow  # loaded here because it takes a while and other formats do not need it
    import pyarrow.parquet

    origin = str(source)
    try:
        with pyarrow.parquet.ParquetFile(Path(source)) as file:
            schema = file.schema_arrow
            chosen = columns.choose(schema.names, options, origin)
            _check_types(schema, chosen, origin)
            names = _class_names(schema.metadata, chosen.label)
            row = 0
            for batch in file.iter_batches(batch_size=_BATCH, columns=chosen.names()):
                for values in batch.to_pylist():
                    row += 1
                    if (
                        example := _example(values, chosen, names, f"{origin}: row {row}", row, options)
                    ) is not None:
                        yield example
    except pyarrow.ArrowException as error:
        first_line = str(error).partition("\n")[0]
        raise DataError(f"{origin}: not a whole Parquet file ({first_line})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{origin}: damaged Parquet file, its strings are not UTF-8 ({error})") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(f"{origin}: damaged Parquet file ({error})") from error


def _example(
    values: dict[str, Any],
    chosen: columns.Columns,
    names: list[str] | None,
    place: str,
    row: int,
    options: Options,
) -> Example | None:
    part = columns.plain(values[chosen.part], place, "part") if chosen.part else None
    if not options.wants(part):
        return None
    label: Any = values[chosen.label] if chosen.label else None
    if names is not None and isinstance(label, int):
        if label >= len(names):
            raise DataError(f"{place}: label {label}, but the file names only {len(names)} classes")
        label = names[label] if label >= 0 else None  # -1 marks unlabelled rows there
    return Example(
        text=columns.text_of(values[chosen.text], place, options.encoding_errors),
        label=columns.label_of(label, place, options.labelled) if chosen.label else None,
        group=columns.plain(values[chosen.group], place, "group") if chosen.group else None,
        id=(columns.plain(values[chosen.id], place, "id") if chosen.id else None) or str(row),
        part=part,
    )


def _check_types(schema: Any, chosen: columns.Columns, origin: str) -> None:
    from pyarrow import types

    def holds(kind: Any, *allowed: Any) -> bool:
        value = kind.value_type if types.is_dictionary(kind) else kind
        return any(test(value) for test in allowed)

    words = (types.is_string, types.is_large_string, types.is_string_view)
    kind = schema.field(chosen.text).type
    if not holds(kind, *words):
        raise DataError(f"{origin}: column {chosen.text!r} holds {kind}, expected strings")
    if chosen.label is not None:
        kind = schema.field(chosen.label).type
        inner = kind.value_type if types.is_list(kind) or types.is_large_list(kind) else kind
        if not holds(inner, *words, types.is_integer, types.is_floating, types.is_boolean, types.is_null):
            raise DataError(
                f"{origin}: column {chosen.label!r} holds {kind}, expected strings, numbers or lists of them"
            )


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> list[str] | None:
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None  # not written by that library, or not a column of classes
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
