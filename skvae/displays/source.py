"""What displays take of a fitted estimator, by its public methods alone, and of the rows given."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skvae.displays.style import pyplot
from skvae.estimator import VAETransformer


def split_pipeline(estimator: Any) -> tuple[Callable[[Any], Any], VAETransformer]:
    """What rows go through before the VAETransformer, as a function, and that, which is fitted."""
    pyplot()  # says that it is missing before anything is computed
    steps = None
    if isinstance(estimator, Pipeline):
        steps, estimator = estimator[:-1], estimator.steps[-1][1]
    if not isinstance(estimator, VAETransformer):
        raise TypeError(
            "displays take a VAETransformer or a Pipeline that ends in one, not a "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return (lambda X: steps.transform(X) if steps else X), estimator


def checked_units(units: Any, latent_dim: int) -> list[int]:
    """Positions of codes as a list; a ValueError where one is not there."""
    if not np.iterable(units):
        raise ValueError(f"units={units!r} must be a list of positions, such as [{units!r}].")
    units = [int(unit) for unit in units]
    if not units or min(units) < 0 or max(units) >= latent_dim:
        raise ValueError(f"units={tuple(units)} must be positions from 0 to {latent_dim - 1}.")
    return units


def column_names(vae: VAETransformer) -> list[str] | None:
    """Names of the columns, where they have some."""
    names = getattr(vae, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def reconstructions(
    vae: VAETransformer, X: Any, pca: Any, rows: np.ndarray, display: str
) -> dict[str, np.ndarray]:
    """What the two models make of rows, which X holds as they enter the VAETransformer.

    Rounding to whole numbers would count as an error: neither is rounded, or both are.
    """
    # Where frames are asked for, they have the dtypes of fit.
    plain = deepcopy(vae).set_output(transform="default")
    ours = plain.inverse_transform(np.asarray(plain.transform(X), dtype=float))
    theirs = numbers(pca.inverse_transform(pca.transform(rows)), display)
    frame = nw.from_native(ours, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):  # of a table that holds booleans, too
        whole = [dtype.is_integer() for dtype in frame.schema.values()]
        theirs[:, whole] = np.rint(theirs[:, whole])
    return {"VAE": numbers(ours, display), "PCA": theirs}


def numbers(rows: Any, display: str) -> np.ndarray:
    """Rows as a matrix of floats; a column of a frame that holds none is named."""
    if sparse.issparse(rows):
        return rows.toarray()
    frame = nw.from_native(rows, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        for name, dtype in frame.schema.items():
            if not (dtype.is_numeric() or dtype == nw.Boolean):
                raise ValueError(
                    f"{display} draws rows of numbers, but column {name!r} holds {dtype}; "
                    "LatentDisplay, LatentUsageDisplay and LossCurveDisplay take any table."
                )
        columns = [column.cast(nw.Float64).to_numpy() for column in frame.iter_columns()]
        return np.column_stack(columns).astype(float)
    return np.asarray(rows, dtype=float)


def complete(rows: Any, display: str) -> np.ndarray:
    """Rows as a matrix of floats, none of which is missing."""
    rows = numbers(rows, display)
    if np.isnan(rows).any():
        raise ValueError(
            f"{display} compares with PCA, which takes no missing cells, but X has some; fill "
            "them first (with impute)."
        )
    return rows


def fitted_pca(rows: np.ndarray, latent_dim: int) -> PCA:
    """PCA of rows, with as many components as there are codes if it can have them."""
    return PCA(min(latent_dim, *rows.shape)).fit(rows)


def mean_squared_error(rows: Any, others: np.ndarray) -> float:
    """Of all the cells alike."""
    return float(np.mean(np.square(np.asarray(rows) - others)))
