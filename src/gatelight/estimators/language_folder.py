"""A fitted `LanguageModel` ↔ a folder of plain files, none of which is executed; knows nothing of training.

`config.json` settings and what was trained on; `model.safetensors` the weights; `vocabulary.jsonl`;
`README.md` the model card. Sizes are compared before anything is allocated.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from gatelight import __version__
from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.arrays import read_shapes
from gatelight.estimators.folder import CARD_FILE, CONFIG_FILE, MODEL_FILE, may_replace, read_config
from gatelight.estimators.language import LanguageModel
from gatelight.estimators.opening import LANGUAGE
from gatelight.estimators.settings import check_language_settings, named, of_config, plain
from gatelight.estimators.token_streams import END
from gatelight.files import folder_written_aside
from gatelight.models.language_model import LanguageModel as Network
from gatelight.models.language_model import LanguageModelConfig
from gatelight.models.saving import load_weights, save_weights
from gatelight.text.vocabulary import Vocabulary

FORMAT = 1


def save(model: LanguageModel, folder: Path) -> None:
    """Write a fitted model; whatever goes wrong, an older model there stays as it was.

    Raises FileExistsError when `folder` exists and is no model of ours, OSError when the disk refuses.
    """
    config = {
        "kind": LANGUAGE,
        "format": FORMAT,
        "gatelight": __version__,
        "settings": {**plain(model.get_params(deep=False)), "vectors": named(model.vectors)},
        "model": model.model_.config.to_dict(),
        "training": model.training_,
        "history": model.history_,
    }
    with folder_written_aside(folder, may_replace(LANGUAGE)) as aside:
        model.vocabulary_.save(aside)
        save_weights(model.model_, aside / MODEL_FILE)
        (aside / CARD_FILE).write_text(_card(model, folder.resolve().name), "utf-8", "backslashreplace")
        (aside / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="ascii")


def load(folder: Path) -> LanguageModel:
    """Read what `save` wrote; ModelFileError, in one line, for anything else."""
    config = read_config(folder, LANGUAGE, FORMAT)
    try:
        model = LanguageModel(**of_config(config["settings"]))
        check_language_settings(model.get_params(deep=False))
        shape = LanguageModelConfig.from_dict(config["model"])
        vocabulary = Vocabulary.load(folder)
        if shape.vocabulary_size != len(vocabulary) or END not in vocabulary:
            raise ValueError(
                f"a model of {shape.vocabulary_size} tokens, another vocabulary of {len(vocabulary)}"
            )
        history, training = list(config["history"]), dict(config["training"])
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"does not fit together ({error})"
        raise ModelFileError(f"{folder / CONFIG_FILE} {what}; copy or train the model again") from None
    shapes = read_shapes(folder / MODEL_FILE)
    weights = sum(map(prod, shapes.values()))
    # Nothing larger than the file is allocated, whatever the configuration says.
    sizes = shape.vocabulary_size * shape.dim, shape.layers * shape.hidden**2, shape.dim * shape.hidden
    if max(sizes) > weights or shape.layers > len(shapes):
        raise ModelFileError(
            f"{folder / MODEL_FILE} holds {weights} weights, too few for the model in {CONFIG_FILE}: the "
            "folder is incomplete or mixed from two models; copy or train it again"
        )
    network = Network(shape)
    load_weights(network, folder / MODEL_FILE)
    model.restore(vocabulary, network, history, training)
    return model


def _card(model: LanguageModel, name: str) -> str:
    training = model.training_
    lines = [
        f"# {' '.join(name.split())}",
        "",
        f"A language model on {model.tokenizer} tokens ({len(model.vocabulary_):,} of them), trained with "
        f"gatelight {training['gatelight']} on {training['texts']:,} texts ({training['tokens']:,} tokens).",
        "",
        "```python",
        "import gatelight",
        "",
        'model = gatelight.load("path/to/this/folder")',
        'model.generate("The ", length=200, temperature=0.8, seed=1)',
        "```",
        "",
        "| on the validation texts | bits per character | perplexity per token |",
        "| --- | --- | --- |",
        *_row("this model", training["validation"]),
        *_row(f"n-grams of order {model.order}, Kneser–Ney", training["baseline"]),
        "",
        f"{training['validation_texts']:,} texts were held out. Every setting is in `config.json`. The files "
        "hold no code and no pickle.",
        "",
    ]
    return "\n".join(lines)


def _row(name: str, found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    return [f"| {name} | {found['bits_per_character']:.3f} | {found['perplexity']:.2f} |"]
