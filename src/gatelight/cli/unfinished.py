"""Where an unfinished training run lies, beside its model to be, and when it may go on. Trains nothing.

The folder `OUT.checkpoint` holds the checkpoint file and, for vectors trained on the corpus, those.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from gatelight.cli.faults import describe
from gatelight.errors import DataError

_FILE = "run"


class UnfinishedRun:
    """The run on the way to the folder `out` of a model of `kind`."""

    def __init__(self, out: Path, kind: str) -> None:
        self.out, self.kind = out, kind
        self.folder = out.with_name(f"{out.name}.checkpoint")
        self.checkpoint = self.folder / _FILE

    def begin(self, resume: bool) -> None:
        """Make the folder, or find it on `resume`.

        Raises DataError where there is nothing to go on from, or something that beginning anew would destroy;
        FileExistsError where the model could not be saved in the end; OSError where nothing can be written.
        """
        from gatelight.estimators.saving import may_replace

        if self.out.exists() and not may_replace(self.kind)(self.out):
            raise FileExistsError(f"{self.out} exists and is no model of gatelight's; choose another --out")
        if resume and not self.checkpoint.is_file():
            raise DataError(
                f"{self.folder} holds no unfinished run: there is nothing to resume; begin without --resume"
            )
        if not resume and self.checkpoint.exists():
            from gatelight.models.checkpoint import read_record

            step, steps = (read_record(self.checkpoint).get(name) for name in ("step", "steps"))
            if step:
                raise DataError(
                    f"{self.folder} holds a run that stopped after step {step} of {steps}: --resume goes on "
                    "with it, deleting the folder begins anew"
                )
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, write: Callable[[Path], None]) -> None:
        """Have the trained model written to `out`, and clear.

        Raises OSError, saying where the model waits, when the disk refuses.
        """
        try:
            write(self.out)
        except OSError as error:
            raise OSError(
                f"{describe(error)}; the trained model waits in {self.folder}: --resume saves it"
            ) from error
        self.clear()

    def clear(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear_if_empty(self) -> None:
        """Remove the folder where nothing can be gone on from."""
        if not self.checkpoint.exists():
            self.clear()
