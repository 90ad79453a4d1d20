"""Recurrent text models that train fast on a CPU and show what they remembered."""

__version__ = "0.1.0"
