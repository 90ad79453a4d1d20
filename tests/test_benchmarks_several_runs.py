"""The verdict of several whole runs of W4: by the median of what each shows, never better than it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import several_runs
from benchmarks.several_runs import Shown, medians, points
from benchmarks.w4_layers import rounded_down

HEAD = ["shape", "lengths", "ours", "× ours", "roofline", "all that must be", "at the goal"]


def _saved(
    path: Path, *rows: tuple[str, str, str, str, str], processor: str = "one", load: float = 0
) -> Path:
    table = [HEAD, *([shape, kind, "1", ratio, share, "1", goal] for shape, kind, ratio, share, goal in rows)]
    machine = {"processor": processor, "load_before": load}
    path.write_text(
        json.dumps({"W4": {"machine": machine, "findings": [{"table": table}]}}), encoding="utf-8"
    )
    return path


def test_a_point_is_judged_by_its_medians(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run in which it was open or met decides nothing; each column has its own median."""
    fine = ("GRU B=1", "full", "1.100", "0.100", "0.100")
    seen = [
        ("LSTM B=2", "ragged", "3.000", "0.710", "0.900"),
        ("LSTM B=2", "ragged", "3.900", "0.660", "0.800"),
        ("LSTM B=2", "ragged", "4.100", "0.720", "0.700"),
    ]
    runs = [str(_saved(tmp_path / f"{k}.json", fine, one, load=k)) for k, one in enumerate(seen)]
    assert several_runs.main(runs) == 0
    said = capsys.readouterr().out.splitlines()
    assert (
        "| LSTM B=2 | ragged | 3.000, 3.900, 4.100 | 0.710, 0.660, 0.720 | 3.900 × at 0.710: fast |" in said
    )
    assert [line for line in said if "| ragged | " in line and not line.startswith("| LSTM")] == [
        "| run 1 | ragged | 0 | 1 | 0 | 0 | 3.0 × |",
        "| run 2 | ragged | 0 | 0 | 0 | 1 | 3.9 × |",
        "| run 3 | ragged | 1 | 0 | 0 | 0 | 4.1 × |",
        "| **median** | ragged | 0 | 1 | 0 | 0 | 3.9 × |",
    ]
    assert not any("GRU" in line for line in said)
    assert several_runs.main([runs[1], runs[1], runs[2]]) == 1


def test_what_is_just_below_a_bound_is_below_it() -> None:
    """3.999 is not 4, and 0.699 is not 0.7."""
    assert Shown(3.999, 0.699, 1.0).kind(4.0) == "open"
    assert Shown(3.999, 0.7, 1.0).kind(4.0) == "fast"
    assert Shown(3.999, 0.699, 1.001).kind(4.0) == "beyond"
    assert Shown(4.0, 0.1, 0.1).kind(4.0) == "met"


def test_runs_of_other_points_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing point must not vanish from the verdict, nor another file be taken for a run."""
    one = ("LSTM B=2", "ragged", "4.5", "0.5", "0.5")
    some = points(json.loads(_saved(tmp_path / "a.json", one).read_text("utf-8")))
    with pytest.raises(ValueError, match="not the same points"):
        medians([some, {}])
    there = _saved(tmp_path / "there.json", one, processor="another")
    with pytest.raises(SystemExit) as left:
        several_runs.main([str(tmp_path / "a.json"), str(there)])
    assert left.value.code == 2
    assert "different machines" in capsys.readouterr().err
    (tmp_path / "b.json").write_text('{"W1": {}}', encoding="utf-8")
    for path in ("b.json", "none.json"):
        with pytest.raises(SystemExit) as left:
            several_runs.main([str(tmp_path / path)])
        assert left.value.code == 2
    assert "there is no table of W4" in capsys.readouterr().err


def test_the_verdict_reads_what_is_written_by_a_run() -> None:
    """The results that are shown have the columns that are read, of all points."""
    kept = json.loads((Path(several_runs.__file__).parent / "RESULTS.json").read_text("utf-8"))
    assert len(points(kept)) == 116


def test_what_is_a_hair_below_its_goal_is_not_written_as_met() -> None:
    """The verdict reads three places of a table: 0.9999 must not stand there as 1.000."""
    assert [rounded_down(value) for value in (0.99989, 1.0, 3.9996, 0.69996)] == [
        "0.999",
        "1.000",
        "3.999",
        "0.699",
    ]
