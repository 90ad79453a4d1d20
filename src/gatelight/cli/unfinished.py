"""Where an unfinished training run lies, beside its model to be, and when it may go on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from gatelight.cli.faults import describe
from gatelight.errors import DataError
from gatelight.launched import rank, restarts


class UnfinishedRun:
    """The run on the way to the folder `out` of a model of `kind`, in the folder `OUT.checkpoint`.

    What torchrun restarts resumes by itself. Of several processes only the first writes.
    As a context manager it removes that folder in the end where it has no checkpoint. Raises DataError where
    there is nothing to resume, or something that beginning anew would destroy; FileExistsError where the
    model could not be saved in the end; OSError where nothing can be written.
    """

    def __init__(self, out: Path, kind: str, resume: bool) -> None:
        from gatelight.estimators.saving import may_replace
        from gatelight.models.checkpoint import read_record

        self.out, self.folder = out, out.with_name(f"{out.name}.checkpoint")
        self.checkpoint = self.folder / "run"
        if out.exists() and not may_replace(kind)(out):
            raise FileExistsError(f"{out} exists and is no model of gatelight's; choose another --out")
        begun = self.checkpoint.is_file()
        self.resume = resume = resume or (begun and restarts() > 0)
        if resume and not begun:
            raise DataError(
                f"{self.folder} holds no unfinished run: there is nothing to resume; begin without --resume"
            )
        record = read_record(self.checkpoint) if begun and not resume else {}
        if record.get("step"):
            at = f"step {record['step']} of {record.get('steps')}"
            raise DataError(
                f"{self.folder} holds a run that stopped after {at}: --resume goes on with it, deleting the "
                "folder begins anew"
            )

    def __enter__(self) -> UnfinishedRun:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *error: object) -> None:
        if not rank() and not self.checkpoint.exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    def save(self, write: Callable[[Path], None]) -> None:
        """Have the trained model written to `out`; OSError, saying where it waits, when the disk refuses."""
        try:
            write(self.out)
        except OSError as error:
            raise OSError(
                f"{describe(error)}; the trained model waits in {self.folder}: --resume saves it"
            ) from error
        shutil.rmtree(self.folder, ignore_errors=True)
