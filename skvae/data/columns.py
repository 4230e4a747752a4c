"""Columns with their likelihoods: by the kind of the column, or by what a person chose."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from skvae._sklearn import check_options
from skvae.ambient import warn
from skvae.components import plain
from skvae.data.batches import LARGEST
from skvae.data.doubts import warn_of
from skvae.data.excerpts import excerpt, excerpts, label
from skvae.data.input import Input
from skvae.data.schema import Schema
from skvae.likelihoods import LIKELIHOODS, Likelihood

# The kind of a column follows its dtype (column.py). Numbers share one noise, as in PCA, where
# nothing but numbers is there; beside other kinds, whose units differ, each has its own.
_BY_KIND = {"boolean": "bernoulli", "category": "categorical", "ordered": "ordinal"}
_MOST_NAMED = 5  # columns in a warning
_FEWEST_SIZED = 20  # columns whose total can be a size factor

Blocks = tuple[tuple[Likelihood, np.ndarray], ...]


def has_missing(values) -> bool:
    """Whether a cell is missing; NaN passes through a minimum."""
    return not sparse.issparse(values) and bool(np.isnan(values.min(initial=np.inf)))


def refuse_empty(values, names: Sequence) -> None:
    """Raise a ValueError that names a column without any observed cell."""
    if has_missing(values) and (empty := np.isnan(values).all(0)).any():
        raise ValueError(
            f"column {label(names[int(empty.argmax())])!r} has no observed cell; drop it."
        )


@dataclass(frozen=True)
class Columns:
    """The columns that fit has seen: how rows become cells, and which likelihoods these have."""

    schema: Schema | None  # None for arrays of numbers and for sparse rows
    likelihoods: Blocks
    n_levels: np.ndarray  # of each column, 0 where it has none
    is_plain: bool  # whether these are numbers as PCA takes them
    has_gaps: bool = False  # whether these numbers had missing cells in fit

    @classmethod
    def of(cls, given: Input, likelihood) -> "Columns":
        """The columns of a frame, an array or sparse rows."""
        X, schema = given.native, None
        if X.shape[1] == 0:
            raise ValueError(
                f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required."
            )
        if given.frame is not None:
            schema = Schema.of(given)
            if coded := coded_columns(likelihood, schema.names):
                schema = Schema.of(given, coded)
            warn_of(given.frame, schema.columns)
        elif coded := coded_columns(likelihood, range(X.shape[1])):
            _refuse_sparse(X)
            _refuse_merged(X, sorted(coded))
            schema = Schema.of(given, coded)
        else:
            refuse_empty(X, range(X.shape[1]))
        names: Sequence = range(X.shape[1])
        kinds = ["number"] * X.shape[1]
        n_levels = np.zeros(X.shape[1], int)
        if schema is not None:
            names, kinds = schema.names, [_kind(column) for column in schema.columns]
            n_levels = np.array([len(column.levels) for column in schema.columns])
        plain = is_plain(likelihood, kinds)
        return cls(schema, blocks(likelihood, names, kinds), n_levels, plain)

    def grown(self, given: Input) -> "Columns":
        """With the levels of text that a later frame has."""
        if not (self.has_codes and given.is_frame):
            return self
        assert self.schema is not None
        schema = self.schema.grown(given)
        n_levels = np.array([len(column.levels) for column in schema.columns])
        return replace(self, schema=schema, n_levels=n_levels)

    def of_rows(self, values, likelihood) -> "Columns":
        """The same columns; numbers with missing cells have noise of their own, whatever its unit.

        One noise for all would let the column of the widest unit decide what others are filled
        with.
        """
        if not (self.is_plain and has_missing(values)):
            return self
        names = range(values.shape[1]) if self.schema is None else self.schema.names
        kinds = ["number"] * values.shape[1]
        likelihoods = blocks(likelihood, names, kinds, has_gaps=True)
        return replace(self, likelihoods=likelihoods, has_gaps=True)

    def cell_names(self, names: Sequence) -> list:
        """Names of the columns; a column with levels has one for each level."""
        cells: list = []
        for j, (name, n) in enumerate(zip(names, self.n_levels, strict=True)):
            levels = self.schema.columns[j].levels if self.schema and n else ()
            cells += [f"{name}={level}" for level in levels] or [name]
        return cells

    @property
    def has_codes(self) -> bool:
        """Whether cells are told by the schema; otherwise they are numbers as they stand."""
        return self.schema is not None and not self.is_plain

    def encode(self, given: Input, owner: str, fewest: int) -> np.ndarray:
        """Cells of a table, float64; a warning counts levels that fit has not seen."""
        assert self.schema is not None
        _refuse_sparse(given.native)
        values, unseen = self.schema.encode(given)
        if len(values) < fewest:
            raise ValueError(
                f"Found array with {len(values)} sample(s) (shape={values.shape}) while a minimum "
                f"of {fewest} is required by {owner}."
            )
        if unseen:
            counts = [f"{count} in column {label(name)!r}" for name, count in unseen.items()]
            rest = len(counts) - _MOST_NAMED
            listed = ", ".join(counts[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
            warn(
                f"X has levels that fit has not seen: {listed}. For the codes they count as "
                "missing."
            )
        return values

    def check(self, values, names: Sequence) -> None:
        """Raise a ValueError that names the first cell which its column's likelihood cannot be."""
        if self.has_gaps and sparse.issparse(values):
            raise ValueError(
                "X is sparse, and fit had rows with missing cells, of which it learnt column by "
                "column: make X dense (X.toarray())."
            )
        if self.is_plain and not has_missing(values):
            return
        for likelihood, where in self.likelihoods:
            own = values if len(self.likelihoods) == 1 else values[:, where]
            own_names = [label(names[j]) for j in where]
            if sparse.issparse(own):
                _check_sparse(likelihood)
            else:
                _refuse_infinite(own, own_names)
            likelihood.check(own, own_names)

    def row(self, given: Mapping, names: Sequence) -> np.ndarray:
        """One row of cells that has the given values, and nothing else."""
        if not isinstance(given, Mapping) or not given:
            raise ValueError(f"given={excerpt(given)} must be a dict of columns and their values.")
        row = np.full(len(names), np.nan)
        names = list(names)
        for name, value in given.items():
            if name not in names:
                raise ValueError(
                    f"given names column {excerpt(name)}; the columns are {excerpts(names)}."
                )
            j, value = names.index(name), _told(name, value)
            if self.schema is not None and self.n_levels[j]:
                levels = self.schema.columns[j].levels
                if value not in levels:
                    raise ValueError(
                        f"given {label(name)!r}={excerpt(value)} has no support: the levels of "
                        f"that column are {excerpts(levels)}."
                    )
                row[j] = levels.index(value)
            else:
                row[j] = _number(name, value)
                if self._is_whole(j):
                    _check_whole(name, value, row[j])
        self.check(row[None], names)
        return row

    def _is_whole(self, j: int) -> bool:
        """Whether a column of numbers is one of integers."""
        dtype = None if self.schema is None else self.schema.columns[j].numpy_dtype
        return dtype is not None and dtype.kind in "iu"


