"""Text in, answer out: where texts and their ids meet the models."""
