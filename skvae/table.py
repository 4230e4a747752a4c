"""Tables as a person brings them: matrices of numbers, the faithful way back, and what is refused.

A `Schema` says of every column what it holds, by its dtype alone: numbers, booleans, or levels,
which are the values of text and categories. `encode` gives values, shape (n, d): numbers, 0 and 1,
codes of levels, NaN where a cell is missing. `decode` gives the table that these values stand for,
with the dtypes of fit. Frames are read through narwhals, which also finds the library of a frame.
"""

import datetime
import decimal
import numbers
import reprlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse

_KINDS = ("number", "boolean", "category", "ordered")
_UNSEEN = -1.0  # the code of a level that fit has not seen

_REMEDIES = {
    "text": "encode it (OneHotEncoder, OrdinalEncoder), pass it in a DataFrame, or drop it",
    "category": "encode it (OneHotEncoder, OrdinalEncoder) or drop it",
    "date": "turn it into numbers (days since a date, month, weekday) or drop it",
    "nested object": "give each of its parts a column of its own or drop it",
    "complex number": "give its real and its imaginary part columns of their own or drop it",
    "binary value": "decode it to text or drop it",
    "value": "turn it into numbers or text or drop it",
}
_KINDS_OF_ARRAY = {"U": "text", "S": "text", "M": "date", "m": "date"}
_DATES = (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64)

