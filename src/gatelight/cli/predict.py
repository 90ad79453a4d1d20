"""`gatelight predict`: texts as arguments, lines of files or of stdin → labels, line by line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import as_json, one_line
from gatelight.cli.sources import Reads
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.estimators.predictor import Predictor
    from gatelight.insight.understanding import Explanation, UnknownToken
    from gatelight.interop.keras.imported import ImportedModel

FILE_ENDINGS = (
    ".txt", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".ft", ".fasttext",
    ".tar", ".tgz", ".zip",
)  # fmt: skip
COMPRESSED = (".gz", ".bz2", ".xz")
AT_ONCE = 4096
RAY = "on several machines"
READ_BY_RAY = ("text_column", "format", "delimiter", "encoding", "encoding_errors")
STDIN = "-"
MOST_WORDS, MOST_READ = 10, 200  # unknown words and characters that a line for people shows


@dataclass(kw_only=True)
class Predict(Reads):
    """Predict the class of texts, a line each.

    Give texts, or files of texts, or - for lines on standard input. A line has the label, its probability,
    the fraction of unknown words and the text, with tabs between.
    """

    model: str = argument(MODEL, "MODEL")
    texts: list[str] = argument("texts, or files of texts, or - for lines on stdin", "TEXT|FILE|-")
    proba: bool = option("give the probability of every class", False)
    explain_unknown: bool = option("name the unknown words and what is read in their place", False)
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)
    engine: str = option(
        "local, or ray: files to a folder of Parquet files, on a cluster", "local", group=RAY
    )
    out: Path | None = option("folder to write", metavar="FOLDER", short="o", group=RAY)
    address: str | None = option("of the cluster; else one is started here", metavar="HOST:PORT", group=RAY)
    workers: int | None = option("processes, each of --threads (1); else all processors", least=1, group=RAY)
    key_columns: list[str] = option("columns to keep; else all but the text", [], metavar="NAME,…", group=RAY)
    max_characters: int = option("a longer text is a bad row", 1_000_000, least=1, group=RAY)

    def run(self) -> None:
        if self.engine == "ray":
            self._run_on_ray()
            return
        if self.engine != "local":
            raise DataError(f"--engine {self.engine} came; expected local or ray")
        if self.out is not None or self.address is not None:
            raise DataError("--out and --address are for --engine ray; locally the lines go to stdout")
        from gatelight.estimators.opening import load_predictor
        from gatelight.estimators.predictor import Predictor

        files = _are_files(self.texts)
        model = load_predictor(self.model)
        for texts in self._batches() if files else [self.texts]:
            answers = (
                self._answers(model, texts) if isinstance(model, Predictor) else self._outputs(model, texts)
            )
            sys.stdout.write("".join(answers))
            sys.stdout.flush()

    def _run_on_ray(self) -> None:
        from gatelight.cli.output import console, emit, say
        from gatelight.ray import Predictor, process_files

        if self.out is None:
            raise DataError("--engine ray writes files: name their folder with --out")
        how = {name: value for name, value in self.reading.items() if name in READ_BY_RAY}
        summary = process_files(
            Predictor, self.model, self.texts, self.out, address=self.address, workers=self.workers,
            threads=self.threads or 1, key_columns=self.key_columns or None, proba=self.proba,
            max_characters=self.max_characters, **how,
        )  # fmt: skip
        if self.json:
            emit(summary)
        bad = f", {summary['bad_rows']:,} bad ones (see _errors.jsonl)" if summary["bad_rows"] else ""
        say(console(machine=self.json), f"{summary['rows']:,} rows in {self.out}{bad}")

    def _batches(self) -> Iterator[list[str]]:
        """Yield the texts of files in order, and lines of standard input as they come."""
        from gatelight.cli.lines import batches
        from gatelight.text.corpus import read_examples

        plain = set(self.reading) == {"encoding", "encoding_errors"}
        for name in self.texts:
            if name == STDIN and plain:
                yield from batches(sys.stdin.buffer, "standard input", self.encoding, self.encoding_errors)
                continue
            left = iter(read_examples(name, labelled=False, **self.reading))
            while batch := [example.text for example in islice(left, AT_ONCE)]:
                yield batch

    def _answers(self, model: Predictor, texts: list[str]) -> Iterator[str]:
        columns, unknown = model.proba_and_unknown_fraction(texts)
        classes = model.classes
        names = classes.plain()
        explained: list[Explanation] = []
        if self.explain_unknown:
            from gatelight.insight.understanding import explain

            explained = list(map(explain, model.understand(texts)))
        seen = model.trained_on(texts) if self.json else None
        rows = zip(texts, classes.answers(columns), columns.tolist(), unknown, strict=True)
        for number, (text, (label, probability), row, fraction) in enumerate(rows):
            each = dict(zip(names, row, strict=True))
            if self.json:
                record = {"label": label, "probability": probability, "unknown": fraction, "text": text}
                if seen is not None:
                    record["trained_on"] = bool(seen[number])
                record |= explained[number].to_dict() if explained else {}
                yield as_json(record | ({"probabilities": each} if self.proba else {})) + "\n"
                continue
            labels, probabilities = (label, probability) if classes.multilabel else ([label], [probability])
            said = ",".join(map(str, labels)) or "none"
            shown = ",".join(f"{value:.4f}" for value in probabilities) or "–"
            if self.proba:
                shown = " ".join(f"{name}={value:.4f}" for name, value in each.items())
            fields = [said, shown, f"{fraction:.4f}", text]
            fields += [_explained(explained[number])] if explained else []
            yield "\t".join(map(one_line, fields)) + "\n"

    def _outputs(self, model: ImportedModel, lines: list[str]) -> Iterator[str]:
        """The outputs of a model from elsewhere: of texts where it has a vocabulary, else of JSON arrays."""
        texts = model.reading is not None
        given: list[Any] = list(lines) if texts else [_sequence(line) for line in lines]
        outputs = model.predict(given)
        labels = model.labels_of(outputs) if not isinstance(outputs, list) else None
        for number, (line, sequence, row) in enumerate(zip(lines, given, outputs, strict=True)):
            label = {} if labels is None else {"label": labels[number]}
            if self.json:
                record = {**label, "output": row.tolist(), "text" if texts else "sequence": sequence}
                yield as_json(record) + "\n"
                continue
            shown = json.dumps(row.astype(float).round(6).tolist())
            yield "\t".join([*label.values(), shown, one_line(line)]) + "\n"


def _are_files(given: list[str]) -> bool:
    """Say whether files were typed, or texts; DataError for both at once."""
    files = [name for name in given if name == STDIN or _is_path(name)]
    if files and len(files) < len(given):
        text = next(name for name in given if name not in files)
        raise DataError(
            f"{files[0]} is a file and {text!r:.60} is not: give either texts or files; a text that is named "
            "like a file can be given on standard input, with - in its place"
        )
    return bool(files)


def _is_path(name: str) -> bool:
    """Say whether an argument is a path: something is there, or it can be nothing but a file's name."""
    try:
        if name.strip() and Path(name).exists():
            return True
    except (OSError, ValueError):  # too long or too strange for a path
        return False
    # A missing file is to be told of, not taken for a text; but "10/10" and "v2.0" are texts.
    if len(name.split()) != 1:
        return False
    ending = name.lower()
    for compressed in COMPRESSED:
        ending = ending.removesuffix(compressed)
    return ending.endswith(FILE_ENDINGS) or ending != name.lower() or name.startswith(("./", "../", "~/"))


def _sequence(line: str) -> Any:
    try:
        sequence = json.loads(line)
    except (ValueError, RecursionError):
        sequence = None
    if not isinstance(sequence, list):
        raise DataError(
            f"{line!r:.60} came; this model's vocabulary is not known, so it takes each sequence as a JSON "
            "array: of ids like [12, 7, 0], or of rows of numbers. For texts import it with --vocabulary"
        )
    return sequence


def _explained(found: Explanation) -> str:
    words = found.unknown_words
    if not words:
        return "every word is known"
    said = [f"{word.word} → {_became(word)}" for word in words[:MOST_WORDS]]
    if len(words) > MOST_WORDS:
        said.append(f"and {len(words) - MOST_WORDS} more")
    read = found.read_as if len(found.read_as) <= MOST_READ else f"{found.read_as[:MOST_READ]}…"
    parts = [", ".join(said), f"read as: {read}", *([] if found.warning is None else [found.warning])]
    return "; ".join(parts)


def _became(word: UnknownToken) -> str:
    if word.read_as is None:
        return "left out"
    return "its letters" if word.read_as == word.word else word.read_as
