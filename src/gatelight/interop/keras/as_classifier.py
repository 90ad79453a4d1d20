"""A classifier as layers of Keras.

A classifier never reads steps that are not there; Keras's layers do: what they shall not count is masked.
"""

from __future__ import annotations

from gatelight.errors import DataError
from gatelight.interop.keras.blueprint import Blueprint
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.layers import Dense, Dropout, Embedding, Flatten, Form, Layer, Pool
from gatelight.interop.keras.recurrent import NAMES, Recurrent
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.nn.equations import EQUATIONS

NO_POOL = {"attention": "weights its steps by what it learned", "max+mean": "joins two pools side by side"}


def imported_of(model: Classifier) -> ImportedModel:
    """The layers of Keras that compute what a classifier does, for ids padded with zeros at the end.

    Raises DataError for what Keras has no layer for: peepholes, attention, max+mean, n-grams.
    """
    plan = blueprint_of(model.config)
    own = dict(model.state_dict())
    return ImportedModel(plan, {name: own[key].numpy() for name, key in _names(plan).items()})


def blueprint_of(config: ClassifierConfig) -> Blueprint:
    """The layers of `imported_of`, without weights."""
    if EQUATIONS[config.cell].peepholes:
        raise DataError("the cell is an LSTM with peepholes, for which Keras has no layer")
    if config.pool in NO_POOL:
        raise DataError(f"the head {config.pool!r} {NO_POOL[config.pool]}, for which Keras has no layer")
    if config.buckets:
        raise DataError("it reads words by their character n-grams, for which Keras has no layer")
    flat, merge = config.pool == "flatten", "concat" if config.bidirectional else None
    layers: list[Layer] = [Embedding("embedding", config.vocabulary_size or 0, config.dim, masks=True)]
    for number in range(config.layers):
        whole = number + 1 < config.layers or config.pool != "last"
        if number and config.layer_dropout:
            layers.append(Dropout(f"layer_dropout_{number}", config.layer_dropout))
        layers.append(
            Recurrent(
                f"{config.cell}_{number + 1}", config.cell, config.hidden, all_steps=whole, merge=merge,
                zeros_where_masked=whole and (merge is not None or flat),
            )
        )  # fmt: skip
    pool: list[Layer] = []
    if config.pool in ("max", "mean"):
        pool = [Pool("pool", config.pool, masked=config.pool == "max")]
    dropout = [Dropout("dropout", config.dropout)] if config.dropout else []
    layers += [*dropout, Flatten("flatten")] if flat else [*pool, *dropout]
    several = config.outputs > 1 and not config.multilabel
    layers.append(Dense("dense", config.outputs, "softmax" if several else "sigmoid"))
    return Blueprint(Form(config.max_length if flat else None), tuple(layers))


def _names(plan: Blueprint) -> dict[str, str]:
    """The names of the weights and what a classifier calls them."""
    names: dict[str, str] = {}
    recurrent = 0
    for number, layer in enumerate(plan.layers):
        if isinstance(layer, Embedding):
            names[f"{number}.table"] = "embedding.weight"
        elif isinstance(layer, Recurrent):
            names |= {
                f"{number}.{name}{suffix}": f"memory.{recurrent}.{name}_l0{suffix}"
                for suffix in layer.suffixes
                for name in NAMES
            }
            recurrent += 1
        elif isinstance(layer, Dense):
            names |= {f"{number}.{name}": f"head.{name}" for name in ("weight", "bias")}
    return names