# What a cell among objects can be: the first row that fits. All but levels are refused.
_KINDS_OF_CELL: dict[str, tuple[type, ...]] = {
    "date": (*_DATES, datetime.time),
    "level": (str, numbers.Real, decimal.Decimal),
    "complex number": (numbers.Complex,),
    "binary value": (bytes, bytearray, memoryview),
    "nested object": (list, tuple, dict, set, frozenset, np.ndarray),
    "value": (object,),
}
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

    @classmethod
    def of(cls, series: nw.Series, container: str, coded: bool) -> "Column":
        """Return what a column holds; with `coded`, its numbers are levels."""
        where = f"column {_scalar(series.name)!r}"
        missing = _missing(series, where)
        if len(missing) and missing.all():
            raise ValueError(f"{where} has no observed cell; drop it.")
        dtype = _dtype(series)
        kind = _kind(series)
        if kind not in _KINDS:
            _refuse(kind, where, f"dtype {dtype}", takes="numbers, text and categories")
        if container == "numpy":
            kind = "number"
        numpy_dtype = _numpy_dtype(series, kind)
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

    @property
    def is_integer(self) -> bool:
        """Whether it is a number column of an integer dtype."""
        return self.kind == "number" and np.issubdtype(self.numpy_dtype, np.integer)

    @property
    def where(self) -> str:
        """The name as messages have it."""
        return f"column {self.name!r}"

    def encode(self, series: nw.Series) -> np.ndarray:
        """Return the values of a column, shape (n,)."""
        if self.kind in ("category", "ordered"):
            return self._codes(series)
        values = _numbers(series, self.where)
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
        for level in found:
            if level not in code and type(level) not in known:
                _refuse_object(level, self.where)
        return np.array([code.get(level, _UNSEEN) for level in found] + [np.nan])[positions]

    def decode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return cells, and which are missing: numbers in their NumPy dtype, levels as objects."""
        if self.kind in ("category", "ordered"):
            positions = _positions(values)
            if self.numpy_dtype is None:
                return _objects([*self.levels, None])[positions], positions < 0
            values = np.array([*map(float, self.levels), np.nan])[positions]
        missing = np.isnan(values)
        assert self.numpy_dtype is not None  # of every column but those with levels only
        if self.numpy_dtype.kind == "b":
            return values >= 0.5, missing
        if self.numpy_dtype.kind in "iu":
            return _whole(values, self.numpy_dtype), missing
        with np.errstate(over="ignore"):  # beyond the range is infinite
            return values.astype(self.numpy_dtype), missing


@dataclass(frozen=True)
class Schema:
    """The columns of a table: how it becomes values, shape (n, d), and how they become a table."""

    columns: tuple[Column, ...]
    container: str  # "pandas", "polars", "pyarrow" or "numpy"
    labels: Any = field(default=None, compare=False, repr=False)  # pandas' index of columns

    @classmethod
    def of(cls, X, coded: Iterable[int] = frozenset()) -> "Schema":
        """Return the schema of a table; the numbers of the `coded` positions are levels."""
        frame, container = _read(X)
        coded = frozenset(coded)
        columns = tuple(
            Column.of(series, container, coded=n in coded)
            for n, series in enumerate(frame.iter_columns())
        )
        labels = frame.to_native().columns.copy() if container == "pandas" else None
        return cls(columns, container, labels)

    @property
    def is_numeric(self) -> bool:
        """Whether every column is a plain number."""
        return all(column.kind == "number" for column in self.columns)

    @property
    def names(self) -> list:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def encode(self, X) -> tuple[np.ndarray, dict]:
        """Return values, shape (n, d), and the number of unseen levels of the columns with any."""
        frame, container = _read(X)
        self._check(frame.columns, container)
        if self.is_numeric and _is_plain(frame):
            return frame.to_native().to_numpy(dtype=np.float64, copy=True), {}
        values = np.empty((len(frame), len(self.columns)))
        unseen = {}
        for n, (column, series) in enumerate(zip(self.columns, frame.iter_columns(), strict=True)):
            values[:, n] = column.encode(series)
            if column.levels and (count := np.count_nonzero(values[:, n] == _UNSEEN)):
                unseen[column.name] = int(count)
        return values, unseen

    def _check(self, names: list, container: str) -> None:
        """Raise a ValueError where the columns are not those of fit."""
        if "numpy" not in (container, self.container):
            _check_names(self.names, names)
            return
        text = [column.where for column in self.columns if column.numpy_dtype is None]
        if text and container == "numpy":
            raise ValueError(
                f"X is an array, and {text[0]} held text or categories in fit; "
                "pass a frame with the columns of fit."
            )
        if len(names) != len(self.columns):
            raise ValueError(
                f"X has {len(names)} features, but {len(self.columns)} were seen in fit."
            )

    def decode(self, values, index=None, container: str | None = None):
        """Return the table that values, shape (n, d), stand for; NaN are missing cells.

        `index` is that of a pandas result. `container` is another library than that of fit, which
        has no dtypes of fit.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.columns):
            raise ValueError(f"Values of shape {values.shape} for {len(self.columns)} columns.")
        container = container or self.container
        if container == "numpy":
            return _to_array(self.columns, values)
        native = container == self.container
        build, join = _WRITERS[container]
        cells = [build(c, values[:, n], native) for n, c in enumerate(self.columns)]
        labels = self.names if self.labels is None else self.labels
        return join(cells, labels, index)


def _positions(codes: np.ndarray) -> np.ndarray:
    """Return codes as integers, -1 where they are missing or unseen."""
    return np.where(codes >= 0, codes, -1).astype(np.intp)


def _read(X) -> tuple[nw.DataFrame, str]:
    """Return a table as a frame, and what it came as."""
    _refuse_duplicates(X)
    container = container_of(X)
    if container != "numpy":
        return nw.from_native(X, eager_only=True), container
    refuse_non_numeric(X)
    cells = np.asarray(X)
    if cells.ndim != 2:
        raise ValueError(f"X has the shape {cells.shape}; pass a table of rows and columns.")
    return nw.from_native(_library("pandas").DataFrame(cells), eager_only=True), "numpy"


def _library(name: str) -> Any:
    """Return a library of frames, which is imported when it is needed."""
    return nw.Implementation.from_string(name).to_native_namespace()


