"""`gatelight tune`: better settings for these texts, searched for with Optuna."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gatelight.cli.options import DATA, JSON, argument, option
from gatelight.cli.output import duration, emit, percent, save_json, say, table
from gatelight.cli.settings import classifier_settings
from gatelight.cli.sources import LIMIT, Reads
from gatelight.errors import DataError

if TYPE_CHECKING:
    from optuna import Study
    from rich.console import Console

    from gatelight.estimators.tuning import Search

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
PRESET, STORAGE = "preset.json", "study.db"


@dataclass(kw_only=True)
class Tune(Reads):
    """Search for better settings than the default ones.

    A setting that is typed is not searched for. The folder gets preset.json, for train --preset, and two
    pictures. The same command goes on with a search that was stopped; several may run at once.
    """

    SETTINGS = staticmethod(classifier_settings)
    GOES_ON = "the search goes on"

    data: str = argument(DATA, "DATA")
    out: Path = option("folder for what is found", metavar="FOLDER", short="o", required=True)
    budget: str | None = option("time to search, like 30m or 2h", metavar="TIME")
    trials: int | None = option("trials in all; else as many as the time allows", least=1)
    storage: str | None = option("database of the trials; else study.db in the folder", metavar="URL")
    preset: str = option("what the search starts from, and compares with", "default")
    part: str = option("the part to train on, if DATA has parts", "train")
    limit: int | None = option(LIMIT, least=1)
    valid: str | None = option("validate on this instead of held-out texts", metavar="PART|DATA")
    valid_fraction: float = option("fraction held out to validate on, by whole groups", 0.2)
    json: bool = option(JSON, False)
    settings: dict[str, Any]

    def run(self, to: Console) -> None:
        """Search, write what was found, and tell."""
        from gatelight.cli.progress import Meter
        from gatelight.cli.reports import corpus_line
        from gatelight.cli.sources import read_for_training
        from gatelight.estimators import search_pictures
        from gatelight.estimators.classifier import TextClassifier
        from gatelight.estimators.tuning import completed, tune

        seconds = None if self.budget is None else seconds_of(self.budget)
        if seconds is None and self.trials is None:
            raise DataError("say when the search ends: --budget 30m, or --trials 50")
        search_pictures.figure()  # what is missing is said before the search, not after it
        estimator = TextClassifier.from_preset(self.preset, **self.settings)
        texts = read_for_training(
            self.data, to, self.reading, part=self.part, valid=self.valid, test=None, unlabelled=None,
            test_fraction=None, seed=estimator.random_state, limit=self.limit,
        )  # fmt: skip
        training, valid = texts.training, texts.valid
        if valid is None:
            by: Literal["group", "random"] = "random" if training.groups is None else "group"
            training, valid = training.train_test_split(self.valid_fraction, estimator.random_state, by=by)
        say(to, corpus_line(training))
        self.out.mkdir(parents=True, exist_ok=True)
        with Meter(to) as meter:

            def on_trial(study: Study, trial: Any) -> None:
                best = max((one.value for one in completed(study) if one.value is not None), default=None)
                value = "pruned" if trial.value is None else percent(trial.value)
                so_far = "" if best is None else f", best {percent(best)}"
                meter.line(f"trial {trial.number}: {value}{so_far}")

            search, study = tune(
                estimator, (training.texts, training.labels or []), (valid.texts, valid.labels or []),
                fixed=self.settings, seconds=seconds, trials=self.trials, on_trial=on_trial,
                storage=self.storage or f"sqlite:///{self.out.resolve() / STORAGE}",
            )  # fmt: skip
        found = search.default if search.within_noise else search.best
        save_json(self.out / PRESET, search.best.settings)
        importances = search_pictures.draw(study, search, self.out)
        _tell(to, search, len(valid))
        if importances:
            first = ", ".join(f"{name} {100 * part:.0f} %" for name, part in list(importances.items())[:3])
            say(to, f"what mattered most: {first}")
        say(to, f"settings of trial {search.best.number} in {self.out / PRESET}")
        if self.json:
            emit(
                {
                    "trials": search.trials, "chance": search.chance, "within_noise": search.within_noise,
                    "default": search.default.accuracy, "best": search.best.accuracy,
                    "advised": found.number, "settings": search.best.settings, "importances": importances,
                }
            )  # fmt: skip


def seconds_of(typed: str) -> float:
    """Return the seconds of a time like 90s, 30m, 1.5h; DataError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", typed.strip())
    if not found or not float(found[1]):
        raise DataError(f"{typed!r} is no time to search; give one like 90s, 30m or 2h")
    return float(found[1]) * UNITS[found[2]]


def _tell(to: Console, search: Search, texts: int) -> None:
    default, best = search.default, search.best
    rows = [
        (f"trial {one.number}{name}", percent(one.accuracy), f"{one.loss:.3f}", duration(one.seconds))
        for one, name in ((default, ", the default"), (best, ", the best"))
    ]
    to.print(table((f"{texts:,} validation texts", "accuracy", "log loss", "time"), rows))
    changed = [f"{k} {v}" for k, v in best.settings.items() if v != default.settings[k]]
    if changed:
        say(to, f"changed: {', '.join(changed)}")
    if search.within_noise:
        say(
            to,
            f"warning: the best of {search.trials} trials is within noise of the default (p = "
            f"{search.chance:.2f}); the default is as good a choice, more texts would tell",
            "yellow",
        )
