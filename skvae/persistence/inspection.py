"""What a file says of its model, told by its header: no weight is read, and nothing is built.

The header is checked as `load` checks it. The checksum is of the weights too, and is not compared;
figures of the fit are read one by one.
"""

import math
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np

from skvae.data.columns import Columns
from skvae.fitted.state import Reader
from skvae.persistence.checks import check_columns
from skvae.persistence.container import HeaderOnly, LoadError
from skvae.persistence.estimators import check_attribute, check_keys, error_of
from skvae.persistence.tables import KINDS, LEARNED, OPTIONAL, PRIVATE

_UNREAD = ("_model", "_online", "_left", "_began", "history_", "restarts_")  # large, or for load


class Inspection(NamedTuple):
    """What a file says."""

    name: str  # of the class
    n_bytes: int
    n_weights: int  # numbers in the arrays of the model
    versions: dict[str, str]
    format: tuple[int, int]
    parameters: dict[str, Any]
    learned: dict[str, Any]  # attributes that a person can read
    columns: Columns


def inspect(path: str | PathLike[str]) -> Inspection:
    """What a file says of its model.

    Raises
    ------
    LoadError
        If its header is none that `save` writes.
    OSError
        If it cannot be read.
    """
    file = HeaderOnly(path)
    manifest = dict(file.header.manifest)
    manifest.pop("sha256", None)
    try:
        return _inspection(file, manifest)
    except Exception as error:  # whatever a file can cause: it is not to be trusted
        raise error_of(error, manifest) from error


def _inspection(file: HeaderOnly, manifest: dict[str, Any]) -> Inspection:
    check_keys(manifest)
    reader = Reader(_Arrays(file), KINDS)
    parameters = {name: reader.value(tree) for name, tree in manifest["parameters"].items()}
    trees = manifest["learned"]
    if missing := (LEARNED | PRIVATE).keys() - trees.keys():
        raise LoadError(f"the file lacks the attribute {min(missing)!r}.")
    learned = {name: reader.value(trees[name]) for name in trees if name not in _UNREAD}
    for name, value in learned.items():
        check_attribute(name, value)
    check_columns(learned["_columns"], learned["n_features_in_"])
    told = {name: value for name, value in learned.items() if name in LEARNED or name in OPTIONAL}
    n_weights = sum(
        math.prod(entry.shape)
        for name, entry in file.header.entries.items()
        if name.startswith(_WEIGHTS) and entry.dtype.kind == "f"
    )
    major, minor = manifest["format"]["major"], manifest["format"]["minor"]
    versions = {str(name): str(value) for name, value in manifest["versions"].items()}
    name = manifest["class"]
    if not isinstance(name, str):
        raise LoadError(f"the class {name!r:.40} is no name.")
    return Inspection(
        name, file.n_bytes, n_weights, versions, (major, minor), parameters, told,
        learned["_columns"],
    )  # fmt: skip


class _Arrays(Mapping[str, np.ndarray]):
    """Arrays of a file, each read when it is asked for."""

    def __init__(self, file: HeaderOnly) -> None:
        self._file = file

    def __getitem__(self, name: str) -> np.ndarray:
        return self._file.array(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.header.entries)

    def __len__(self) -> int:
        return len(self._file.header.entries)


_WEIGHTS = "attribute._model.weights."
