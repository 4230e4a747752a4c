"""DaskVAETransformer: a VAETransformer that is fitted and asked where the rows are."""

import copy
import inspect
import uuid
import warnings
from functools import partial
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from distributed import Client, get_client
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skvae import choices
from skvae._sklearn import Interval, check_options, output_container
from skvae.dask import draws
from skvae.dask.answers import Ask, Model, answered, dtype_of, empty, example, numbers
from skvae.dask.gang import fit_together
from skvae.dask.rows import checked, is_lazy, pieces
from skvae.estimator import VAETransformer
from skvae.limits import Limits
from skvae.training.schedules import check_count

SCORE = "log_likelihood"  # the name of a column of scores
_OWN = {"client": None, "max_restarts": 3}  # parameters, and their defaults
_LEFT_OUT = ("distributed",)  # which goes without saying


def _signature() -> inspect.Signature:
    """That of VAETransformer, with the parameters of a cluster."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    theirs = inspect.signature(VAETransformer).parameters.values()
    kept = [parameter for parameter in theirs if parameter.name not in _LEFT_OUT]
    own = [inspect.Parameter(name, keyword, default=default) for name, default in _OWN.items()]
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Signature([itself, *kept, *own])


class DaskVAETransformer(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """A VAETransformer whose rows are spread over a cluster of Dask.

    `fit` takes arrays and dataframes of Dask whose partitions are whole rows. The workers that
    hold the partitions train together, as the processes of a group of `torch.distributed`; rows
    stay with them, but for a sample of bounded size that all of them know. Other methods answer
    lazily, partition by partition; about rows that are at hand they answer at once.

    Where a worker is lost, Dask makes its partitions again and the workers that are left begin
    the fit again, with `checkpoint_dir` where it was.

    Parameters
    ----------
    latent_dim : int, float, "auto" or None, default=2
        Number of codes. This and all further parameters are those of `VAETransformer`, but for
        `distributed`, which goes without saying. With `deterministic` the model is the same to
        the bit whatever the number of workers.
    client : distributed.Client or None, default=None
        The cluster. None is the client that is current or was made last. It does not go into
        pickles.
    max_restarts : int, default=3
        How often a fit begins again after a worker was lost.

    Attributes
    ----------
    n_restarts_ : int
        How often the fit began again.

    See Also
    --------
    VAETransformer : Its fitted attributes are those of this one, too.

    Examples
    --------
    >>> import dask.array
    >>> from distributed import Client, LocalCluster
    >>> from skvae.dask import DaskVAETransformer
    >>> cluster = LocalCluster(n_workers=2, threads_per_worker=1)  # doctest: +SKIP
    >>> client = Client(cluster)  # doctest: +SKIP
    >>> X = dask.array.random.default_rng(0).normal(size=(1000, 6), chunks=(250, 6))
    >>> vae = DaskVAETransformer(2, random_state=0).fit(X)  # doctest: +SKIP
    >>> vae.transform(X)  # doctest: +SKIP
    dask.array<_of_rows, shape=(1000, 2), dtype=float64, chunksize=(250, 2), ...>
    """

    client: Client | None
    max_restarts: int
    random_state: Any
    warm_start: bool
    limits: ClassVar[Limits] = Limits()  # of computing, read by fit
    _parameter_constraints = {"max_restarts": [Interval(Integral, 0, None, closed="left")]}
    _container: str | None = None  # that set_output has asked for

    def __init__(self, *args, client=None, max_restarts=3, **parameters):
        for name in parameters.keys() & set(_LEFT_OUT):
            raise TypeError(f"{type(self).__name__} has no parameter {name!r}: leave it out.")
        given = VAETransformer(*args, **parameters).get_params(deep=False)
        self.__dict__.update({name: given[name] for name in given if name not in _LEFT_OUT})
        self.client = client
        self.max_restarts = max_restarts

    __init__.__signature__ = _signature()  # type: ignore[attr-defined]  # which scikit-learn reads

    @classmethod
    def from_local(cls, vae, *, client=None, max_restarts=3):
        """The same estimator, fitted or not, over a cluster.

        Parameters
        ----------
        vae : VAETransformer
            The estimator.
        client : distributed.Client or None, default=None
            The cluster.
        max_restarts : int, default=3
            How often a fit begins again.

        Returns
        -------
        vae : DaskVAETransformer
            It has the parameters and what was fitted.
        """
        given = vae.get_params(deep=False)
        own = {name: given[name] for name in given if name not in _LEFT_OUT}
        made = cls(**own, client=client, max_restarts=max_restarts)
        if vae.__sklearn_is_fitted__():
            made._learn(copy.copy(vae), 0)
        return made

    def to_local(self):
        """The estimator without the cluster.

        Returns
        -------
        vae : VAETransformer
            With the parameters and, if this one is fitted, what was fitted. Its answers are
            computed at once, about rows that are at hand; `save` keeps it in a file.
        """
        vae = copy.copy(vars(self).get("_local")) or VAETransformer()
        vae.set_params(**self._parameters())
        return vae.set_output(transform=self._container)

    def fit(self, X, y=None, sample_weight=None):
        """Fit the model to the rows of all partitions.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            Training rows, as `VAETransformer.fit` takes them, blocks of sparse rows too. Sizes of
            chunks need not be known, and partitions may be empty.
        y : Ignored
            Present for API consistency.
        sample_weight : dask.array.Array, dask.dataframe.Series or array-like, default=None
            Weight of each row, in the partitions of X; at hand only where their sizes are known.

        Returns
        -------
        self : DaskVAETransformer
            The fitted estimator.

        Raises
        ------
        TypeError
            If X is no array and no dataframe of Dask.
        ValueError
            If X or a parameter cannot be used, or partitions do not have the same columns.
        DivergenceError
            If the loss is not finite.
        RuntimeError
            If there is no cluster, or workers were lost more than `max_restarts` times.
        """
        check_options(self)
        vae = self.to_local() if self._goes_on() else VAETransformer(**self._parameters())
        vae.set_params(distributed="auto")
        if isinstance(self.random_state, np.random.RandomState):
            vae.set_params(random_state=_seed(self.random_state))
        vae._validate_params()
        if "limits" in vars(self):
            vae.__dict__["limits"] = self.limits
        parts = pieces(checked(X), sample_weight)
        outcome, n_restarts = fit_together(self._connected(), vae, parts, self.max_restarts)
        for warning in outcome.warned:
            warnings.warn(warning, stacklevel=2)
        self._learn(outcome.vae, n_restarts)
        return self

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
        return draws.drawn(self._model(), int(n_samples), _seed(random_state), given)

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
        return draws.imputed(model, X, int(n_draws), _seed(random_state), meta[0][:0])

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

    def _parameters(self) -> dict[str, Any]:
        """The parameters of the estimator without the cluster."""
        return {name: value for name, value in vars(self).items() if name in _theirs()}

    def _goes_on(self) -> bool:
        return self.warm_start and self.__sklearn_is_fitted__()

    def _connected(self) -> Client:
        if self.client is not None:
            return self.client
        try:
            return get_client()
        except ValueError as error:
            raise RuntimeError(
                "there is no cluster of Dask yet; make one: from distributed import Client, "
                "LocalCluster; client = Client(LocalCluster(n_workers=2, threads_per_worker=1))."
            ) from error

    def _learn(self, vae: VAETransformer, n_restarts: int) -> None:
        self._local = vae.set_params(**self._parameters(), distributed=None)
        self._name, self.n_restarts_ = f"skvae-{uuid.uuid4().hex}", n_restarts

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

    def __getattr__(self, name: str) -> Any:
        """What was fitted is that of the estimator without the cluster."""
        local = vars(self).get("_local")
        if local is not None and name.endswith("_") and not name.startswith("_"):
            return getattr(local, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"client": None}

    def __sklearn_clone__(self):
        twin = BaseEstimator.__sklearn_clone__(copy.copy(self))  # which has no client to copy
        twin.client, twin._container = self.client, self._container
        if "limits" in vars(self):
            twin.__dict__["limits"] = self.limits
        return twin

    def __sklearn_is_fitted__(self) -> bool:
        return "_local" in vars(self)

    def __sklearn_tags__(self):
        return VAETransformer(**self._parameters()).__sklearn_tags__()


def _theirs() -> list[str]:
    """Names of the parameters of the estimator without the cluster."""
    return [name for name in inspect.signature(VAETransformer).parameters if name not in _LEFT_OUT]


def _seed(random_state: Any) -> int:
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
