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
    """An estimator that tells what its codes do to the columns, and how good its posterior is."""

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
        """What moving along a code does to the columns: the mean Jacobian of the decoder.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features), default=None
            Rows at whose codes the derivatives are taken, at most the first 1000. None: 1000
            draws from the prior.

        Returns
        -------
        loadings : DataFrame of shape (latent_dim_, n_cells)
            Change of the expected value of a column, in its units, per unit of a code as
            `transform` returns it. A column with levels has a cell for each, named
            "column=level": the change of its probability. Where the linear start was kept and
            all columns are numbers without missing cells, these are PCA's `components_` unless
            `whiten`.

        Raises
        ------
        ValueError
            If X cannot be used.
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
        """What rows say of the posterior: which codes carry something, how loose the bound is.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            Rows, best such as training has not seen; at most the first 1000 are used.
        n_draws : int, default=32
            Draws from each row's posterior.

        Returns
        -------
        diagnostics : dict
            `kl_per_dim`, ndarray of shape (latent_dim_,): mean KL of each code's posterior from a
            standard normal, nats. `active`, ndarray of bool: whether the posterior mean of the
            code varies. `mutual_information`: of rows and codes, nats, at most the logarithm of
            the number of rows. `bound`, `log_likelihood`: evidence lower bound and
            importance-weighted likelihood of the model without the linear start, nats per row;
            `gap`: their difference, what the posterior's shape costs. `restart_spread`: standard
            deviation of the restarts' best held-out bounds; `restart_agreement`: least share of
            the variance of the kept model's codes that a restart's codes tell.

        Raises
        ------
        ValueError
            If X cannot be used.
        """
        check_count("n_draws", n_draws)
        values = self._check_rows(X, "diagnostics").values[:_N_ROWS]
        if values.shape[0] < 2:
            raise ValueError("X has 1 row; whether codes vary shows from 2 rows up.")
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
