"""The settings of the models as options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gatelight.cli.options import Option, options_of

# A group of the help begins with the setting named.
GROUPS = {
    "tokenizer": "text and words",
    "cell": "model",
    "documents": "training",
    "optimizer": "training",
    "validation_fraction": "validation and repeating",
}


def classifier_settings(only: Iterable[str] = ()) -> list[Option]:
    """Return an option for each setting of a `TextClassifier`, or for those named."""
    from gatelight.estimators.settings import ClassifierSettings

    return [one for one in _settings(ClassifierSettings) if not only or one.name in only]


def language_settings() -> list[Option]:
    """Return an option for each setting of a `LanguageModel`."""
    from gatelight.estimators.settings import LanguageSettings

    return _settings(LanguageSettings)


def _settings(described: type) -> list[Option]:
    from gatelight.estimators.settings import HELP

    found, group = [], ""
    for one in options_of(described, HELP):
        group = GROUPS.get(one.name, group)
        found.append(replace(one, group=group))
    return found
