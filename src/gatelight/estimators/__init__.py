"""Text in, answer out: where texts and their ids meet a memory. Knows no command line."""