def _is_plain(frame: nw.DataFrame) -> bool:
    """Whether pandas can give all columns at once, which matters where they are thousands."""
    native = frame.to_native()
    return frame.implementation.is_pandas_like() and all(
        isinstance(dtype, np.dtype) and dtype.kind in "iufb" for dtype in native.dtypes
    )


def _is_pandas(series: nw.Series) -> bool:
    return series.implementation.is_pandas_like()


def _dtype(series: nw.Series) -> Any:
    native = series.to_native()
    return native.type if series.implementation.is_pyarrow() else native.dtype


def _kind(series: nw.Series) -> str:
    dtype = _dtype(series)
    if getattr(dtype, "ordered", False):
        return "ordered"
    for kind, fits in _KINDS_OF_COLUMN.items():
        if fits(series.dtype):
            return kind
    return _KINDS_OF_LETTER.get(getattr(dtype, "kind", "O"), "value")


def _numpy_dtype(series: nw.Series, kind: str) -> np.dtype | None:
    if kind in ("category", "ordered"):
        return None
    if kind == "boolean":
        return np.dtype(bool)
    dtype = _dtype(series)
    dtype = getattr(dtype, "subtype", dtype)  # of pandas' sparse columns
    if isinstance(dtype, np.dtype):
        return dtype if dtype.kind in "iuf" else np.dtype(np.float64)
    # Those that NumPy does not know are decimals, and integers of 128 bits.
    unknown = np.int64 if series.dtype.is_integer() else np.float64
    return np.dtype(np.sctypeDict.get(str(series.dtype).lower(), unknown))


def _missing(series: nw.Series, where: str) -> np.ndarray:
    if _kind(series) in ("number", "boolean"):
        return np.isnan(_numbers(series, where))
    if series.dtype == nw.Object:
        return _as_pandas(series).isna().to_numpy()
    return series.is_null().to_numpy().astype(bool)


def _as_pandas(series: nw.Series) -> Any:
    """Return a column in pandas, which tells values apart without a loop over the cells."""
    if _is_pandas(series):
        return series.to_native()
    return _library("pandas").Series(series.to_list(), dtype=object)


def _factorize(series: nw.Series, where: str) -> tuple[np.ndarray, list]:
    """Return the position of every cell among the different values, or -1, and these."""
    try:
        positions, found = _as_pandas(series).factorize()
    except TypeError:  # not hashable
        for cell in _as_pandas(series).dropna():
            _refuse_object(cell, where)
        raise
    return positions, [_scalar(value) for value in found.tolist()]


def _scalar(value):
    is_scalar = isinstance(value, np.generic) and not isinstance(value, _DATES)
    return value.item() if is_scalar else value


def _declared(series: nw.Series) -> Iterable | None:
    if series.implementation.is_polars() and series.dtype == nw.Categorical:
        return None  # polars' categories are those of all such columns: none of this one
    if series.implementation.is_pyarrow() and series.dtype == nw.Categorical:
        chunks = series.to_native().unify_dictionaries().chunks
        return chunks[0].dictionary.to_pylist() if chunks else None
    return getattr(_dtype(series), "categories", None)


def _levels(series: nw.Series, where: str) -> tuple:
    """Return the declared categories in their order, or else the values that occur, sorted."""
    declared = _declared(series)
    if declared is not None:
        return tuple(_scalar(level) for level in declared)
    _, found = _factorize(series, where)
    for level in found:
        _refuse_object(level, where)
    return tuple(sorted(dict.fromkeys(found), key=lambda level: (type(level).__name__, level)))


def _numbers(series: nw.Series, where: str) -> np.ndarray:
    """Return the cells as floats; also those of another dtype, where all are numbers."""
    if _kind(series) in ("number", "boolean"):
        if _is_pandas(series):
            return series.to_native().to_numpy(dtype=np.float64, na_value=np.nan)
        if series.implementation.is_pyarrow():  # which else refuses integers beyond 2 ** 53
            return series.to_native().cast("double", safe=False).to_numpy()
        return series.cast(nw.Float64).to_numpy()
    positions, found = _factorize(series, where)
    for value in found:
        _refuse_object(value, where)
        if isinstance(value, str):
            raise ValueError(
                f"{where} has the text {value!r}, and held numbers in fit; turn it into numbers."
            )
    return np.array([*map(float, found), np.nan])[positions]