def _told(name, value):
    """One value that is there, as Python has it."""
    if np.ndim(value) != 0:
        raise ValueError(
            f"given {label(name)!r}={excerpt(value)} must be a single value; call sample once for "
            "each value."
        )
    try:
        is_missing = value is None or bool(value != value)
    except TypeError:  # so pandas answers of its NA
        is_missing = True
    if is_missing:
        raise ValueError(
            f"given {label(name)!r}={excerpt(value)} is a missing cell; leave the column out of "
            "`given` to draw it."
        )
    return value.item() if isinstance(value, np.generic) else value


def _number(name, value) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"given {label(name)!r}={excerpt(value)} must be a number.")
    return number


def _check_whole(name, value, number: float) -> None:
    """Raise a ValueError where a value is not whole, or beyond 2^53 and none that floats have."""
    below = int(np.floor(number))
    if number != below:
        raise ValueError(
            f"given {label(name)!r}={excerpt(value)} has no support: the column holds whole "
            f"numbers; give {below} or {below + 1}."
        )
    if isinstance(value, int) and value != below:
        raise ValueError(
            f"given {label(name)!r}={excerpt(value)} cannot be kept to the last digit: models have "
            f"numbers as floats, which are not all whole numbers beyond 2^53; give {below}."
        )


def _refuse_infinite(values: np.ndarray, names: Sequence) -> None:
    far = np.abs(values) > min(LARGEST, float(np.finfo(values.dtype).max))
    if far.any():
        row, column = np.argwhere(far)[0]
        value = values[row, column]
        where = f"in column {names[column]!r}, row {row}"
        if np.isinf(value):
            raise ValueError(
                f"Input X contains infinity: {value} {where}; clip it or drop the row."
            )
        raise ValueError(
            f"X holds a value of size {abs(value):.3g} {where}; variances of values beyond "
            f"{LARGEST:.0e} cannot be represented. Divide the column first."
        )


def _check_sparse(likelihood: Likelihood) -> None:
    if likelihood.is_stochastic:
        raise ValueError(
            "sparse rows cannot hold probabilities to draw from: make X dense (X.toarray()), or "
            "use Bernoulli(stochastic=False)."
        )
    if not likelihood.takes_sparse:
        raise ValueError(
            f"sparse rows cannot have the likelihood {type(likelihood).__name__}: use 'gaussian', "
            "'bernoulli', 'poisson' or 'negative_binomial', or make X dense (X.toarray())."
        )


def _kind(column) -> str:
    """Numbers stay numbers where a person asked for levels."""
    is_number = column.numpy_dtype is not None and column.numpy_dtype.kind != "b"
    return "number" if is_number else column.kind


def is_plain(likelihood, kinds: Sequence[str]) -> bool:
    """Whether all columns are numbers with the likelihood of PCA."""
    if any(kind != "number" for kind in kinds):
        return False
    chosen = likelihood.values() if isinstance(likelihood, Mapping) else [likelihood]
    plain = ("auto", "gaussian")
    return all(
        each in plain if isinstance(each, str) else getattr(each, "shares_scale", False)
        for each in chosen
    )


