"""The cells of a column: what it holds, told by its dtype alone, and the way to values and back.

A `Column` holds numbers, booleans, or levels, which are the values of text and categories. `encode`
gives values, shape (n,): numbers, 0 and 1, codes of levels, NaN where a cell is missing. `decode`
gives the cells that these values stand for. Columns are read through narwhals.
"""

import decimal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals as nw
import numpy as np

from skvae.data.containers import library
from skvae.data.dtypes import dtype_from, missing_from, plain_dtype, plain_missing
from skvae.data.excerpts import excerpt, label
from skvae.data.refusals import (
    DATES,
    refuse,
    refuse_endless,
    refuse_nested,
    refuse_numbers,
    refuse_object,
)
from skvae.data.scalars import plain_scalar, scalar_from

_KINDS = ("number", "boolean", "category", "ordered")
_EXACT = 2.0**53  # up to which floats have every whole number
UNSEEN = -1.0  # the code of a level that fit has not seen

# What a column can be: the first row that fits. All but _KINDS are refused.
_KINDS_OF_COLUMN: dict[str, Callable[[nw.dtypes.DType], bool]] = {
    "ordered": lambda dtype: dtype == nw.Enum,
    "boolean": lambda dtype: dtype == nw.Boolean,
    "number": lambda dtype: dtype.is_numeric(),
    "category": lambda dtype: dtype in (nw.String, nw.Categorical, nw.Object),
    "date": lambda dtype: dtype.is_temporal(),
    "nested object": lambda dtype: dtype.is_nested(),
    "binary value": lambda dtype: dtype == nw.Binary,
}
# The same by the letter of NumPy, where narwhals does not know the dtype: pandas' sparse columns.
_KINDS_OF_LETTER = dict.fromkeys("iuf", "number") | {"b": "boolean", "c": "complex number"}


