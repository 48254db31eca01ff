"""A reader of another package: text files with a name and a vector a line."""

from pathlib import Path
from typing import Literal

import numpy as np

from graphreid.features.readers.toolkits import Reader, ToolkitFeatures


def matches(file: Path, head: bytes) -> bool:
    """By the ending."""
    del head
    return file.suffix == ".vec"


def read(
    file: Path, part: Literal["query", "gallery"] | None, names: Path | None
) -> ToolkitFeatures:
    """Such as `image1 0.5 -1.25`."""
    if part is not None or names is not None:
        raise ValueError(f"{file}: has no parts and its names in it: leave out --part and --list")
    lines = [line.split() for line in file.read_text().splitlines()]
    vectors = np.array([list(map(float, line[1:])) for line in lines])
    return ToolkitFeatures(vectors, {"item": np.array([line[0] for line in lines])}, "a .vec file")


VEC = Reader(matches, read)
