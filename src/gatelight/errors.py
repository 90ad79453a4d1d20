"""What can go wrong that the user can mend; the command line prints these in one line and exits with 2.

Anything else that is raised is a fault of ours and keeps its traceback.
"""

from __future__ import annotations


class GatelightError(Exception):
    """Base of every error whose message says what came, what was expected and what to do."""


class DataError(GatelightError, ValueError):
    """Texts, labels, files or options that cannot be used as they are."""


class ModelFileError(GatelightError, ValueError):
    """A model folder that is missing, incomplete, damaged or of a newer format."""


class ProcessLost(GatelightError):
    """Another process that trains the same model has ended, or the network between them failed."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"another process of this training ended or cannot be reached ({said:.120}); the last checkpoint "
            "is whole: start all of them again with resume (on the command line --resume)"
        )


class MissingExtraError(GatelightError, ImportError):
    """An optional package is absent; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed: "
            f"pip install 'gatelight[{extra}]'"
        )
