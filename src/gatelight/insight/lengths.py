"""What a maximal length would do to texts: cut, pad, waste."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from gatelight.insight.findings import Finding
from gatelight.text.lengths import LengthStatistics

PERCENTILES = (0, 5, 25, 50, 75, 90, 95, 99, 100)
CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98, 0.99, 1)
WHOLE = 0.95  # the fraction of the texts that the recommended length leaves whole
CUT_FRACTION = 0.01  # fewer cut texts are not worth a word
MOST_BINS = 40
ID_BYTES, LENGTH_BYTES = 4, 8
NOTEWORTHY = 0.06  # of the variance: a medium effect by Cohen (1988)
CERTAIN = 1e-3

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
    """Length statistics, percentiles, the coverage curve and what padding would cost at `maxlen`.

    `classes` has [label, texts, of these cut, mean tokens]. `dense_bytes` are those of an array of ids padded
    to `maxlen`, `packed_bytes` those of ours. `histogram` counts texts in bins of `histogram_width` whole
    lengths each, from 0; the last one counts what is longer, too. `by_class` is the fraction of the variance
    of log lengths that classes explain, `by_class_p` the p-value of Kruskal and Wallis; None without classes.
    """

    maxlen: int
    truncation: str
    statistics: LengthStatistics
    characters: dict[int, float]
    tokens: dict[int, float]
    mean_characters: float
    curve: list[Coverage]
    recommended: int
    classes: list[list[Any]]
    dense_bytes: int
    packed_bytes: int
    by_class: float | None
    by_class_p: float | None
    histogram: list[int]
    histogram_width: int

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
    explained, p = _by_class([np.log1p(own) for _, own in by_class])
    end = max(int(np.quantile(tokens, 0.99)), min(maxlen, int(tokens.max())), 1)
    width = math.ceil((end + 1) / MOST_BINS)
    return LengthReport(
        maxlen=maxlen,
        truncation=truncation,
        statistics=LengthStatistics.of_lengths(tokens, maxlen),
        characters=_percentiles(characters),
        tokens=_percentiles(tokens),
        mean_characters=float(characters.mean()),
        curve=[_coverage(tokens, point) for point in sorted(points)],
        recommended=recommended,
        classes=[[name, len(own), int((own > maxlen).sum()), float(own.mean())] for name, own in by_class],
        dense_bytes=len(tokens) * maxlen * ID_BYTES,
        packed_bytes=kept * ID_BYTES + len(tokens) * LENGTH_BYTES,
        by_class=explained,
        by_class_p=p,
        histogram=np.bincount(np.minimum(tokens, end) // width, minlength=end // width + 1).tolist(),
        histogram_width=width,
    )


def findings(report: LengthReport, longest: list[Any]) -> list[Finding]:
    """Say what is cut, with `longest` as examples, and whether the length gives the class away."""
    found = []
    longer, n = report.statistics.truncated, sum(report.histogram)
    if longer > CUT_FRACTION * n:
        classes = ", ".join(f"{label} {100 * cut / of:.1f} %" for label, of, cut, _ in report.classes)
        found.append(
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
        )
    explained, p = report.by_class, report.by_class_p
    if explained is not None and p is not None and explained >= NOTEWORTHY and p < CERTAIN:
        means = ", ".join(f"{label} {mean:.0f}" for label, _, _, mean in report.classes)
        found.append(
            Finding(
                "length tells the class",
                f"texts are in classes of unlike length (mean tokens: {means}): the class explains "
                f"{100 * explained:.0f} % of the variance of the log lengths",
                n,
                n,
                "a model may learn the length instead of the words: find out why the classes differ, and "
                "look at mistakes by length with `gatelight errors`",
            )
        )
    return found


def _percentiles(lengths: Lengths) -> dict[int, float]:
    return dict(zip(PERCENTILES, np.percentile(lengths, PERCENTILES).tolist(), strict=True))


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


def _by_class(logs: list[npt.NDArray[np.float64]]) -> tuple[float | None, float | None]:
    """The correlation ratio η² of values in classes, and Kruskal and Wallis's p-value."""
    if len(logs) < 2:
        return None, None
    values = np.concatenate(logs)
    if np.ptp(values) == 0:
        return 0.0, 1.0
    total = float(((values - values.mean()) ** 2).sum())
    between = sum(len(part) * float(part.mean() - values.mean()) ** 2 for part in logs)
    return between / total, float(stats.kruskal(*logs).pvalue)
