"""What is fitted, told by short texts and hashes: whether a fit is the same as another."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from skvae.components import plain
from skvae.data.batches import Values, batches
from skvae.fitted.state import Writer
from skvae.persistence.container import canonical
from skvae.persistence.tables import KINDS

BLOCK_ROWS = 65_536
_DIGITS = 16  # of a hash, in hexadecimals: 64 bits
_LONGEST = 60  # text that is told as it is


class Fingerprint(NamedTuple):
    """What is fitted."""

    said: dict[str, str]  # by name, all but the rows: parameters, columns, versions
    rows: list[str]  # a hash of every block
    n_rows: int

    @property
    def of_said(self) -> str:
        """A hash of all but the rows."""
        return digest(canonical(sorted(self.said.items())).encode())

    @property
    def of_rows(self) -> str:
        """A hash of the rows."""
        return digest(canonical(self.rows).encode())


def digest(*parts: Any) -> str:
    """A hash of bytes, 64 bits."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:_DIGITS]


def said_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as texts by which they are told apart.

    Raises
    ------
    TypeError
        If one of them cannot be told, such as a function; the message names it.
    """
    return {name: _text(name, value) for name, value in values.items()}


def _text(name: str, value: Any) -> str:
    writer = Writer(KINDS)
    try:
        text = canonical(writer.tree(plain(value), name))
    except TypeError as error:
        raise TypeError(
            f"checkpoint_dir needs parameters that can be compared later, but {name} cannot be "
            f"saved: {error}"
        ) from error
    if not writer.arrays and len(text) <= _LONGEST:
        return text
    return f"sha256 {digest(text.encode(), hash_of(writer.arrays).encode())}"


def hash_of(arrays: Mapping[str, np.ndarray]) -> str:
    """A hash of arrays with their names, dtypes and shapes."""
    parts: list[Any] = []
    for name in sorted(arrays):
        own = np.ascontiguousarray(arrays[name])
        parts += [canonical([name, own.dtype.str, list(own.shape)]).encode(), own.tobytes()]
    return digest(*parts)


def hashes_of(X: Values, weight: np.ndarray | None) -> list[str]:
    """A hash of every block of rows and of their weights."""
    n_rows = X.shape[0]
    blocks = [slice(n, min(n + BLOCK_ROWS, n_rows)) for n in range(0, n_rows, BLOCK_ROWS)]
    return [_hash_of_block(X[rows], None if weight is None else weight[rows]) for rows in blocks]


def _hash_of_block(X: Values, weight: np.ndarray | None) -> str:
    parts: list[Any] = [canonical([*X.shape, weight is None]).encode()]
    if weight is not None:
        parts.append(np.ascontiguousarray(weight))
    return digest(*parts, *_bytes_of(X))


def _bytes_of(X: Values) -> Any:
    """The numbers of rows, a batch at a time: nothing is copied of rows that lie in order."""
    for rows in batches(X.shape[0], X.shape[1]):
        part = X[rows]
        if sparse.issparse(part):
            yield from (part.data, part.indices, np.diff(part.indptr))
        else:
            yield np.ascontiguousarray(part)


def first_changed(rows: list[str], before: list[str], n_rows: int) -> range:
    """The rows of the first block that is another than before."""
    n = next(n for n, pair in enumerate(zip(rows, before, strict=True)) if pair[0] != pair[1])
    return range(n * BLOCK_ROWS, min((n + 1) * BLOCK_ROWS, n_rows))
