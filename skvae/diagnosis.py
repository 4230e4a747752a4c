"""What can be asked of a fitted model about itself: what codes do, what carries something."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skvae.ambient import asking
from skvae.data.columns import has_missing
from skvae.training.schedules import check_count

_N_ROWS = 1000  # that derivatives and diagnostics are averaged over


class Diagnosable(BaseEstimator, ABC):
    """Estimator that reports the effects of its codes and the quality of its posterior."""

    _model: Any
    _columns: Any
    latent_dim_: int
    restarts_: dict[str, np.ndarray]

    @abstractmethod
    def _check_rows(self, X, method):
        """X as it was read, for a method of a fitted estimator."""

    @abstractmethod
    def _codes(self, X):
        """What `transform` returns of rows that were read."""

    @asking
    def loadings(self, X=None):
        """Effect of each code on the columns: the mean Jacobian of the decoder.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features), default=None
            Rows at whose codes the Jacobian is taken; only the first 1000 are used. None takes
            1000 draws from the prior.

        Returns
        -------
        loadings : DataFrame of shape (latent_dim_, n_cells)
            Change of a column's expected value, in its units, per unit of a code of `transform`.
            A column with levels has one cell for each level, named "column=level": the change of
            its probability. If the linear start was kept, all columns are numbers, no cell is
            missing and `whiten` is False, these are PCA's `components_`.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X cannot be used.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer
        >>> X = load_iris(as_frame=True).data
        >>> VAETransformer(2, max_iter=0).fit(X).loadings(X).shape
        (2, 4)
        """
        check_is_fitted(self)
        if X is None:
            codes = self._model.prior_codes(_N_ROWS, np.random.RandomState(0), self.whiten)
        else:
            values = self._check_rows(X, "loadings").values[:_N_ROWS]
            codes = self._codes(values)
        cells = self._columns.cell_names(self._labels())
        values = self._model.loadings(codes, self.whiten, self._columns.n_levels)
        import pandas as pd  # where it is needed: it takes longer to import than all of skvae

        return pd.DataFrame(values, index=self.get_feature_names_out(), columns=cells)

    @asking
    def diagnostics(self, X, *, n_draws=32):
        """Quality of the posterior on rows: information in each code and tightness of the bound.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            At least 2 rows, preferably not in the training set; only the first 1000 are used.
        n_draws : int, default=32
            Draws from each row's posterior.

        Returns
        -------
        diagnostics : dict
            `kl_per_dim`, ndarray of shape (latent_dim_,): mean KL divergence of each code's
            posterior from a standard normal, nats. `active`, ndarray of bool of shape
            (latent_dim_,): whether the posterior mean varies (variance above 0.01).
            `mutual_information`: between rows and codes, nats; at most the logarithm of the number
            of rows. `bound`: evidence lower bound of the model without the linear start, nats per
            row. `log_likelihood`: importance-weighted bound of the same model, nats per row.
            `gap`: `log_likelihood` minus `bound`, which the approximate posterior loses.
            `restart_spread`: standard deviation of the restarts' best held-out bounds, nats per
            row. `restart_agreement`: smallest value of `restarts_["agreement"]`.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or `n_draws` cannot be used.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer
        >>> X = load_iris().data
        >>> VAETransformer(2, max_iter=0).fit(X).diagnostics(X)["active"]
        array([ True,  True])
        """
        check_count("n_draws", n_draws)
        values = self._check_rows(X, "diagnostics").values[:_N_ROWS]
        if values.shape[0] < 2:
            raise ValueError(
                "X has 1 row; diagnostics need at least 2 rows, to see whether codes vary."
            )
        model = self._model.of_cells() if has_missing(values) else self._model
        found = model.diagnose(values, int(n_draws))
        padding = np.zeros(self.latent_dim_ - len(found.kl))
        bounds, agreement = self.restarts_["bound"], self.restarts_["agreement"]
        return {
            "kl_per_dim": np.concatenate([found.kl, padding]),
            "active": np.concatenate([found.is_active, padding]).astype(bool),
            "mutual_information": found.mutual_information,
            "bound": found.bound,
            "log_likelihood": found.log_likelihood,
            "gap": found.log_likelihood - found.bound,
            "restart_spread": float(bounds.std()) if len(bounds) else 0.0,
            "restart_agreement": float(agreement.min(initial=1.0)),
        }
