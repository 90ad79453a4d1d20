"""Files of texts in, a folder of answers out, on a Ray cluster."""

from __future__ import annotations

import json
import logging
import os
import platform
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet

from gatelight import __version__
from gatelight.errors import DataError, GatelightError, MissingExtraError, ModelFileError
from gatelight.files import file_written_aside, folder_written_aside
from gatelight.ray.reading import FILE, ROW, WHOLE_FILE, columns_of, expanded, read
from gatelight.ray.stages import ERROR, TextStage, check_names, first_line, folder_fingerprint
from gatelight.text.readers import Options, tables

ERRORS, SUMMARY = "_errors.jsonl", "_summary.json"
"""Files beside the parts; what reads a folder of Parquet files passes over names that begin with _."""
BLOCK_BYTES = 1 << 22
"""What a worker takes at once: enough to outweigh Ray's part, little enough to lose when a worker dies."""
CONNECT_SECONDS = 5.0


def process_files(
    stage: type[TextStage],
    model: str | Path,
    data: Sequence[str],
    out: str | Path,
    *,
    text_column: str | None = None,
    key_columns: Sequence[str] | None = None,
    format: str | None = None,
    delimiter: str | None = None,
    encoding: str = "utf-8",
    encoding_errors: str = "strict",
    address: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    **options: Any,
) -> dict[str, Any]:
    """Have a stage answer every row of `data`, and write the folder `out`; returns what `_summary.json` says.

    `data`: Parquet, CSV, TSV or JSON Lines files, folders or globs, local or of any file system that Arrow
    opens (s3://…). `out` gets `part-00000.parquet`, …, in the order of the rows, each with its file and row
    (`source_file`, `source_row`); bad rows are in `_errors.jsonl` with their place. It appears when all is
    there, and must be seen by every machine under this path. Columns of CSV and JSON Lines are kept as text.

    `address` None starts a cluster on this machine, unless one is running in this process already.
    Raises MissingExtraError without Ray; DataError for data, columns or a cluster that cannot be used;
    ModelFileError for a model that changes; OSError when a disk refuses: then `out` is as it was.
    """
    model, out = Path(model).absolute(), Path(out).absolute()
    files = [found for name in data for found in expanded(name, format)]
    if not files:
        raise DataError("there are no files to read; give Parquet, CSV or JSON Lines files")
    reading = Options(
        text_column, encoding=encoding, encoding_errors=encoding_errors, delimiter=delimiter, labelled=False
    )
    there = columns_of(files[0], reading)
    text = tables.choose(there, reading, files[0]["file"]).text
    keys = [name for name in there if name != text] if key_columns is None else list(key_columns)
    strange = [name for name in keys if name not in there]
    if strange:
        raise DataError(f"{files[0]['file']} has no column {strange[0]!r}; there are {', '.join(there)}")
    check_names(keys, [FILE, ROW, ERROR])
    how = {
        "model": str(model), "text_column": text, "key_columns": [*keys, FILE, ROW],
        "fingerprint": folder_fingerprint(model), **options,
    }  # fmt: skip
    stage(**how)  # what is wrong with the model or the options is known before a cluster is
    with folder_written_aside(out, lambda old: (old / SUMMARY).is_file()) as aside, _cluster(address) as ray:
        processors = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        rows = ray.data.from_items(files, override_num_blocks=len(files)).map_batches(
            read, batch_size=1, batch_format="pyarrow", num_cpus=0,
            fn_kwargs={"text": text, "keys": keys, "options": reading},
        )  # fmt: skip
        reports = rows.map_batches(
            _Writer, batch_size=None, batch_format="pyarrow", num_cpus=threads,
            compute=ray.data.ActorPoolStrategy(size=workers or max(processors // threads, 1)),
            fn_constructor_args=(stage, how, str(aside), __version__),
        )  # fmt: skip
        with _told_in_one_line(ray):
            summary = _collected(reports, aside)
        summary |= {"model": str(model), "fingerprint": how["fingerprint"], "gatelight": __version__}
        (aside / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    return summary


class _Writer:
    """A stage in a worker: writes what it answers; reports the file, its rows, bad ones, or a failure.

    A failure is reported, not raised: what Ray makes of an exception differs from version to version.
    """

    def __init__(self, stage: type[TextStage], how: Mapping[str, Any], folder: str, version: str) -> None:
        self._open, self._version, self._folder = (stage, how), version, Path(folder)
        self._stage: TextStage | None = None

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        report: dict[str, Any] = {"file": None, "rows": 0, "errors": [], "failed": None, "kind": None}
        try:
            report |= self._written(batch)
        except (GatelightError, OSError) as error:
            kind = next(kind for kind in _KINDS if isinstance(error, kind))
            report |= {"failed": f"{platform.node()}: {error}", "kind": kind.__name__}
        return pyarrow.Table.from_pylist([report], _REPORT)

    def _written(self, batch: pyarrow.Table) -> dict[str, Any]:
        unread = batch.filter(pyarrow.compute.equal(batch.column(ROW), WHOLE_FILE)).column(ERROR)
        if len(unread):
            raise DataError(unread[0].as_py())
        if self._stage is None:
            self._stage = self._opened()
        answers = self._stage(batch)
        bad = answers.column(ERROR).is_valid()
        errors = answers.filter(bad).select([FILE, ROW, ERROR]).to_pylist()
        # A name of its own for each attempt: only what was reported counts, so nothing is there twice.
        path = self._folder / f"{secrets.token_hex(8)}.parquet"
        with file_written_aside(path) as aside:
            good = answers.filter(pyarrow.compute.invert(bad)).drop_columns([ERROR])
            pyarrow.parquet.write_table(good, aside)
        told = [json.dumps({"file": e[FILE], "row": e[ROW], "error": e[ERROR]}) for e in errors]
        return {"file": path.name, "rows": len(good), "errors": told}

    def _opened(self) -> TextStage:
        if self._version != __version__:
            raise DataError(
                f"gatelight {__version__} is there, the run began with {self._version}: install "
                "the same version on every machine"
            )
        if not self._folder.is_dir():
            raise DataError(f"{self._folder} is not there: write where every machine sees it")
        stage, how = self._open
        return stage(**how)


_KINDS: tuple[type[Exception], ...] = (ModelFileError, GatelightError, OSError)
_REPORT = pyarrow.schema(
    {
        "file": pyarrow.string(), "rows": pyarrow.int64(), "errors": pyarrow.list_(pyarrow.string()),
        "failed": pyarrow.string(), "kind": pyarrow.string(),
    }
)  # fmt: skip


def _collected(reports: Any, folder: Path) -> dict[str, Any]:
    """Number the reported parts in their order, and gather what was wrong; raises what a worker reports."""
    parts: set[Path] = set()
    rows = bad = 0
    with (folder / ERRORS).open("w", encoding="utf-8") as errors:
        for report in reports.iter_rows():
            if report["failed"] is not None:
                kind = next(kind for kind in _KINDS if kind.__name__ == report["kind"])
                raise (DataError if kind is GatelightError else kind)(report["failed"])
            parts.add(path := folder / f"part-{len(parts):05d}.parquet")
            (folder / report["file"]).rename(path)
            rows += report["rows"]
            bad += len(report["errors"])
            errors.writelines(f"{error}\n" for error in report["errors"])
    for left in set(folder.glob("*.parquet")) - parts:  # of workers that died before they could report
        left.unlink()
    return {"rows": rows, "bad_rows": bad, "parts": len(parts)}


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Connect to a cluster, or start one on this machine; DataError where there is none at the address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters comes as an exception
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtraError("ray", "ray", "predicting on a cluster") from None
    _check_reachable(address)
    running = ray.is_initialized()
    if not running:
        own = {"include_dashboard": False} if address is None else {}
        try:
            ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise DataError(f"no cluster at {address}: {first_line(error)}") from None
    context = ray.data.DataContext.get_current()
    before = context.copy()
    context.target_max_block_size = BLOCK_BYTES
    context.execution_options.preserve_order = True
    context.enable_progress_bars = context.enable_progress_bars and sys.stderr.isatty()
    loggers = [logging.getLogger(name) for name in ("ray.data", "ray")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        ray.data.DataContext._set_current(before)
        if not running:
            ray.shutdown()


def _check_reachable(address: str | None) -> None:
    # Ray itself tries for half a minute, and then says it in fifty lines.
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DataError(
            f"no cluster at {address} ({error}); start one with ray start --head, or leave the address out"
        ) from None


@contextmanager
def _told_in_one_line(ray: Any) -> Iterator[None]:
    """Say of a worker that cannot import gatelight what to do; else Ray's own error stays."""
    try:
        yield
    except ray.exceptions.RayError as error:
        if "No module named 'gatelight" not in str(error):
            raise
        raise DataError(
            "a worker of the cluster has no gatelight: pip install 'gatelight[ray]' on every machine, "
            f"in the version {__version__}"
        ) from None
