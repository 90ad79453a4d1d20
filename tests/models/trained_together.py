"""Trains small models, with other processes where torchrun started it; the weights go to a folder."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import save_file
from torch import Tensor
from training_cases import CONFIG, TRAIN, VALID, build

from gatelight.models.batches import Sequences
from gatelight.models.config import LanguageModelConfig
from gatelight.models.language_model import LanguageModel
from gatelight.models.predicting import PredictingDocuments, PredictingStreams
from gatelight.models.process_group import process_group
from gatelight.models.task import Task
from gatelight.models.training import train, train_task

# The last batch of 60 has one text; nothing is drawn but by seeds.
CLASSIFIER = replace(CONFIG, batch_size=59, epochs=4, average=None)
LANGUAGE = replace(CONFIG, epochs=2, batch_size=3, average=None, class_weight=None, best_by="valid_loss")


def trained() -> dict[str, Tensor]:
    """The weights of all models by name."""
    weights: dict[str, Tensor] = {}
    model = build(seed=1 + process_group().rank, layers=2, layer_dropout=0.2)  # the first one's counts
    train(model, *TRAIN, valid=VALID, config=CLASSIFIER)
    weights |= {f"classifier/{name}": weight for name, weight in model.state_dict().items()}
    drawn = np.random.default_rng(0).integers(2, 60, 230).astype(np.int32)
    documents = Sequences.of(drawn, np.r_[np.arange(2, 21), 21])
    for name, changes in {"stream": {}, "documents": {}, "tied": {"tied": True, "dim": 7}}.items():
        shape = {"dim": 6, "hidden": 7, "layers": 2, "dropout": 0.2, **changes}
        net = LanguageModel(LanguageModelConfig(60, **shape), seed=3)

        def task(name: str = name, net: LanguageModel = net) -> Task:
            if name == "documents":
                return PredictingDocuments(net, documents, documents, LANGUAGE)
            return PredictingStreams(net, drawn, drawn[:60], LANGUAGE, 8)

        train_task(task, LANGUAGE)
        weights |= {f"{name}/{part}": weight for part, weight in net.state_dict().items()}
    return {name: weight.clone() for name, weight in weights.items()}


if __name__ == "__main__":
    group = process_group()
    found = trained()
    save_file(found, Path(sys.argv[1]) / f"{group.rank}.safetensors")