@dataclass(frozen=True)
class Column:
    """What a column held in fit, and how its cells come back."""

    name: object  # as in the frame, or the position in an array
    kind: str  # "number", "boolean", "category" or "ordered"
    levels: tuple = ()  # of a category, in their order
    dtype: Any = None  # of the library that made the table
    numpy_dtype: np.dtype | None = None  # of numbers and booleans, also where they are levels
    missing: Any = field(default=None, compare=False)  # the first missing cell of fit

    def __getstate__(self) -> dict[str, Any]:
        plain = {"dtype": plain_dtype(self.dtype), "missing": plain_missing(self.missing)}
        told = {"name": plain_scalar(self.name), "levels": tuple(map(plain_scalar, self.levels))}
        return self.__dict__ | plain | told

    def __setstate__(self, state: dict[str, Any]) -> None:
        theirs = {"dtype": dtype_from(state["dtype"]), "missing": missing_from(state["missing"])}
        told = {
            "name": scalar_from(state["name"]),
            "levels": tuple(map(scalar_from, state["levels"])),
        }
        self.__dict__.update(state | theirs | told)

    @classmethod
    def of(cls, series: nw.Series, container: str, coded: bool) -> "Column":
        """Return what a column holds; with `coded`, its numbers are levels."""
        where = _where(_scalar(series.name))
        missing = _missing(series, where)
        if len(missing) and missing.all():
            raise ValueError(f"{where} has no observed cell; drop it.")
        dtype = dtype_of(series)
        kind = kind_of(series)
        if kind not in _KINDS:
            refuse(kind, where, f"dtype {label(str(dtype))}", takes="numbers, text and categories")
        if container == "numpy":
            kind = "number"
        numpy_dtype = numpy_dtype_of(series, kind)
        if coded and numpy_dtype is not None:
            kind = "category"
        return cls(
            name=_scalar(series.name),
            kind=kind,
            levels=_levels(series, where) if kind in ("category", "ordered") else (),
            dtype=dtype,
            numpy_dtype=numpy_dtype,
            missing=series[int(missing.argmax())] if missing.any() else None,
        )

    def grown(self, series: nw.Series) -> "Column":
        """Return the column with the levels that came since, where its dtype declares none."""
        is_text = self.kind == "category" and self.numpy_dtype is None
        if not is_text or hasattr(self.dtype, "categories") or _declared(series) is not None:
            return self
        known = set(map(type, self.levels))
        _, found = _factorize(series, self.where)
        new = {level for level in found if type(level) in known} - set(self.levels)
        return replace(self, levels=(*self.levels, *sorted(new, key=_by_type))) if new else self

    @property
    def is_number(self) -> bool:
        """Whether its values are its cells: numbers, and booleans as 0 and 1."""
        return self.kind in ("number", "boolean")

    @property
    def where(self) -> str:
        """The name as messages have it."""
        return _where(self.name)

    def encode(self, series: nw.Series) -> np.ndarray:
        """Return the values of a column, shape (n,)."""
        if self.kind in ("category", "ordered"):
            return self._codes(series)
        return self.checked(numbers_of(series, self.where, self.kind))

    def checked(self, values: np.ndarray) -> np.ndarray:
        """Return numbers; a ValueError where they are to be booleans and are none."""
        if self.kind == "boolean":
            strange = ~np.isnan(values) & (values != 0) & (values != 1)
            if strange.any():
                raise ValueError(
                    f"{self.where} has the value {values[strange][0]:g}, and held booleans in fit; "
                    "pass booleans, or 0 and 1."
                )
        return values

    def _codes(self, series: nw.Series) -> np.ndarray:
        code = {level: float(n) for n, level in enumerate(self.levels)}
        known = set(map(type, self.levels))
        positions, found = _factorize(series, self.where)
        refuse_endless(found, self.where)
        for level in found:
            if level not in code and type(level) not in known:
                refuse_object(level, self.where)
        return np.array([code.get(level, UNSEEN) for level in found] + [np.nan])[positions]

    def decode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return cells, and which are missing: numbers in their NumPy dtype, levels as objects."""
        if self.kind in ("category", "ordered"):
            positions = positions_of(values)
            if self.numpy_dtype is None:
                return objects([*self.levels, None])[positions], positions < 0
            cells = np.array([*self.levels, 0], self.numpy_dtype)[positions]
            if cells.dtype.kind == "f":
                cells[positions < 0] = np.nan
            return cells, positions < 0
        assert self.numpy_dtype is not None  # of every column but those with levels only
        cells = in_dtype(values, self.numpy_dtype)
        return cells if self.scale is None else rounded(cells, self.scale), np.isnan(values)

    @property
    def is_float(self) -> bool:
        """Whether its values are its cells as they are: doubles."""
        return self.numpy_dtype == np.float64 and self.scale is None

    @property
    def scale(self) -> int | None:
        """How many digits decimals have after the point; None for other cells."""
        return getattr(getattr(self.dtype, "pyarrow_dtype", self.dtype), "scale", None)


def _where(name) -> str:
    return f"column {label(name)!r}"


def positions_of(codes: np.ndarray) -> np.ndarray:
    """Return codes as integers, -1 where they are missing or unseen."""
    return np.where(codes >= 0, codes, -1).astype(np.intp)


def in_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return numbers as booleans, the nearest integers in range, or floats of a dtype."""
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind in "iu":
        return values.astype(dtype) if values.dtype.kind == "b" else _whole(values, dtype)
    with np.errstate(over="ignore"):  # beyond the range is infinite
        return values.astype(dtype)


