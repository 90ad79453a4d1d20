"""What a search went through, as two pictures: its trials in turn, and how much each setting matters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.errors import MissingExtraError
from gatelight.estimators.tuning import completed
from gatelight.files import file_written_aside

if TYPE_CHECKING:
    from optuna import Study

    from gatelight.estimators.tuning import Search

HISTORY, IMPORTANCE = "history.svg", "importance.svg"
LOOK = Path(__file__).with_name("picture.mplstyle")


def figure() -> Any:
    """Return matplotlib's class of figures, which needs no screen; MissingExtraError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "tune", "drawing what a search found") from None
    return Figure


def importances(study: Study) -> dict[str, float]:
    """Return how much of the differences between trials each setting explains, the largest first.

    The fractions add up to 1 (fANOVA, Hutter et al. 2014, by Optuna); {} where the completed trials are
    fewer than three, or all alike.
    """
    from optuna.importance import get_param_importances

    values = [trial.value for trial in completed(study)]
    if len(values) < 3 or len(set(values)) == 1:
        return {}
    return dict(get_param_importances(study))


def draw(study: Study, search: Search, folder: Path) -> dict[str, float]:
    """Write history.svg and, where there is something to tell, importance.svg; return the importances."""
    from matplotlib import rc_context

    found = importances(study)
    with rc_context(fname=LOOK):
        _write(folder / HISTORY, _history(study, search))
        if found:
            _write(folder / IMPORTANCE, _importance(found))
    return found


def _history(study: Study, search: Search) -> Any:
    trials = completed(study)
    numbers = [trial.number for trial in trials]
    values = [100 * trial.value for trial in trials if trial.value is not None]
    best = [max(values[: k + 1]) for k in range(len(values))]
    drawn = figure()()
    axes = drawn.subplots()
    axes.axhline(100 * search.default.accuracy, color="0.4", linestyle="--", linewidth=1, label="the default")
    axes.step(numbers, best, where="post", color="C1", label="best so far")
    axes.plot(numbers, values, "o", color="C0", markersize=4, label="a trial")
    axes.set(xlabel="trial (those that ended early are left out)", ylabel="accuracy on validation, %")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    return drawn


def _importance(found: dict[str, float]) -> Any:
    drawn = figure()(figsize=(7, 0.9 + 0.28 * len(found)))
    axes = drawn.subplots()
    bars = axes.barh(list(found), list(found.values()))
    axes.bar_label(bars, fmt="{:.0%}", padding=3)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set(xlabel="of the differences between trials", xlim=(0, 1.12 * max(found.values())))
    return drawn


def _write(path: Path, drawn: Any) -> None:
    with file_written_aside(path) as aside:
        drawn.savefig(aside, format="svg")
