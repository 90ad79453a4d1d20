"""Classifiers of sequences of ids, their training, prediction and files."""
