"""The thin roof: verbs that parse, call and print; it computes nothing itself."""
