"""Arrow batches of texts in, Arrow batches of answers out: what a Ray worker does."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow

from gatelight.errors import DataError, ModelFileError
from gatelight.files import fingerprint

ERROR = "error"
LONGEST = 1_000_000


class TextStage:
    """Arrow batches of texts in, Arrow batches with an answer for each row out.

    Rows keep the columns `key_columns` (None: all but the text). What cannot be read as a text (null, not a
    string, more than `max_characters`) has nulls for an answer and says why in the column `error`; a row that
    came with an error keeps it.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        text_column: str = "text",
        key_columns: Sequence[str] | None = None,
        max_characters: int = LONGEST,
        fingerprint: str | None = None,
    ) -> None:
        """Open the model; ModelFileError where its folder is not what `fingerprint` (see there) says."""
        self._folder, self._text, self._keys = Path(model), text_column, key_columns
        self._most = max_characters
        set_threads_of_worker()
        if fingerprint is not None and fingerprint != folder_fingerprint(self._folder):
            raise ModelFileError(
                f"{model} on {platform.node()} is not the model that the run began with: it was changed, "
                "or this machine has another copy; give every machine the same folder and run again"
            )
        self._open(self._folder)

    def _open(self, folder: Path) -> None:
        raise NotImplementedError

    def _answers(self, texts: list[str]) -> dict[str, pyarrow.Array]:
        raise NotImplementedError

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """Answer a batch, whose row i is row i of what comes out."""
        names = batch.column_names
        if self._text not in names:
            raise DataError(f"there is no column {self._text!r}; there are {', '.join(names)}")
        column = batch.column(self._text)
        given = batch.column(ERROR).to_pylist() if ERROR in names else [None] * len(batch)
        reasons = [
            before or self._wrong_with(text) for before, text in zip(given, column.to_pylist(), strict=True)
        ]
        good = [k for k, reason in enumerate(reasons) if reason is None]
        answers = self._answers(column.take(pyarrow.array(good, pyarrow.int64())).to_pylist())
        places = iter(range(len(good)))
        rows = pyarrow.array([None if why else next(places) for why in reasons], pyarrow.int64())
        others = [name for name in names if name not in (self._text, ERROR)]
        keys = others if self._keys is None else list(self._keys)
        check_names(keys, [*answers, ERROR])
        columns = {name: batch.column(name) for name in keys}
        columns |= {name: found.take(rows) for name, found in answers.items()}
        return pyarrow.table({**columns, ERROR: pyarrow.array(reasons, pyarrow.string())})

    def _wrong_with(self, text: Any) -> str | None:
        if text is None:
            return "null, not a text"
        if not isinstance(text, str):
            return f"{type(text).__name__} {text!r:.60}, not a string"
        if len(text) > self._most:
            return f"{len(text)} characters; at most {self._most} are read"
        return None


class Predictor(TextStage):
    """Adds `predicted` (of multi-label models a list), its `probability` and the `unknown` fraction of words.

    With `proba` also `probabilities`, float32 by class.
    """

    def __init__(self, model: str | Path, *, proba: bool = False, **how: Any) -> None:
        """Open a classifier; `how` is as in `TextStage`."""
        self._proba = proba
        super().__init__(model, **how)

    def _open(self, folder: Path) -> None:
        from gatelight.estimators.predictor import Predictor as Fitted

        self._model = Fitted.load(folder, mapped=True)

    def _answers(self, texts: list[str]) -> dict[str, pyarrow.Array]:
        found, unknown = self._model.proba_and_unknown_fraction(texts)
        classes = self._model.classes
        labels, probabilities = zip(*classes.answers(found), strict=True) if len(found) else ((), ())
        string, number = pyarrow.string(), pyarrow.float32()
        if classes.multilabel:
            predicted: Any = [list(map(str, names)) for names in labels]
            string, number = pyarrow.list_(string), pyarrow.list_(number)
        else:
            predicted = list(map(str, labels))
        answers = {
            "predicted": pyarrow.array(predicted, string),
            "probability": pyarrow.array(probabilities, number),
            "unknown": pyarrow.array(unknown),
        }
        if self._proba:
            columns = list(map(pyarrow.array, found.T))
            names = list(map(str, classes.plain()))
            answers["probabilities"] = pyarrow.StructArray.from_arrays(columns, names)
        return answers


class Embedder(TextStage):
    """Adds `vector`, the thought vector of each text: float32 lists of the layers' size."""

    def __init__(self, model: str | Path, *, pool: str = "last", **how: Any) -> None:
        """Open a classifier or a language model; `pool` is as in its `embed`, `how` as in `TextStage`."""
        self._pool = pool
        super().__init__(model, **how)

    def _open(self, folder: Path) -> None:
        from gatelight.estimators.opening import load

        self._model: Any = load(folder)
        if not hasattr(self._model, "embed"):
            raise DataError(f"{folder} is no model of texts; expected a classifier or a language model")

    def _answers(self, texts: list[str]) -> dict[str, pyarrow.Array]:
        vectors = self._model.embed(texts, self._pool)
        return {
            "vector": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), vectors.shape[1])
        }


def set_threads_of_worker() -> None:
    """Compute with as many threads as Ray gave this worker processors; outside of a worker change nothing."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None:
        from gatelight.nn.threads import set_threads

        set_threads(max(int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1)), 1))


def folder_fingerprint(folder: str | Path) -> str:
    """Return a hash of every file of a model's folder, names and bytes; ModelFileError where none is."""
    if not Path(folder).is_dir():
        raise ModelFileError(
            f"{folder} on {platform.node()} holds no model; give the path that all machines see"
        )
    return fingerprint(Path(folder))


def check_names(keys: Sequence[str], answers: Iterable[str]) -> None:
    """Raise DataError where a column to keep has the name of a result."""
    twice = sorted(set(keys) & set(answers))
    if twice:
        raise DataError(
            f"the data has a column {twice[0]!r}, the name of a result; name those to keep with key_columns"
        )


def first_line(error: BaseException) -> str:
    """Return what an error of Arrow's or Ray's says, without the pages behind it."""
    return str(error).strip().partition("\n")[0]
