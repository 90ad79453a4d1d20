"""The whole road in a few minutes: get a data set, train, test beside the baseline, predict, save, reload.

Uses the command line and the library as a user would, and prints every command that it runs. Ends with
exit code 1 when the model is worse than the baseline on the test films.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("gatelight")
FOLDER = Path("runs") / "demo"
SENTENCES = (
    "A warm, funny and beautifully acted film that never puts a foot wrong.",
    "Two hours of tired jokes and wooden acting, without a single surprise.",
)
# Chosen on validation films alone: vectors learned from much other text know the words that 9,000 snippets
# show too rarely, a snippet needs no large memory, and few texts want more epochs.
SETTINGS = {
    "vectors": "glove-6b-50d",
    "min-count": "1",
    "hidden-size": "64",
    "embedding-dropout": "0.4",
    "epochs": "12",
    "best-by": "valid_accuracy",
    "validation-fraction": "0.1",
}


def gatelight(*arguments: str, to: Path | None = None) -> None:
    """Print a command, run it, and end the demo when it fails."""
    print(f"\n$ gatelight {shlex.join(arguments)}{f' > {to}' if to else ''}", flush=True)
    command = [str(PROGRAM), *arguments]
    if to is None:
        done = subprocess.run(command)
    else:
        with to.open("wb") as file:
            done = subprocess.run(command, stdout=file)
    if done.returncode != 0:
        sys.exit(done.returncode)


def reload(model: Path) -> None:
    """Load the model, save it elsewhere, load that, and show that both say the same."""
    print(
        f"""
>>> import gatelight
>>> model = gatelight.load("{model}")
>>> model.save("{model}-copy")
>>> again = gatelight.load("{model}-copy")""",
        flush=True,
    )
    import gatelight as library

    first = library.load(model)
    first.save(f"{model}-copy")
    again = library.load(f"{model}-copy")
    for found, name in ((first, "model"), (again, "again")):
        print(f">>> {name}.predict_proba(sentences)\n{found.predict_proba(SENTENCES)}")
    if (first.predict_proba(SENTENCES) != again.predict_proba(SENTENCES)).any():
        sys.exit("the reloaded model answers differently")
    print("the same bits")


def main() -> None:
    """Run the demo."""
    began = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    model, results = FOLDER / "critic", FOLDER / "train.jsonl"
    gatelight("data", "get", "rotten-tomatoes")
    gatelight("data", "get", "glove-6b-50d")
    # A fifth of the films is held out for the test, then more of the others for validation.
    settings = [part for name, value in SETTINGS.items() for part in (f"--{name}", value)]
    train = ["train", "rotten-tomatoes", "--out", str(model), "--test-fraction", "0.2", *settings, "--json"]
    gatelight(*train, to=results)
    gatelight("predict", str(model), *SENTENCES)
    reload(model)
    test = json.loads(results.read_text(encoding="utf-8").splitlines()[-1])["test"]
    ours, theirs = test["accuracy"], test["baseline"]["accuracy"]
    print(
        f"\ntest accuracy on {test['n']:,} snippets of films never seen: "
        f"{ours:.1%} [{test['accuracy_low']:.1%}, {test['accuracy_high']:.1%}], n-gram baseline {theirs:.1%}"
        f"\n{time.monotonic() - began:.0f} s in all"
    )
    print("\nnext: which words decided; and a page that shows it, with every gate of the memory")
    for command in (f'explain {model} "A warm, funny film, but far too long."', f"serve {model}"):
        print(f"  {os.path.relpath(PROGRAM)} {command}")
    if ours < theirs:
        sys.exit("the model is worse than the baseline")


if __name__ == "__main__":
    main()
