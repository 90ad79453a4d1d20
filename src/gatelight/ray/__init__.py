"""Predicting and embedding on Ray Data: callable classes for `map_batches`, and whole files to whole files.

Ray schedules, retries and moves the data. A worker process has one model, whose weights are mapped from its
file, and as many threads as Ray gave it processors (`num_cpus`); the bits are those of one machine.
"""

from gatelight.ray.files import process_files
from gatelight.ray.stages import Embedder, Predictor, TextStage, folder_fingerprint

__all__ = ["Embedder", "Predictor", "TextStage", "folder_fingerprint", "process_files"]