def takes_sparse(likelihood) -> bool:
    """Whether sparse rows can have the likelihood; in a dict, that of PCA alone."""
    chosen = _known(likelihood)
    counts = chosen is not None and chosen.takes_sparse and not chosen.is_stochastic
    return counts or is_plain(likelihood, ())


def takes_levels(likelihood) -> bool:
    """Whether columns can hold text and categories."""
    chosen = _known(likelihood)
    if chosen is not None:
        return "category" in chosen.kinds
    return isinstance(likelihood, Mapping) or likelihood == "auto"


def _known(likelihood) -> Likelihood | None:
    """The component that all columns have; None where it goes by column, or is none."""
    if isinstance(likelihood, str) and likelihood in LIKELIHOODS:
        return LIKELIHOODS[likelihood]()
    return likelihood if isinstance(likelihood, Likelihood) else None


def coded_columns(likelihood, names: Sequence) -> set[int]:
    """Positions of the columns whose values a person wants as levels."""
    chosen = _chosen(likelihood, names)
    components = _components(chosen.values())
    return {j for j, each in zip(chosen, components, strict=True) if each.is_coded}


def blocks(likelihood, names: Sequence, kinds: Sequence[str], has_gaps: bool = False) -> Blocks:
    """Likelihoods with the columns of each; equal ones share a block.

    Raises a ValueError that names the column where a likelihood does not fit its kind.
    """
    chosen = _chosen(likelihood, names)
    plain = is_plain(likelihood, kinds) and not has_gaps
    by_kind = {"number": "gaussian" if plain else "gaussian_diag"} | _BY_KIND
    components = _components(chosen.get(j, by_kind[kind]) for j, kind in enumerate(kinds))
    for name, kind, component in zip(names, kinds, components, strict=True):
        if kind not in component.kinds:
            raise ValueError(
                f"column {label(name)!r} is of kind {kind!r}, but likelihood "
                f"{type(component).__name__} is for {' and '.join(component.kinds)} columns; "
                "leave it out of `likelihood`, or change the column's dtype."
            )
    distinct = {id(component): component for component in components}
    words = {key: repr(component) for key, component in distinct.items()}
    columns: dict[str, list[int]] = {}
    for j, component in enumerate(components):
        columns.setdefault(words[id(component)], []).append(j)
    first = {words[id(component)]: component for component in reversed(components)}
    grouped = [(first[key], np.array(where)) for key, where in columns.items()]
    return tuple((_sized(each, len(grouped), where), where) for each, where in grouped)


def _refuse_sparse(X) -> None:
    if sparse.issparse(X):
        raise ValueError("sparse rows cannot have columns with levels; make X dense (X.toarray()).")


def _refuse_merged(X: np.ndarray, coded: Sequence[int]) -> None:
    """Raise a ValueError where levels of an array are numbers that floats cannot tell apart."""
    far = np.abs(X[:, coded]) >= 2.0**53  # which the next larger number may have become
    if far.any():
        row, place = np.argwhere(far)[0]
        column = coded[place]
        raise ValueError(
            f"column {column} is to be levels and holds {X[row, column]:.17g}: numbers from "
            "2**53 on merge in an array; pass X as a DataFrame, which keeps them apart."
        )


def _chosen(likelihood, names: Sequence) -> dict:
    """What a person chose, by position."""
    if not isinstance(likelihood, Mapping):
        if isinstance(likelihood, str) and likelihood == "auto":
            return {}
        return dict.fromkeys(range(len(names)), likelihood)
    known = {name: j for j, name in enumerate(names)}
    unknown = [name for name in likelihood if name not in known]
    if unknown:
        raise ValueError(
            f"likelihood names the column {excerpt(unknown[0])}, which X does not have; its "
            f"columns are {excerpts(names)}."
        )
    return {
        known[name]: each
        for name, each in likelihood.items()
        if not (isinstance(each, str) and each == "auto")
    }


def _components(choices: Iterable) -> list[Likelihood]:
    """What was chosen, made once for all that chose the same: of thousands of columns most do."""
    choices = list(choices)
    distinct = {id(choice): choice for choice in choices}
    made = {key: _component(choice) for key, choice in distinct.items()}
    return [made[id(choice)] for choice in choices]


def _component(likelihood) -> Likelihood:
    if isinstance(likelihood, Likelihood):
        likelihood = plain(likelihood)
        check_options(likelihood)
        return likelihood
    if isinstance(likelihood, str) and likelihood in LIKELIHOODS:
        return LIKELIHOODS[likelihood]()
    raise ValueError(
        f"likelihood {excerpt(likelihood)} is unknown; use 'auto', one of {sorted(LIKELIHOODS)}, a "
        "component such as StudentT(df=4), or {column: name or component}."
    )


def _sized(likelihood: Likelihood, n_blocks: int, columns: np.ndarray) -> Likelihood:
    """With size_factor="auto" of counts decided."""
    if getattr(likelihood, "size_factor", None) == "auto":
        likelihood.set_params(size_factor=n_blocks == 1 and len(columns) >= _FEWEST_SIZED)
    return likelihood
