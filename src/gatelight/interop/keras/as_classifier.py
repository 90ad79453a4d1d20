"""A classifier as a chain, and a chain as a classifier where it is one to the letter; knows no file format.

A classifier never reads steps that are not there; a chain does as Keras: what it shall not count is masked.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from gatelight.errors import DataError
from gatelight.interop.keras.feedforward import (
    Activation,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Form,
    Layer,
    Pool,
)
from gatelight.interop.keras.recurrent import NAMES, Memory
from gatelight.interop.keras.sequential import Blueprint, Chain
from gatelight.models.classifier import Classifier
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.nn.equations import EQUATIONS

NO_POOL = {"attention": "weights its steps by what it learned", "max+mean": "joins two pools side by side"}


def chain_of(model: Classifier) -> Chain:
    """The chain that computes what a classifier does, for ids padded with zeros at the end.

    Raises DataError for what a chain has no layer for: peepholes, attention, max+mean.
    """
    plan = blueprint_of(model.config)
    own = dict(model.state_dict())
    return Chain(plan, {name: own[key].numpy() for name, key in _names(plan).items()})


def blueprint_of(config: ClassifierConfig) -> Blueprint:
    """The layers of `chain_of`, without weights."""
    if EQUATIONS[config.cell].peepholes:
        raise DataError("the cell is an LSTM with peepholes, for which Keras has no layer")
    if config.pool in NO_POOL:
        raise DataError(f"the head {config.pool!r} {NO_POOL[config.pool]}, for which Keras has no layer")
    if config.buckets:
        raise DataError("it spells words from n-grams, for which Keras has no layer")
    flat, merge = config.pool == "flatten", "concat" if config.bidirectional else None
    layers: list[Layer] = [Embedding("embedding", config.vocabulary_size or 0, config.dim, masks=True)]
    for number in range(config.layers):
        whole = number + 1 < config.layers or config.pool != "last"
        if number and config.layer_dropout:
            layers.append(Dropout(f"layer_dropout_{number}", config.layer_dropout))
        layers.append(
            Memory(
                f"memory_{number + 1}", config.cell, config.hidden, all_steps=whole, merge=merge,
                zeros_where_masked=whole and (merge is not None or flat),
            )
        )  # fmt: skip
    dropout: list[Layer] = [Dropout("dropout", config.dropout)] if config.dropout else []
    if flat:
        layers += [*dropout, Flatten("flatten")]
    elif config.pool != "last":
        layers += [Pool("pool", config.pool, masked=config.pool == "max"), *dropout]
    else:
        layers += dropout
    several = config.outputs > 1 and not config.multilabel
    layers.append(Dense("dense", config.outputs, "softmax" if several else "sigmoid"))
    return Blueprint(Form(config.max_length if flat else None), tuple(layers))


def _names(plan: Blueprint) -> dict[str, str]:
    """The names of a chain's weights and what a classifier calls them."""
    names: dict[str, str] = {}
    memories = 0
    for number, layer in enumerate(plan.layers):
        if isinstance(layer, Embedding):
            names[f"{number}.table"] = "embedding.weight"
        elif isinstance(layer, Memory):
            for suffix in layer.suffixes:
                names |= {
                    f"{number}.{name}{suffix}": f"memory.{memories}.{name}_l0{suffix}" for name in NAMES
                }
            memories += 1
        elif isinstance(layer, Dense):
            names |= {f"{number}.{name}": f"head.{name}" for name in ("weight", "bias")}
    return names


def classifier_of(chain: Chain, config: ClassifierConfig | None = None) -> Classifier | None:
    """The classifier that computes what a chain does when it is given no masked ids; None: there is none.

    `config`: that of the classifier which the chain was made of, by which also heads are known again that
    agree only for ids padded at the end.
    """
    plan = chain.blueprint
    if config is None:
        config = _config(plan, [layer for layer in plan.layers if not isinstance(layer, Dropout)])
    elif _nameless(plan) != _nameless(blueprint_of(config)):
        config = None
    if config is None:
        return None
    model = Classifier(config, device="meta")
    own = {key: torch.from_numpy(chain.weights[name]) for name, key in _names(plan).items()}
    model.load_state_dict(own, assign=True)
    return model.eval()


def _nameless(plan: Blueprint) -> tuple[Form, list[Layer]]:
    return plan.input, [replace(layer, name="_") for layer in plan.layers]


def _config(blueprint: Blueprint, layers: list[Layer]) -> ClassifierConfig | None:
    """The configuration, when the layers are a classifier's, in its order and with its functions."""
    if len(layers) < 3 or not isinstance(layers[0], Embedding):
        return None
    embedding, rest = layers[0], layers[1:]
    memories = [layer for layer in rest if isinstance(layer, Memory)]
    head = rest[len(memories) :]
    if not memories or rest[: len(memories)] != memories or embedding.vocabulary < 2:
        return None
    last, masked = memories[-1], embedding.masks
    alike = all(
        layer.path()[0] == "kernels"
        and not layer.backwards
        and (layer.cell, layer.hidden, layer.merge) == (last.cell, last.hidden, last.merge)
        and layer.merge in (None, "concat")
        and (layer.all_steps or layer is last)
        for layer in memories
    )
    dense = _dense(head)
    if not alike or dense is None:
        return None
    pool = _pool(head[:1], last, masked)
    if pool is None or (pool == "flatten" and blueprint.input.steps is None):
        return None
    return ClassifierConfig(
        vocabulary_size=embedding.vocabulary,
        dim=embedding.features,
        cell=last.cell,
        hidden=last.hidden,
        layers=len(memories),
        bidirectional=last.merge is not None,
        pool=pool,
        max_length=blueprint.input.steps,
        outputs=dense.units,
        multilabel=dense.units > 1 and _output(head) == "sigmoid",
    )


def _output(head: list[Layer]) -> str:
    end = head[-1]
    return end.activation if isinstance(end, (Dense, Activation)) else ""


def _dense(head: list[Layer]) -> Dense | None:
    """The one dense layer at the end, with a classifier's function, perhaps in a layer of its own."""
    dense = [layer for layer in head if isinstance(layer, Dense)]
    if len(dense) != 1 or not dense[0].bias:
        return None
    tail = head[head.index(dense[0]) :]
    if len(tail) == 2 and (not isinstance(tail[1], Activation) or dense[0].activation != "linear"):
        return None
    fits = _output(head) == "sigmoid" or (_output(head) == "softmax" and dense[0].units > 1)
    return dense[0] if len(tail) <= 2 and fits else None


def _pool(head: list[Layer], last: Memory, masked: bool) -> str | None:
    first = head[0]
    if isinstance(first, Dense):
        return None if last.all_steps else "last"
    if isinstance(first, Flatten):
        # Masked steps may stand anywhere there, and a flattened row keeps their places.
        return "flatten" if last.all_steps and not masked else None
    if isinstance(first, Pool) and last.all_steps:
        if first.pool == "mean":
            return "mean"
        return "max" if first.masked or not masked else None
    return None
