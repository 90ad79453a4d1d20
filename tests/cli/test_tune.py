"""`gatelight tune`: the default first, a search that goes on after a stop, a preset that train takes."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import PROGRAM, TINY, gatelight, one_line_and_two

from gatelight.estimators import search_pictures
from gatelight.estimators.rules import Data, settled
from gatelight.estimators.settings import preset
from gatelight.estimators.tuning import SPACE, Search, Trained, _found

optuna = pytest.importorskip("optuna")
FIXED = [part for part in TINY if part not in ("--learning-rate", "0.03")]


def test_a_search_begins_with_the_default_and_goes_on(reviews: Path, tmp_path: Path) -> None:
    """What the preset file says is what was found, for `train` too; a second call has nothing left to do."""
    out = tmp_path / "found"
    typed = ["tune", reviews, "--out", out, *FIXED, "--epochs", 2, "--cell", "gru", "--json"]
    first = gatelight(*typed, "--trials", 2)
    assert first.exit_code == 0, first.output
    assert {path.name for path in out.iterdir()} == {"history.svg", "preset.json", "study.db"}
    study = optuna.load_study(study_name="gatelight", storage=f"sqlite:///{out / 'study.db'}")
    assert study.trials[0].params == {name: preset("default")[name] for name in study.trials[0].params}
    assert not {"cell", "epochs", "hidden_size"} & set(study.trials[0].params)
    again = gatelight(*typed, "--trials", 3)
    assert again.exit_code == 0, again.output
    study = optuna.load_study(study_name="gatelight", storage=f"sqlite:///{out / 'study.db'}")
    assert len(study.trials) == 3
    told = json.loads(again.stdout)
    assert told["best"] == study.best_value >= told["default"]
    settings = json.loads((out / "preset.json").read_text())
    assert settings == told["settings"]
    assert settings["cell"] == "gru"
    trained = gatelight("train", reviews, "--out", tmp_path / "model", "--preset", out / "preset.json")
    assert trained.exit_code == 0, trained.output
    assert json.loads((tmp_path / "model" / "config.json").read_text())["settings"]["cell"] == "gru"
    other = gatelight("tune", reviews, "--out", out, *FIXED, "--trials", 4)
    assert "of other texts or other fixed settings" in one_line_and_two(other)


def test_a_killed_search_goes_on(reviews: Path, tmp_path: Path) -> None:
    """What the killed one had found stays, what it was at is lost, the next goes on to the number asked."""
    out = tmp_path / "found"
    typed = ["tune", str(reviews), "--out", str(out), *FIXED, "--epochs", "2", "--trials", "4"]
    search = subprocess.Popen([*PROGRAM, *typed], stdout=subprocess.PIPE, text=True)
    assert search.stdout is not None
    assert any(line.startswith("trial 0") for line in search.stdout)
    search.kill()
    search.communicate(timeout=60)
    again = gatelight(*typed, "--json")
    assert again.exit_code == 0, again.output
    study = optuna.load_study(study_name="gatelight", storage=f"sqlite:///{out / 'study.db'}")
    ended = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]
    assert ended[0].number == 0
    assert len(ended) == json.loads(again.stdout)["trials"] == 4


def test_two_searches_begun_at_once_share_a_study(reviews: Path, tmp_path: Path) -> None:
    """Also where the time is over before the one that has the default has ended it."""
    out = tmp_path / "found"
    typed = [*PROGRAM, "tune", str(reviews), "--out", str(out), *FIXED, "--epochs", "60", "--budget", "0.1s"]
    both = [subprocess.Popen(typed, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for search in both:
        said = search.communicate(timeout=120)[1]
        assert search.returncode == 0, said
    study = optuna.load_study(study_name="gatelight", storage=f"sqlite:///{out / 'study.db'}")
    assert study.trials[0].state.name == "COMPLETE"
    assert len(study.trials) <= 4


def test_the_setting_that_decides_is_drawn_first(tmp_path: Path) -> None:
    """The other one is drawn too, and has no part in what a trial comes to."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("dropout", 0.0, 0.6)
        return 0.7 + trial.suggest_float("learning_rate", 0.0, 0.2)

    study.optimize(objective, n_trials=30)
    tried = Trained(0, {}, 0.8, 0.5, 1.0, np.ones(10, np.bool_))
    found = search_pictures.draw(study, Search(tried, tried, 30, 1.0), tmp_path)
    assert next(iter(found)) == "learning_rate"
    assert found["learning_rate"] > 0.9
    assert all("<svg" in (tmp_path / name).read_text() for name in ("history.svg", "importance.svg"))


def test_every_default_can_be_drawn() -> None:
    """A setting whose default is outside of what is tried would be left out of the search without a word."""
    study = optuna.create_study()
    for texts in (100, 3_000, 25_000, 10**6):
        default = settled(preset("default") | {"random_state": 0}, Data(texts=texts))
        wanted = {name: default[name] for name in SPACE}
        study.enqueue_trial(wanted)
        trial = study.ask()
        assert {name: drawn.suggest(trial, name) for name, drawn in SPACE.items()} == wanted


@pytest.mark.parametrize(("gained", "lost", "trials", "noise"), [(5, 1, 20, True), (40, 5, 20, False)])
def test_the_best_of_many_must_be_better_than_chance(
    gained: int, lost: int, trials: int, noise: bool
) -> None:
    """Of twenty equal trials the best looks better than the default: that is no finding."""
    assert Search(*(Trained(k, {}, 0.9, 0.1, 1, np.ones(9, bool)) for k in (0, 1)), trials, 1.0).within_noise
    default = np.r_[np.zeros(gained, bool), np.ones(lost, bool), np.ones(100, bool)]
    best = np.r_[np.ones(gained, bool), np.zeros(lost, bool), np.ones(100, bool)]
    study = optuna.create_study(direction="maximize")
    for number in range(trials):
        right = best if number == 1 else default
        bits = base64.b64encode(np.packbits(right).tobytes()).decode()
        trial = optuna.trial.create_trial(
            params={"dropout": number / 100},
            distributions={"dropout": optuna.distributions.FloatDistribution(0, 1)},
            value=float(right.mean()),
            user_attrs={"right": bits, "loss": 0.1, "seconds": 1.0},
        )
        study.add_trial(trial)
    found = _found(study, {"dropout": 0.0}, {}, len(default))
    assert (found.best.number, found.within_noise) == (1, noise)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "say when the search ends"),
        (["--budget", "soon"], "'soon' is no time to search"),
        (["--trials", "2", "--storage", "nosuch://x"], "nosuch://x cannot be used"),
    ],
)
def test_mistakes_are_one_line(reviews: Path, tmp_path: Path, typed: list[str], said: str) -> None:
    """Before anything is trained."""
    assert said in one_line_and_two(gatelight("tune", reviews, "--out", tmp_path / "out", *typed))


def test_a_preset_file_of_other_settings_is_refused(reviews: Path, tmp_path: Path) -> None:
    """A misspelt setting would be left at its default without a word."""
    (tmp_path / "p.json").write_text('{"hiden_size": 4}')
    typed = ["train", reviews, "--out", tmp_path / "m", "--preset", tmp_path / "p.json"]
    assert "'hiden_size' is none of the settings" in one_line_and_two(gatelight(*typed))
