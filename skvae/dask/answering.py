"""What can be asked of a fitted estimator about rows on a cluster: lazily, by partition."""

import copy
from abc import ABC
from functools import partial
from typing import Any

import numpy as np
from distributed import Client
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

import skvae.choices as choices
from skvae._sklearn import output_container
from skvae.dask.answers import Ask, Model, answered, dtype_of, empty, example, numbers
from skvae.dask.draws import drawn, imputed
from skvae.dask.rows import checked, is_lazy
from skvae.estimator import VAETransformer
from skvae.training.schedules import check_count

SCORE = "log_likelihood"  # the name of a column of scores


class Answering(TransformerMixin, BaseEstimator, ABC, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """An estimator that has fitted one without a cluster, and asks it where the rows are."""

    client: Client | None
    latent_dim_: int
    _local: VAETransformer  # what was fitted
    _name: str  # by which the workers know it
    _container: str | None = None  # that set_output has asked for

    def to_local(self) -> VAETransformer:
        """The estimator without the cluster."""
        raise NotImplementedError

    def transform(self, X):
        """Reduce rows to codes; see `VAETransformer.transform`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows, of shape (n_samples, n_features).

        Returns
        -------
        codes : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, latent_dim_)
            Lazy: a frame has the divisions and the index of X.
        """
        return self._asked(X, _transform, list(self._fitted().get_feature_names_out()))

    def inverse_transform(self, X):
        """Reconstruct rows from codes; see `VAETransformer.inverse_transform`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Codes, of shape (n_samples, latent_dim_).

        Returns
        -------
        rows : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features_in_)
            Lazy. A frame, if X is one, a column of fit was not numeric, or `set_output` asks for
            one.
        """
        return self._restored(X, _inverse_transform)

    def encode(self, X):
        """Posterior of rows; see `VAETransformer.encode`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows, of shape (n_samples, n_features).

        Returns
        -------
        mean, std : dask.array.Array or dask.dataframe.DataFrame
            Lazy, of shape (n_samples, latent_dim_).
        """
        names, k = list(self._fitted().get_feature_names_out()), self.latent_dim_
        if not is_lazy(X):
            return self.to_local().encode(X)
        both = self._asked(X, _encode, [f"{kind}_{n}" for kind in ("mean", "std") for n in names])
        if not hasattr(both, "columns"):
            return both[:, :k], both[:, k:]
        mean, std = list(both.columns[:k]), list(both.columns[k:])
        return (
            both[mean].rename(columns=dict(zip(mean, names, strict=True))),
            both[std].rename(columns=dict(zip(std, names, strict=True))),
        )

    def decode(self, Z):
        """Mean rows of points in the prior's coordinates; see `VAETransformer.decode`.

        Parameters
        ----------
        Z : dask.array.Array, dask.dataframe.DataFrame or array-like
            Latent points, of shape (n_samples, latent_dim_).

        Returns
        -------
        rows : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features_in_)
            Lazy; see `inverse_transform`.
        """
        return self._restored(Z, _decode)

    def sample(self, n_samples=1, random_state=None, *, given=None):
        """Draw rows from the model; see `VAETransformer.sample`.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of the draws. Chunks of 65536 rows each have a seed of their own: draws do not
            depend on the workers.
        given : dict, default=None
            Values that columns shall have.

        Returns
        -------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features_in_)
            Lazy, in chunks.
        """
        self._fitted()
        check_count("n_samples", n_samples)
        return drawn(self._model(), int(n_samples), seed_of(random_state), given)

    def impute(self, X, n_draws=None, random_state=None, *, refine="auto"):
        """Fill missing cells; see `VAETransformer.impute`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows with missing cells, of shape (n_samples, n_features).
        n_draws : int, default=None
            Number of multiple imputations.
        random_state : int, RandomState instance or None, default=None
            Source of the draws; partitions have seeds of their own.
        refine : {"auto", "neighbours", "trees"} or None, default="auto"
            How conditional means are corrected by rows of the training.

        Returns
        -------
        X : dask.array.Array, dask.dataframe.DataFrame, or list of them
            Lazy, with the dtypes, the divisions and the index that went in.
        """
        if not is_lazy(X):
            return self.to_local().impute(X, n_draws, random_state, refine=refine)
        X, model = self._rows(X), self._model()
        vae = model.local(model.container(X))
        meta = vae.impute(example(vae, X), n_draws, 0, refine=refine)  # refuses what is refused
        if n_draws is None:
            meta = empty(X) if isinstance(meta, type(empty(X))) else meta[:0]
            return answered(model, X, partial(_impute, refine=refine), meta)
        return imputed(model, X, int(n_draws), seed_of(random_state), meta[0][:0])

    def score_samples(self, X, *, n_draws=None):
        """Log-likelihood of each row; see `VAETransformer.score_samples`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows, of shape (n_samples, n_features).
        n_draws : int or None, default=None
            Draws for each row.

        Returns
        -------
        log_likelihood : dask.array.Array or dask.dataframe.Series of shape (n_samples,)
            Lazy; nats.
        """
        n_draws = choices.count_of("n_draws", n_draws)
        return self._asked(X, partial(_score_samples, n_draws=n_draws), SCORE)

    def score(self, X, y=None):
        """Mean log-likelihood per row, which is computed at once.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows, of shape (n_samples, n_features).
        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            Nats per row; greater is better.
        """
        if not is_lazy(X):
            return self.to_local().score(X)
        mean = self.score_samples(X).astype(np.float64).mean()
        return float(mean.compute() if self.client is None else self.client.compute(mean).result())

    def set_output(self, *, transform=None):
        """Choose the container of answers about arrays.

        Parameters
        ----------
        transform : {"default", "pandas"} or None, default=None
            "pandas": dataframes of Dask. None leaves it as it is.

        Returns
        -------
        self : DaskVAETransformer
            The estimator.
        """
        if transform not in (None, "default", "pandas"):
            raise ValueError(
                f"transform={transform!r} must be 'default' or 'pandas', of which Dask has frames."
            )
        self._container = transform or self._container
        return self

    def get_feature_names_out(self, input_features=None):
        """Names of the codes.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Only checked, against the names of fit.

        Returns
        -------
        names : ndarray of str
            Those of `VAETransformer`.
        """
        return self._fitted().get_feature_names_out(input_features)

    def _fitted(self) -> VAETransformer:
        check_is_fitted(self)
        return self._local

    def _model(self) -> Model:
        asked = self._container or output_container(self._fitted())
        if asked == "polars":
            raise ValueError("Dask has no frames of polars: set_output(transform='pandas').")
        return Model(self.to_local(), self._name, asked)

    def _rows(self, X: Any) -> Any:
        """Rows with the columns of fit."""
        vae, X = copy.copy(self._fitted()), checked(X)
        rows = empty(X) if hasattr(X, "columns") else np.empty((0, X.shape[1]))
        validate_data(vae, rows, reset=False, skip_check_array=True)
        return X

    def _asked(self, X: Any, ask: Ask, names: list[str] | str) -> Any:
        """An answer of numbers about rows."""
        self._fitted()
        if not is_lazy(X):
            return ask(self.to_local(), X)
        X, model = self._rows(X), self._model()
        return answered(model, X, ask, numbers(model, X, names))

    def _restored(self, codes: Any, ask: Ask) -> Any:
        """Rows of codes."""
        self._fitted()
        if not is_lazy(codes):
            return ask(self.to_local(), codes)
        codes, model = checked(codes), self._model()
        one = np.zeros((1, codes.shape[1]), dtype_of(codes))
        return answered(model, codes, ask, ask(model.local(model.container(codes)), one)[:0])


def seed_of(random_state: Any) -> int:
    """A seed for draws."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _transform(vae: VAETransformer, rows: Any) -> Any:
    return vae.transform(rows)


def _inverse_transform(vae: VAETransformer, codes: Any) -> Any:
    return vae.inverse_transform(codes)


def _decode(vae: VAETransformer, codes: Any) -> Any:
    return vae.decode(codes)


def _encode(vae: VAETransformer, rows: Any) -> Any:
    return np.hstack(vae.encode(rows))


def _score_samples(vae: VAETransformer, rows: Any, n_draws: int | None) -> Any:
    return vae.score_samples(rows, n_draws=n_draws)


def _impute(vae: VAETransformer, rows: Any, refine: Any) -> Any:
    return vae.impute(rows, refine=refine)
