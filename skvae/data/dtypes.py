"""Dtypes and column labels of frames as plain values, and back.

A fitted model is kept without the objects of the library that made its table: files that hold
only arrays and plain values, such as skops writes, can then be read without trusting more.
"""

from typing import Any

import numpy as np

from skvae.data.containers import library
from skvae.data.scalars import plain_scalar, scalar_from


def plain_dtype(dtype: Any) -> Any:
    """Return a dict that stands for a dtype of pandas, polars or pyarrow; others as they are."""
    made_by = type(dtype).__module__.partition(".")[0]
    if made_by == "pyarrow":
        return _plain_arrow(dtype)
    if made_by == "polars":
        return _plain_polars(dtype)
    is_date = isinstance(dtype, np.dtype) and dtype.kind in "mM"  # of categories
    if made_by != "pandas" and not is_date:
        return dtype
    pd = library("pandas")
    if isinstance(dtype, pd.CategoricalDtype) and dtype.categories is not None:
        categories = dtype.categories
        plain = {"categories": list(map(plain_scalar, categories.tolist()))}
        return plain | {"of": plain_dtype(categories.dtype), "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.ArrowDtype):  # whose name may be that of another dtype
        return {"arrow": plain_dtype(dtype.pyarrow_dtype)}
    name = str(dtype)
    # Some names do not tell all: such a dtype stays what it is.
    return {"pandas": name} if _is_told_by(name, dtype) else dtype


def _plain_arrow(dtype: Any) -> Any:
    """Return its name; of a dictionary what it is of, of decimals how many digits.

    Arrow's own bytes are not read: they may name types that run code of others.
    """
    pa = library("pyarrow")
    if pa.types.is_dictionary(dtype):
        parts = [plain_dtype(dtype.index_type), plain_dtype(dtype.value_type)]
        return {"pyarrow": "dictionary", "options": [*parts, dtype.ordered]}
    if pa.types.is_decimal(dtype):
        name = f"decimal{dtype.bit_width}"
        return {"pyarrow": name, "options": [dtype.precision, dtype.scale]}
    return {"pyarrow": str(dtype), "options": []} if _is_alias(str(dtype), dtype) else dtype


def _is_alias(name: str, dtype: Any) -> bool:
    try:
        return library("pyarrow").type_for_alias(name) == dtype
    except ValueError:
        return False


def _plain_polars(dtype: Any) -> Any:
    """Return its name and options: of an order the levels, of decimals how many digits."""
    pl = library("polars")
    plain = {"polars": str(dtype.base_type())}
    if isinstance(dtype, pl.Enum):
        return plain | {"options": {"categories": dtype.categories.to_list()}}
    if isinstance(dtype, pl.Decimal):
        return plain | {"options": {"precision": dtype.precision, "scale": dtype.scale}}
    return plain | {"options": {}}


def _is_told_by(name: str, dtype: Any) -> bool:
    try:
        return library("pandas").api.types.pandas_dtype(name) == dtype
    except (TypeError, ValueError):
        return False


def dtype_from(plain: Any) -> Any:
    """Return the dtype that `plain_dtype` has made plain."""
    if not isinstance(plain, dict):
        return plain
    if "pyarrow" in plain:
        return _arrow_from(plain["pyarrow"], plain["options"])
    if "polars" in plain:
        return _polars_from(plain["polars"], plain["options"])
    pd = library("pandas")
    if "arrow" in plain:
        return pd.ArrowDtype(dtype_from(plain["arrow"]))
    if "categories" in plain:
        categories = list(map(scalar_from, plain["categories"]))
        categories = pd.Index(categories, dtype=dtype_from(plain["of"]))
        return pd.CategoricalDtype(categories, ordered=plain["ordered"])
    return pd.api.types.pandas_dtype(plain["pandas"])


def _arrow_from(name: str, options: list[Any]) -> Any:
    pa = library("pyarrow")
    if name == "dictionary":
        index, values, ordered = options
        return pa.dictionary(dtype_from(index), dtype_from(values), ordered=ordered)
    if name in ("decimal32", "decimal64", "decimal128", "decimal256"):
        return getattr(pa, name)(*options)
    return pa.type_for_alias(name)


def _polars_from(name: str, options: dict[str, Any]) -> Any:
    pl = library("polars")
    kind = getattr(pl, name, None)
    if not (isinstance(kind, type) and issubclass(kind, pl.DataType)):
        raise ValueError(f"{name!r:.80} is no dtype of polars.")
    return kind(**options)


def plain_labels(labels: Any) -> Any:
    """Return a dict that stands for pandas' labels of columns, None for None."""
    if labels is None:
        return None
    of = None if labels.nlevels > 1 else plain_dtype(labels.dtype)
    own, names = (list(map(plain_scalar, each)) for each in (labels.tolist(), labels.names))
    return {"labels": own, "names": names, "of": of}


def labels_from(plain: Any) -> Any:
    """Return the labels that `plain_labels` has made plain."""
    if plain is None:
        return None
    pd = library("pandas")
    labels, names = (list(map(scalar_from, plain[part])) for part in ("labels", "names"))
    if plain["of"] is None:
        return pd.MultiIndex.from_tuples(labels, names=names)
    return pd.Index(labels, dtype=dtype_from(plain["of"]), name=names[0], tupleize_cols=False)


def plain_missing(cell: Any) -> Any:
    """Return a dict that stands for pandas' own missing cells; others as they are."""
    names = {"NAType": "NA", "NaTType": "NaT"}
    return {"pandas": names[type(cell).__name__]} if type(cell).__name__ in names else cell


def missing_from(plain: Any) -> Any:
    """Return the missing cell that `plain_missing` has made plain."""
    if not isinstance(plain, dict):
        return plain
    pd = library("pandas")
    return {"NA": pd.NA, "NaT": pd.NaT}[plain["pandas"]]