def _whole(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the nearest integers in the range of the dtype; anything where a value is NaN."""
    info = np.iinfo(dtype)
    if values.dtype.kind in "iu":
        return np.array([min(max(int(v), info.min), info.max) for v in values], dtype)
    values = np.nan_to_num(np.rint(values))
    below = values < float(info.max)  # which can be one more than the largest integer
    cells = np.where(below, np.maximum(values, float(info.min)), 0.0).astype(dtype)
    cells[~below] = info.max
    return cells


def rounded(values: np.ndarray, scale: int) -> np.ndarray:
    """Return the nearest decimals, as the whole numbers that they are of a power of ten."""
    unit = 10.0**scale
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(values * unit)
        return np.where(np.abs(whole) < _EXACT, whole / unit, values)  # others have no such digits


def objects(cells: list) -> np.ndarray:
    """Return cells as an array of objects, shape (n,)."""
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def dtype_of(series: nw.Series) -> Any:
    """Return the dtype of the library that a column is of."""
    native = series.to_native()
    return native.type if series.implementation.is_pyarrow() else native.dtype


def kind_of(series: nw.Series) -> str:
    """Return what a column holds, one of the kinds of cells or one that is refused."""
    dtype = dtype_of(series)
    if getattr(dtype, "ordered", False):
        return "ordered"
    for kind, fits in _KINDS_OF_COLUMN.items():
        if fits(series.dtype):
            return kind
    return _KINDS_OF_LETTER.get(getattr(dtype, "kind", "O"), "value")


def numpy_dtype_of(series: nw.Series, kind: str) -> np.dtype | None:
    """Return the dtype that NumPy has for a column of numbers or booleans, else None."""
    if kind not in ("number", "boolean"):
        return None
    if kind == "boolean":
        return np.dtype(bool)
    dtype = dtype_of(series)
    dtype = getattr(dtype, "subtype", dtype)  # of pandas' sparse columns
    if isinstance(dtype, np.dtype):
        return dtype if dtype.kind in "iuf" else np.dtype(np.float64)
    # Those that NumPy does not know are decimals, and integers of 128 bits.
    known = series.dtype
    unknown: Any = np.float64
    if known.is_integer():
        unknown = np.int64 if known.is_signed_integer() else np.uint64
    return np.dtype(np.sctypeDict.get(str(known).lower(), unknown))


def _missing(series: nw.Series, where: str) -> np.ndarray:
    if kind_of(series) in ("number", "boolean"):
        return np.isnan(numbers_of(series, where))
    if series.dtype == nw.Object:
        return _absent(as_pandas(series).array, where)
    return series.is_null().to_numpy().astype(bool)


def _absent(cells: Any, where: str) -> np.ndarray:
    """Return which cells of an array of pandas are missing."""
    try:
        return np.asarray(cells.isna())
    except decimal.InvalidOperation:  # it compares cells, and signaling NaN refuse to be
        refuse_numbers(cells, where)
        raise


def as_pandas(series: nw.Series) -> Any:
    """Return a column in pandas, which tells values apart without a loop over the cells."""
    if series.implementation.is_pandas_like():
        return series.to_native()
    return library("pandas").Series(series.to_list(), dtype=object)


def _factorize(series: nw.Series, where: str) -> tuple[np.ndarray, list]:
    """Return the position of every cell among the different values, or -1, and these."""
    cells = as_pandas(series).array
    # Older pandas does not know all that is missing, and takes large integers for floats.
    there = ~_absent(cells, where)
    positions, cells = np.full(len(there), -1), cells[there]
    if cells.dtype == object:
        cells = cells.to_numpy()
    try:
        positions[there], found = library("pandas").factorize(cells)
    except TypeError:  # not hashable
        refuse_numbers(cells, where)
        for cell in cells:
            refuse_object(cell, where)
        raise
    return positions, [_scalar(value) for value in found.tolist()]


def _scalar(value):
    is_scalar = isinstance(value, np.generic) and not isinstance(value, DATES)
    return value.item() if is_scalar else value


def _declared(series: nw.Series) -> Iterable | None:
    if series.implementation.is_polars() and series.dtype == nw.Categorical:
        return None  # polars' categories are those of all such columns: none of this one
    if series.implementation.is_pyarrow() and series.dtype == nw.Categorical:
        chunks = series.to_native().unify_dictionaries().chunks
        return chunks[0].dictionary.to_pylist() if chunks else None
    return getattr(dtype_of(series), "categories", None)


def _levels(series: nw.Series, where: str) -> tuple:
    """Return the declared categories in their order, or else the values that occur, sorted."""
    declared = _declared(series)
    if declared is not None:
        levels = tuple(_scalar(level) for level in declared)
        refuse_nested(levels, where)
        refuse_endless(levels, where)
        return levels
    _, found = _factorize(series, where)
    for level in found:
        refuse_object(level, where)
    refuse_endless(found, where)
    return tuple(sorted(dict.fromkeys(found), key=_by_type))


def _by_type(level) -> tuple:
    return type(level).__name__, level


def numbers_of(series: nw.Series, where: str, held: str = "number") -> np.ndarray:
    """Return the cells as floats; also those of another dtype, where all are numbers.

    Messages say that fit saw what the column held, numbers or booleans.
    """
    if kind_of(series) in ("number", "boolean"):
        if series.implementation.is_pandas_like():
            return series.to_native().to_numpy(dtype=np.float64, na_value=np.nan)
        if series.implementation.is_pyarrow():  # which else refuses integers beyond 2 ** 53
            return series.to_native().cast("double", safe=False).to_numpy()
        return series.cast(nw.Float64).to_numpy()
    positions, found = _factorize(series, where)
    for value in found:
        refuse_object(value, where)
        if isinstance(value, str):
            raise ValueError(
                f"{where} has the text {excerpt(value)}, and held {held}s in fit; turn it into "
                f"{held}s."
            )
    refuse_numbers(found, where)
    return np.array([*map(float, found), np.nan])[positions]
