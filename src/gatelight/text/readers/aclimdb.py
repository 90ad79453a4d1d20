"""The layout of the Large Movie Review Dataset (Maas et al., ACL 2011), folder or archive; no other layout.

`train/pos/0_9.txt` is review 0 of the positive training reviews, with nine stars; line 0 of
`train/urls_pos.txt` is the address of its film. Reviews under `unsup` have neither label nor stars (a 0
stands for them) and make up the part `unsup`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.readers.example import Example, Options
from gatelight.text.readers.streams import decoded

PARTS = ("train", "test", "unsup")

_REVIEW = re.compile(r"(?:^|/)(train|test)/(pos|neg|unsup)/(\d+)_(\d+)\.txt$")
_URLS = re.compile(r"(?:^|/)(train|test)/urls_(pos|neg|unsup)\.txt$")
_FILM = re.compile(r"/title/(tt\d+)")


def is_review(name: str) -> bool:
    """Say whether a member or relative path is named as the data set names its reviews."""
    return _REVIEW.search(name) is not None


class Films:
    """Which film each review is about, as far as the `urls_*.txt` files have been seen."""

    def __init__(self) -> None:
        self._films: dict[str, list[str | None]] = {}

    def add(self, name: str, content: bytes) -> None:
        """Take in one `urls_*.txt` file."""
        found = _URLS.search(name)
        if found is None:
            raise DataError(f"{name}: not named urls_pos.txt, urls_neg.txt or urls_unsup.txt")
        shared: dict[str, str] = {}
        films: list[str | None] = []
        for line in content.decode("utf-8", "replace").splitlines():
            film = _FILM.search(line)
            films.append(shared.setdefault(film[1], film[1]) if film else None)
        self._films[f"{found[1]}/{found[2]}"] = films

    def of(self, review: str) -> str | None:
        """Return the film of a review by its id, such as `train/pos/0_9`; None where it is not known."""
        key, _, name = review.rpartition("/")
        films = self._films.get(key, ())
        number = int(name.partition("_")[0])
        return films[number] if number < len(films) else None


def read_aclimdb(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each review with its film; an archive is gone through twice, as films often come last."""
    films = Films()
    for name, content in _files(Path(source), options, lambda name: _URLS.search(name) is not None):
        films.add(name, content)
    for example in _reviews(_files(Path(source), options, _wanted(options)), options, str(source)):
        yield example._replace(group=films.of(example.id))


def gather_aclimdb(source: str | Path, options: Options) -> list[Example]:
    """Return the reviews in one pass, sorted by part, class and number: every copy gives the same list."""
    films = Films()
    wanted = _wanted(options)

    def without_urls() -> Iterator[tuple[str, bytes]]:
        both = _files(Path(source), options, lambda name: wanted(name) or _URLS.search(name) is not None)
        for name, content in both:
            if _URLS.search(name):
                films.add(name, content)
            else:
                yield name, content

    examples = list(_reviews(without_urls(), options, str(source)))
    examples.sort(key=_order)
    for i, example in enumerate(examples):
        examples[i] = example._replace(group=films.of(example.id))
    return examples


def _order(example: Example) -> tuple[int, str, int]:
    folder, _, name = example.id.rpartition("/")
    return PARTS.index(example.part or ""), folder, int(name.partition("_")[0])


def _part(found: re.Match[str]) -> str:
    return "unsup" if found[2] == "unsup" else found[1]


def _wanted(options: Options) -> Callable[[str], bool]:
    def wanted(name: str) -> bool:
        found = _REVIEW.search(name)
        return found is not None and options.wants(_part(found))

    return wanted


def _reviews(files: Iterable[tuple[str, bytes]], options: Options, origin: str) -> Iterator[Example]:
    for name, content in files:
        found = _REVIEW.search(name)
        if found is None:
            continue
        folder, label, number, stars = found.groups()
        yield Example(
            text=decoded(content, options, f"{origin}: {name}"),
            label=None if label == "unsup" else label,
            id=f"{folder}/{label}/{number}_{stars}",
            part=_part(found),
            rating=int(stars) or None,
        )


def _files(source: Path, options: Options, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        return _folder_files(source, wanted, options.max_bytes)
    return archives.members(source, wanted, options.max_bytes)


def _folder_files(
    root: Path, wanted: Callable[[str], bool], max_bytes: int | None
) -> Iterator[tuple[str, bytes]]:
    # With the folder's own name in front, the `train` folder alone is understood as well.
    above = root.resolve().parent
    for folder, names, files in os.walk(root.resolve()):
        names.sort()
        prefix = Path(folder).relative_to(above).as_posix()
        for name in sorted(files):
            if wanted(f"{prefix}/{name}"):
                yield f"{prefix}/{name}", archives.whole_file(Path(folder) / name, max_bytes)
