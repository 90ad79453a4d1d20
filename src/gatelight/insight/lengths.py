"""What a maximal length would do to texts: cut, pad, waste."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelight.insight.findings import Finding
from gatelight.text.lengths import LengthStatistics

CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98, 0.99, 1)
WHOLE = 0.95  # the fraction of the texts that the recommended length leaves whole
CUT_FRACTION = 0.01  # fewer cut texts are not worth a word
ID_BYTES, LENGTH_BYTES = 4, 8

Lengths = npt.NDArray[np.int64]

ENDS = {
    "head": "the end of each would be lost",
    "tail": "the beginning of each would be lost",
    "head+tail": "the middle of each would be lost",
}


@dataclass(frozen=True)
class Coverage:
    """What one maximal length keeps: fractions of whole texts, of all tokens, and of padded steps."""

    maxlen: int
    whole: float
    kept: float
    padding: float


@dataclass(frozen=True)
class LengthReport:
    """Length statistics, the coverage curve and what padding would cost at `maxlen`.

    `classes` has [label, texts, of these cut, mean tokens]. `dense_bytes` are those of an array of ids padded
    to `maxlen`, `packed_bytes` those of ours.
    """

    maxlen: int
    truncation: str
    statistics: LengthStatistics
    mean_characters: float
    curve: list[Coverage]
    recommended: int
    classes: list[list[Any]]
    dense_bytes: int
    packed_bytes: int

    @property
    def padding(self) -> float:
        """Return the fraction of steps that would be padding at `maxlen`."""
        return next(point.padding for point in self.curve if point.maxlen == self.maxlen)


def measure(
    tokens: Lengths,
    characters: Lengths,
    labels: npt.NDArray[np.integer[Any]],
    label_names: list[str],
    maxlen: int,
    truncation: str,
) -> LengthReport:
    """Measure texts by their lengths, int64 [n] each; `labels` [n] count `label_names`, -1 has none."""
    recommended = _rounded_up(float(np.quantile(tokens, WHOLE)))
    points = {maxlen, recommended, *map(_rounded_up, np.quantile(tokens, CURVE).tolist())}
    kept = int(np.minimum(tokens, maxlen).sum())
    by_class = [
        (name, tokens[labels == number]) for number, name in enumerate(label_names) if number in labels
    ]
    return LengthReport(
        maxlen=maxlen,
        truncation=truncation,
        statistics=LengthStatistics.of_lengths(tokens, maxlen),
        mean_characters=float(characters.mean()),
        curve=[_coverage(tokens, point) for point in sorted(points)],
        recommended=recommended,
        classes=[[name, len(own), int((own > maxlen).sum()), float(own.mean())] for name, own in by_class],
        dense_bytes=len(tokens) * maxlen * ID_BYTES,
        packed_bytes=kept * ID_BYTES + len(tokens) * LENGTH_BYTES,
    )


def findings(report: LengthReport, longest: list[Any]) -> list[Finding]:
    """Say what is cut, with `longest` as examples."""
    lengths = report.statistics
    longer, n = lengths.truncated, lengths.padded + lengths.equal + lengths.truncated
    if longer <= CUT_FRACTION * n:
        return []
    classes = ", ".join(f"{label} {100 * cut / of:.1f} %" for label, of, cut, _ in report.classes)
    return [
        Finding(
            "cut",
            f"texts are longer than {report.maxlen} tokens: {ENDS[report.truncation]}"
            + (f" (by class: {classes})" if classes else ""),
            longer,
            n,
            f"--max-length {report.recommended} leaves {100 * WHOLE:.0f} % of the texts whole, "
            "--truncation head+tail keeps both ends; as no text is padded, length costs only where it is",
            tuple(longest),
        )
    ]


def _coverage(tokens: Lengths, maxlen: int) -> Coverage:
    kept = int(np.minimum(tokens, maxlen).sum())
    return Coverage(
        maxlen=maxlen,
        whole=float((tokens <= maxlen).mean()),
        kept=kept / max(int(tokens.sum()), 1),
        padding=1 - kept / (len(tokens) * maxlen),
    )


def _rounded_up(length: float) -> int:
    """Round up to two figures: 577 → 580, 1,234 → 1,300."""
    step: int = 10 ** max(0, len(str(math.ceil(length))) - 2)
    return max(1, math.ceil(length / step) * step)
