"""Training in several processes that torchrun starts, against one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trained_together
from safetensors.torch import load_file

# Sums of float32 in another order, through some dozen steps of an optimiser that divides by small roots.
ROUNDING = 2e-4


@pytest.mark.parametrize("processes", [2, 4])
def test_the_number_of_processes_does_not_show(processes: int, tmp_path: Path) -> None:
    """Red when masks, weights of the loss, gradients or rows depend on who computed what."""
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
    ]
    done = subprocess.run(
        [*torchrun, trained_together.__file__, str(tmp_path)], capture_output=True, text=True, timeout=300,
        check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    of_each = [load_file(tmp_path / f"{rank}.safetensors") for rank in range(processes)]
    alone = trained_together.trained()
    for name, weight in alone.items():
        assert all(torch.equal(found[name], of_each[0][name]) for found in of_each), name
        torch.testing.assert_close(of_each[0][name], weight, rtol=0, atol=ROUNDING, msg=name)
