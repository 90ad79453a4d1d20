"""Texts that are files: one folder per class, or the Large Movie Review Dataset; a folder or an archive.

In the data set's layout (Maas et al., ACL 2011) `train/pos/0_9.txt` is review 0 of the positive training
reviews, with nine stars; line 0 of `train/urls_pos.txt` is the address of its film. Reviews under `unsup`
have neither label nor stars (a 0 stands for them) and make up the split `unsup`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.readers.example import Example, Options
from gatelight.text.readers.streams import decoded

SPLITS = frozenset({"train", "test", "valid", "validation", "dev", "unsup"})

_REVIEW = re.compile(r"(?:^|/)(train|test)/(pos|neg|unsup)/(\d+)_(\d+)\.txt$")
_URLS = re.compile(r"(?:^|/)(train|test)/urls_(pos|neg|unsup)\.txt$")
_FILM = re.compile(r"/title/(tt\d+)")
_ORDER = ("train", "test", "unsup")


def has_reviews(root: Path, options: Options) -> bool:
    """Say whether a folder or archive holds files that are named as the data set names its reviews."""
    return any(_REVIEW.search(name) for name in archives.member_names(root, options.max_bytes))


def read_aclimdb(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield the reviews with their films, by split, class and number: every copy gives the same list.

    They are gathered first, as an archive's films may come last in it.
    """
    films: dict[tuple[str, str], list[str | None]] = {}
    reviews: list[tuple[int, str, str, int, Example]] = []

    def wanted(name: str) -> bool:
        found = _REVIEW.search(name)
        return options.wants(_split(found)) if found else _URLS.search(name) is not None

    for name, content in archives.members(Path(source), wanted, options.max_bytes):
        if found := _URLS.search(name):
            pages = map(_FILM.search, content.decode("utf-8", "replace").splitlines())
            films[found[1], found[2]] = [page and page[1] for page in pages]
        elif found := _REVIEW.search(name):
            part, label, number, stars = found.groups()
            review = Example(
                text=decoded(content, options, f"{source}: {name}"),
                label=None if label == "unsup" else label,
                id=f"{part}/{label}/{number}_{stars}",
                split=_split(found),
            )
            reviews.append((_ORDER.index(_split(found)), part, label, int(number), review))
    for _, part, label, number, review in sorted(reviews, key=lambda it: it[:4]):
        of_class = films.get((part, label), ())
        yield review._replace(group=of_class[number] if number < len(of_class) else None)


def _split(found: re.Match[str]) -> str:
    return "unsup" if found[2] == "unsup" else found[1]


def read_class_folders(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each file as a text, its folder's name being its class; hidden files are left out.

    A file's id is its path. Files above the class folders (a README) are left out too, and the folder of a
    split may stand above those of classes (`train/pos/1.txt`). Raises DataError when there is no text.
    """
    root = Path(source)
    inner = len(root.resolve().name) + 1 if root.is_dir() else 0  # the folder's own name is no class
    places = _class_places(name[inner:] for name in archives.member_names(root, options.max_bytes))
    if not places:
        raise DataError(f"{source}: no texts found; expected one folder per class with files in it")

    def wanted(name: str) -> bool:
        return name[inner:] in places and options.wants(places[name[inner:]][0])

    for name, content in archives.members(root, wanted, options.max_bytes):
        split, label, own_id = places[name[inner:]]
        yield Example(decoded(content, options, f"{source}: {name}"), label, id=own_id, split=split)


def _class_places(names: Iterable[str]) -> dict[str, tuple[str | None, str, str]]:
    """Split, class and id by file name; one folder around everything, as archives have, is looked through."""
    paths = {name: tuple(step for step in name.split("/") if step not in ("", ".")) for name in names}
    paths = {
        name: steps
        for name, steps in paths.items()
        if not any(step.startswith((".", "__MACOSX")) for step in steps)
    }
    outer = {steps[0] for steps in paths.values()}
    deep = any(len(steps) > 2 for steps in paths.values())
    if len(outer) == 1 and deep and not outer & SPLITS:
        paths = {name: steps[1:] for name, steps in paths.items()}
    places: dict[str, tuple[str | None, str, str]] = {}
    for name, steps in paths.items():
        split, inner = (steps[0], steps[1:]) if steps[0] in SPLITS else (None, steps)
        if len(inner) >= 2:
            places[name] = split, inner[0], "/".join(steps)
    return places
