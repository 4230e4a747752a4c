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
    """Methods of a fitted estimator that answer lazily on a cluster of Dask."""

    client: Client | None
    latent_dim_: int
    _local: VAETransformer  # what was fitted
    _name: str  # by which the workers know it
    _container: str | None = None  # that set_output has asked for

    def to_local(self) -> VAETransformer:
        """Return the estimator without the cluster."""
        raise NotImplementedError

    def transform(self, X):
        """Reduce rows to codes, as `VAETransformer.transform`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows, of shape (n_samples, n_features).

        Returns
        -------
        codes : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, latent_dim_)
            Codes, lazy. A DataFrame has the divisions and the index of X. For rows in memory the
            result is computed at once, here and in the other methods.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X cannot be used.
        """
        return self._asked(X, _transform, list(self._fitted().get_feature_names_out()))

    def inverse_transform(self, X):
        """Reconstruct rows from codes, as `VAETransformer.inverse_transform`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Codes, of shape (n_samples, latent_dim_).

        Returns
        -------
        rows : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features_in_)
            Rows, lazy. A DataFrame if X is one, if `fit` saw columns that are not numbers, or if
            `set_output` asks for one.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X cannot be used.
        """
        return self._restored(X, _inverse_transform)

    def encode(self, X):
        """Posterior of rows, as `VAETransformer.encode`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows, of shape (n_samples, n_features).

        Returns
        -------
        mean, std : dask.array.Array or dask.dataframe.DataFrame
            Mean and standard deviation of each code, lazy, of shape (n_samples, latent_dim_).

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X cannot be used.
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
        """Mean rows at latent points, as `VAETransformer.decode`.

        Parameters
        ----------
        Z : dask.array.Array, dask.dataframe.DataFrame or array-like
            Points in the coordinates of the prior, of shape (n_samples, latent_dim_).

        Returns
        -------
        rows : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features_in_)
            Rows, lazy, in the container of `inverse_transform`.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If Z cannot be used.
        """
        return self._restored(Z, _decode)

    def sample(self, n_samples=1, random_state=None, *, given=None):
        """Draw rows from the model, as `VAETransformer.sample`.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Source of the draws. Each chunk of 65536 rows has its own seed, so draws do not depend
            on the workers.
        given : dict, default=None
            Columns and the values to condition on.

        Returns
        -------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features_in_)
            Rows, lazy, in chunks of at most 65536.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `n_samples` or `given` is invalid.
        """
        self._fitted()
        check_count("n_samples", n_samples)
        return drawn(self._model(), int(n_samples), seed_of(random_state), given)

    def impute(self, X, n_draws=None, random_state=None, *, refine="auto"):
        """Fill missing cells, as `VAETransformer.impute`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows with missing cells, of shape (n_samples, n_features).
        n_draws : int, default=None
            Number of multiple imputations. None fills each cell once.
        random_state : int, RandomState instance or None, default=None
            Source of the draws. Each partition has its own seed.
        refine : {"auto", "neighbours", "trees"} or None, default="auto"
            Correction of conditional means by training rows, as in `VAETransformer.impute`.

        Returns
        -------
        X : dask.array.Array, dask.dataframe.DataFrame, or list of them
            Complete rows, lazy, with the dtypes, the divisions and the index of X. With `n_draws`
            a list with one table for each draw.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X cannot be used.
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
        """Log-likelihood of each row, as `VAETransformer.score_samples`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows, of shape (n_samples, n_features).
        n_draws : int or None, default=None
            Draws for each row, as in `VAETransformer.score_samples`.

        Returns
        -------
        log_likelihood : dask.array.Array or dask.dataframe.Series of shape (n_samples,)
            Log-likelihoods, lazy, nats.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or `n_draws` cannot be used.
        """
        n_draws = choices.count_of("n_draws", n_draws)
        return self._asked(X, partial(_score_samples, n_draws=n_draws), SCORE)

    def score(self, X, y=None):
        """Mean log-likelihood per row. It is computed at once.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like
            Rows, of shape (n_samples, n_features).
        y : Ignored
            Present for API consistency.

        Returns
        -------
        score : float
            Mean log-likelihood, nats per row; greater is better.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X cannot be used.
        """
        if not is_lazy(X):
            return self.to_local().score(X)
        mean = self.score_samples(X).astype(np.float64).mean()
        return float(mean.compute() if self.client is None else self.client.compute(mean).result())

    def set_output(self, *, transform=None):
        """Set the container of results.

        Parameters
        ----------
        transform : {"default", "pandas"} or None, default=None
            "pandas" gives DataFrames of Dask for arrays too. None changes nothing.

        Returns
        -------
        self : DaskVAETransformer
            The estimator.

        Raises
        ------
        ValueError
            If `transform` is another container; Dask has DataFrames of pandas only.
        """
        if transform not in (None, "default", "pandas"):
            raise ValueError(
                f"transform={transform!r} must be 'default' or 'pandas'; Dask has DataFrames of "
                "pandas only."
            )
        self._container = transform or self._container
        return self

    def get_feature_names_out(self, input_features=None):
        """Names of the codes.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns. They are only checked against those of `fit`.

        Returns
        -------
        names : ndarray of str of shape (latent_dim_,)
            The names that `VAETransformer` gives.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `input_features` are not the names of `fit`.
        """
        return self._fitted().get_feature_names_out(input_features)

    def _fitted(self) -> VAETransformer:
        check_is_fitted(self)
        return self._local

    def _model(self) -> Model:
        asked = self._container or output_container(self._fitted())
        if asked == "polars":
            raise ValueError(
                "Dask has no DataFrames of polars: use set_output(transform='pandas')."
            )
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