def _check_names(known: list, names: list) -> None:
    """Raise a ValueError in the words of scikit-learn where the names are not those of fit."""
    if names == known:
        return
    lines = ["The feature names should match those that were passed during fit."]
    for title, of, others in (
        ("Feature names unseen at fit time:", names, set(known)),
        ("Feature names seen at fit time, yet now missing:", known, set(names)),
    ):
        strange = [f"- {name}" for name in of if name not in others]
        lines += [title, *strange] if strange else []
    if len(lines) == 1:
        lines.append("Feature names must be in the same order as they were in fit.")
    raise ValueError("\n".join(lines))


def _whole(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the nearest integers in the range of the dtype; anything where a value is NaN."""
    info = np.iinfo(dtype)
    values = np.nan_to_num(np.rint(values))
    below = values < float(info.max)  # which can be one more than the largest integer
    cells = np.where(below, np.maximum(values, float(info.min)), 0.0).astype(dtype)
    cells[~below] = info.max
    return cells


def _objects(cells: list) -> np.ndarray:
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def _to_array(columns: Iterable[Column], values: np.ndarray) -> np.ndarray:
    """Return floats where all columns are numbers, and objects else."""
    dtypes = [column.numpy_dtype for column in columns]
    plain = all(dtype is not None and dtype.kind != "b" for dtype in dtypes)
    array = np.empty(values.shape, dtype=np.float64 if plain else object)
    for n, column in enumerate(columns):
        array[:, n], missing = column.decode(values[:, n])
        array[missing, n] = np.nan
    return array


def _to_pandas(column: Column, values: np.ndarray, native: bool) -> Any:
    pd = _library("pandas")
    dtype = column.dtype if native else None
    if not native and column.kind == "ordered":
        dtype = pd.CategoricalDtype(list(column.levels), ordered=True)
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Series(pd.Categorical.from_codes(_positions(values), dtype=dtype))
    cells, missing = column.decode(values)
    if column.numpy_dtype is None:
        if native:
            cells[missing] = column.missing
        return pd.Series(cells, dtype=dtype) if native else pd.Series(cells).infer_objects()
    return _numbers_of_pandas(column, cells, missing, native)


def _numbers_of_pandas(column: Column, cells: np.ndarray, missing: np.ndarray, native: bool) -> Any:
    must_mask = missing.any() and cells.dtype.kind in "iub"
    if native and isinstance(column.dtype, np.dtype):
        if must_mask:
            raise ValueError(f"{column.where} has missing cells, which {cells.dtype} cannot hold.")
        return cells
    series = _library("pandas").Series(cells)
    if native:
        series = series.astype(column.dtype)
    elif must_mask:
        series = series.convert_dtypes()  # to those of pandas' own that can hold a missing cell
    return series.mask(missing) if missing.any() else series


def _join_pandas(columns: list, labels, index) -> Any:
    frame = _library("pandas").DataFrame(dict(enumerate(columns)))
    frame.columns = labels.copy()  # whose name can be set
    if index is not None:
        frame.index = index
    return frame


def _to_polars(column: Column, values: np.ndarray, native: bool) -> Any:
    pl = _library("polars")
    dtype = column.dtype if native else None
    if not native and column.numpy_dtype is None:
        column = _of_one_type(column)
        dtype = pl.Enum(column.levels) if column.kind == "ordered" else None
    cells, missing = column.decode(values)
    if column.numpy_dtype is None:
        return pl.Series(cells.tolist(), dtype=dtype)
    series = pl.Series(cells)
    if missing.any() and not (native and isinstance(column.missing, float)):  # NaN is no null
        series = series.set(pl.Series(missing), None)
    return series.cast(dtype) if native else series


def _join_polars(columns: list, labels, index) -> Any:
    named = [column.alias(str(name)) for name, column in zip(labels, columns, strict=True)]
    return _library("polars").DataFrame(named)


def _to_pyarrow(column: Column, values: np.ndarray, native: bool) -> Any:
    pa = _library("pyarrow")
    if native and isinstance(column.dtype, pa.DictionaryType):
        codes = _positions(values)
        codes = pa.array(codes, mask=codes < 0).cast(column.dtype.index_type)
        levels = pa.array(column.levels, type=column.dtype.value_type)
        return pa.DictionaryArray.from_arrays(codes, levels, ordered=column.dtype.ordered)
    column = column if native or column.numpy_dtype is not None else _of_one_type(column)
    cells, missing = column.decode(values)
    if column.numpy_dtype is None:
        return pa.array(cells.tolist(), type=column.dtype if native else None)
    array = pa.array(cells, mask=missing)
    return array.cast(column.dtype) if native else array


def _join_pyarrow(columns: list, labels, index) -> Any:
    return _library("pyarrow").table(columns, names=[str(name) for name in labels])


def _of_one_type(column: Column) -> Column:
    """Return the column with levels of one type, else text, for a library of typed columns."""
    types = {type(level) for level in column.levels}
    if column.kind != "ordered" and len(types) == 1 and types <= {str, int, float, bool}:
        return column
    return replace(column, levels=tuple(str(level) for level in column.levels))


# For every library: a column of values as its column, and its columns with their names as a frame.
_WRITERS: dict[str, tuple[Callable, Callable]] = {
    "pandas": (_to_pandas, _join_pandas),
    "polars": (_to_polars, _join_polars),
    "pyarrow": (_to_pyarrow, _join_pyarrow),
}


def container_of(X) -> str:
    """Return the library of a frame that is in memory, and "numpy" for all else."""
    _refuse_duplicates(X)
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return "numpy"
    made_by = frame.implementation
    return str(made_by) if made_by.is_polars() or made_by.is_pyarrow() else "pandas"


def is_frame(X) -> bool:
    """Whether X is a frame of a library that narwhals knows."""
    return container_of(X) != "numpy"


def is_single(X) -> bool:
    """Whether X is a frame whose columns are all in single precision."""
    if not is_frame(X):
        return False
    schema = nw.from_native(X, eager_only=True).schema
    return all(dtype == nw.Float32 for dtype in schema.values())


def with_cells_of(X, filled, missing: np.ndarray):
    """Return the frame X with its missing cells from another, in the dtypes of X."""
    frame, other = (nw.from_native(each, eager_only=True) for each in (X, filled))
    columns = [
        _patched(series, guess, ~hole) if hole.any() else series
        for series, guess, hole in zip(
            frame.iter_columns(), other.iter_columns(), missing.T, strict=True
        )
    ]
    container = container_of(X)
    labels = X.columns if container == "pandas" else frame.columns
    return _WRITERS[container][1](
        [column.to_native() for column in columns], labels, getattr(X, "index", None)
    )


def _patched(series: nw.Series, other: nw.Series, observed: np.ndarray) -> nw.Series:
    if not observed.any():
        return other
    if series.dtype != other.dtype and series.dtype.is_numeric():
        other = other.cast(series.dtype)
    mask = nw.new_series("", observed, nw.Boolean, backend=series.implementation)
    if series.implementation.is_pandas_like():
        index = series.to_native().index
        mask = nw.from_native(mask.to_native().set_axis(index), series_only=True)
    return series.zip_with(mask, other)


def refuse_non_numeric(X) -> None:
    """Raise a ValueError that names the first column which is text, a category or a date."""
    if sparse.issparse(X):
        return
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            "X is a masked array with masked cells, which would be read as numbers; "
            "fill them (X.filled(np.nan) makes them missing cells)."
        )
    _refuse_duplicates(X)
    _refuse_lazy(X)
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        for name, dtype in frame.schema.items():
            where = f"column {name!r}"
            _refuse(_kind_of_column(dtype), where, f"dtype {dtype}")
            if dtype == nw.Object:
                _refuse_cells(frame[name].to_list(), where)
    elif isinstance(X, np.ndarray) and X.dtype != object:
        _refuse(_KINDS_OF_ARRAY.get(X.dtype.kind), "X", f"dtype {X.dtype}")
    elif isinstance(X, (np.ndarray, list, tuple)):
        _refuse_objects(X)


def with_nan(X):
    """Return an array of objects with missing values of any kind as NaN, and all else as it is."""
    if not (isinstance(X, np.ndarray) and X.dtype == object):
        return X
    return np.where(_library("pandas").isna(X), np.nan, X)


def _refuse_lazy(X) -> None:
    if isinstance(nw.from_native(X, pass_through=True), nw.LazyFrame):
        raise ValueError("X is a lazy frame; pass what it gives: X.collect().")


def _refuse_duplicates(X) -> None:
    columns = getattr(X, "columns", None)
    if columns is not None and not getattr(columns, "is_unique", True):
        names = sorted(set(columns[columns.duplicated()]), key=str)
        raise ValueError(f"X has several columns named {names}; rename or drop all but one.")


def _refuse_objects(X) -> None:
    try:
        cells = np.asarray(X)
    except ValueError:  # ragged: scikit-learn says so
        return
    if cells.dtype.kind in "OUSmM" and cells.ndim == 2:
        for column, values in enumerate(np.asarray(X, dtype=object).T):
            _refuse_cells(values, f"column {column}")


def _refuse_cells(values: Iterable, where: str) -> None:
    for value in values:
        if isinstance(value, (str, bytes)):
            _refuse("text", where, f"the text {value!r}")
        if isinstance(value, _DATES):
            _refuse("date", where, f"the date {value!r}")


def _kind_of_column(dtype: nw.dtypes.DType) -> str | None:
    if dtype in (nw.String, nw.Binary):
        return "text"
    if dtype in (nw.Categorical, nw.Enum):
        return "category"
    return "date" if dtype.is_temporal() else None


def _refuse_object(value, where: str) -> None:
    """Raise a ValueError where a cell among objects cannot be a level."""
    kind = next(kind for kind, types in _KINDS_OF_CELL.items() if isinstance(value, types))
    if kind != "level":
        what = f"the {kind} {reprlib.repr(value)}"
        _refuse(kind, where, what, takes="numbers, text and categories")


def _refuse(kind: str | None, where: str, what: str, takes: str = "numbers") -> None:
    if kind is not None:
        raise ValueError(
            f"{where} has {what}, and VAETransformer takes {takes}: {_REMEDIES[kind]}."
        )


def first_bad_cell(X) -> str:
    """Where the first cell that is not finite stands, and what can be done about it."""
    names = getattr(X, "columns", None)
    if sparse.issparse(X):
        cells = X.tocoo()
        bad = int(np.flatnonzero(~np.isfinite(cells.data))[0])
        row, column, value = cells.row[bad], cells.col[bad], cells.data[bad]
    else:
        cells = _as_floats(X)
        infinite = np.isinf(cells)
        row, column = np.argwhere(infinite if infinite.any() else np.isnan(cells))[0]
        value = cells[row, column]
    name = column if names is None else repr(names[column])
    return (
        f"The first such cell is {value} in column {name}, row {row}; fill it (SimpleImputer), "
        "clip it or drop the row."
    )


def _as_floats(X) -> np.ndarray:
    if hasattr(X, "iloc"):  # pandas' own NA is no float
        return X.astype(object).where(X.notna(), np.nan).to_numpy(dtype=np.float64)
    return np.asarray(X, dtype=np.float64)
